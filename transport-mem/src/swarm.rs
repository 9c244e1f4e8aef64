//! Swarm testing (Groce and others, 2012): each seed turns on a random subset of everything that can go wrong, each
//! part at a random strength. What only shows while most is quiet is found as well as what takes everything at once.
//!
//! ```
#![doc = concat!("# #[path = \"", env!("CARGO_MANIFEST_DIR"), "/tests/overlay/mod.rs\"] mod overlay;")]
//! # use std::{sync::Arc, time::Duration};
//! # use kademlia_core::Config;
//! # use overlay::{Tiny, node};
//! use transport_mem::{FaultPlan, LinkModel, Simulation, swarm};
//!
//! # let config = Arc::new(Config::default());
//! # let make = move |birth| node(birth, &config);
//! let fails = |plan: &FaultPlan| {
//!     let mut network = Simulation::<Tiny<4>, Tiny<4>>::new(1, LinkModel::internet());
//!     network.grow(12, Duration::from_secs(1), &make);
//!     network.endure(plan, &make);
//!     network.run_for(Duration::from_secs(1_800));
//!     network.nodes().any(|(_, node)| node.table().is_empty())
//! };
//! for seed in 0..3 {
//!     let plan = swarm::draw(seed, Duration::from_secs(300));
//!     assert!(!fails(&plan), "seed {seed}: {plan}\nsmallest: {}", swarm::shrink(&plan, fails).plan);
//! }
//! ```

use std::time::Duration;

use kademlia_core::Rng;

use crate::churn::{Churn, Weibull};
use crate::clock::Jump;
use crate::faults::{Fault, FaultPlan};
use crate::link::{Bursts, Latency, LinkModel};
use crate::nat::{Nat, NatKind};
use crate::peers::Hostility;

mod shrink;

pub use shrink::{Shrunk, TRIES, retrace, shrink};

/// The greatest strength of each thing: networks worse than this are not expected to work.
pub(crate) mod most {
    use std::time::Duration;

    pub(crate) const LATENCY: Duration = Duration::from_millis(500);
    pub(crate) const JITTER: f64 = 0.2;
    pub(crate) const LOSS: f64 = 0.3;
    pub(crate) const BURSTS: f64 = 0.1;
    pub(crate) const BURST: Duration = Duration::from_secs(60);
    pub(crate) const MISHAP: f64 = 0.1;
    pub(crate) const HOLD: Duration = Duration::from_secs(2);
    pub(crate) const ONEWAY: f64 = 0.05;
    /// IPv4's least reassembly buffer, less the headers: nobody may count on more.
    pub(crate) const SMALL_MTU: usize = 548;
    pub(crate) const HOSTILE: f64 = 0.1;
    pub(crate) const NAT: f64 = 0.2;
    pub(crate) const MAPPING: Duration = Duration::from_secs(300);
    pub(crate) const SKEW: u32 = 1_000;
    pub(crate) const JUMP: Duration = Duration::from_secs(3_600);
    pub(crate) const HALF_LIFE: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(3_600));
    pub(crate) const PARTS: u32 = 3;
    pub(crate) const CLOGGED: usize = 16;
    pub(crate) const PACE: Duration = Duration::from_secs(30);
    pub(crate) const FAULTS: usize = 20;
}

/// The plan of this seed, and of no other: to be replayed, it takes the seed and the length. Node 0 is spared.
pub fn draw(seed: u64, length: Duration) -> FaultPlan {
    let mut draw = Draw(Rng::from_number(seed));
    let model = draw.links();
    FaultPlan {
        length,
        model,
        faults: draw.faults(length),
        churn: draw.coin().then(|| draw.churn()),
        hostile: draw.some_of(Hostility::ALL, most::HOSTILE),
        nats: draw.nats(),
        skew: if draw.coin() { draw.below(most::SKEW) } else { 0 },
        spared: 1,
    }
}

struct Draw(Rng);

impl Draw {
    fn coin(&mut self) -> bool {
        self.0.chance(0.5)
    }

    fn up_to(&mut self, most: f64) -> f64 {
        most * self.0.unit()
    }

    fn time(&mut self, most: Duration) -> Duration {
        most.mul_f64(self.0.unit())
    }

    fn below(&mut self, most: u32) -> u32 {
        u32::try_from(self.0.below(most as usize)).unwrap_or(most)
    }

    /// A strength, or none.
    fn maybe(&mut self, most: f64) -> f64 {
        if self.coin() { self.up_to(most) } else { 0.0 }
    }

