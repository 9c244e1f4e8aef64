//! The way out: requests and replies into the outbox.

use alloc::borrow::Cow;
use core::net::{IpAddr, SocketAddr};

use super::{Event, Failure, Node};
use crate::contact::Contact;
use crate::health::Health;
use crate::message::{Body, Message, TransactionId};
use crate::protocol::Protocol;
use crate::rpc::{Asking, Cause, Expiry, Pending, RequestId};
use crate::service::{Reply, Service};
use crate::time::Instant;

/// A message on its way out, and why.
#[derive(Debug)]
pub(super) struct Outgoing<P: Protocol> {
    pub(super) to: SocketAddr,
    pub(super) message: Message<P>,
    pub(super) cause: Cause,
    /// To an address that has proved nothing: it may not have asked (T9).
    pub(super) to_stranger: bool,
}

/// Whose turn it is under the egress quota. Replies come first: they end work that others have begun. But each lets a request
/// through, or a flood of questions would silence the node.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// A search waits.
    pub(super) held_back: bool,
    /// A reply was sent late since the last request.
    replied: bool,
}

/// Replies that wait for a host that does not fetch them; further ones are dropped.
const OUTBOX: usize = 1_024;

impl<P: Protocol, S: Service<P>> Node<P, S> {
    /// Sends a request. False, and nothing is sent, if a limit of the transactions is reached.
    pub(super) fn ask(
        &mut self,
        now: Instant,
        to: SocketAddr,
        expected: Option<P::Key>,
        cause: Cause,
        request: P::Request,
    ) -> bool {
        let retries = self.transactions.retries(cause);
        self.ask_as(now, Asking { to, expected, cause, retries }, request)
    }

    /// [`ask`](Self::ask), for callers that say themselves how often it is repeated.
    pub(super) fn ask_as(&mut self, now: Instant, asking: Asking<P::Key>, request: P::Request) -> bool {
        if !self.egress.has_left(now) {
            return false;
        }
        let Some(transaction) = self.transactions.open(now, asking, &mut self.rng) else {
            return false;
        };
        self.egress.take(now);
        self.turns.replied = false;
        self.transmit_request(asking.to, transaction, asking.cause, request);
        true
    }

    /// Whether a request to `ip` would be sent now. If only the egress quota is in the way, searches go on when it is not.
    pub(super) fn may_send(&mut self, now: Instant, ip: IpAddr) -> bool {
        if !self.transactions.has_room(ip) {
            return false;
        }
        let replies_first = !self.turns.replied && !self.replies.is_empty();
        self.turns.held_back = replies_first || !self.egress.is_ready(now);
        !self.turns.held_back
    }

    /// Asks a contact whether it is there: [`ask`](Self::ask) for the engine's own purposes.
    pub(super) fn ask_contact(&mut self, now: Instant, contact: &Contact<P::Key>, cause: Cause) -> bool {
        let request = self.own_request(cause);
        self.ask(now, contact.addr, Some(contact.key), cause, request)
    }

    /// What the engine asks of its own accord.
    pub(super) fn own_request(&self, cause: Cause) -> P::Request {
        match cause {
            Cause::Join => P::find_node_any(self.local()),
            // As good a sign of life as a ping, and the answer keeps our own neighbourhood known.
            Cause::Keepalive if self.seek_foreign => P::find_node_any(self.local()),
            Cause::Keepalive => P::find_node(self.local()),
            _ => P::ping(),
        }
    }

    fn transmit_request(
        &mut self,
        to: SocketAddr,
        transaction: TransactionId,
        cause: Cause,
        request: P::Request,
    ) {
        let body = Body::Request { sender: self.local(), read_only: self.config.read_only, request };
        let message = Message { transaction, observed: None, body };
        self.outbox.push_back(Outgoing { to, message, cause, to_stranger: false });
        self.counters.asked += 1;
    }

    /// Sends the answer to a request, with the address that the request came from (BEP 42 `ip`).
    pub(super) fn reply(
        &mut self,
        to: SocketAddr,
        to_stranger: bool,
        transaction: TransactionId,
        reply: Reply<P>,
    ) {
        let body = match reply {
            Reply::Response(response) => Body::Response { sender: self.local(), response },
            Reply::Error { code, text } => Body::Error { code, text: Cow::into_owned(text) },
            Reply::Defer | Reply::Ignore => return,
        };
        if self.outbox.len() >= OUTBOX {
            self.counters.overflowed += 1;
            return;
        }
        let message = Message { transaction, observed: Some(to), body };
        let outgoing = Outgoing { to, message, cause: Cause::Reply, to_stranger };
        if self.replies.is_empty() && self.egress.take(self.now) {
            self.transmit_reply(outgoing);
        } else {
            self.hold_back(outgoing);
        }
    }

