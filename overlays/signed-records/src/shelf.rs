//! What a node keeps for others, in any storage: the rules of putting and getting (D1, D2).

use core::net::IpAddr;

use kademlia_core::{Instant, Key, Placed, Rng, Storage};

use crate::authority::Authority;
use crate::record::{Kind, SignedRecord, Slot, StoredRecord};
use crate::refusal::Refusal;
use crate::time::Clock;

/// Records looked at in one timeout; what is left then comes at the next.
const EXPIRY_WORK: usize = 1_024;

/// Records of others, over any storage.
#[derive(Debug)]
pub(crate) struct Shelf<S> {
    storage: S,
    /// Keys at most.
    keys: usize,
    rng: Rng,
}

impl<S: Storage<Key<32>, StoredRecord>> Shelf<S> {
    pub(crate) fn new(storage: S, keys: usize, rng: Rng) -> Self {
        Shelf { storage, keys, rng }
    }

    pub(crate) fn storage(&self) -> &S {
        &self.storage
    }

    pub(crate) fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    /// Puts a record that somebody sent: checked, newer than what is there, and not too many.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        clock: Clock,
        authority: &Authority,
        key: Key<32>,
        record: SignedRecord,
        source: IpAddr,
    ) -> Result<Placed, Refusal> {
        authority.check(&key, &record)?;
        self.place(now, clock, key, StoredRecord { record, source })
    }

    /// Puts a record that has been checked.
    pub(crate) fn place(
        &mut self,
        now: Instant,
        clock: Clock,
        key: Key<32>,
        stored: StoredRecord,
    ) -> Result<Placed, Refusal> {
        if self
            .get(now, &key, &stored.record.slot())
            .is_some_and(|held| held.sequence >= stored.record.sequence)
        {
            return Err(Refusal::Stale);
        }
        if self.storage.keys() >= self.keys && !self.storage.has(now, &key) {
            return Err(Refusal::Full);
        }
        let expires = clock.when(stored.record.expires());
        self.storage.insert(now, key, stored, expires).map_err(|_| Refusal::Full)
    }

    /// The record in one place.
    pub(crate) fn get(&mut self, now: Instant, key: &Key<32>, slot: &Slot) -> Option<SignedRecord> {
        self.all(now, key, None).into_iter().find(|record| record.slot() == *slot)
    }

    /// All records under a key, or those of one type, ordered by publisher.
    pub(crate) fn all(&mut self, now: Instant, key: &Key<32>, kind: Option<Kind>) -> Vec<SignedRecord> {
        let mut found = Vec::new();
        self.storage.read(now, key, usize::MAX, &mut self.rng, &mut found);
        let mut records: Vec<_> = found.into_iter().map(|stored| stored.record).collect();
        records.retain(|record| kind.is_none_or(|kind| record.subject.kind() == kind));
        records.sort_by_cached_key(SignedRecord::slot);
        records
    }

    /// Up to `n` keys and what is there under them, for people to look at.
    pub(crate) fn list(&mut self, now: Instant, n: usize) -> Vec<(Key<32>, SignedRecord)> {
        let mut keys = Vec::new();
        self.storage.sample_keys(now, n, &mut self.rng, &mut keys);
        keys.sort_unstable();
        let records = keys.into_iter().flat_map(|key| {
            let records = self.all(now, &key, None);
            records.into_iter().map(move |record| (key, record))
        });
        records.take(n).collect()
    }

    pub(crate) fn expire(&mut self, now: Instant) {
        self.storage.expire(now, EXPIRY_WORK);
    }
}
