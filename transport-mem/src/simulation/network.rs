//! Whole networks: growing one, and knowing what a lookup in it should find.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use kademlia_core::{Contact, Instant, Keyspace, Node, Protocol, Rng, Service, Snapshot};

use super::{NodeIndex, Simulation, host_number};
use crate::addresses::address_v4;
use crate::peers::Peer;

/// What a node is made from.
#[derive(Clone, Copy, Debug)]
pub struct Birth<K> {
    /// Its number.
    pub index: NodeIndex,
    /// Its address.
    pub addr: SocketAddr,
    /// A random key, for overlays whose nodes choose their own.
    pub key: K,
    /// The node's own seed, drawn from the simulation's.
    pub seed: [u8; 32],
    /// The present.
    pub now: Instant,
}

impl<K: Keyspace> Birth<K> {
    pub(super) fn new(index: NodeIndex, addr: SocketAddr, now: Instant, rng: &mut Rng) -> Self {
        Birth { index, addr, key: K::random(rng), seed: rng.fork(), now }
    }
}

/// Live nodes that a new one is told of.
const ROUTERS: usize = 3;

impl<P: Protocol, S: Service<P>> Simulation<P, S> {
    /// Lets the network grow as networks do: `count` nodes, one every `pace`, each at an address of its own (the
    /// [`address_v4`] of its number) and joined through up to three live nodes drawn from those before it.
    /// The first node of all knows nobody.
    pub fn grow(
        &mut self,
        count: usize,
        pace: Duration,
        mut make: impl FnMut(Birth<P::Key>) -> Node<P, S>,
    ) -> Range<NodeIndex> {
        let first = self.len();
        for _ in 0..count {
            let routers = self.draw_live();
            let index = self.spawn(address_v4(host_number(self.len())), &mut make);
            self.join(index, &routers);
            self.run_for(pace);
        }
        first..self.len()
    }

    /// [`restart`](Self::restart) without state: the new node joins through up to three live ones.
    pub fn rejoin(&mut self, index: NodeIndex, make: impl FnOnce(Birth<P::Key>) -> Node<P, S>) {
        self.crash(index);
        let routers = self.draw_live();
        self.restart(index, make);
        self.join(index, &routers);
    }

    /// [`restart`](Self::restart) with state: the new node has the earlier one's key, if `make` heeds it, and joins
    /// through the contacts that that one had. Routers it knows as every node does: up to three live ones.
    pub fn rejoin_with(
        &mut self,
        index: NodeIndex,
        snapshot: &Snapshot<P::Key>,
        make: impl FnOnce(Birth<P::Key>) -> Node<P, S>,
    ) {
        self.crash(index);
        let routers = self.draw_live();
        self.restart(index, |birth| make(Birth { key: snapshot.local, ..birth }));
        self.call(index, |node, now| node.add_contacts(now, &snapshot.contacts));
        self.join(index, &routers);
    }

    /// Takes a node over: what it was lives on as a scripted peer, made from the node and a seed. False, and nothing
    /// changes, if the node is down.
    pub fn turn(
        &mut self,
        index: NodeIndex,
        make: impl FnOnce(Node<P, S>, [u8; 32]) -> Box<dyn Peer<P>>,
    ) -> bool {
        let Some(node) = self.crash(index) else {
            return false;
        };
        let seed = self.fork_rng();
        self.inhabit(index, make(node, seed));
        true
    }

    fn join(&mut self, index: NodeIndex, routers: &[SocketAddr]) {
        if !routers.is_empty() {
            self.call(index, |node, now| node.bootstrap(now, routers));
        }
    }

    /// Up to [`ROUTERS`] different addresses of live nodes.
    fn draw_live(&mut self) -> Vec<SocketAddr> {
        let mut drawn = Vec::with_capacity(ROUTERS);
        // Where nearly all are down, fewer are found; that is life in such a network.
        for _ in 0..8 * ROUTERS {
            let host = self.hosts.get(self.rng.below(self.hosts.len()));
            if let Some(host) = host.filter(|host| host.is_open() && !drawn.contains(&host.addr)) {
                drawn.push(host.addr);
            }
            if drawn.len() == ROUTERS {
                break;
            }
        }
        drawn
    }

    /// What a perfect lookup finds: the up to `n` live nodes closest to `target`, nearest first, by looking at all of
    /// them. Without `except`, which is the node that looks.
    pub fn closest_live(&self, target: &P::Key, n: usize, except: Option<NodeIndex>) -> Vec<Contact<P::Key>> {
        let mut all: Vec<_> = self
            .hosts
            .iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != except)
            .filter_map(|(_, host)| Some(Contact::new(host.reachable()?.local(), host.addr)))
            .collect();
        let nearer = |a: &Contact<P::Key>, b: &Contact<P::Key>| target.cmp_distance(&a.key, &b.key);
        if n < all.len() {
            all.select_nth_unstable_by(n, nearer);
            all.truncate(n);
        }
        all.sort_by(nearer);
        all
    }
}
