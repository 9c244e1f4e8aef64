//! How a node is doing (C8).

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::table::Counts;
use kademlia_core::{Counters, DualStack, Family, Instant, Reach};

use crate::id::NodeId;
use crate::mainline::Mainline;
use crate::service::MainlineService;

/// The state of a node, network by network.
#[derive(Clone, Debug, PartialEq)]
pub struct DhtState {
    /// One for each network that the node is in.
    pub families: Vec<FamilyState>,
}

/// The state of a node in one network.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilyState {
    /// The network.
    pub family: Family,
    /// The node's id there.
    pub id: NodeId,
    /// The address its socket is bound to.
    pub bound: SocketAddr,
    /// The external address that the network agrees on.
    pub external: Option<SocketAddr>,
    /// Whether it found its way in.
    pub bootstrapped: bool,
    /// Good, questionable and bad entries of its routing table.
    pub table: Counts,
    /// Mean round trip to the nodes it asked; `None` before the first answer.
    pub round_trip: Option<Duration>,
    /// What it has done.
    pub counters: Counters,
}

impl DhtState {
    pub(super) fn of(
        stack: &DualStack<Mainline, MainlineService>,
        bound: &[(Family, SocketAddr, Reach)],
        now: Instant,
    ) -> Self {
        let family = |(family, bound, _): &(Family, SocketAddr, Reach)| {
            let node = stack.node(*family)?;
            Some(FamilyState {
                family: *family,
                id: node.local().into(),
                bound: *bound,
                external: node.external(),
                bootstrapped: node.is_bootstrapped(),
                table: node.table().counts(now),
                round_trip: node.round_trips().smoothed(),
                counters: *node.counters(),
            })
        };
        DhtState { families: bound.iter().filter_map(family).collect() }
    }
}
