//! What came of a scenario.

use std::time::Duration;

use crate::figures::{Figures, Spread};

/// What came of a scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Announcements made.
    pub trials: usize,
    /// Announcements that were found.
    pub found: usize,
    /// The trials, counted from 0, whose announcements were not found.
    pub lost: Vec<usize>,
    /// The lookups that searched.
    pub searches: Figures,
    /// The lookups of the announcements, and their storing requests.
    pub announcements: Figures,
    /// Nodes that took an announcement.
    pub holders: Spread<usize>,
    /// From the start of a search to its first peer, of those that found one.
    pub first: Spread<Duration>,
    /// Which share of the k nodes nearest to the keys the searches' results held. While nodes come and go, those
    /// count that were up before the first search.
    pub recall: f64,
    /// The nodes' own idea of the network's size: median over the searchers.
    pub size: f64,
    /// Searches that took the neighbourhood for a crowd.
    pub crowded: usize,
    /// Honest nodes that were up at the end.
    pub nodes: usize,
    /// Memory of an honest node by its own account, in bytes: the mean.
    pub bytes_per_node: usize,
    /// Arrivals and timeouts: what the simulator had to work through, building included.
    pub events: u64,
    /// How long it lasted in virtual time, building included.
    pub lasted: Duration,
    /// Hash over everything that happened.
    pub trace: u64,
}

impl Outcome {
    /// Whether every announcement was found.
    pub fn is_complete(&self) -> bool {
        self.found == self.trials
    }

    /// Share of the announcements that were found; 1 if none was made.
    pub fn success(&self) -> f64 {
        if self.trials == 0 { 1.0 } else { self.found as f64 / self.trials as f64 }
    }
}
