//! Real nodes whose messages are tampered with on their way out: they join, answer and stay in tables as ours do.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::{
    Body, Codec, Instant, Keyspace, Message, Node, Protocol, Rng, Service, TransactionId, soonest,
};

use super::{Outgoing, Peer};

/// Addresses and messages that a peer remembers to annoy others with.
const REMEMBERED: usize = 64;

/// A node and what is wrong with it. Its host's part is played here: events are dropped.
#[derive(Debug)]
pub struct Tampered<P: Protocol, S, T> {
    node: Node<P, S>,
    tamper: T,
}

impl<P: Protocol, S: Service<P>, T: Tamper<P>> Tampered<P, S, T> {
    /// From now on, whatever `node` sends goes through `tamper`.
    pub fn new(node: Node<P, S>, tamper: T) -> Self {
        Tampered { node, tamper }
    }

    fn drain(&mut self, now: Instant, asked: Option<(SocketAddr, &Message<P>)>, out: &mut Vec<Outgoing<P>>) {
        while let Some((to, message)) = self.node.poll_message() {
            self.tamper.send(Sending { now, asked, to }, message, out);
        }
        while self.node.poll_event().is_some() {}
    }
}

impl<P: Protocol, S: Service<P> + Send, T: Tamper<P>> Peer<P> for Tampered<P, S, T> {
    fn receive(
        &mut self,
        now: Instant,
        _: SocketAddr,
        from: SocketAddr,
        message: &Message<P>,
        out: &mut Vec<Outgoing<P>>,
    ) {
        self.tamper.received(from, message);
        self.node.handle_message(now, from, message.clone());
        self.drain(now, Some((from, message)), out);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        soonest([self.node.poll_timeout(), self.tamper.poll_timeout()])
    }

    fn handle_timeout(&mut self, now: Instant, _: SocketAddr, out: &mut Vec<Outgoing<P>>) {
        if self.tamper.poll_timeout().is_some_and(|due| due <= now) {
            self.tamper.handle_timeout(now, self.node.local(), out);
        }
        self.node.handle_timeout(now);
        self.drain(now, None, out);
    }
}

/// How a tampered node departs from the protocol.
pub trait Tamper<P: Protocol>: Send {
    /// The node was given a message.
    fn received(&mut self, from: SocketAddr, message: &Message<P>) {
        let _ = (from, message);
    }

    /// The node sends a message. What is sent instead goes into `out`.
    fn send(&mut self, sending: Sending<'_, P>, message: Message<P>, out: &mut Vec<Outgoing<P>>);

    /// When [`handle_timeout`](Self::handle_timeout) wants to be called.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// The time for something unasked. `local` is the node's key.
    fn handle_timeout(&mut self, now: Instant, local: P::Key, out: &mut Vec<Outgoing<P>>) {
        let _ = (now, local, out);
    }
}

/// The circumstances of a message that a node sends.
#[derive(Clone, Copy, Debug)]
pub struct Sending<'a, P: Protocol> {
    /// The present.
    pub now: Instant,
    /// The message that made the node send, and who sent that; `None` if it was time that did.
    pub asked: Option<(SocketAddr, &'a Message<P>)>,
    /// Where it goes.
    pub to: SocketAddr,
}

/// Answers in time and form, but not the truth.
#[derive(Clone, Debug)]
pub struct Lying<F>(
    /// Is given the time, the asker, the request and the honest response, to change that.
    pub F,
);

impl<P, F> Tamper<P> for Lying<F>
where
    P: Protocol,
    F: FnMut(Instant, SocketAddr, &Message<P>, &mut P::Response) + Send,
{
    fn send(&mut self, sending: Sending<'_, P>, mut message: Message<P>, out: &mut Vec<Outgoing<P>>) {
        if let (Some((from, request)), Body::Response { response, .. }) = (sending.asked, &mut message.body) {
            (self.0)(sending.now, from, request, response);
        }
        out.push(Outgoing::message(sending.to, message));
    }
}

/// Answers each request with an answer that somebody else gave to another one: in form, and in no way true.
#[derive(Clone, Debug)]
pub struct Misleading<P: Protocol> {
    overheard: VecDeque<P::Response>,
    rng: Rng,
}

impl<P: Protocol> Misleading<P> {
    /// Which answer is chosen by this seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Misleading { overheard: VecDeque::new(), rng: Rng::from_seed(seed) }
    }
}

impl<P: Protocol> Tamper<P> for Misleading<P> {
    fn received(&mut self, _: SocketAddr, message: &Message<P>) {
        if let Body::Response { response, .. } = &message.body {
            self.overheard.truncate(REMEMBERED - 1);
            self.overheard.push_front(response.clone());
        }
    }

    fn send(&mut self, sending: Sending<'_, P>, mut message: Message<P>, out: &mut Vec<Outgoing<P>>) {
        if let Body::Response { response, .. } = &mut message.body {
            let drawn = self.rng.below(self.overheard.len());
            if let Some(other) = self.overheard.get(drawn) {
                response.clone_from(other);
            }
        }
        out.push(Outgoing::message(sending.to, message));
    }
}

/// Answers each request under another key.
#[derive(Clone, Debug)]
pub struct Rewriting(Rng);

impl Rewriting {
    /// Keys drawn from this seed.
    pub fn new(seed: [u8; 32]) -> Self {
        Rewriting(Rng::from_seed(seed))
    }
}

