//! Requests that await an answer.

mod quota;
mod rtt;

pub(crate) use quota::{EgressQuota, InboundQuota, StrangerQuota, VerifyQuota};
pub use rtt::RoundTrips;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::config::RpcConfig;
use crate::key::Keyspace;
use crate::lookup::LookupId;
use crate::message::TransactionId;
use crate::rng::Rng;
use crate::time::Instant;

/// Names a single request of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        RequestId(number)
    }
}

/// Why a message is sent. Every one has exactly one cause (P6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// The answer to a request.
    Reply,
    /// A step of a lookup.
    Lookup(LookupId),
    /// The storing half of a publish.
    Store(LookupId),
    /// The host's own request.
    Request(RequestId),
    /// Asking a router or a remembered contact for the way in.
    Join,
    /// Asking an unverified sender whether it is there.
    Verify,
    /// Asking an entry again, because its last answer grows old or because its place is wanted.
    Keepalive,
}

/// Whom a request goes to, and why.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<K> {
    pub(crate) to: SocketAddr,
    /// The key that must answer; `None` for any.
    pub(crate) expected: Option<K>,
    pub(crate) cause: Cause,
    /// Times that it is sent again.
    pub(crate) retries: u8,
}

/// One outstanding request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending<K> {
    pub(crate) to: SocketAddr,
    pub(crate) expected: Option<K>,
    pub(crate) cause: Cause,
    first_sent: Instant,
    sent: Instant,
    attempt: u8,
    retries: u8,
    phase: Phase,
    due: Instant,
}

impl<K> Pending<K> {
    pub(crate) fn first_sent(&self) -> Instant {
        self.first_sent
    }

