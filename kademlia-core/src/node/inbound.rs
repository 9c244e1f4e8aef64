//! The way in: from a datagram to what it changes. One method per kind of message.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::SocketAddr;

use super::search::vouch;
use super::{Answered, Failure, Named, Node};
use crate::address::Family;
use crate::contact::Contact;
use crate::health::Health;
use crate::lookup::LookupId;
use crate::message::{Body, Message, TransactionId};
use crate::protocol::{Codec, Malformed, Protocol};
use crate::rpc::{Cause, Pending};
use crate::service::{Admission, Reply, ServeContext, Service};
use crate::table::{Insert, Table};
use crate::time::Instant;

/// Contacts of the other family kept for it; more are left out.
const FOREIGN: usize = 64;

impl<P: Protocol, S: Service<P>> Node<P, S> {
    pub(crate) fn receive_datagram(
        &mut self,
        now: Instant,
        from: SocketAddr,
        datagram: &[u8],
        other: Option<&Table<P::Key>>,
    ) {
        if datagram.len() > self.config.inbound.datagram {
            self.counters.received += 1;
            self.counters.malformed += 1;
            return;
        }
        match P::Codec::decode(datagram) {
            Ok(message) => self.receive_message(now, from, message, Some(datagram.len()), other),
            Err(malformed) => self.on_malformed(now, from, malformed),
        }
    }

    pub(crate) fn receive_message(
        &mut self,
        now: Instant,
        from: SocketAddr,
        message: Message<P>,
        size: Option<usize>,
        other: Option<&Table<P::Key>>,
    ) {
        let now = self.advance(now);
        self.counters.received += 1;
        if !self.admits(from) {
            self.counters.unroutable += 1;
            return;
        }
        let Message { transaction, observed, body } = message;
        match body {
            Body::Request { sender, read_only, request } => {
                // A read-only node answers nobody (BEP 43).
                if !self.config.read_only {
                    let from = Contact::new(sender, from);
                    self.on_request(now, from, read_only, (transaction, size), request, other);
                }
            }
            Body::Response { sender, response } => {
                self.on_response(now, Contact::new(sender, from), transaction, observed, &response);
                self.run_searches(now);
            }
            Body::Error { code, text } => {
                self.on_error(now, from, transaction, code, text);
                self.run_searches(now);
            }
        }
        self.run_tasks(now);
    }

    /// Errors go only to well-formed requests (T10): everything else that is not understood meets silence.
    fn on_malformed(&mut self, now: Instant, from: SocketAddr, malformed: Malformed) {
        let now = self.advance(now);
        self.counters.received += 1;
        self.counters.malformed += 1;
        if let Malformed::Request { transaction, code, text } = malformed
            && !self.config.read_only
            && self.admits(from)
            && self.inbound.take(now, from.ip())
        {
            self.reply(from, true, transaction, Reply::Error { code, text: text.into() });
        }
    }

    fn on_request(
        &mut self,
        now: Instant,
        from: Contact<P::Key>,
        read_only: bool,
        (transaction, size): (TransactionId, Option<usize>),
        request: P::Request,
        other: Option<&Table<P::Key>>,
    ) {
        if !self.inbound.take(now, from.addr.ip()) {
            self.counters.limited += 1;
            return;
        }
        let context = ServeContext {
            now,
            from: from.addr,
            sender: from.key,
            local: self.table.local(),
            transaction,
            size,
            own: &self.table,
            other,
        };
        let reply = self.service.serve(request, &context);
        let to_stranger = !self.table.contains(&from);
        self.reply(from.addr, to_stranger, transaction, reply);
        // Nor does anybody keep or ping a read-only node (BEP 43).
        if !read_only && !self.table.queried_by(now, &from) {
            self.consider(now, &from);
        }
    }

