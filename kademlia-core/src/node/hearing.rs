//! Survival: a node that hears nobody does not take everybody for dead (T20, P47).

use core::time::Duration;

use super::Node;
use super::maintenance::PACE;
use crate::contact::Contact;
use crate::protocol::Protocol;
use crate::service::Service;
use crate::time::Instant;

/// Between two requests of a node that hears nobody: often enough to be back half a minute after the network is.
pub(super) const PROBE: Duration = Duration::from_secs(15);
/// After a silence of this length everybody is asked again soon.
const LONG: Duration = Duration::from_secs(60);

/// When others were last heard. Only answers to our own requests count: they show that both directions work,
/// and cannot be forged.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    heard: Option<Instant>,
    /// A request failed, and nothing has been heard since before it was sent.
    deaf_since: Option<Instant>,
}

impl Hearing {
    /// Somebody answered; gives back whether that ends a long silence.
    fn heard(&mut self, now: Instant) -> bool {
        self.heard = Some(now);
        self.deaf_since.take().is_some_and(|since| now.since(since) >= LONG)
    }

    /// A request that was first sent at `sent` failed; gives back whether that says something of the node asked,
    /// and not only of ourselves.
    fn failed(&mut self, now: Instant, sent: Instant) -> bool {
        let tells = self.heard.is_some_and(|heard| heard >= sent);
        if !tells {
            self.deaf_since.get_or_insert(now);
        }
        tells
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.deaf_since.is_some()
    }
}

impl<P: Protocol, S: Service<P>> Node<P, S> {
    pub(super) fn on_heard(&mut self, now: Instant) {
        if self.hearing.heard(now) {
            self.table.doubt(now);
            self.maintenance.entry_doubted(self.table.next_due());
        }
    }

    /// `contact` did not answer. That counts against it only if others were heard meanwhile; otherwise it is asked
    /// again, and somebody else at once.
    pub(super) fn on_unheard(&mut self, now: Instant, contact: &Contact<P::Key>, sent: Instant) {
        if self.hearing.failed(now, sent) {
            self.table.failed(now, contact);
            self.maintenance.entry_doubted(self.table.next_due());
        } else {
            self.table.unheard(now, contact);
            self.maintenance.entry_doubted(Some(now + PACE));
        }
    }
}
