//! The store: records in memory, and word of every change to the writer.

use std::fmt;
use std::mem;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kademlia_core::{Durable, Instant, Keyspace, MemoryStorage, NoRoom, Placed, Rng, Storage, StorageLimits};

use crate::changes::Notes;
use crate::clock::Clock;
use crate::disk::{self, Disk, Opener};
use crate::error::{OpenError, Unwritten};
use crate::file;
use crate::row::{Place, Row};
use crate::writer::{Health, Writer};

/// A [`Storage`] whose records survive the process.
///
/// Everything is served from memory, as by [`MemoryStorage`]; no call but [`open`](Self::open) and [`flush`](Self::flush) waits for
/// the disk. A thread of the store's own writes what has changed, at most every 250 ms and in one transaction, so that a
/// process killed at any moment loses what changed in the last second, and the file is as it was at one moment of that second.
///
/// **If the disk is slow**, more is lost in such a case. **If it is full or fails**, the store goes on in memory; the changes wait,
/// are tried again every five seconds, and [`health`](Self::health) tells. What waits is bounded: of each record only the
/// last state is kept, and of those that came and went nothing. It takes at most as much memory again as the records
/// themselves, which [`StorageLimits::bytes`] does not count.
///
/// **Time.** In the file, expiries are times of day; in memory, the engine's clock counts. A record that expired while the store was
/// closed is not read and leaves the file. If the system's clock is behind the time at which the file was last written, no time
/// has passed: records keep what time they had, and none gains any. While the store is open the time of day follows the engine's
/// clock, and [`set_clock`](Storage::set_clock) when that has fallen behind, because the machine slept or its clock was set.
///
/// Dropping the store writes what is left.
pub struct RedbStorage<K, R> {
    memory: MemoryStorage<K, Row<R>>,
    clock: Clock,
    last_id: u64,
    /// The bytes of the record that is being inserted.
    bytes: Vec<u8>,
    writer: Writer,
}

impl<K: Keyspace, R: Durable> RedbStorage<K, R> {
    /// Opens the database at `path`, or makes one there that only its owner can read (mode 0600). Reads all records that have not
    /// expired at the time of day `wall`, which is `now` on the engine's clock; `center` decides which of them give way if the
    /// limits have become too low for them all.
    ///
    /// Takes time in proportion to the file, whose checksums are verified.
    ///
    /// # Errors
    /// Whatever keeps it from being opened whole. A file that is not a database, or is damaged, is never overwritten.
    pub fn open(
        path: impl AsRef<Path>,
        limits: StorageLimits,
        center: K,
        now: Instant,
        wall: SystemTime,
    ) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        file::create(&path, |database| disk::prepare(database, K::BITS as u64))?;
        Self::open_with(Box::new(move || file::open(&path)), limits, center, now, wall)
    }

    fn open_with(
        opener: Opener,
        limits: StorageLimits,
        center: K,
        now: Instant,
        wall: SystemTime,
    ) -> Result<Self, OpenError> {
        let mut disk = Disk::open(opener, K::BITS as u64)?;
        let unix = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let clock = Clock::new(now, unix, disk.written);
        let (mut memory, mut notes) = (MemoryStorage::new(limits), Notes::default());
        memory.keep_gone();
        memory.recenter(center);
        // By a clock that was ahead, everything has to be moved, and what expired does not lie first any more.
        let first = if clock.went_back() { 0 } else { clock.to_unix(now) };
        disk.read(first, |place, bytes| {
            if clock.is_over(place.expires) {
                notes.clear(place);
                return Ok(());
            }
            let (key, record) = row::<K, R>(bytes).ok_or(OpenError::Unreadable)?;
            let corrected = Place { expires: clock.corrected(place.expires), ..place };
            if corrected != place {
                notes.clear(place);
                notes.put(corrected, bytes.into());
            }
            let expires = clock.to_instant(corrected.expires);
            if memory.insert(now, key, Row { place: corrected, record }, expires).is_err() {
                notes.clear(corrected);
            }
            memory.take_gone().for_each(|(_, row)| notes.clear(row.place));
            Ok(())
        })?;
        let last_id = disk.last_id;
        let writer = Writer::start(disk, notes, clock.to_unix(now))?;
        Ok(RedbStorage { memory, clock, last_id, bytes: Vec::new(), writer })
    }

    /// Waits until everything up to now is on disk.
    ///
    /// # Errors
    /// If it could not be written. It is kept, and tried again.
    pub fn flush(&self) -> Result<(), Unwritten> {
        self.writer.flush()
    }

    /// How the database keeps up with what changes.
    pub fn health(&self) -> Health {
        self.writer.health()
    }

    /// The limits in force.
    pub fn limits(&self) -> &StorageLimits {
        self.memory.limits()
    }

    /// Writes everything anew as the present clock has it; `before` is the one that it was written by.
    fn redate(&mut self, now: Instant, before: Clock) {
        let (mut rng, mut keys, mut rows) = (Rng::from_number(0), Vec::new(), Vec::new());
        self.memory.sample_keys(now, usize::MAX, &mut rng, &mut keys);
        for key in keys {
            self.memory.read(now, &key, usize::MAX, &mut rng, &mut rows);
            for row in rows.drain(..) {
                // In its own place, where there is room for it.
                self.insert(now, key, row.record, before.to_instant(row.place.expires)).ok();
            }
        }
    }

    /// Tells the writer the time, what left memory, and what came.
    fn note(&mut self, now: Instant, put: Option<(Place, Box<[u8]>)>) {
        let gone = self.memory.take_gone();
        self.writer.note(self.clock.to_unix(now), |notes| {
            gone.for_each(|(_, row)| notes.clear(row.place));
            if let Some((place, bytes)) = put {
                notes.put(place, bytes);
            }
        });
    }
}

