//! The behaviour of one node towards others: whom it admits, how it answers.

use alloc::borrow::Cow;
use core::net::SocketAddr;

use crate::address::Family;
use crate::contact::Contact;
use crate::message::TransactionId;
use crate::protocol::Protocol;
use crate::rng::Rng;
use crate::table::Table;
use crate::task::{Outcome, Task, TaskId};
use crate::time::Instant;

/// What a node does. Storage is a parameter of the service, not of the engine.
pub trait Service<P: Protocol> {
    /// Whether a contact may be visited, and whether it may enter the routing table.
    fn admit(&self, contact: &Contact<P::Key>) -> Admission {
        let _ = contact;
        Admission::Eligible
    }

    /// Whether a contact's key is bound to its address, so that nobody can choose it freely (BEP 42). Hardened lookups
    /// look for holders among these too.
    fn is_bound(&self, contact: &Contact<P::Key>) -> bool {
        let _ = contact;
        false
    }

    /// Answers one request. Bounded work; what takes longer is deferred with [`ServeContext::ticket`].
    fn serve(&mut self, request: P::Request, cx: &ServeContext<'_, P>) -> Reply<P>;

    /// The key to go by once the network agrees that this node's address is `external`.
    /// `current` keeps it; an overlay whose keys are bound to addresses (BEP 42) derives another.
    fn rename(&mut self, external: SocketAddr, current: P::Key, rng: &mut Rng) -> P::Key {
        let _ = (external, rng);
        current
    }

    /// When [`handle_timeout`](Service::handle_timeout) wants to be called.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }

    /// Rotation of secrets, expiry of records. Bounded work.
    fn handle_timeout(&mut self, now: Instant) {
        let _ = now;
    }

    /// The next thing that the node shall do for the service. Asked after every input until there is none, at most
    /// 64 times; a service with more to say, or one that was poked from outside, has a
    /// [`poll_timeout`](Service::poll_timeout) in the past.
    fn poll_task(&mut self, now: Instant, table: &Table<P::Key>) -> Option<(TaskId, Task<P>)> {
        let _ = (now, table);
        None
    }

    /// How a task went; see [`Outcome`].
    fn handle_outcome(&mut self, now: Instant, task: TaskId, outcome: Outcome<P>, table: &Table<P::Key>) {
        let _ = (now, task, outcome, table);
    }

    /// A contact has entered the routing table. Perhaps some records belong to it (Kademlia paper, section 2.5).
    fn contact_added(&mut self, now: Instant, contact: &Contact<P::Key>, table: &Table<P::Key>) {
        let _ = (now, contact, table);
    }

    /// Somebody who answered a request of ours says at which address it sees us.
    fn observed(&mut self, now: Instant, reporter: &Contact<P::Key>, seen: SocketAddr) {
        let _ = (now, reporter, seen);
    }
}

/// What may be done with a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admission {
    /// Neither asked nor kept.
    Refused,
    /// Asked in lookups, kept nowhere.
    Visitable,
    /// Asked, and kept in the routing table once it has answered.
    Eligible,
}

/// What becomes of a request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply<P: Protocol> {
    /// The answer.
    Response(P::Response),
    /// A refusal.
    Error {
        /// A number from the overlay's own list.
        code: i64,
        /// For people.
        text: Cow<'static, str>,
    },
    /// The answer comes later, through [`Node::respond`](crate::Node::respond) with the ticket.
    Defer,
    /// No answer.
    Ignore,
}

/// Names a request that is answered later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket {
    pub(crate) to: SocketAddr,
    pub(crate) transaction: TransactionId,
}

/// What a service may know while it answers: the request's circumstances and the routing tables, borrowed.
#[derive(Debug)]
pub struct ServeContext<'a, P: Protocol> {
    /// The present.
    pub now: Instant,
    /// Where the request came from.
    pub from: SocketAddr,
    /// Who says to have sent it; unverified.
    pub sender: P::Key,
    /// This node's key.
    pub local: P::Key,
    /// The request's transaction id, which the reply echoes.
    pub transaction: TransactionId,
    /// Bytes of the request's datagram; `None` where the host handed over a message. Who asks in another's name gets
    /// that much for what he sends: an answer to a stranger may have to keep to a multiple of it.
    pub size: Option<usize>,
    pub(crate) own: &'a Table<P::Key>,
    pub(crate) other: Option<&'a Table<P::Key>>,
}

impl<P: Protocol> ServeContext<'_, P> {
    /// The address family the request arrived on.
    pub fn family(&self) -> Family {
        Family::of(&self.from)
    }

    /// Whether the asker stands in the routing table: then it is no stranger, for it has answered us at this address.
    pub fn is_known(&self) -> bool {
        self.own.contains(&Contact::new(self.sender, self.from))
    }

    /// Appends the up to `n` contacts of `family` closest to `target`, nearest first: verified, good, never the asker.
    /// Nothing if this host has no node of that family.
    pub fn closest(&self, target: &P::Key, family: Family, n: usize, out: &mut impl Extend<Contact<P::Key>>) {
        let table = if family == self.family() { Some(self.own) } else { self.other };
        if let Some(table) = table {
            table.closest_good(self.now, target, n, Some(self.sender), out);
        }
    }

    /// A ticket to answer this request with later.
    pub fn ticket(&self) -> Ticket {
        Ticket { to: self.from, transaction: self.transaction }
    }
}

/// The null object: a node that answers nothing. Give it a [`Config`](crate::Config) with `read_only` set.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOnly;

impl<P: Protocol> Service<P> for ReadOnly {
    fn serve(&mut self, _request: P::Request, _cx: &ServeContext<'_, P>) -> Reply<P> {
        Reply::Ignore
    }
}
