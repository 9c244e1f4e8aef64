//! Survival: a node that hears nobody does not take everybody for dead (T20, P47).

use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use super::Node;
use super::maintenance::PACE;
use crate::contact::Contact;
use crate::health::Health;
use crate::key::Keyspace;
use crate::protocol::Protocol;
use crate::service::Service;
use crate::time::Instant;

/// Between two requests of a node that hears nobody: often enough to be back half a minute after the network is.
pub(super) const PROBE: Duration = Duration::from_secs(15);
/// After a silence of this length everybody is asked again soon.
const LONG: Duration = Duration::from_secs(60);

/// When others were last heard. Only answers to our own requests count: they show that both directions work,
/// and cannot be forged.
#[derive(Debug)]
pub(super) struct Hearing<K> {
    heard: Option<Instant>,
    /// A request failed, and nothing has been heard since before it was sent.
    deaf_since: Option<Instant>,
    /// Whose requests have failed since then.
    suspects: Vec<Contact<K>>,
}

/// Suspects remembered; of more, the failures do not count.
const SUSPECTS: usize = 64;

impl<K> Default for Hearing<K> {
    fn default() -> Self {
        Hearing { heard: None, deaf_since: None, suspects: Vec::new() }
    }
}

impl<K: Keyspace> Hearing<K> {
    /// Somebody answered; gives back whether that ends a long silence.
    fn heard(&mut self, now: Instant) -> bool {
        self.heard = Some(now);
        self.deaf_since.take().is_some_and(|since| now.since(since) >= LONG)
    }

    /// A request that was first sent at `sent` failed; gives back whether that says something of the node asked,
    /// and not only of ourselves.
    fn failed(&mut self, now: Instant, sent: Instant) -> bool {
        let tells = self.has_heard_since(sent);
        if !tells {
            self.deaf_since.get_or_insert(now);
        }
        tells
    }

    /// Whether anybody has been heard since then.
    pub(super) fn has_heard_since(&self, sent: Instant) -> bool {
        self.heard.is_some_and(|heard| heard >= sent)
    }

    fn suspect(&mut self, contact: &Contact<K>) {
        if self.suspects.len() < SUSPECTS && !self.suspects.contains(contact) {
            self.suspects.push(*contact);
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.suspects.capacity() * size_of::<Contact<K>>()
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf_since.is_some()
    }
}

impl<P: Protocol, S: Service<P>> Node<P, S> {
    /// Whether requests fail and nobody is heard: the link seems to be down.
    pub fn is_deaf(&self) -> bool {
        self.hearing.is_deaf()
    }

    /// `from` answered. After a long silence everybody is asked again, those who lead the way in first. In a short one it was
    /// they who were gone whose requests failed: others are there.
    pub(super) fn on_heard(&mut self, now: Instant, from: SocketAddr) {
        let suspects = core::mem::take(&mut self.hearing.suspects);
        if self.hearing.heard(now) {
            self.table.doubt(now);
            self.join.end_pause(now);
        } else if suspects.is_empty() {
            return;
        } else {
            for suspect in suspects.iter().filter(|suspect| suspect.addr != from) {
                self.on_gone(now, suspect);
            }
        }
        self.maintenance.fall_due(self.table.next_due());
    }

    /// `contact` did not answer, and others did; whoever waited for its place may have it now.
    fn on_gone(&mut self, now: Instant, contact: &Contact<P::Key>) {
        if let Some(promoted) = self.table.failed(now, contact) {
            self.service.contact_added(now, &promoted, &self.table);
        }
    }

    /// `contact` did not answer. That counts against it only if others were heard meanwhile; otherwise it is asked
    /// again, and somebody else at once.
    pub(super) fn on_unheard(&mut self, now: Instant, contact: &Contact<P::Key>, sent: Instant) {
        if !self.admits(contact.addr) {
            // Blocked meanwhile: it was not waited for.
            return;
        }
        if self.hearing.failed(now, sent) {
            self.health.record(now, contact.addr, Health::Bad);
            self.on_gone(now, contact);
            self.maintenance.fall_due(self.table.next_due());
        } else {
            self.table.unheard(now, contact);
            self.hearing.suspect(contact);
            self.maintenance.fall_due(Some(now + PACE));
        }
    }
}
