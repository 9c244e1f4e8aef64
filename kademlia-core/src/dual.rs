//! Two nodes, one for each address family, behind one set of methods.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::address::Family;
use crate::node::{Event, Node};
use crate::protocol::Protocol;
use crate::service::{ReadOnly, Service};
use crate::time::{Instant, soonest};

/// One node for each address family that the host has, at least one in all. The two networks are independent
/// (BEP 32); here they meet: a request that wants contacts of the other family gets them from the other node's table,
/// lent by plain borrow, and contacts of the other family found in replies are passed on.
///
/// The contract is [`Node`]'s. Commands go to the node of the family they concern, through [`node_mut`](Self::node_mut).
#[derive(Debug)]
pub struct DualStack<P: Protocol, S = ReadOnly> {
    v4: Option<Node<P, S>>,
    v6: Option<Node<P, S>>,
}

impl<P: Protocol, S: Service<P>> DualStack<P, S> {
    /// The nodes of the two families; either may be missing.
    pub fn new(v4: Option<Node<P, S>>, v6: Option<Node<P, S>>) -> Self {
        DualStack { v4, v6 }
    }

    /// The one node of a host whose socket is of `family`.
    pub fn single(node: Node<P, S>, family: Family) -> Self {
        match family {
            Family::V4 => DualStack::new(Some(node), None),
            Family::V6 => DualStack::new(None, Some(node)),
        }
    }

    /// A datagram arrived; see [`Node::handle_datagram`]. One of a family without a node is dropped.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        let (own, other) = match Family::of(&from) {
            Family::V4 => (&mut self.v4, &self.v6),
            Family::V6 => (&mut self.v6, &self.v4),
        };
        if let Some(own) = own {
            own.receive_datagram(now, from, datagram, other.as_ref().map(Node::table));
            self.exchange(now);
        }
    }

    /// The system says that `addr` cannot be reached; see [`Node::handle_unreachable`].
    pub fn handle_unreachable(&mut self, now: Instant, addr: SocketAddr) {
        if let Some(node) = self.node_mut(Family::of(&addr)) {
            node.handle_unreachable(now, addr);
        }
    }

    /// The instant that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        for node in self.nodes_mut() {
            node.handle_timeout(now);
        }
    }

    /// Joins both networks, each through the routers of its family; see [`Node::bootstrap`]. Lookups in a network that
    /// has no router wait no longer.
    pub fn bootstrap(&mut self, now: Instant, routers: &[SocketAddr]) {
        for (node, own) in self.share(routers, |router| *router) {
            node.bootstrap(now, &own);
        }
    }

    /// The next datagram; see [`Node::poll_transmit`].
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<SocketAddr> {
        self.nodes_mut().find_map(|node| node.poll_transmit(out))
    }

    /// The next event, and the family of the node it comes from.
    pub fn poll_event(&mut self) -> Option<(Family, Event<P>)> {
        let v4 = self.v4.as_mut().and_then(Node::poll_event).map(|event| (Family::V4, event));
        v4.or_else(|| self.v6.as_mut().and_then(Node::poll_event).map(|event| (Family::V6, event)))
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        soonest(self.nodes().map(|(_, node)| node.poll_timeout()))
    }

    /// The node of one family.
    pub fn node(&self, family: Family) -> Option<&Node<P, S>> {
        match family {
            Family::V4 => self.v4.as_ref(),
            Family::V6 => self.v6.as_ref(),
        }
    }

    /// The node of one family, for commands.
    pub fn node_mut(&mut self, family: Family) -> Option<&mut Node<P, S>> {
        match family {
            Family::V4 => self.v4.as_mut(),
            Family::V6 => self.v6.as_mut(),
        }
    }

    /// The nodes there are.
    pub fn nodes(&self) -> impl Iterator<Item = (Family, &Node<P, S>)> {
        let v4 = self.v4.iter().map(|node| (Family::V4, node));
        v4.chain(self.v6.iter().map(|node| (Family::V6, node)))
    }

    /// The nodes there are, for commands.
    pub fn nodes_mut(&mut self) -> impl Iterator<Item = &mut Node<P, S>> {
        self.v4.iter_mut().chain(&mut self.v6)
    }

    /// Each node, with those of `items` whose address is of its family; the rest is dropped.
    pub fn share<T: Copy>(
        &mut self,
        items: &[T],
        addr: impl Fn(&T) -> SocketAddr,
    ) -> impl Iterator<Item = (&mut Node<P, S>, Vec<T>)> {
        let own = move |family| {
            items.iter().copied().filter(|item| Family::of(&addr(item)) == family).collect::<Vec<_>>()
        };
        let nodes = [(Family::V4, &mut self.v4), (Family::V6, &mut self.v6)];
        nodes.into_iter().filter_map(move |(family, node)| Some((node.as_mut()?, own(family))))
    }

    fn exchange(&mut self, now: Instant) {
        if let (Some(v4), Some(v6)) = (&mut self.v4, &mut self.v6) {
            v4.seek_foreign(v6.table().len() < v6.config().k);
            v6.seek_foreign(v4.table().len() < v4.config().k);
        }
        let for_v6 = self.v4.as_mut().map(Node::take_foreign).unwrap_or_default();
        let for_v4 = self.v6.as_mut().map(Node::take_foreign).unwrap_or_default();
        for (node, contacts) in [(&mut self.v4, for_v4), (&mut self.v6, for_v6)] {
            if let Some(node) = node
                && !contacts.is_empty()
            {
                node.hear_of(now, &contacts);
            }
        }
    }
}

impl<P: Protocol, S: Service<P>> From<Node<P, S>> for DualStack<P, S> {
    /// The node alone, for IPv4. Use [`DualStack::single`] for an IPv6 node.
    fn from(node: Node<P, S>) -> Self {
        DualStack::new(Some(node), None)
    }
}
