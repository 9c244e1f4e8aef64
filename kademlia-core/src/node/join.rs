//! Joining: from a few addresses to a place in the network.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use super::searches::Purpose;
use super::{Event, Named, Node};
use crate::contact::Contact;
use crate::lookup::{LookupId, LookupReport, Vouched};
use crate::protocol::Protocol;
use crate::rpc::Cause;
use crate::service::{Admission, Service};
use crate::time::{Instant, soonest};

/// Remembered contacts asked in one attempt, and remembered in all.
const BATCH: usize = 16;
const REMEMBERED: usize = 1_024;

/// How far a node is on its way in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// Never asked to join, or without anybody to ask.
    #[default]
    Idle,
    /// Told to expect routers, for instance while their names are being resolved.
    Expecting,
    /// Asking for the way in, or pausing before asking again.
    Asking,
    /// Looking up the own key.
    Looking,
    /// In.
    Done,
}

/// The state of joining.
#[derive(Debug)]
pub(super) struct Join<K> {
    stage: Stage,
    routers: Vec<SocketAddr>,
    remembered: VecDeque<Contact<K>>,
    /// Requests for the way in that are outstanding.
    outstanding: usize,
    attempts: u32,
    again: Option<Instant>,
    lookup: Option<LookupId>,
    /// It was in before, and its table is from then.
    returning: bool,
}

impl<K> Default for Join<K> {
    fn default() -> Self {
        Join {
            stage: Stage::Idle,
            routers: Vec::new(),
            remembered: VecDeque::new(),
            outstanding: 0,
            attempts: 0,
            again: None,
            lookup: None,
            returning: false,
        }
    }
}

impl<K> Join<K> {
    /// Whether any of them is new.
    pub(super) fn add_routers(&mut self, routers: impl Iterator<Item = SocketAddr>, limit: usize) -> bool {
        let known = self.routers.len();
        for router in routers {
            if self.routers.len() < limit && !self.routers.contains(&router) {
                self.routers.push(router);
            }
        }
        self.routers.len() > known
    }

    pub(super) fn add_contacts(&mut self, contacts: impl Iterator<Item = Contact<K>>) {
        let room = REMEMBERED.saturating_sub(self.remembered.len());
        self.remembered.extend(contacts.take(room));
    }

    pub(super) fn forget(&mut self, ip: IpAddr) {
        self.routers.retain(|router| router.ip() != ip);
        self.remembered.retain(|contact| contact.addr.ip() != ip);
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    /// Whether lookups had better wait.
    pub(super) fn is_under_way(&self) -> bool {
        matches!(self.stage, Stage::Expecting | Stage::Asking | Stage::Looking)
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.again
    }

    pub(super) fn memory(&self) -> usize {
        self.routers.capacity() * size_of::<SocketAddr>()
            + self.remembered.capacity() * size_of::<Contact<K>>()
    }

    /// The network is back: the next attempt is due at once, and those after it come as soon as at first.
    pub(super) fn end_pause(&mut self, now: Instant) {
        if self.again.is_some() {
            (self.again, self.attempts) = (Some(now), 0);
        }
    }

    /// 1, 2, 4 … times the first pause, up to the longest.
    fn pause(&self, first: Duration, longest: Duration) -> Duration {
        let doublings = self.attempts.saturating_sub(1).min(16);
        first.saturating_mul(1 << doublings).min(longest)
    }
}

impl<P: Protocol, S: Service<P>> Node<P, S> {
    pub(super) fn await_joining(&mut self) {
        if self.join.stage == Stage::Idle {
            self.join.stage = Stage::Expecting;
        }
    }

    /// `fresh` says that somebody new can be asked: then a pause is over.
    pub(super) fn start_joining(&mut self, now: Instant, fresh: bool) {
        let pausing = self.join.again.is_some();
        if matches!(self.join.stage, Stage::Asking | Stage::Looking) && !(pausing && fresh) {
            return;
        }
        self.join.attempts = 0;
        if self.join.is_done() && self.table.counts(now).good > 0 {
            // In already: whoever is new is asked all the same, and nobody has to wait for it.
            self.ask_for_the_way_in(now);
            return;
        }
        self.join.stage = Stage::Asking;
        self.attempt_to_join(now);
        self.run_searches(now);
    }

    pub(super) fn keep_joining(&mut self, now: Instant) {
        if self.join.again.is_some_and(|again| again <= now) {
            self.attempt_to_join(now);
        }
    }

    fn attempt_to_join(&mut self, now: Instant) {
        self.join.again = None;
        self.ask_for_the_way_in(now);
        if self.join.outstanding == 0 {
            self.pause_joining(now);
        }
    }