    /// A random subset, each at a random strength.
    fn some_of<T, const N: usize>(&mut self, all: [T; N], most: f64) -> Vec<(T, f64)> {
        // Few at a time: with seven kinds, half of them on would leave hardly anybody honest.
        let on = self.coin();
        all.into_iter()
            .filter_map(|kind| (on && self.0.chance(0.3)).then(|| (kind, self.up_to(most))))
            .collect()
    }

    fn latency(&mut self) -> Latency {
        let half = most::LATENCY / 2;
        match self.below(3) {
            0 => Latency::Constant(self.time(most::LATENCY)),
            1 => {
                let min = self.time(half);
                Latency::Uniform { min, max: min + self.time(half) }
            }
            _ => {
                let floor = self.time(Duration::from_millis(20));
                let median = floor + self.time(Duration::from_millis(80)).max(Duration::from_millis(1));
                Latency::HeavyTailed { floor, median, ceiling: most::LATENCY }
            }
        }
    }

    fn links(&mut self) -> LinkModel {
        let normal = LinkModel::internet();
        LinkModel {
            latency: if self.coin() { self.latency() } else { normal.latency },
            jitter: self.maybe(most::JITTER),
            loss: self.maybe(most::LOSS),
            bursts: self.coin().then(|| Bursts {
                share: self.up_to(most::BURSTS),
                length: self.time(most::BURST).max(Duration::from_secs(1)),
                loss: 0.5 + self.up_to(0.5),
            }),
            duplicate: self.maybe(most::MISHAP),
            reorder: self.maybe(most::MISHAP),
            hold: self.time(most::HOLD),
            corrupt: self.maybe(most::MISHAP),
            mtu: if self.coin() {
                most::SMALL_MTU + self.0.below(normal.mtu - most::SMALL_MTU)
            } else {
                normal.mtu
            },
            oneway: self.maybe(most::ONEWAY),
        }
    }

    fn churn(&mut self) -> Churn {
        let (least, longest) = most::HALF_LIFE;
        let session = Weibull { median: least + self.time(longest - least), shape: 0.4 + self.up_to(0.6) };
        let pause = Weibull { median: self.time(session.median), shape: session.shape };
        Churn { session, pause, keep_state: self.0.unit(), stays: self.0.unit() }
    }

    fn nats(&mut self) -> Vec<(Nat, f64)> {
        let mut nats = self.some_of(NatKind::ALL.map(Nat::new), most::NAT);
        for (nat, _) in &mut nats {
            nat.mapping += self.time(most::MAPPING - nat.mapping);
        }
        nats
    }

    fn faults(&mut self, length: Duration) -> Vec<(Duration, Fault)> {
        // Which kinds there are at all is drawn first, so that some plans have many of few kinds.
        let kinds: Vec<_> = (0..KINDS).filter(|_| self.coin()).collect();
        let count = if kinds.is_empty() { 0 } else { self.0.below(most::FAULTS + 1) };
        let mut faults = Vec::new();
        for _ in 0..count {
            let kind = kinds.get(self.0.below(kinds.len())).copied().unwrap_or_default();
            let at = self.time(length);
            // What is broken is mended some time before the end, or not at all.
            let later = at + self.time(length.saturating_sub(at) * 2);
            let (breaks, mends) = self.fault(kind);
            faults.push((at, breaks));
            faults.extend(mends.filter(|_| later < length).map(|mends| (later, mends)));
        }
        faults.sort_by_key(|(at, _)| *at);
        faults
    }

    /// A fault and what mends it.
    fn fault(&mut self, kind: u32) -> (Fault, Option<Fault>) {
        let node = self.0.below(1_000_000);
        match kind {
            0 => (Fault::Crash(node), Some(Fault::Restart(node))),
            1 => (Fault::Crash(node), Some(Fault::Recover(node))),
            2 => (Fault::Partition(2 + self.below(most::PARTS - 1)), Some(Fault::Heal)),
            3 => (Fault::Isolate(node), Some(Fault::Reconnect(node))),
            4 => {
                let nodes = 1 + self.0.below(most::CLOGGED);
                (Fault::SwizzleClog { nodes, pace: self.time(most::PACE) }, None)
            }
            5 => (Fault::Suspend(node), Some(Fault::Resume(node))),
            6 => {
                let by = self.time(most::JUMP);
                (Fault::ClockJump(node, if self.coin() { Jump::Forward(by) } else { Jump::Back(by) }), None)
            }
            _ => (Fault::Rebind(node), None),
        }
    }
}

/// Kinds of faults that [`Draw::fault`] knows.
const KINDS: u32 = 8;

#[cfg(test)]
mod tests;