/// A row's bytes are its key's and its record's.
fn row<K: Keyspace, R: Durable>(bytes: &[u8]) -> Option<(K, R)> {
    let (key, record) = bytes.split_at_checked(K::BITS / 8)?;
    Some((K::from_slice(key)?, R::read(record)?))
}

impl<K: Keyspace, R: Durable> Storage<K, R> for RedbStorage<K, R> {
    fn recenter(&mut self, center: K) {
        self.memory.recenter(center);
    }

    /// Takes time in proportion to what is held if the clock was [known](Self::open) to be behind and is set right.
    fn set_clock(&mut self, now: Instant, unix: Duration) {
        let Some(clock) = self.clock.advanced(now, unix) else { return };
        let before = mem::replace(&mut self.clock, clock);
        // What was known to be wrong is corrected, and no time has passed. Otherwise it has, and records are that much older.
        if before.went_back() {
            self.redate(now, before);
        }
        self.note(now, None);
    }

    fn set_limit(&mut self, bytes: usize) {
        self.memory.set_limit(bytes);
        self.note(Instant::ZERO, None);
    }

    fn admits(&self, key: &K, record: &R) -> Result<(), NoRoom> {
        // The place has no part in it.
        let row = Row { place: Place { expires: 0, id: 0 }, record: record.clone() };
        self.memory.admits(key, &row)
    }

    fn insert(&mut self, now: Instant, key: K, record: R, expires: Instant) -> Result<Placed, NoRoom> {
        self.bytes.clear();
        self.bytes.extend_from_slice(key.as_bytes());
        record.write(&mut self.bytes);
        let place = Place { expires: self.clock.to_unix(expires), id: self.last_id + 1 };
        let placed = self.memory.insert(now, key, Row { place, record }, expires);
        let put = placed.is_ok().then(|| (place, Box::from(self.bytes.as_slice())));
        self.last_id += u64::from(placed.is_ok());
        self.note(now, put);
        placed
    }

    fn remove(&mut self, key: &K, slot: &R::Slot) -> bool {
        let removed = self.memory.remove(key, slot);
        self.note(Instant::ZERO, None);
        removed
    }

    fn has(&self, now: Instant, key: &K) -> bool {
        self.memory.has(now, key)
    }

    fn read(&self, now: Instant, key: &K, n: usize, rng: &mut Rng, out: &mut Vec<R>) {
        let mut rows = Vec::new();
        self.memory.read(now, key, n, rng, &mut rows);
        out.extend(rows.into_iter().map(|row| row.record));
    }

    fn sample_keys(&self, now: Instant, n: usize, rng: &mut Rng, out: &mut Vec<K>) {
        self.memory.sample_keys(now, n, rng, out);
    }

    fn expire(&mut self, now: Instant, work: usize) {
        self.memory.expire(now, work);
        self.note(now, None);
    }

    fn next_expiry(&self) -> Option<Instant> {
        self.memory.next_expiry()
    }

    fn len(&self) -> usize {
        self.memory.len()
    }

    fn keys(&self) -> usize {
        self.memory.keys()
    }

    fn bytes(&self) -> usize {
        self.memory.bytes()
    }
}

impl<K, R> fmt::Debug for RedbStorage<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStorage").field("health", &self.writer.health()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
