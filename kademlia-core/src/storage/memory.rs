//! The store in memory.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use crate::key::Keyspace;
use crate::rng::Rng;
use crate::storage::counts::{Counts, source};
use crate::storage::ledger::Ledger;
use crate::storage::{NoRoom, Placed, Record, Storage, StorageLimits};
use crate::time::Instant;

/// Records in ordered maps. Allocates nothing until the first record comes.
#[derive(Clone, Debug)]
pub struct MemoryStorage<K, R> {
    limits: StorageLimits,
    center: K,
    /// By distance from the center, so that the last one is the first to give way.
    shelves: BTreeMap<K, Shelf<R>>,
    /// Every shelf's [`due`](Shelf::due), with its key.
    dues: BTreeSet<(Instant, K)>,
    ledger: Ledger<K, R>,
}

/// The records under one key.
#[derive(Clone, Debug)]
struct Shelf<R> {
    /// In the order of their slots.
    records: Vec<Held<R>>,
    /// No record expires before.
    due: Instant,
    heap_bytes: usize,
}

#[derive(Clone, Debug)]
struct Held<R> {
    record: R,
    expires: Instant,
}

impl<R: Record> Shelf<R> {
    fn is_live(&self, now: Instant) -> bool {
        self.records.iter().any(|held| held.expires > now)
    }

    fn find(&self, slot: &R::Slot) -> Result<usize, usize> {
        self.records.binary_search_by(|held| held.record.slot().cmp(slot))
    }

    fn at(&self, slot: &R::Slot) -> Option<&R> {
        let index = self.find(slot).ok()?;
        self.records.get(index).map(|held| &held.record)
    }
}

impl<K: Keyspace, R: Record> MemoryStorage<K, R> {
    /// What a record takes, its heap aside: growing vectors are two thirds full.
    const RECORD: usize = size_of::<Held<R>>() * 3 / 2;
    /// What a key takes: its shelf and its place in both maps, whose nodes are two thirds full, and one allocation.
    const KEY: usize = (2 * size_of::<K>() + size_of::<Shelf<R>>() + size_of::<Instant>()) * 3 / 2 + 16;

    /// An empty store.
    pub fn new(limits: StorageLimits) -> Self {
        MemoryStorage {
            limits,
            center: K::ZERO,
            shelves: BTreeMap::new(),
            dues: BTreeSet::new(),
            ledger: Ledger::default(),
        }
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &StorageLimits {
        &self.limits
    }

    /// From now on every record that leaves is kept for [`take_gone`](Self::take_gone), whatever drove it out: a newer
    /// one in its slot, a nearer key, a limit, its expiry or [`remove`](Storage::remove). For what keeps a copy of the store elsewhere.
    pub fn keep_gone(&mut self) {
        self.ledger.keep_gone();
    }

    /// The records that left since the last time, each with its key, in the order in which they left; none without
    /// [`keep_gone`](Self::keep_gone), after which they have to be taken after every call that may drop any: nothing else
    /// bounds them.
    pub fn take_gone(&mut self) -> impl Iterator<Item = (K, R)> + use<'_, K, R> {
        self.ledger.take_gone()
    }

    fn shelf(&self, key: &K) -> Option<&Shelf<R>> {
        self.shelves.get(&self.center.distance(key))
    }

    /// What there would be to account for with the record stored, in bytes.
    fn bytes_with(&self, key: &K, record: &R) -> usize {
        let shelf = self.shelf(key);
        let replaced = shelf.and_then(|shelf| shelf.at(&record.slot()));
        let keys = self.shelves.len() + usize::from(shelf.is_none());
        let records = self.len() + usize::from(replaced.is_none());
        let counts = self.ledger.counts().len_with(record.source(), replaced.map(R::source));
        let heap = self.ledger.heap_bytes() - replaced.map_or(0, R::heap_bytes);
        Self::weight(keys, records, counts, heap).saturating_add(record.heap_bytes())
    }

