//! What is tried, and under which conditions.

use std::time::Duration;

use kademlia_core::{Config, Effort};

use crate::attack::Attack;
use crate::observed::Observed;
use crate::outcome::Outcome;
use crate::run::{self, Phase};

/// A network, what is wrong with it, and how it is searched. Equal scenarios give equal outcomes, on every machine.
///
/// Announcements and searches are made by up to 256 honest nodes, at most an eighth of all, which have looked around
/// before, are spared all churn, and take turns. Where keys are crowded ([`Attack::Subnets`]), as many networks live
/// through it, one after the other, as are needed for the crowds to be at most a tenth of each.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Decides everything that is drawn at random.
    pub seed: u64,
    /// Honest nodes that are up.
    pub nodes: usize,
    /// Whether they join one after the other; otherwise their tables are filled as if they had long since.
    pub organic: bool,
    /// Chance of a datagram to be lost, in each direction, once the network is built.
    pub loss: f64,
    /// Share of the honest nodes that are behind network address translators, of all four kinds, which forget whom their
    /// nodes wrote to after 30 s. The tables then have half an hour to take the form that this gives them.
    pub nat: f64,
    /// Share of all contacts in routing tables that are dead when the announcements begin; at most 0.95.
    pub stale: f64,
    /// Share of the honest nodes that leave between announcement and search, all at once.
    pub churn: f64,
    /// Half-life of the honest nodes' sessions once the network is built; zero if all stay. Their pauses are as long,
    /// and half of those that come back remember what they knew.
    pub sessions: Duration,
    /// From the last announcement to the first search.
    pub wait: Duration,
    /// Share of the honest nodes whose ids fit their addresses (BEP 42).
    pub bound: f64,
    /// Who wants the announcements to be lost.
    pub attack: Attack,
    /// How announcements are made.
    pub writer: Effort,
    /// How they are searched for.
    pub reader: Effort,
    /// Announcements made, each searched for once.
    pub trials: usize,
    /// The nodes' constants.
    pub config: Config,
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            seed: 1,
            nodes: 1_000,
            organic: false,
            loss: 0.0,
            nat: 0.0,
            stale: 0.0,
            churn: 0.0,
            sessions: Duration::ZERO,
            wait: Duration::ZERO,
            bound: 1.0,
            attack: Attack::None,
            writer: Effort::Hardened,
            reader: Effort::Reinforced,
            trials: 100,
            config: Config::default(),
        }
    }
}

impl Scenario {
    /// Gives every request the same time, instead of what the round trips so far suggest: as most nodes do.
    #[must_use]
    pub fn with_fixed_timeout(mut self, timeout: Duration) -> Self {
        let rpc = &mut self.config.rpc;
        (rpc.initial_timeout, rpc.min_timeout, rpc.max_timeout) = (timeout, timeout, timeout);
        self
    }

    /// Lives through it.
    pub fn run(&self) -> Outcome {
        self.run_with(&mut |_, _| {})
    }

    /// Lives through it, and says now and then which phase it is in and how much of that is done, from 0 to 1.
    pub fn run_with(&self, progress: &mut dyn FnMut(Phase, f64)) -> Outcome {
        run::run(self, None, progress).0
    }

    /// Lives through it, and watches the search of one trial; `None` if there was no such search.
    pub fn observe(&self, trial: usize, progress: &mut dyn FnMut(Phase, f64)) -> (Outcome, Option<Observed>) {
        run::run(self, Some(trial), progress)
    }
}
