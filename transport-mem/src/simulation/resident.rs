//! Who lives at a host.

use kademlia_core::{Instant, Node, Protocol, Service};

use crate::peers::Peer;

/// Boxed, so that the list of hosts can grow without moving them.
#[derive(Default)]
pub(super) enum Resident<P: Protocol, S> {
    /// The host is down, or its peer has gone.
    #[default]
    Nobody,
    Node(Box<Node<P, S>>),
    Peer(Box<dyn Peer<P>>),
}

impl<P: Protocol, S> Resident<P, S> {
    pub(super) fn node(&self) -> Option<&Node<P, S>> {
        if let Resident::Node(node) = self { Some(node) } else { None }
    }

    pub(super) fn node_mut(&mut self) -> Option<&mut Node<P, S>> {
        if let Resident::Node(node) = self { Some(node) } else { None }
    }

    pub(super) fn into_node(self) -> Option<Node<P, S>> {
        if let Resident::Node(node) = self { Some(*node) } else { None }
    }
}

impl<P: Protocol, S: Service<P>> Resident<P, S> {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        match self {
            Resident::Nobody => None,
            Resident::Node(node) => node.poll_timeout(),
            Resident::Peer(peer) => peer.poll_timeout(),
        }
    }
}
