//! What is believed: the same judgement over records that others put here, and over those that searches bring home.

mod marks;

use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kademlia_core::Key;

use crate::config::RecordsConfig;
use crate::record::SignedRecord;
use crate::refusal::Refusal;
use crate::time::Timestamp;
use marks::Marks;

/// What a policy says of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is let in.
    Allow,
    /// It is not.
    Deny,
}

/// Who may publish what here: asked about records that are in order otherwise, with the key and the present (D1).
pub type Policy = Arc<dyn Fn(&Key<32>, &SignedRecord, Timestamp) -> Decision + Send + Sync>;

/// Checks records: key, signature, time, policy, in this order (D1). Shared between a service and the searches it has
/// under way, which look at answers while the engine has the floor; the service tells it the time at every input.
pub(crate) struct Authority {
    policy: Option<Policy>,
    skew: Duration,
    max_ttl: Duration,
    now: AtomicU64,
    marks: Mutex<Marks>,
}

impl Authority {
    pub(crate) fn new(config: &RecordsConfig, policy: Option<Policy>) -> Self {
        Authority {
            policy,
            skew: config.skew,
            max_ttl: config.max_ttl,
            now: AtomicU64::new(0),
            marks: Mutex::new(Marks::new(config.marks)),
        }
    }

    /// The present, for all who share this.
    pub(crate) fn set_time(&self, now: Timestamp) {
        self.now.store(now.as_millis(), Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::Relaxed))
    }

    /// Whether a record that somebody sent belongs under `key`, is signed, holds now, and is let in.
    pub(crate) fn check(&self, key: &Key<32>, record: &SignedRecord) -> Result<(), Refusal> {
        if record.target() != *key {
            return Err(Refusal::WrongKey);
        }
        if !record.is_authentic() {
            return Err(Refusal::BadSignature);
        }
        self.check_time(record)?;
        self.check_policy(key, record)
    }

    /// Whether an authentic record holds now.
    pub(crate) fn check_time(&self, record: &SignedRecord) -> Result<(), Refusal> {
        let now = self.now();
        if record.expires() <= now {
            return Err(Refusal::Expired);
        }
        if record.timestamp > now.after(self.skew) {
            return Err(Refusal::Future);
        }
        // What was signed ahead of our clock may hold that much longer.
        if record.expires() > now.after(self.max_ttl).after(self.skew) {
            return Err(Refusal::TooLong);
        }
        Ok(())
    }

    pub(crate) fn check_policy(&self, key: &Key<32>, record: &SignedRecord) -> Result<(), Refusal> {
        let denied = |policy: &Policy| policy(key, record, self.now()) == Decision::Deny;
        if self.policy.as_ref().is_some_and(denied) { Err(Refusal::Denied) } else { Ok(()) }
    }

    /// Takes note of a record that is believed. [`Refusal::Stale`] if a newer one was seen in its place: whoever answers
    /// late, or with what he kept on purpose, does not turn back the time.
    pub(crate) fn witness(&self, record: &SignedRecord) -> Result<(), Refusal> {
        let fresh = self.marks().witness(record, self.now());
        if fresh { Ok(()) } else { Err(Refusal::Stale) }
    }

    /// The marks are whole after every step of theirs, so whoever panicked elsewhere has not harmed them.
    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authority {{ now: {}, policy: {} }}", self.now(), self.policy.is_some())
    }
}

#[cfg(test)]
mod tests;
