//! What came of a scenario.

use std::time::Duration;

use kademlia_core::{Key, LookupReport, Stored};

use crate::figures::{Figures, Spread};
use crate::network::Net;

/// What came of a scenario.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Announcements made.
    pub trials: usize,
    /// Announcements that were found.
    pub found: usize,
    /// The trials, counted from 0, whose announcements were not found.
    pub lost: Vec<usize>,
    /// The same by where the announcer was and where the searcher: in the open (0) or behind a translator (1).
    pub by_place: [[Found; 2]; 2],
    /// The lookups that searched.
    pub searches: Figures,
    /// The lookups of the announcements, and their storing requests.
    pub announcements: Figures,
    /// Nodes that took an announcement.
    pub holders: Spread<usize>,
    /// From the start of a search to its first peer, of those that found one.
    pub first: Spread<Duration>,
    /// Which share of the k nodes nearest to the keys the searches' results held. While nodes come and go, those
    /// count that were up before the first search; with translators, those behind them too, who can seldom be reached.
    pub recall: f64,
    /// The nodes' own idea of the network's size: median over the searchers.
    pub size: f64,
    /// Searches that took the neighbourhood for a crowd.
    pub crowded: usize,
    /// Networks that it took: more than one where many keys are crowded.
    pub networks: usize,
    /// Honest nodes that were up at the end, in the last network.
    pub nodes: usize,
    /// Memory of an honest node by its own account, in bytes: the mean in the last network.
    pub bytes_per_node: usize,
    /// Arrivals and timeouts: what the simulator had to work through, building included.
    pub events: u64,
    /// How long it lasted in virtual time, building included.
    pub lasted: Duration,
    /// Hash over everything that happened.
    pub trace: u64,
}

/// How many of some announcements were found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Announcements made.
    pub trials: usize,
    /// Those that were found.
    pub found: usize,
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

/// An outcome in the making.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    outcome: Outcome,
    searches: Costs,
    announcements: Costs,
    holders: Vec<usize>,
    firsts: Vec<Duration>,
    sizes: Vec<u64>,
    exact: usize,
    possible: usize,
}

impl Tally {
    pub(crate) fn announced(&mut self, stored: &Stored<Key<20>>) {
        let storing = stored.accepted.len() + stored.refused.len() + stored.no_answer.len();
        self.announcements.add(&stored.report, storing);
        self.holders.push(stored.accepted.len());
    }

    /// The next trial's search was told of a peer after this time, if at all. `hidden`: whether announcer and searcher
    /// are behind translators.
    pub(crate) fn searched(&mut self, first: Option<Duration>, hidden: [bool; 2]) {
        let [writer, reader] = hidden.map(usize::from);
        let Found { trials, found } = &mut self.outcome.by_place[writer][reader];
        *trials += 1;
        *found += usize::from(first.is_some());
        match first {
            Some(first) => self.firsts.push(first),
            None => self.outcome.lost.push(self.outcome.trials),
        }
        self.outcome.trials += 1;
    }

    /// Its search ended, and found so many of the nearest.
    pub(crate) fn ended(&mut self, report: &LookupReport<Key<20>>, exact: usize) {
        self.searches.add(report, 0);
        self.exact += exact;
        self.outcome.crowded += usize::from(report.crowded);
    }

    /// What is true of its key and its searcher: how many nearest there are, and how many nodes it believes there are.
    #[allow(clippy::cast_possible_truncation, reason = "saturates")]
    pub(crate) fn judged(&mut self, possible: usize, size: Option<f64>) {
        self.possible += possible;
        self.sizes.extend(size.map(|size| size as u64));
    }

    /// A network's last word.
    pub(crate) fn take_stock(&mut self, simulation: &Net) {
        let (traffic, outcome) = (simulation.traffic(), &mut self.outcome);
        let bytes: usize = simulation.nodes().map(|(_, node)| node.memory()).sum();
        outcome.networks += 1;
        outcome.nodes = simulation.nodes().count();
        outcome.bytes_per_node = bytes / outcome.nodes.max(1);
        outcome.events += traffic.delivered + traffic.timeouts;
        outcome.lasted += simulation.now().since(kademlia_core::Instant::ZERO);
        outcome.trace = outcome.trace.rotate_left(1) ^ simulation.trace_hash();
    }

    pub(crate) fn finish(self) -> Outcome {
        Outcome {
            found: self.outcome.trials - self.outcome.lost.len(),
            searches: self.searches.figures(),
            announcements: self.announcements.figures(),
            holders: Spread::of(self.holders),
            first: Spread::of(self.firsts),
            recall: self.exact as f64 / self.possible.max(1) as f64,
            size: Spread::of(self.sizes).p50 as f64,
            ..self.outcome
        }
    }
}

/// What each of many lookups took.
#[derive(Debug, Default)]
struct Costs {
    messages: Vec<usize>,
    hops: Vec<usize>,
    took: Vec<Duration>,
}

impl Costs {
    fn add(&mut self, report: &LookupReport<Key<20>>, more: usize) {
        self.messages.push(report.messages + more);
        self.hops.push(report.hops);
        self.took.push(report.took);
    }

    fn figures(self) -> Figures {
        let Costs { messages, hops, took } = self;
        Figures { messages: Spread::of(messages), hops: Spread::of(hops), took: Spread::of(took) }
    }
}
