//! Swarm tests of a Mainline network: each seed turns on a random subset of everything that can go wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Request};
use bittorrent_profile::{InfoHash, MainlineService, ServiceConfig, node_id};
use kademlia_core::{Config, Event, Key, Keyspace, LookupOptions, Node, Rng};
use transport_mem::swarm::{self, Shrunk};
use transport_mem::{FaultPlan, LinkModel, NodeIndex};

use crate::network::Net;

/// A network that has to live through fault plans. That of every other seed speaks real bytes, so that datagrams can be
/// too long or arrive with a bit inverted; the others are faster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// Nodes at the beginning.
    pub nodes: usize,
    /// How long each plan lasts.
    pub length: Duration,
    /// How long nothing goes wrong after it, before everybody has to know somebody again (P46): a table is refreshed every
    /// 15 minutes, and routers are asked again every five.
    pub recovery: Duration,
}

impl Default for Swarm {
    fn default() -> Self {
        Swarm { nodes: 60, length: Duration::from_secs(15 * 60), recovery: Duration::from_secs(3_600) }
    }
}

/// What a network did not live through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// So many lookups never ended.
    Endless(usize),
    /// Long after the end of all faults a node knows fewer than k good ones, and fewer than there are.
    Lonely {
        /// Which node.
        node: NodeIndex,
        /// Good contacts in its table.
        good: usize,
    },
    /// A node broke its own invariants (P8).
    Unsound {
        /// Which node.
        node: NodeIndex,
        /// The first rule found broken.
        rule: &'static str,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Endless(lookups) => write!(f, "{lookups} lookups never ended"),
            Flaw::Lonely { node, good } => write!(f, "node {node} knows {good} good nodes in the end"),
            Flaw::Unsound { node, rule } => write!(f, "node {node} is unsound: {rule}"),
        }
    }
}

/// Lookups that node 0 makes as the plan begins, and as many when it is over.
const LOOKUPS: usize = 8;
/// Longest wait for joining, and longest life of a lookup.
const PATIENCE: Duration = Duration::from_secs(90);
/// From one node to the next as the network grows.
const PACE: Duration = Duration::from_millis(100);

impl Swarm {
    /// The plan of a seed.
    pub fn plan(&self, seed: u64) -> FaultPlan {
        swarm::draw(seed, self.length)
    }

    /// Hours of all nodes together in one run, in virtual time.
    pub fn node_hours(&self) -> f64 {
        let growing = self.nodes as f64 / 2.0 * PACE.as_secs_f64();
        let grown = (2 * PATIENCE + self.length + self.recovery).as_secs_f64();
        self.nodes as f64 * (growing + grown) / 3_600.0
    }

    /// Lives through a plan; gives back the trace's hash.
    ///
    /// # Errors
    /// What went wrong first.
    pub fn endure(&self, seed: u64, plan: &FaultPlan) -> Result<u64, Flaw> {
        let config = Arc::new(Config::default());
        let enough = config.k;
        let make = move |birth: transport_mem::Birth<Key<20>>| {
            let mut rng = Rng::from_seed(birth.seed);
            let service = MainlineService::new(ServiceConfig::default(), rng.fork());
            // A rejoining node keeps its key, which fits already.
            let key = node_id::fit(birth.addr.ip(), &birth.key);
            Node::new(service, key, Arc::clone(&config), rng.fork(), birth.now)
        };
        let mut network = Net::new(seed, LinkModel::internet()).wire(seed % 2 == 1);
        network.watch(|node, event| node == 0 && matches!(event, Event::LookupDone { .. }));
        network.grow(self.nodes, PACE, &make);
        network.run_for(PATIENCE);
        let mut rng = Rng::from_number(seed);
        let mut running = look_up(&mut network, &mut rng);
        let mut flaw = unsound(&network);
        network.endure_with(plan, &make, |network| flaw = flaw.or_else(|| unsound(network)));
        network.run_for(self.recovery);
        flaw = flaw.or_else(|| unsound(&network));
        running.extend(look_up(&mut network, &mut rng));
        network.run_for(PATIENCE);
        if let Some(flaw) = flaw.or_else(|| unsound(&network)) {
            return Err(flaw);
        }
        for (_, event) in network.take_events() {
            if let Event::LookupDone { lookup, .. } = event {
                running.remove(&lookup);
            }
        }
        if !running.is_empty() {
            return Err(Flaw::Endless(running.len()));
        }
        lonely(&mut network, enough).map_or(Ok(network.trace_hash()), Err)
    }

    /// The smallest plan found that a network with this seed does not live through.
    pub fn shrink(&self, seed: u64, plan: &FaultPlan) -> Shrunk {
        swarm::shrink(plan, |plan| self.endure(seed, plan).is_err())
    }

    /// What [`shrink`](Self::shrink) made of the plan of a seed, by its steps; `None` if they are of another.
    pub fn shrunk(&self, seed: u64, steps: &[usize]) -> Option<FaultPlan> {
        swarm::retrace(&self.plan(seed), steps)
    }

    /// The line that lives through the plan of a seed again, or through what these steps left of it.
    pub fn replay(&self, seed: u64, steps: &[usize]) -> String {
        let Swarm { nodes, length, recovery } = self;
        let mut line = format!(
            "kad sim --swarm --seeds 1 --seed {seed} --nodes {nodes} --duration {}s",
            length.as_secs_f64()
        );
        if *recovery != Swarm::default().recovery {
            line += &format!(" --recovery {}s", recovery.as_secs_f64());
        }
        if !steps.is_empty() {
            let steps: Vec<_> = steps.iter().map(usize::to_string).collect();
            line += &format!(" --shrunk {}", steps.join(","));
        }
        line + " --replay"
    }
}

fn look_up(network: &mut Net, rng: &mut Rng) -> BTreeSet<kademlia_core::LookupId> {
    let start = |_| {
        let target: Key<20> = Key::random(rng);
        let request = Request::get_peers(InfoHash::from(target), Families::NONE);
        network
            .call(0, |node, now| node.lookup(now, target, request, LookupOptions::default()).ok())
            .flatten()
    };
    (0..LOOKUPS).filter_map(start).collect()
}

/// Somebody who knows fewer good nodes than this, and fewer than there are.
fn lonely(network: &mut Net, enough: usize) -> Option<Flaw> {
    let enough = enough.min(network.nodes().count().saturating_sub(1));
    (0..network.len()).find_map(|node| {
        // By its own clock, which the plan may have set.
        let good = network.call(node, |node, now| node.table().counts(now).good)?;
        (good < enough).then_some(Flaw::Lonely { node, good })
    })
}

/// Somebody who breaks a rule of its own.
fn unsound(network: &Net) -> Option<Flaw> {
    network.nodes().find_map(|(node, state)| {
        let rule = state.check().err()?;
        Some(Flaw::Unsound { node, rule })
    })
}