    fn transmit_reply(&mut self, outgoing: Outgoing<P>) {
        self.outbox.push_back(outgoing);
        self.counters.served += 1;
    }

    /// Over the quota a reply waits. Whoever loses patience and asks again is answered once. Of too many replies the oldest
    /// is dropped: whoever asked has given up waiting for it, or will have before its turn comes.
    fn hold_back(&mut self, outgoing: Outgoing<P>) {
        let same = |held: &&mut Outgoing<P>| {
            held.to == outgoing.to && held.message.transaction == outgoing.message.transaction
        };
        if let Some(held) = self.replies.iter_mut().find(same) {
            *held = outgoing;
            return;
        }
        let room = usize::try_from(self.config.egress.rate).unwrap_or(OUTBOX).clamp(1, OUTBOX);
        if self.replies.len() >= room {
            self.replies.pop_front();
            self.counters.overflowed += 1;
        }
        self.replies.push_back(outgoing);
    }

    /// Sends replies that had to wait, as far as the quota allows and it is their turn.
    pub(super) fn release_replies(&mut self, now: Instant) {
        while self.egress.is_ready(now) && !(self.turns.replied && self.turns.held_back) {
            let Some(outgoing) = self.replies.pop_front() else { break };
            self.egress.take(now);
            self.turns.replied = true;
            self.transmit_reply(outgoing);
        }
        if self.replies.is_empty() {
            self.replies.shrink_to(0);
        }
    }

    /// Lets passed deadlines act: slots open, requests are sent again, requests fail.
    pub(super) fn expire_requests(&mut self, now: Instant) {
        while let Some(expiry) = self.transactions.expire(now) {
            match expiry {
                Expiry::Stalled(pending) => self.on_stalled(&pending),
                Expiry::Again(transaction, pending) => self.send_again(transaction, &pending),
                Expiry::Failed(pending) => self.on_failed(now, &pending),
            }
        }
    }

    fn on_stalled(&mut self, pending: &Pending<P::Key>) {
        if let Cause::Lookup(id) = pending.cause
            && let Some(search) = self.searches.get_mut(id)
        {
            search.lookup.stalled(pending.to);
        }
    }

    fn send_again(&mut self, transaction: TransactionId, pending: &Pending<P::Key>) {
        let request = match pending.cause {
            Cause::Lookup(id) => {
                let search = self.searches.get_mut(id);
                search.and_then(|search| search.lookup.ask_again(pending.to).then(|| search.request.clone()))
            }
            Cause::Store(id) => {
                self.searches.get_mut(id).and_then(|search| search.stored_request(pending.to))
            }
            Cause::Request(id) => self.requests.get(&id).filter(|request| P::may_repeat(request)).cloned(),
            cause => Some(self.own_request(cause)),
        };
        // Over the quota, or the lookup's messages, an attempt counts as lost on the way.
        if let Some(request) = request
            && self.egress.take(self.now)
        {
            self.transmit_request(pending.to, transaction, pending.cause, request);
        }
    }

    fn on_failed(&mut self, now: Instant, pending: &Pending<P::Key>) {
        self.counters.failed += 1;
        if let Some(key) = pending.expected {
            self.on_unheard(now, &Contact::new(key, pending.to), pending.first_sent());
        } else if self.hearing.has_heard_since(pending.first_sent()) {
            self.health.record(now, pending.to, Health::Bad);
        }
        match pending.cause {
            Cause::Lookup(id) | Cause::Store(id) => self.search_failed(id, pending.to),
            Cause::Request(id) => self.end_request(id, Err(Failure::TimedOut)),
            Cause::Join => self.join_failed(now),
            Cause::Reply | Cause::Verify | Cause::Keepalive => {}
        }
    }

    pub(super) fn end_request(&mut self, id: RequestId, result: Result<super::Answered<P>, Failure>) {
        self.requests.remove(&id);
        self.emit(Event::Requested { request: id, result });
    }
}