    fn weight(keys: usize, records: usize, counts: usize, heap: usize) -> usize {
        keys * Self::KEY + records * Self::RECORD + counts * Counts::ENTRY + heap
    }

    /// Whether so many bytes come free when all keys farther than `key` give way. Every shelf it looks at weighs
    /// something, so it looks at few.
    fn can_free(&self, key: &K, mut bytes: usize) -> bool {
        let limit = self.center.distance(key);
        for (_, shelf) in self.shelves.iter().rev().take_while(|(distance, _)| **distance > limit) {
            bytes = bytes.saturating_sub(Self::weight(1, shelf.records.len(), 0, shelf.heap_bytes));
            if bytes == 0 {
                return true;
            }
        }
        bytes == 0
    }

    /// Removes one record of the key farthest from the center: that of the last slot, the only one that costs no search.
    fn evict_one(&mut self) {
        let Some((distance, shelf)) = self.shelves.iter().next_back() else {
            return;
        };
        let last = shelf.records.len().saturating_sub(1);
        self.take(&self.center.distance(distance), last);
    }

    /// Removes the record at `index` under `key`, and the shelf with its last one.
    fn take(&mut self, key: &K, index: usize) {
        let distance = self.center.distance(key);
        let Some(shelf) = self.shelves.get_mut(&distance) else {
            return;
        };
        if index < shelf.records.len() {
            let record = shelf.records.remove(index).record;
            shelf.heap_bytes -= record.heap_bytes();
            self.ledger.leave(*key, record);
        }
        if shelf.records.is_empty() {
            self.dues.remove(&(shelf.due, *key));
            self.shelves.remove(&distance);
        }
    }

    /// Removes what expired under one key; gives how many records it looked at.
    fn sweep(&mut self, now: Instant, key: &K) -> usize {
        let distance = self.center.distance(key);
        let Some(shelf) = self.shelves.get_mut(&distance) else {
            return 0;
        };
        let looked_at = shelf.records.len();
        self.dues.remove(&(shelf.due, *key));
        for held in shelf.records.extract_if(.., |held| held.expires <= now) {
            shelf.heap_bytes -= held.record.heap_bytes();
            self.ledger.leave(*key, held.record);
        }
        match shelf.records.iter().map(|held| held.expires).min() {
            Some(due) => {
                shelf.due = due;
                self.dues.insert((due, *key));
            }
            None => {
                self.shelves.remove(&distance);
            }
        }
        looked_at
    }

    /// Puts the record in its place; all limits have been seen to.
    fn put(&mut self, key: K, record: R, expires: Instant) -> Placed {
        let slot = record.slot();
        self.ledger.enter(&record);
        let dues = &mut self.dues;
        let shelf = self.shelves.entry(self.center.distance(&key)).or_insert_with(|| {
            dues.insert((expires, key));
            Shelf { records: Vec::new(), due: expires, heap_bytes: 0 }
        });
        shelf.heap_bytes += record.heap_bytes();
        if expires < shelf.due {
            dues.remove(&(shelf.due, key));
            dues.insert((expires, key));
            shelf.due = expires;
        }
        let held = Held { record, expires };
        match shelf.find(&slot) {
            Ok(index) => {
                if let Some(place) = shelf.records.get_mut(index) {
                    let old = mem::replace(place, held).record;
                    shelf.heap_bytes -= old.heap_bytes();
                    self.ledger.leave(key, old);
                }
                Placed::Renewed
            }
            Err(index) => {
                shelf.records.insert(index, held);
                Placed::New
            }
        }
    }
}

impl<K: Keyspace, R: Record> Default for MemoryStorage<K, R> {
    fn default() -> Self {
        Self::new(StorageLimits::default())
    }
}

