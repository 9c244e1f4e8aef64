//! The iterative search of the Kademlia paper (section 2.3), as a state machine without I/O, clock or messages.

mod candidates;
mod queue;

pub use queue::LookupLimit;
pub(crate) use queue::Queue;

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use crate::contact::Contact;
use crate::key::Keyspace;
use crate::time::Instant;
use candidates::{Candidates, State};

/// Names a lookup or a publish of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(u64);

impl From<u64> for LookupId {
    fn from(number: u64) -> Self {
        LookupId(number)
    }
}

/// What a lookup wants done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<K> {
    /// Send the request to this contact, then report [`Lookup::asked`] or [`Lookup::failed`].
    Ask(Contact<K>),
    /// Nothing until an answer or a deadline.
    Wait,
    /// It is over.
    Done,
}

/// How one lookup is bounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) k: usize,
    pub(crate) alpha: usize,
    pub(crate) candidates: usize,
    pub(crate) messages: usize,
    pub(crate) time: Duration,
}

/// What a finished lookup found, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupReport<K> {
    /// What was looked for.
    pub target: K,
    /// The up to k closest nodes that answered, nearest first.
    pub closest: Vec<Contact<K>>,
    /// Nodes asked.
    pub asked: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// Requests sent, retries included.
    pub messages: usize,
    /// Length of the longest chain of referrals that led to one of `closest`; 1 if our own table knew them all.
    pub hops: usize,
    /// From start to end.
    pub took: Duration,
    /// Whether all of `closest` were confirmed. Otherwise a bound on messages or time ended the lookup.
    pub complete: bool,
}

/// One lookup. Generic over the key alone: it says whom to ask, the node knows what.
///
/// It ends when the k closest candidates that are not known to be dead have all answered, or at a bound.
/// It never forgets a candidate because a round was full (A6); it asks no key and no address twice (P24);
/// it keeps at most α requests in flight that have not passed their soft deadline.
#[derive(Debug)]
pub(crate) struct Lookup<K> {
    target: K,
    bounds: Bounds,
    candidates: Candidates<K>,
    started: Instant,
    /// In flight and within the soft deadline.
    in_flight: usize,
    asked: usize,
    answered: usize,
    messages: usize,
    exhausted: bool,
}

impl<K: Keyspace> Lookup<K> {
    pub(crate) fn new(now: Instant, target: K, bounds: Bounds) -> Self {
        Lookup {
            target,
            bounds,
            candidates: Candidates::new(target, bounds.candidates),
            started: now,
            in_flight: 0,
            asked: 0,
            answered: 0,
            messages: 0,
            exhausted: false,
        }
    }

    /// The instant at which the lookup ends whatever happened.
    pub(crate) fn deadline(&self) -> Instant {
        self.started + self.bounds.time
    }

    /// Adds a starting point.
    pub(crate) fn seed(&mut self, contact: Contact<K>) {
        self.candidates.insert(contact, 1);
    }

    /// What to do now. Changes nothing but to mark candidates that must not be asked.
    pub(crate) fn next(&mut self, now: Instant) -> Next<K> {
        if now >= self.deadline() || self.messages >= self.bounds.messages {
            self.exhausted = true;
            return Next::Done;
        }
        match self.candidates.next(self.bounds.k) {
            candidates::Choice::Complete => Next::Done,
            candidates::Choice::Fresh(contact) if self.in_flight < self.bounds.alpha => Next::Ask(contact),
            _ => Next::Wait,
        }
    }

    /// The contact was asked.
    pub(crate) fn asked(&mut self, contact: &Contact<K>) {
        if self.candidates.turn(contact, State::Asked).is_some() {
            self.in_flight += 1;
            self.asked += 1;
            self.messages += 1;
        }
    }

    /// The request to `addr` was sent again.
    pub(crate) fn asked_again(&mut self) {
        self.messages += 1;
    }

    /// The request to `addr` passed its soft deadline: its slot is free, its answer still counts.
    pub(crate) fn stalled(&mut self, addr: SocketAddr) {
        if self.candidates.turn_addr(addr, State::Stalled) == Some(State::Asked) {
            self.in_flight -= 1;
        }
    }

    /// The request to `addr` failed for good.
    pub(crate) fn failed(&mut self, addr: SocketAddr) {
        if self.candidates.turn_addr(addr, State::Failed) == Some(State::Asked) {
            self.in_flight -= 1;
        }
    }

    /// `addr` answered and named these contacts.
    pub(crate) fn answered(&mut self, addr: SocketAddr, named: impl IntoIterator<Item = Contact<K>>) {
        let Some(hop) = self.candidates.hop(addr) else { return };
        match self.candidates.turn_addr(addr, State::Answered) {
            Some(State::Asked) => self.in_flight -= 1,
            Some(State::Stalled) => {}
            _ => return,
        }
        self.answered += 1;
        for contact in named {
            self.candidates.insert(contact, hop.saturating_add(1));
        }
    }

    /// What was found so far.
    pub(crate) fn report(&self, now: Instant) -> LookupReport<K> {
        let closest: Vec<_> = self.candidates.answered().take(self.bounds.k).collect();
        LookupReport {
            target: self.target,
            hops: closest.iter().map(|(_, hop)| usize::from(*hop)).max().unwrap_or(0),
            closest: closest.into_iter().map(|(contact, _)| contact).collect(),
            asked: self.asked,
            answered: self.answered,
            messages: self.messages,
            took: now.since(self.started),
            complete: !self.exhausted,
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.candidates.memory()
    }
}

#[cfg(test)]
mod tests;
