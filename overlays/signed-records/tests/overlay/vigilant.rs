//! A storage that watches what is put into it: no stale record is ever accepted.

use kademlia_core::{Instant, Key, MemoryStorage, NoRoom, Placed, Record, Rng, Storage};
use signed_records::{Slot, StoredRecord};

use crate::bed::clock;

/// Records in memory, and a watch over the rules that a service is to keep.
#[derive(Debug, Default)]
pub(crate) struct Vigilant(MemoryStorage<Key<32>, StoredRecord>);

impl Vigilant {
    fn held(&self, now: Instant, key: &Key<32>) -> Vec<StoredRecord> {
        let mut held = Vec::new();
        self.0.read(now, key, usize::MAX, &mut Rng::from_number(0), &mut held);
        held
    }
}

impl Storage<Key<32>, StoredRecord> for Vigilant {
    fn insert(
        &mut self,
        now: Instant,
        key: Key<32>,
        stored: StoredRecord,
        expires: Instant,
    ) -> Result<Placed, NoRoom> {
        let (record, wall) = (&stored.record, clock().at(now));
        assert!(record.expires() > wall, "expired: {record:?}");
        assert!(record.is_authentic() && record.target() == key, "false: {record:?}");
        for held in self.held(now, &key).iter().filter(|held| held.slot() == stored.slot()) {
            assert!(held.record.sequence < record.sequence, "stale: {record:?} for {:?}", held.record);
        }
        self.0.insert(now, key, stored, expires)
    }

    fn recenter(&mut self, center: Key<32>) {
        self.0.recenter(center);
    }

    fn set_limit(&mut self, bytes: usize) {
        self.0.set_limit(bytes);
    }

    fn admits(&self, key: &Key<32>, record: &StoredRecord) -> Result<(), NoRoom> {
        self.0.admits(key, record)
    }

    fn remove(&mut self, key: &Key<32>, slot: &Slot) -> bool {
        self.0.remove(key, slot)
    }

    fn has(&self, now: Instant, key: &Key<32>) -> bool {
        self.0.has(now, key)
    }

    fn read(&self, now: Instant, key: &Key<32>, n: usize, rng: &mut Rng, out: &mut Vec<StoredRecord>) {
        self.0.read(now, key, n, rng, out);
    }

    fn sample_keys(&self, now: Instant, n: usize, rng: &mut Rng, out: &mut Vec<Key<32>>) {
        self.0.sample_keys(now, n, rng, out);
    }

    fn expire(&mut self, now: Instant, work: usize) {
        self.0.expire(now, work);
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.0.next_expiry()
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn keys(&self) -> usize {
        self.0.keys()
    }

    fn bytes(&self) -> usize {
        self.0.bytes()
    }
}
