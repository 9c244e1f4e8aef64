//! One node without a network around it.

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::{
    Body, Codec, Config, Instant, Keyspace, Message, Node, Protocol, Service, TransactionId,
};

use super::codec::encoded;
use super::{Kit, Law, Violation};
use crate::addresses::address_v4;
use crate::simulation::Birth;

/// Far from the addresses of the nodes that a subject knows.
const STRANGERS: u32 = 1_000_000;

/// A node and its clock.
pub(super) struct Subject<P: Protocol, S> {
    pub(super) node: Node<P, S>,
    pub(super) now: Instant,
}

/// Datagrams, and where they went.
pub(super) type Sent = Vec<(SocketAddr, Vec<u8>)>;

impl<P: Protocol, S: Service<P> + Send + 'static> Kit<P, S> {
    /// A node that knows nobody.
    pub(super) fn newborn(&self, law: Law) -> Subject<P, S> {
        let (mut rng, now) = (self.rng(law), Instant::from_secs(1_000));
        let birth =
            Birth { index: 0, addr: address_v4(0), key: P::Key::random(&mut rng), seed: rng.fork(), now };
        Subject { node: (self.make)(birth), now }
    }

    /// The configuration of its nodes.
    pub(super) fn config(&self) -> Config {
        self.newborn(Law::Table).node.config().clone()
    }
}

impl<P: Protocol, S: Service<P>> Subject<P, S> {
    /// Gives the node a datagram; gives back all that it sends for it.
    pub(super) fn receive(&mut self, from: SocketAddr, datagram: &[u8]) -> Sent {
        self.node.handle_datagram(self.now, from, datagram);
        self.sent()
    }

    /// What the node has to send. What it has to tell its host is dropped.
    pub(super) fn sent(&mut self) -> Sent {
        let (mut sent, mut datagram) = (Sent::new(), Vec::new());
        while let Some(to) = self.node.poll_transmit(&mut datagram) {
            sent.push((to, std::mem::take(&mut datagram)));
        }
        while self.node.poll_event().is_some() {}
        sent
    }

    /// Lets time pass, and wakes the node whenever it wants to be. Nobody answers what it sends.
    pub(super) fn pass(&mut self, kit: &Kit<P, S>, time: Duration) -> Result<Sent, Violation> {
        let until = self.now + time;
        let mut sent = Sent::new();
        while let Some(due) = self.node.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            sent.append(&mut self.ring(kit)?);
        }
        self.now = until;
        Ok(sent)
    }

    /// Calls the node as often as it wants to be called now.
    pub(super) fn ring(&mut self, kit: &Kit<P, S>) -> Result<Sent, Violation> {
        let mut sent = Sent::new();
        for _ in 0..CALLS {
            self.node.handle_timeout(self.now);
            sent.append(&mut self.sent());
            if self.node.poll_timeout().is_none_or(|due| due > self.now) {
                return Ok(sent);
            }
        }
        Err(Violation {
            law: Law::Timers,
            seed: kit.seed,
            case: format!(
                "a node that was called {CALLS} times at {:?}, and wants to be called then",
                self.now
            ),
            expected: "a deadline that lies in the future, or none".into(),
        })
    }
}

/// How often a node may want to be called at one instant.
const CALLS: usize = 1_000;

/// The address of the `n`th stranger.
pub(super) fn stranger(n: usize) -> SocketAddr {
    address_v4(STRANGERS + u32::try_from(n).unwrap_or(0))
}

/// A request's bytes.
pub(super) fn ask<P: Protocol>(sender: P::Key, transaction: u32, request: P::Request) -> Vec<u8> {
    let body = Body::Request { sender, read_only: false, request };
    encoded::<P>(&Message { transaction: TransactionId::from(transaction), observed: None, body })
}

/// What a datagram that a node sent says. A node that sends what cannot be read says nothing.
pub(super) fn read<P: Protocol>(datagram: &[u8]) -> Option<Message<P>> {
    P::Codec::decode(datagram).ok()
}

/// Whether a message answers another.
pub(super) fn is_reply<P: Protocol>(message: &Message<P>) -> bool {
    !matches!(message.body, Body::Request { .. })
}