impl<P: Protocol> Tamper<P> for Rewriting {
    fn send(&mut self, sending: Sending<'_, P>, mut message: Message<P>, out: &mut Vec<Outgoing<P>>) {
        if let Body::Response { sender, .. } = &mut message.body {
            *sender = P::Key::random(&mut self.0);
        }
        out.push(Outgoing::message(sending.to, message));
    }
}

/// Pads each reply with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Oversized {
    /// To this many bytes.
    pub bytes: usize,
}

impl<P: Protocol> Tamper<P> for Oversized {
    fn send(&mut self, sending: Sending<'_, P>, message: Message<P>, out: &mut Vec<Outgoing<P>>) {
        out.push(match message.body {
            Body::Request { .. } => Outgoing::message(sending.to, message),
            _ => {
                let mut bytes = Vec::new();
                P::Codec::encode(&message, &mut bytes);
                bytes.resize(bytes.len().max(self.bytes), 0);
                Outgoing::bytes(sending.to, bytes)
            }
        });
    }
}

/// Leaves requests unanswered, but asks as others do.
#[derive(Clone, Debug)]
pub struct Mute {
    share: f64,
    rng: Rng,
}

impl Mute {
    /// Is silent with this chance, drawn anew for each reply.
    pub fn new(share: f64, seed: [u8; 32]) -> Self {
        Mute { share, rng: Rng::from_seed(seed) }
    }
}

impl<P: Protocol> Tamper<P> for Mute {
    fn send(&mut self, sending: Sending<'_, P>, message: Message<P>, out: &mut Vec<Outgoing<P>>) {
        let asks = matches!(message.body, Body::Request { .. });
        if asks || !self.rng.chance(self.share) {
            out.push(Outgoing::message(sending.to, message));
        }
    }
}

/// Answers each request many times, and asks everybody it knows, one after the other, without end.
#[derive(Clone, Debug)]
pub struct Flooding {
    copies: usize,
    pace: Duration,
    due: Instant,
    known: VecDeque<SocketAddr>,
    asked: u32,
}

impl Flooding {
    /// Each reply in this many copies, and a request every `pace`, or none if that is zero.
    pub fn new(copies: usize, pace: Duration) -> Self {
        Flooding { copies, pace, due: Instant::ZERO, known: VecDeque::new(), asked: 0 }
    }
}

impl<P: Protocol> Tamper<P> for Flooding {
    fn received(&mut self, from: SocketAddr, _: &Message<P>) {
        if !self.known.contains(&from) {
            self.known.truncate(REMEMBERED - 1);
            self.known.push_front(from);
        }
    }

    fn send(&mut self, sending: Sending<'_, P>, message: Message<P>, out: &mut Vec<Outgoing<P>>) {
        let copies = if matches!(message.body, Body::Request { .. }) { 1 } else { self.copies };
        out.extend((0..copies).map(|_| Outgoing::message(sending.to, message.clone())));
    }

    fn poll_timeout(&self) -> Option<Instant> {
        (!self.pace.is_zero() && !self.known.is_empty()).then_some(self.due)
    }

    fn handle_timeout(&mut self, now: Instant, local: P::Key, out: &mut Vec<Outgoing<P>>) {
        self.due = now + self.pace;
        let Some(&to) = self.known.front() else {
            return;
        };
        self.known.rotate_left(1);
        self.asked = self.asked.wrapping_add(1);
        let body = Body::Request { sender: local, read_only: false, request: P::find_node(local) };
        let transaction = TransactionId::from(self.asked);
        out.push(Outgoing::message(to, Message { transaction, observed: None, body }));
    }
}

/// After each message that it sends, sends earlier ones again: its own to whom they went, and those of others, in their
/// name, to somebody else.
#[derive(Clone, Debug)]
pub struct Replaying<P: Protocol> {
    times: usize,
    /// Under whose name it goes, unless the own, and where to, if that is known.
    recorded: VecDeque<Recorded<P>>,
    rng: Rng,
}

#[derive(Clone, Debug)]
enum Recorded<P: Protocol> {
    Own(SocketAddr, Message<P>),
    Foreign(SocketAddr, Message<P>),
}

impl<P: Protocol> Replaying<P> {
    /// This many replays for each message, chosen by this seed.
    pub fn new(times: usize, seed: [u8; 32]) -> Self {
        Replaying { times, recorded: VecDeque::new(), rng: Rng::from_seed(seed) }
    }

    fn record(&mut self, recorded: Recorded<P>) {
        if self.recorded.len() == REMEMBERED {
            self.recorded.pop_front();
        }
        self.recorded.push_back(recorded);
    }
}

impl<P: Protocol> Tamper<P> for Replaying<P> {
    fn received(&mut self, from: SocketAddr, message: &Message<P>) {
        self.record(Recorded::Foreign(from, message.clone()));
    }

    fn send(&mut self, sending: Sending<'_, P>, message: Message<P>, out: &mut Vec<Outgoing<P>>) {
        self.record(Recorded::Own(sending.to, message.clone()));
        out.push(Outgoing::message(sending.to, message));
        for _ in 0..self.times {
            let drawn = self.rng.below(self.recorded.len());
            out.extend(self.recorded.get(drawn).map(|recorded| match recorded {
                Recorded::Own(to, message) => Outgoing::message(*to, message.clone()),
                Recorded::Foreign(from, message) => {
                    Outgoing::message(sending.to, message.clone()).forged(*from)
                }
            }));
        }
    }
}