    /// Remembered contacts are asked first and alone, so that a restarted node burdens no router (T20).
    fn ask_for_the_way_in(&mut self, now: Instant) {
        self.join.attempts += 1;
        let batch = self.join.remembered.len().min(BATCH);
        let contacts: Vec<_> = self.join.remembered.drain(..batch).collect();
        for contact in contacts {
            if self.ask_contact(now, &contact, Cause::Join) {
                self.join.outstanding += 1;
            } else {
                self.join.remembered.push_back(contact);
            }
        }
        if batch == 0 || self.join.attempts > 1 {
            for router in self.join.routers.clone() {
                let request = self.own_request(Cause::Join);
                self.join.outstanding += usize::from(self.ask(now, router, None, Cause::Join, request));
            }
        }
    }

    fn pause_joining(&mut self, now: Instant) {
        if self.join.routers.is_empty() && self.join.remembered.is_empty() {
            self.join.stage = Stage::Idle;
            return;
        }
        let config = self.config.bootstrap;
        let pause = self.join.pause(config.first_pause, config.longest_pause);
        self.join.stage = Stage::Asking;
        self.join.again = Some(now + self.rng.jittered(pause));
    }

    pub(super) fn join_failed(&mut self, now: Instant) {
        self.join.outstanding -= 1;
        if self.join.stage != Stage::Asking || self.join.outstanding > 0 {
            return;
        }
        if self.join.attempts == 1 && !self.join.routers.is_empty() {
            self.attempt_to_join(now);
        } else {
            self.pause_joining(now);
        }
    }

    /// The first to answer opens the lookup of the own key, the others add to it.
    pub(super) fn join_answered(&mut self, now: Instant, from: Contact<P::Key>, named: &Named<P::Key>) {
        self.join.outstanding -= 1;
        if self.join.stage == Stage::Asking {
            self.join.stage = Stage::Looking;
            self.join.again = None;
            let request = self.own_request(Cause::Join);
            self.join.lookup = Some(self.start_own(now, self.local(), request, Purpose::Join));
        }
        if let Some(search) = self.join.lookup.and_then(|id| self.searches.get_mut(id)) {
            search.lookup.seed([from].iter().chain(named.iter()).copied().map(Vouched::from));
        } else {
            for contact in named.iter() {
                self.consider(now, contact);
            }
        }
    }

    /// The lookup of the own key ended.
    pub(super) fn joined(&mut self, now: Instant, report: &LookupReport<P::Key>) {
        self.join.lookup = None;
        if report.answered == 0 {
            self.pause_joining(now);
            return;
        }
        self.join.stage = Stage::Done;
        self.join.attempts = 0;
        self.events.push_back(Event::Bootstrapped);
        for contact in core::mem::take(&mut self.join.remembered) {
            self.consider(now, &contact);
        }
        // Who returns has a table: its upkeep asks everybody again and refreshes what is stale, a step a second (T20).
        if !core::mem::take(&mut self.join.returning) {
            self.maintenance.sweep();
            self.refresh_next(now);
        }
    }

    /// Takes contacts into the table as if each had just answered, and the node as joined. For simulations, which know
    /// who is there; on a network, only [`add_contacts`](Self::add_contacts) asks them first.
    pub fn preload(&mut self, now: Instant, contacts: &[Contact<P::Key>]) {
        let now = self.advance(now);
        for contact in contacts {
            if self.admits(contact.addr) && self.service.admit(contact) == Admission::Eligible {
                self.table.answered(now, *contact, None);
            }
        }
        self.maintenance.fall_due(soonest([self.table.next_due(), self.table.next_refresh()]));
        self.join.stage = Stage::Done;
    }

    /// A node that knew nobody has its first entry: the others found it, so it is in (E1: a network's first node). Or one that
    /// had nobody left to ask hears an old entry again.
    pub(super) fn found_by_others(&mut self) {
        if matches!(self.join.stage, Stage::Idle | Stage::Expecting) {
            (self.join.stage, self.join.returning) = (Stage::Done, false);
            self.events.push_back(Event::Bootstrapped);
        }
    }

    /// Nobody in the table is good any more: the way in has to be found again, through those who were there first and
    /// then through the routers (T20).
    pub(super) fn rejoin_if_isolated(&mut self, now: Instant) {
        if self.join.is_done() && self.table.counts(now).good == 0 {
            let local = self.local();
            let mut known = Vec::new();
            self.table.closest(now, &local, BATCH, &mut known);
            self.join.add_contacts(known.into_iter());
            self.join.returning = true;
            self.start_joining(now, false);
        }
    }
}
