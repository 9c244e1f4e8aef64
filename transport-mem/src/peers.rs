//! Somebody on the network who is not one of our nodes.

mod hostility;
mod tampered;

pub use hostility::Hostility;
pub use tampered::{
    Flooding, Lying, Misleading, Mute, Oversized, Replaying, Rewriting, Sending, Tamper, Tampered,
};

use std::net::SocketAddr;

use kademlia_core::{Body, Instant, Message, Protocol};

use crate::simulation::Payload;

/// An attacker, a broken client, a silent address. Draws no randomness but its own, so that a run can be repeated.
pub trait Peer<P: Protocol>: Send {
    /// A message arrived at `me`; what the peer sends in consequence goes into `out`. Bytes that are no message are
    /// not shown to it.
    fn receive(
        &mut self,
        now: Instant,
        me: SocketAddr,
        from: SocketAddr,
        message: &Message<P>,
        out: &mut Vec<Outgoing<P>>,
    );

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The instant that [`poll_timeout`](Self::poll_timeout) named has come. Unless that moves on, time stands still.
    fn handle_timeout(&mut self, now: Instant, me: SocketAddr, out: &mut Vec<Outgoing<P>>) {
        let _ = (now, me, out);
    }
}

/// What a peer sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing<P: Protocol> {
    /// The source address it claims, if not its own.
    pub from: Option<SocketAddr>,
    /// Where it goes.
    pub to: SocketAddr,
    /// A message, which is encoded where the network speaks bytes; or bytes, which arrive as they are on every network.
    pub payload: Payload<P>,
}

impl<P: Protocol> Outgoing<P> {
    /// A message.
    pub fn message(to: SocketAddr, message: Message<P>) -> Self {
        Outgoing { from: None, to, payload: Payload::Message(Box::new(message)) }
    }

    /// Any bytes: no message, or too long a one.
    pub fn bytes(to: SocketAddr, bytes: impl Into<Box<[u8]>>) -> Self {
        Outgoing { from: None, to, payload: Payload::Bytes(bytes.into()) }
    }

    /// The same from a forged source address. Replies to it go there.
    #[must_use]
    pub fn forged(mut self, from: SocketAddr) -> Self {
        self.from = Some(from);
        self
    }
}

/// Takes everything and says nothing: an address behind a firewall.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Silent;

impl<P: Protocol> Peer<P> for Silent {
    fn receive(
        &mut self,
        _: Instant,
        _: SocketAddr,
        _: SocketAddr,
        _: &Message<P>,
        _: &mut Vec<Outgoing<P>>,
    ) {
    }
}

/// Answers requests by a closure, and asks nobody anything: a liar in a few lines, and in a few bytes.
#[derive(Clone, Debug)]
pub struct Scripted<P: Protocol, F> {
    key: P::Key,
    answer: F,
}

impl<P: Protocol, F> Scripted<P, F>
where
    F: FnMut(Instant, SocketAddr, &Message<P>) -> Option<P::Response> + Send,
{
    /// Goes by `key`. `answer` is given the time, the asker's address and the request; on `None` there is silence.
    pub fn new(key: P::Key, answer: F) -> Self {
        Scripted { key, answer }
    }
}

impl<P: Protocol, F> Peer<P> for Scripted<P, F>
where
    F: FnMut(Instant, SocketAddr, &Message<P>) -> Option<P::Response> + Send,
{
    fn receive(
        &mut self,
        now: Instant,
        _: SocketAddr,
        from: SocketAddr,
        message: &Message<P>,
        out: &mut Vec<Outgoing<P>>,
    ) {
        if !matches!(message.body, Body::Request { .. }) {
            return;
        }
        if let Some(response) = (self.answer)(now, from, message) {
            let body = Body::Response { sender: self.key, response };
            let reply = Message { transaction: message.transaction, observed: Some(from), body };
            out.push(Outgoing::message(from, reply));
        }
    }
}
