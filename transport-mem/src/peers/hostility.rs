//! The kinds of hostile peers that fault plans know.

use std::time::Duration;

use kademlia_core::{Node, Protocol, Service};

use super::{Flooding, Misleading, Mute, Oversized, Peer, Replaying, Rewriting, Silent, Tampered};

/// What becomes of a node that turns: all but the first kind go on as real nodes, and so stay in the tables of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hostility {
    /// Takes everything and says nothing.
    Silent,
    /// Answers every second request.
    Mute,
    /// Answers each request with the answer to another one.
    Misleading,
    /// Answers each request under another key.
    Rewriting,
    /// Answers with datagrams of 4,000 bytes, or as many as the network carries.
    Oversized,
    /// Answers each request ten times, and sends two a second of its own.
    Flooding,
    /// With each message sends three earlier ones again, its own and those of others in their name.
    Replaying,
}

impl Hostility {
    /// All of them.
    pub const ALL: [Hostility; 7] = [
        Hostility::Silent,
        Hostility::Mute,
        Hostility::Misleading,
        Hostility::Rewriting,
        Hostility::Oversized,
        Hostility::Flooding,
        Hostility::Replaying,
    ];

    /// The peer that takes the node's place, in a network that carries datagrams of up to `mtu` bytes. What it draws,
    /// it draws from `seed`.
    pub fn take_over<P, S>(self, node: Node<P, S>, seed: [u8; 32], mtu: usize) -> Box<dyn Peer<P>>
    where
        P: Protocol,
        S: Service<P> + Send + 'static,
    {
        match self {
            Hostility::Silent => Box::new(Silent),
            Hostility::Mute => Box::new(Tampered::new(node, Mute::new(0.5, seed))),
            Hostility::Misleading => Box::new(Tampered::new(node, Misleading::new(seed))),
            Hostility::Rewriting => Box::new(Tampered::new(node, Rewriting::new(seed))),
            Hostility::Oversized => Box::new(Tampered::new(node, Oversized { bytes: mtu.min(4_000) })),
            Hostility::Flooding => {
                Box::new(Tampered::new(node, Flooding::new(10, Duration::from_millis(500))))
            }
            Hostility::Replaying => Box::new(Tampered::new(node, Replaying::new(3, seed))),
        }
    }
}