    /// When this attempt ends. Among fast nodes a slow one must not pass for dead: nobody is given up before the longest
    /// timeout.
    fn patient(&self, end: Instant, longest: Duration) -> Instant {
        if self.attempt == self.retries { end.max(self.first_sent + longest) } else { end }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Until the soft deadline.
    Waiting,
    /// Between the soft and the hard deadline: slow, perhaps dead.
    Stalled,
}

/// What a deadline did to a request.
#[derive(Debug)]
pub(crate) enum Expiry<K> {
    /// The soft deadline passed: another slot may open, a late answer still counts.
    Stalled(Pending<K>),
    /// The hard deadline passed: to be sent again under the same id.
    Again(TransactionId, Pending<K>),
    /// The last attempt's hard deadline passed.
    Failed(Pending<K>),
}

/// Outstanding requests, matched by address **and** id **and** expected key (A8, P14). Bounded; each ends exactly
/// once (P13): by [`accept`](Self::accept), by [`Expiry::Failed`] or by [`cancel`](Self::cancel).
#[derive(Debug)]
pub(crate) struct Transactions<K> {
    config: RpcConfig,
    pending: BTreeMap<u32, Pending<K>>,
    deadlines: BTreeSet<(Instant, u32)>,
    per_ip: BTreeMap<IpAddr, usize>,
    round_trips: RoundTrips,
}

impl<K: Keyspace> Transactions<K> {
    pub(crate) fn new(config: RpcConfig) -> Self {
        Transactions {
            config,
            pending: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            per_ip: BTreeMap::new(),
            round_trips: RoundTrips::new(&config),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn round_trips(&self) -> &RoundTrips {
        &self.round_trips
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// Whether a request may be sent to `ip` now.
    pub(crate) fn has_room(&self, ip: IpAddr) -> bool {
        let to_ip = self.per_ip.get(&ip).copied().unwrap_or(0);
        self.pending.len() < self.config.outstanding
            && (self.config.per_ip == 0 || to_ip < self.config.per_ip)
    }

    /// Whether a request for this reason to `to` is outstanding.
    pub(crate) fn is_asking(&self, to: SocketAddr, cause: Cause) -> bool {
        self.pending.values().any(|pending| pending.to == to && pending.cause == cause)
    }

    pub(crate) fn memory(&self) -> usize {
        let each = size_of::<(u32, Pending<K>)>() + size_of::<(Instant, u32)>();
        self.pending.len() * each + self.per_ip.len() * size_of::<(IpAddr, usize)>()
    }

    /// Times that a request for this reason is sent again. A stranger, who may not have written to us, gets one packet
    /// (T4). An entry that misses one check is only in doubt and is checked again soon: more than one retry would be
    /// wasted on the dead.
    pub(crate) fn retries(&self, cause: Cause) -> u8 {
        match cause {
            Cause::Verify => 0,
            Cause::Keepalive => self.config.retries.min(1),
            _ => self.config.retries,
        }
    }

    /// Checks that the books balance (P13, P15).
    ///
    /// # Errors
    /// The first rule found broken.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let rule = |holds: bool, broken: &'static str| if holds { Ok(()) } else { Err(broken) };
        rule(self.pending.len() <= self.config.outstanding, "more requests are outstanding than may be")?;
        rule(
            self.pending.len() == self.deadlines.len(),
            "a request has no deadline, or a deadline no request",
        )?;
        let noted = |(id, pending): (&u32, &Pending<K>)| self.deadlines.contains(&(pending.due, *id));
        rule(self.pending.iter().all(noted), "a request's deadline is not the one noted")?;
        let counted: usize = self.per_ip.values().sum();
        rule(self.config.per_ip == 0 || counted == self.pending.len(), "requests by address do not add up")?;
        let crowded =
            self.config.per_ip != 0 && self.per_ip.values().any(|count| *count > self.config.per_ip);
        rule(!crowded, "one address has more requests than may be")
    }

    /// Registers a request; the caller sends it under the id it gets. `None` if a limit is reached.
    pub(crate) fn open(&mut self, now: Instant, asking: Asking<K>, rng: &mut Rng) -> Option<TransactionId> {
        let Asking { to, expected, cause, retries } = asking;
        if !self.has_room(to.ip()) {
            return None;
        }
        // Ids of open requests are unique (P15); with at most a few thousand of 2³² taken, one draw nearly always does.
        let id = loop {
            let id = rng.next_u32();
            if !self.pending.contains_key(&id) {
                break id;
            }
        };
        let due = now + self.round_trips.soft_timeout();
        let pending = Pending {
            to,
            expected,
            cause,
            first_sent: now,
            sent: now,
            attempt: 0,
            retries,
            phase: Phase::Waiting,
            due,
        };
        self.pending.insert(id, pending);
        self.deadlines.insert((due, id));
        if self.config.per_ip != 0 {
            *self.per_ip.entry(to.ip()).or_default() += 1;
        }
        Some(TransactionId::from(id))
    }

    /// Matches a reply. `sender` is the key it gives, absent in errors. Anything that does not fit in every respect
    /// changes nothing. The round trip is `None` where a retry makes it ambiguous (Karn's rule, RFC 6298 section 3).
    pub(crate) fn accept(
        &mut self,
        now: Instant,
        from: SocketAddr,
        id: TransactionId,
        sender: Option<K>,
    ) -> Option<(Pending<K>, Option<Duration>)> {
        let id = id.number()?;
        let pending = self.pending.get(&id)?;
        let same_key = match (pending.expected, sender) {
            (Some(expected), Some(sender)) => expected == sender,
            _ => true,
        };
        if pending.to != from || !same_key {
            return None;
        }
        let pending = self.close(id)?;
        let round_trip = (pending.attempt == 0).then(|| now.since(pending.sent));
        if let Some(measured) = round_trip {
            self.round_trips.record(measured);
        }
        Some((pending, round_trip))
    }

    /// Whether a reply under this id from this address would be the answer but for its key (C.5).
    pub(crate) fn is_impostor(&self, from: SocketAddr, id: TransactionId) -> bool {
        id.number().and_then(|id| self.pending.get(&id)).is_some_and(|pending| pending.to == from)
    }

    /// The next request whose deadline has passed. To be called until `None`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<Expiry<K>> {
        let &(due, id) = self.deadlines.first()?;
        if due > now {
            return None;
        }
        let pending = self.pending.get_mut(&id)?;
        let id_bytes = TransactionId::from(id);
        match pending.phase {
            Phase::Waiting => {
                let rest = self.round_trips.hard_timeout(0).saturating_sub(self.round_trips.soft_timeout());
                pending.phase = Phase::Stalled;
                // At least the next microsecond: a deadline never fires twice at one instant.
                let next = pending.patient(due + rest.max(Duration::from_micros(1)), self.config.max_timeout);
                self.set_due(id, next).map(Expiry::Stalled)
            }
            Phase::Stalled if pending.attempt < pending.retries => {
                pending.attempt += 1;
                pending.sent = now;
                let next = now + self.round_trips.hard_timeout(pending.attempt);
                let next = pending.patient(next, self.config.max_timeout);
                self.set_due(id, next).map(|pending| Expiry::Again(id_bytes, pending))
            }
            Phase::Stalled => self.close(id).map(Expiry::Failed),
        }
    }

    fn set_due(&mut self, id: u32, due: Instant) -> Option<Pending<K>> {
        let pending = self.pending.get_mut(&id)?;
        self.deadlines.remove(&(pending.due, id));
        self.deadlines.insert((due, id));
        pending.due = due;
        Some(*pending)
    }

    /// The system says that `addr` cannot be reached: requests to it, and no others (P16), stop waiting for this attempt.
    pub(crate) fn unreachable(&mut self, now: Instant, addr: SocketAddr) {
        self.cut_short(now, |pending| pending.to == addr);
    }

    /// Nothing more is sent to `ip`: requests to it fail when deadlines are next looked at.
    pub(crate) fn abandon(&mut self, now: Instant, ip: IpAddr) {
        for pending in self.pending.values_mut().filter(|pending| pending.to.ip() == ip) {
            pending.retries = pending.attempt;
        }
        self.cut_short(now, |pending| pending.to.ip() == ip);
    }

    fn cut_short(&mut self, now: Instant, whose: impl Fn(&Pending<K>) -> bool) {
        for (id, pending) in &mut self.pending {
            if whose(pending) && pending.due > now {
                self.deadlines.remove(&(pending.due, *id));
                pending.phase = Phase::Stalled;
                pending.due = now;
                self.deadlines.insert((now, *id));
            }
        }
    }

    /// Ends every request of one cause.
    pub(crate) fn cancel(&mut self, cause: Cause) {
        let ids: Vec<u32> =
            self.pending.iter().filter(|(_, pending)| pending.cause == cause).map(|(id, _)| *id).collect();
        for id in ids {
            self.close(id);
        }
    }

    fn close(&mut self, id: u32) -> Option<Pending<K>> {
        let pending = self.pending.remove(&id)?;
        self.deadlines.remove(&(pending.due, id));
        if let Some(count) = self.per_ip.get_mut(&pending.to.ip()) {
            *count -= 1;
            if *count == 0 {
                self.per_ip.remove(&pending.to.ip());
            }
        }
        if self.pending.is_empty() {
            // A map that has run empty keeps a leaf, and most nodes of a large simulation are idle.
            self.pending = BTreeMap::new();
            self.deadlines = BTreeSet::new();
            self.per_ip = BTreeMap::new();
        }
        Some(pending)
    }
}

#[cfg(test)]
mod tests;