impl<K: Keyspace, R: Record> Storage<K, R> for MemoryStorage<K, R> {
    fn recenter(&mut self, center: K) {
        if center == self.center {
            return;
        }
        let old = mem::replace(&mut self.center, center);
        let shelves = mem::take(&mut self.shelves).into_iter();
        self.shelves =
            shelves.map(|(distance, shelf)| (center.distance(&old.distance(&distance)), shelf)).collect();
    }

    fn set_limit(&mut self, bytes: usize) {
        self.limits.bytes = bytes;
        while self.bytes() > bytes && !self.shelves.is_empty() {
            self.evict_one();
        }
    }

    fn admits(&self, key: &K, record: &R) -> Result<(), NoRoom> {
        let shelf = self.shelf(key);
        let replaced = shelf.and_then(|shelf| shelf.at(&record.slot()));
        if replaced.is_none_or(|old| source(old.source()) != source(record.source())) {
            self.ledger.counts().admit(record.source(), &self.limits)?;
        }
        let held = shelf.map_or(0, |shelf| shelf.records.len());
        if replaced.is_none() && self.limits.per_key != 0 && held >= self.limits.per_key {
            return Err(NoRoom::Key);
        }
        let excess = self.bytes_with(key, record).saturating_sub(self.limits.bytes);
        if self.can_free(key, excess) { Ok(()) } else { Err(NoRoom::Bytes) }
    }

    fn insert(&mut self, now: Instant, key: K, record: R, expires: Instant) -> Result<Placed, NoRoom> {
        if self.shelf(&key).is_some_and(|shelf| shelf.due <= now) {
            self.sweep(now, &key);
        }
        self.admits(&key, &record)?;
        while self.bytes_with(&key, &record) > self.limits.bytes && !self.shelves.is_empty() {
            self.evict_one();
        }
        Ok(self.put(key, record, expires))
    }

    fn remove(&mut self, key: &K, slot: &R::Slot) -> bool {
        let Some(index) = self.shelf(key).and_then(|shelf| shelf.find(slot).ok()) else {
            return false;
        };
        self.take(key, index);
        true
    }

    fn has(&self, now: Instant, key: &K) -> bool {
        self.shelf(key).is_some_and(|shelf| shelf.is_live(now))
    }

    fn read(&self, now: Instant, key: &K, n: usize, rng: &mut Rng, out: &mut Vec<R>) {
        let Some(shelf) = self.shelf(key) else { return };
        let held = shelf.records.len();
        let n = n.min(held);
        // One from each of n equal stretches: no shuffle, no repetition, and no cluster of neighbouring slots.
        let bounds = (0..n).map(|stretch| (stretch * held / n, (stretch + 1) * held / n));
        let chosen = bounds.filter_map(|(start, end)| shelf.records.get(start + rng.below(end - start)));
        out.extend(chosen.filter(|held| held.expires > now).map(|held| held.record.clone()));
    }

    fn sample_keys(&self, now: Instant, n: usize, rng: &mut Rng, out: &mut Vec<K>) {
        // Not from a random key on: what a node holds lies close to it, and beyond nearly every key there is nothing.
        let start = rng.below(self.shelves.len());
        let shelves = self.shelves.iter().skip(start).chain(self.shelves.iter().take(start));
        let live = shelves.filter(|(_, shelf)| shelf.is_live(now));
        out.extend(live.take(n).map(|(distance, _)| self.center.distance(distance)));
    }

    fn expire(&mut self, now: Instant, mut work: usize) {
        while let Some((due, key)) = self.dues.first().copied()
            && due <= now
            && work > 0
        {
            work = work.saturating_sub(self.sweep(now, &key));
        }
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.dues.first().map(|(due, _)| *due)
    }

    fn len(&self) -> usize {
        self.ledger.records()
    }

    fn keys(&self) -> usize {
        self.shelves.len()
    }

    fn bytes(&self) -> usize {
        let ledger = &self.ledger;
        Self::weight(self.shelves.len(), self.len(), ledger.counts().len(), ledger.heap_bytes())
    }
}

#[cfg(test)]
mod tests;
