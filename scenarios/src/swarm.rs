//! Swarm tests of a Mainline network: each seed turns on a random subset of everything that can go wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Request};
use bittorrent_profile::{InfoHash, MainlineService, ServiceConfig, node_id};
use kademlia_core::{Config, Event, Key, Keyspace, LookupOptions, Node, Rng};
use transport_mem::{FaultPlan, LinkModel, NodeIndex, swarm};

use crate::network::Net;

/// A network that has to live through fault plans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swarm {
    /// Nodes at the beginning.
    pub nodes: usize,
    /// How long each plan lasts.
    pub length: Duration,
}

/// What a network did not live through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// So many lookups never ended.
    Endless(usize),
    /// Long after the end of all faults a node knows only so many live ones.
    Lonely {
        /// Which node.
        node: NodeIndex,
        /// Live nodes that it knows.
        known: usize,
    },
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flaw::Endless(lookups) => write!(f, "{lookups} lookups never ended"),
            Flaw::Lonely { node, known } => write!(f, "node {node} knows {known} live nodes in the end"),
        }
    }
}

/// Lookups that node 0 makes as the plan begins, and as many when it is over.
const LOOKUPS: usize = 8;
/// Longest wait for joining, and longest life of a lookup.
const PATIENCE: Duration = Duration::from_secs(90);
/// After so long without a fault everybody knows somebody (P46): a table is refreshed every 15 minutes, and routers are
/// asked again every five.
const RECOVERY: Duration = Duration::from_secs(3_600);
/// Live nodes that a node should know then, where there are as many.
const COMPANY: usize = 6;
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
        let grown = 2.0 * PATIENCE.as_secs_f64() + self.length.as_secs_f64() + RECOVERY.as_secs_f64();
        self.nodes as f64 * (growing + grown) / 3_600.0
    }

    /// Lives through a plan; gives back the trace's hash.
    ///
    /// # Errors
    /// What went wrong first.
    pub fn endure(&self, seed: u64, plan: &FaultPlan) -> Result<u64, Flaw> {
        let config = Arc::new(Config::default());
        let make = move |birth: transport_mem::Birth<Key<20>>| {
            let mut rng = Rng::from_seed(birth.seed);
            let service = MainlineService::new(ServiceConfig::default(), rng.fork());
            // A rejoining node keeps its key, which fits already.
            let key = node_id::fit(birth.addr.ip(), &birth.key);
            Node::new(service, key, Arc::clone(&config), rng.fork(), birth.now)
        };
        let mut network = Net::new(seed, LinkModel::internet());
        network.watch(|node, event| node == 0 && matches!(event, Event::LookupDone { .. }));
        network.grow(self.nodes, PACE, &make);
        network.run_for(PATIENCE);
        let mut rng = Rng::from_number(seed);
        let mut running = look_up(&mut network, &mut rng);
        network.endure(plan, &make);
        network.run_for(RECOVERY);
        running.extend(look_up(&mut network, &mut rng));
        network.run_for(PATIENCE);
        for (_, event) in network.take_events() {
            if let Event::LookupDone { lookup, .. } = event {
                running.remove(&lookup);
            }
        }
        if !running.is_empty() {
            return Err(Flaw::Endless(running.len()));
        }
        lonely(&network).map_or(Ok(network.trace_hash()), Err)
    }

    /// The smallest plan found that a network with this seed does not live through.
    pub fn shrink(&self, seed: u64, plan: &FaultPlan) -> FaultPlan {
        swarm::shrink(plan, |plan| self.endure(seed, plan).is_err())
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

/// Somebody who knows too few.
fn lonely(network: &Net) -> Option<Flaw> {
    let live: BTreeSet<_> = network.nodes().map(|(_, node)| node.local()).collect();
    let enough = COMPANY.min(live.len().saturating_sub(1));
    network.nodes().find_map(|(index, node)| {
        let known = node.table().iter().filter(|entry| live.contains(entry.key())).count();
        (known < enough).then_some(Flaw::Lonely { node: index, known })
    })
}
