//! What the table keeps about one contact, in as few bytes as it can.

use core::time::Duration;

use crate::address::CompactAddr;
use crate::config::TableConfig;
use crate::contact::Contact;
use crate::key::Keyspace;
use crate::time::Instant;

/// How far an entry is trusted (BEP 5, "Routing Table").
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// Answered, or asked us something, within [`TableConfig::good_for`], and no request to it failed since its last answer.
    Good,
    /// Silent for longer than that, or its last exchange failed.
    Questionable,
    /// Failed [`TableConfig::bad_after`] times in a row.
    Bad,
}

/// A contact that has answered a request of ours, and how it has behaved since.
///
/// 52 bytes for keys of 160 bits; a table is mostly these.
#[derive(Clone, Copy, Debug)]
pub struct Entry<K> {
    key: K,
    addr: CompactAddr,
    failures: u8,
    /// Its last answer, or its last request if that is later.
    seen: Stamp,
    /// When we last asked it and learnt, or still wait to learn, whether it is there.
    checked: Stamp,
    rtt: u16,
}

/// Stands for "not measured" in [`Entry::rtt`].
const UNMEASURED: u16 = u16::MAX;

/// An entry in doubt, failed but not yet bad, is asked again after this part of [`TableConfig::keepalive`].
const DOUBT: u32 = 8;

/// How many times the pause between two attempts to revive a bad entry doubles.
const DOUBLINGS: u8 = 5;

impl<K: Keyspace> Entry<K> {
    pub(super) fn new(contact: Contact<K>, now: Instant, rtt: Option<Duration>) -> Self {
        let stamp = Stamp::new(now);
        Entry {
            key: contact.key,
            addr: CompactAddr::new(contact.addr),
            failures: 0,
            seen: stamp,
            checked: stamp,
            rtt: rtt.map_or(UNMEASURED, millis),
        }
    }

    /// Key and address.
    pub fn contact(&self) -> Contact<K> {
        Contact::new(self.key, self.addr.get())
    }

    /// Its key.
    pub fn key(&self) -> &K {
        &self.key
    }

    /// Round-trip time of the last measured exchange, in whole milliseconds and at most 65.534 s.
    pub fn rtt(&self) -> Option<Duration> {
        (self.rtt != UNMEASURED).then(|| Duration::from_millis(self.rtt.into()))
    }

    /// Exchanges that failed since its last answer.
    pub fn failures(&self) -> u8 {
        self.failures
    }

    /// When it last answered us or asked us something, to within 66 ms before.
    pub fn last_seen(&self) -> Instant {
        self.seen.instant()
    }

    /// How far it is trusted at `now`.
    ///
    /// Requests are easily forged, so they keep an entry good only as long as it answers when asked:
    /// after a failure only an answer makes it good again.
    pub fn quality(&self, now: Instant, config: &TableConfig) -> Quality {
        if self.is_bad(config) {
            Quality::Bad
        } else if self.failures == 0 && self.seen.after(config.good_for).is_none_or(|until| now <= until) {
            Quality::Good
        } else {
            Quality::Questionable
        }
    }

    pub(super) fn is_bad(&self, config: &TableConfig) -> bool {
        self.failures >= config.bad_after.max(1)
    }

    /// When it should be asked again whether it is there. A bad one is tried ever more rarely: it costs its
    /// place only when somebody else wants it, and a network that was away comes back.
    pub(super) fn due(&self, config: &TableConfig) -> Option<Instant> {
        let bad_after = config.bad_after.max(1);
        let pause = match self.failures {
            0 => config.keepalive,
            failures if failures < bad_after => config.keepalive / DOUBT,
            failures => {
                let doublings = (failures - bad_after).saturating_add(1).min(DOUBLINGS);
                config.keepalive.saturating_mul(1 << doublings)
            }
        };
        self.checked.after(pause)
    }

    pub(super) fn addr(&self) -> CompactAddr {
        self.addr
    }

    pub(super) fn is(&self, contact: &Contact<K>) -> bool {
        self.key == contact.key && self.addr == CompactAddr::new(contact.addr)
    }

    pub(super) fn seen(&self) -> Stamp {
        self.seen
    }

    /// Makes it due at once.
    pub(super) fn doubt(&mut self) {
        self.checked = Stamp::ZERO;
    }

    /// Makes it due as soon as one in doubt is.
    pub(super) fn unheard(&mut self, now: Instant, config: &TableConfig) {
        let early = config.keepalive - config.keepalive / DOUBT;
        self.checked = Stamp::new(Instant::ZERO + now.since(Instant::ZERO + early));
    }

    pub(super) fn answered(&mut self, now: Instant, rtt: Option<Duration>) {
        self.failures = 0;
        self.seen = Stamp::new(now);
        self.checked = self.seen;
        if let Some(rtt) = rtt {
            self.rtt = millis(rtt);
        }
    }

    pub(super) fn queried_us(&mut self, now: Instant) {
        self.seen = Stamp::new(now);
    }

    pub(super) fn asked(&mut self, now: Instant) {
        self.checked = Stamp::new(now);
    }

    pub(super) fn failed(&mut self, now: Instant) {
        self.failures = self.failures.saturating_add(1);
        self.checked = Stamp::new(now);
    }
}

fn millis(rtt: Duration) -> u16 {
    u16::try_from(rtt.as_millis()).unwrap_or(UNMEASURED).min(UNMEASURED - 1)
}

/// An instant in five bytes: steps of 2¹⁶ µs (66 ms, rounded down) for 2,283 years from the host's zero; later ones
/// are all the same, so that a host's clock may jump anywhere (P5). The order of stamps is the order of time,
/// whatever the time is now (P49).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Stamp([u8; 5]);

impl Stamp {
    pub(super) const ZERO: Stamp = Stamp([0; 5]);
    const LAST: Stamp = Stamp([u8::MAX; 5]);

    pub(super) const fn new(at: Instant) -> Self {
        match at.as_micros().to_be_bytes() {
            [0, a, b, c, d, e, _, _] => Stamp([a, b, c, d, e]),
            _ => Stamp::LAST,
        }
    }

    pub(super) const fn instant(self) -> Instant {
        let [a, b, c, d, e] = self.0;
        Instant::from_micros(u64::from_be_bytes([0, a, b, c, d, e, 0, 0]))
    }

    /// The moment `pause` later; `None` where stamps stand still: nothing falls due there, and nothing expires,
    /// instead of everything at once and for ever.
    pub(super) fn after(self, pause: Duration) -> Option<Instant> {
        (self != Stamp::LAST).then(|| self.instant() + pause)
    }
}
