//! Keeping the table fresh: one small step at a time.

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::hearing::PROBE;
use super::searches::Purpose;
use super::{Event, Node};
use crate::config::TableConfig;
use crate::contact::Contact;
use crate::key::Keyspace;
use crate::lookup::LookupId;
use crate::protocol::Protocol;
use crate::rpc::Cause;
use crate::service::{Admission, Service};
use crate::time::{Instant, soonest};

/// Between two steps: at most one entry is asked again a second.
pub(super) const PACE: Duration = Duration::from_secs(1);

/// What is due, and what is under way.
#[derive(Debug, Default)]
pub(super) struct Maintenance {
    due: Option<Instant>,
    /// After joining: the next bucket to be filled by a lookup in its range (paper, section 2.3).
    sweep: Option<usize>,
    refreshing: Option<LookupId>,
}

impl Maintenance {
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// A new entry will be due in its time, if nothing is due before.
    pub(super) fn entry_added(&mut self, now: Instant, config: &TableConfig) {
        self.due = soonest([self.due, Some(now + config.keepalive.min(config.refresh))]);
    }

    /// Something falls due sooner than it would have: an entry came into doubt, or our address did.
    pub(super) fn fall_due(&mut self, due: Option<Instant>) {
        self.due = soonest([self.due, due]);
    }

    pub(super) fn sweep(&mut self) {
        self.sweep = Some(0);
    }
}

impl<P: Protocol, S: Service<P>> Node<P, S> {
    pub(super) fn maintain(&mut self, now: Instant) {
        if self.maintenance.due.is_none_or(|due| due > now) {
            return;
        }
        if !self.egress.is_ready(now) {
            self.maintenance.due = Some(self.egress.ready_at());
            return;
        }
        self.verify.forget(now);
        let deaf = self.hearing.is_deaf();
        let asked = if deaf {
            self.table.anybody(&mut self.rng)
        } else {
            self.table.due(now).or_else(|| self.next_voter(now))
        };
        if let Some(contact) = asked {
            self.recheck(now, &contact);
        }
        self.rejoin_if_isolated(now);
        if deaf {
            self.maintenance.due = Some(now + self.rng.jittered(PROBE));
            return;
        }
        self.refresh_next(now);
        let next = soonest([self.table.next_due(), self.table.next_refresh(), self.observed.due()]);
        self.maintenance.due = next.map(|due| due.max(now + self.rng.jittered(PACE)));
    }

    /// Whom to ask for its word on our address, if it is time to (T15): whoever was asked the longest ago, and would be
    /// asked next anyway; nobody where a lookup asks strangers instead.
    fn next_voter(&mut self, now: Instant) -> Option<Contact<P::Key>> {
        self.observed.due().filter(|due| *due <= now)?;
        self.observed.asked(now);
        if self.maintenance.refreshing.is_some() || !self.observed.wants_strangers(now) {
            return self.table.upcoming();
        }
        self.observed.looked(now);
        let target = P::Key::random(&mut self.rng);
        self.refresh_towards(now, target);
        None
    }

    /// Starts the next lookup that fills or refreshes a bucket, unless one is under way.
    pub(super) fn refresh_next(&mut self, now: Instant) {
        if self.maintenance.refreshing.is_some() {
            return;
        }
        let local = self.local();
        let target = match self.maintenance.sweep {
            Some(bucket) if bucket + 1 < self.table.depth() => {
                self.maintenance.sweep = Some(bucket + 1);
                Some(local.random_beside(bucket, &mut self.rng))
            }
            _ => {
                self.maintenance.sweep = None;
                self.table.refresh(now, &mut self.rng)
            }
        };
        if let Some(target) = target {
            self.refresh_towards(now, target);
        }
    }

    fn refresh_towards(&mut self, now: Instant, target: P::Key) {
        let id = self.start_own(now, target, P::find_node(target), Purpose::Refresh);
        self.maintenance.refreshing = Some(id);
    }

    /// Goes by another key from now on, and lets the neighbourhood know. Ends with [`Event::Renamed`], unless it is the
    /// present one. For hosts that know better than the votes which key is due, as that of another node at this address.
    pub fn rename(&mut self, now: Instant, to: P::Key) {
        let (now, from) = (self.advance(now), self.local());
        if to != from {
            self.table.rename(now, to);
            self.events.push_back(Event::Renamed { from, to });
            self.introduce_again(now);
        }
    }

    /// After a change of key: those who knew us by the old one learn the new one from our lookups.
    fn introduce_again(&mut self, now: Instant) {
        let local = self.local();
        self.start_own(now, local, P::find_node(local), Purpose::Refresh);
        self.maintenance.sweep();
        self.refresh_next(now);
    }

    pub(super) fn refreshed(&mut self, now: Instant, id: LookupId) {
        if self.maintenance.refreshing != Some(id) {
            return;
        }
        self.maintenance.refreshing = None;
        if self.maintenance.sweep.is_some() {
            self.refresh_next(now);
        }
    }

    /// Asks an entry again: its last answer grows old, or its place is wanted (BEP 5: ping before evict).
    pub(super) fn recheck(&mut self, now: Instant, contact: &Contact<P::Key>) {
        if !self.transactions.is_asking(contact.addr, Cause::Keepalive) {
            self.table.asked(now, contact);
            self.ask_contact(now, contact, Cause::Keepalive);
        }
    }

    /// Somebody unverified wrote to us or was named to us. If the table has use for it, it is pinged, within the quota;
    /// its answer, and nothing else, brings it in (T3).
    pub(super) fn consider(&mut self, now: Instant, contact: &Contact<P::Key>) {
        let eligible = self.may_ask(contact.addr)
            && self.table.wants(now, contact)
            && self.service.admit(contact) == Admission::Eligible
            && !self.transactions.is_asking(contact.addr, Cause::Verify);
        if eligible
            && self.transactions.has_room(contact.addr.ip())
            && self.verify.take(now, contact.addr.ip())
        {
            self.counters.verifications += 1;
            self.ask_contact(now, contact, Cause::Verify);
        }
    }

    /// Contacts of the other family that were named to us since the last call.
    pub(crate) fn take_foreign(&mut self) -> Vec<Contact<P::Key>> {
        core::mem::take(&mut self.foreign)
    }

    /// Whether to ask for contacts of the other family too, once in a while (BEP 32).
    pub(crate) fn seek_foreign(&mut self, seek: bool) {
        self.seek_foreign = seek;
    }

    /// Contacts of this family that the other family's node was told of.
    pub(crate) fn hear_of(&mut self, now: Instant, contacts: &[Contact<P::Key>]) {
        let now = self.advance(now);
        if self.table.is_empty() {
            self.add_contacts(now, contacts);
        } else {
            for contact in contacts {
                self.consider(now, contact);
            }
        }
    }

    /// Whether somebody at this address may be asked on the word of others: not at our own, as far as we know it (T13).
    pub(super) fn may_ask(&self, addr: SocketAddr) -> bool {
        self.admits(addr) && self.external() != Some(addr)
    }
}
