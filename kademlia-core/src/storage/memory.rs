//! The store in memory.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::mem;

use crate::key::Keyspace;
use crate::rng::Rng;
use crate::storage::counts::{Counts, source};
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
    counts: Counts,
    records: usize,
    heap_bytes: usize,
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
            counts: Counts::default(),
            records: 0,
            heap_bytes: 0,
        }
    }

    /// The limits it was made with.
    pub fn limits(&self) -> &StorageLimits {
        &self.limits
    }

    fn shelf(&self, key: &K) -> Option<&Shelf<R>> {
        self.shelves.get(&self.center.distance(key))
    }

    /// What there would be to account for with the record stored, in bytes.
    fn bytes_with(&self, key: &K, record: &R) -> usize {
        let shelf = self.shelf(key);
        let replaced = shelf.and_then(|shelf| shelf.at(&record.slot()));
        let own = if replaced.is_some() { 0 } else { Self::RECORD };
        let key = if shelf.is_some() { 0 } else { Self::KEY };
        let counts = self.counts.missing(record.source()) * Counts::ENTRY;
        let before = self.bytes() - replaced.map_or(0, R::heap_bytes);
        before.saturating_add(own + key + counts).saturating_add(record.heap_bytes())
    }

    /// Whether so many bytes come free when all keys farther than `key` give way. Every shelf it looks at weighs
    /// something, so it looks at few.
    fn can_free(&self, key: &K, mut bytes: usize) -> bool {
        let limit = self.center.distance(key);
        for (_, shelf) in self.shelves.iter().rev().take_while(|(distance, _)| **distance > limit) {
            let weight = Self::KEY + shelf.records.len() * Self::RECORD + shelf.heap_bytes;
            bytes = bytes.saturating_sub(weight);
            if bytes == 0 {
                return true;
            }
        }
        bytes == 0
    }

    /// Removes one record of the key farthest from the center: that of the last slot, the only one that costs no search.
    fn evict_one(&mut self) {
        let Some(mut farthest) = self.shelves.last_entry() else {
            return;
        };
        let shelf = farthest.get_mut();
        if let Some(held) = shelf.records.pop() {
            let bytes = held.record.heap_bytes();
            shelf.heap_bytes -= bytes;
            self.heap_bytes -= bytes;
            self.records -= 1;
            self.counts.remove(held.record.source());
        }
        if shelf.records.is_empty() {
            let (distance, shelf) = farthest.remove_entry();
            self.dues.remove(&(shelf.due, self.center.distance(&distance)));
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
        let (counts, mut freed) = (&mut self.counts, 0);
        shelf.records.retain(|held| {
            let live = held.expires > now;
            if !live {
                freed += held.record.heap_bytes();
                counts.remove(held.record.source());
            }
            live
        });
        shelf.heap_bytes -= freed;
        self.heap_bytes -= freed;
        self.records -= looked_at - shelf.records.len();
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
        let (slot, bytes) = (record.slot(), record.heap_bytes());
        self.counts.add(record.source());
        self.heap_bytes += bytes;
        let dues = &mut self.dues;
        let shelf = self.shelves.entry(self.center.distance(&key)).or_insert_with(|| {
            dues.insert((expires, key));
            Shelf { records: Vec::new(), due: expires, heap_bytes: 0 }
        });
        shelf.heap_bytes += bytes;
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
                    self.heap_bytes -= old.heap_bytes();
                    self.counts.remove(old.source());
                }
                Placed::Renewed
            }
            Err(index) => {
                shelf.records.insert(index, held);
                self.records += 1;
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
            self.counts.admit(record.source(), &self.limits)?;
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
        self.records
    }

    fn keys(&self) -> usize {
        self.shelves.len()
    }

    fn bytes(&self) -> usize {
        let keys = self.shelves.len() * Self::KEY;
        keys + self.records * Self::RECORD + self.counts.len() * Counts::ENTRY + self.heap_bytes
    }
}

#[cfg(test)]
mod tests;