    fn on_response(
        &mut self,
        now: Instant,
        from: Contact<P::Key>,
        transaction: TransactionId,
        observed: Option<SocketAddr>,
        response: &P::Response,
    ) {
        let Some((pending, round_trip)) =
            self.transactions.accept(now, from.addr, transaction, Some(from.key))
        else {
            self.on_unmatched(from.addr, transaction);
            return;
        };
        self.counters.answered += 1;
        self.on_heard(now, from.addr);
        self.health.record(now, from.addr, Health::Good);
        if let Some(seen) = observed {
            self.service.observed(now, &from, seen);
            self.on_vote(now, from.addr, seen);
        }
        if self.service.admit(&from) == Admission::Eligible {
            match self.table.answered(now, from, round_trip) {
                Insert::Waiting { ask: Some(oldest) } => self.recheck(now, &oldest),
                Insert::Added | Insert::Replaced(_) => {
                    self.maintenance.entry_added(now, &self.config.table);
                    self.found_by_others();
                    self.service.contact_added(now, &from, &self.table);
                }
                Insert::Updated => self.found_by_others(),
                Insert::Waiting { ask: None } | Insert::Refused => {}
            }
        }
        let named = self.sift(from.addr, response);
        match pending.cause {
            Cause::Lookup(id) => self.search_answered(now, id, from, response, &named),
            Cause::Store(id) => self.store_accepted(id, from.addr),
            Cause::Request(id) => {
                let answered = Answered { from, response: response.clone(), round_trip };
                self.end_request(id, Ok(answered));
            }
            Cause::Join => self.join_answered(now, from, &named),
            Cause::Reply => {}
            Cause::Verify => self.verify.answered(from.addr.ip()),
            Cause::Keepalive => {
                for contact in named.iter() {
                    self.consider(now, contact);
                }
            }
        }
    }

    fn on_unmatched(&mut self, from: SocketAddr, transaction: TransactionId) {
        if self.transactions.is_impostor(from, transaction) {
            self.counters.impostors += 1;
        } else {
            self.counters.unmatched += 1;
        }
    }

    fn on_error(
        &mut self,
        now: Instant,
        from: SocketAddr,
        transaction: TransactionId,
        code: i64,
        text: String,
    ) {
        let Some((pending, _)) = self.transactions.accept(now, from, transaction, None) else {
            self.on_unmatched(from, transaction);
            return;
        };
        self.counters.answered += 1;
        self.on_heard(now, from);
        self.health.record(now, from, Health::Good);
        self.on_refused(now, &pending, code, text);
    }

    /// The node lives and will not do what it was asked. That is no failure for the table.
    fn on_refused(&mut self, now: Instant, pending: &Pending<P::Key>, code: i64, text: String) {
        match pending.cause {
            Cause::Lookup(id) => self.search_failed(id, pending.to),
            Cause::Store(id) => self.store_refused(id, pending.to, code, text),
            Cause::Request(id) => self.end_request(id, Err(Failure::Refused { code, text })),
            Cause::Join => self.join_failed(now),
            Cause::Reply | Cause::Verify | Cause::Keepalive => {}
        }
    }

    /// The contacts of a reply that may be asked; those of the other family are put aside for it.
    fn sift(&mut self, from: SocketAddr, response: &P::Response) -> Named<P::Key> {
        let mut named = Named::new();
        for contact in P::contacts(response) {
            if contact.key == self.local() || !self.may_ask(contact.addr) {
                continue;
            }
            if Family::of(&contact.addr) != Family::of(&from) {
                if self.foreign.len() < FOREIGN {
                    self.foreign.push(*contact);
                }
            } else if self.service.admit(contact) != Admission::Refused {
                // A reply names at most a few contacts; more than fit are not worth asking.
                let _ = named.push(*contact);
            }
        }
        named
    }

    /// Gives a lookup that runs further contacts to begin with, for instance those that another node of this host has found
    /// near the same target. They count as any that are named to us: asked before they are trusted.
    pub fn suggest(&mut self, now: Instant, id: LookupId, contacts: &[Contact<P::Key>]) {
        let now = self.advance(now);
        let service = &self.service;
        let usable = contacts.iter().filter(|contact| {
            contact.key != self.local()
                && self.may_ask(contact.addr)
                && service.admit(contact) != Admission::Refused
        });
        let vouched: Vec<_> = vouch(service, &self.health, usable.copied()).collect();
        if let Some(search) = self.searches.get_mut(id) {
            search.lookup.seed(vouched);
        }
        self.run_searches(now);
    }

    fn on_vote(&mut self, now: Instant, voter: SocketAddr, seen: SocketAddr) {
        if Family::of(&voter) != Family::of(&seen) {
            return;
        }
        let agreed = self.observed.vote(now, voter, seen);
        self.maintenance.fall_due(self.observed.due());
        let Some(external) = agreed else { return };
        self.events.push_back(super::Event::External(external));
        let to = self.service.rename(external, self.local(), &mut self.rng);
        self.rename(now, to);
    }
}
