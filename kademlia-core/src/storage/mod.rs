//! Records held for others, under keys of the overlay: bounded, expiring, and fair to whoever stores them.

use alloc::vec::Vec;
use core::net::IpAddr;
use core::time::Duration;

use crate::rng::Rng;
use crate::time::Instant;

mod counts;
mod ledger;
mod memory;
#[cfg(any(test, feature = "testing"))]
pub mod suite;

pub use memory::MemoryStorage;

/// What is stored: any number of records under one key, each in its slot.
pub trait Record: Clone {
    /// Tells the records under one key apart: a newer record takes the place of an older one in the same slot.
    type Slot: Ord;

    /// This record's slot.
    fn slot(&self) -> Self::Slot;

    /// The address that the record was received from: whom it counts against.
    fn source(&self) -> IpAddr;

    /// Bytes that the record holds on the heap, beside its own size.
    fn heap_bytes(&self) -> usize {
        0
    }
}

/// A record that outlives the process: as bytes in a database.
///
/// The two functions are inverse: `read` of what `write` appended gives an equal record, in the same slot and from the
/// same source. The key and the expiry are kept beside it.
pub trait Durable: Record {
    /// Appends the record's bytes to `out`.
    fn write(&self, out: &mut Vec<u8>);

    /// The record of these bytes; `None` if they are none. Total: bytes from a damaged or foreign file must not make it
    /// panic.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// How much is held, and for whom. A record past a limit is refused with the matching [`NoRoom`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageLimits {
    /// Memory for everything, accounted in bytes (T7: 64 MiB). At the limit the keys farthest from the center give way
    /// to nearer ones.
    pub bytes: usize,
    /// Records under one key (T7: 1,000); 0 for no limit.
    pub per_key: usize,
    /// Records of one source, an IPv4 address or an IPv6 /64 (T7: 64); 0 for no limit.
    pub per_source: usize,
    /// Records of one subnet, an IPv4 /24 or an IPv6 /48 (T7: 1,024); 0 for no limit.
    pub per_subnet: usize,
}

impl Default for StorageLimits {
    fn default() -> Self {
        StorageLimits { bytes: 64 << 20, per_key: 1_000, per_source: 64, per_subnet: 1_024 }
    }
}

/// What an insertion did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The slot was free.
    New,
    /// The record in the slot was replaced.
    Renewed,
}

/// Which limit keeps a record out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// [`StorageLimits::per_source`].
    #[error("the source holds as many records as one may")]
    Source,
    /// [`StorageLimits::per_subnet`].
    #[error("the source's subnet holds as many records as one may")]
    Subnet,
    /// [`StorageLimits::per_key`].
    #[error("the key has as many records as one may")]
    Key,
    /// [`StorageLimits::bytes`], and no key farther from the center to make way.
    #[error("the store is full")]
    Bytes,
}

/// A store of records. Synchronous and bounded: every call but [`recenter`](Storage::recenter) and
/// [`sample_keys`](Storage::sample_keys) costs at most the logarithm of what is held, plus the records under one key.
///
/// Time is an argument and may not go back. A record is never read after it expired; it counts against its limits until
/// [`expire`](Storage::expire) has removed it.
pub trait Storage<K, R: Record> {
    /// Sets the key around which records are worth most, the node's own; those farthest from it give way first.
    /// Costs nothing if it is set already, otherwise time in proportion to the number of keys.
    fn recenter(&mut self, center: K);

    /// Tells that it is `unix` after 1970 when the engine's clock shows `now`. That clock stands still while the machine
    /// sleeps and does not follow when the system's is set, so whoever reads the time of day says it again now and then. For
    /// stores that date what they hold; others need not listen, and what they hold in memory goes by the engine's clock.
    fn set_clock(&mut self, now: Instant, unix: Duration) {
        let _ = (now, unix);
    }

    /// Sets [`StorageLimits::bytes`], for stores that share one budget. What is over it goes at once, the keys farthest
    /// from the center first.
    fn set_limit(&mut self, bytes: usize);

    /// Whether [`insert`](Storage::insert) would take the record.
    ///
    /// # Errors
    /// The limit that keeps it out.
    fn admits(&self, key: &K, record: &R) -> Result<(), NoRoom>;

    /// Stores a record until `expires`, in place of any in the same slot.
    ///
    /// # Errors
    /// The limit that keeps it out; then nothing has changed, but for expired records under this key.
    fn insert(&mut self, now: Instant, key: K, record: R, expires: Instant) -> Result<Placed, NoRoom>;

    /// Removes the record in `slot` under `key`; gives whether there was one, be it expired.
    fn remove(&mut self, key: &K, slot: &R::Slot) -> bool;

    /// Whether there is a record under `key`.
    fn has(&self, now: Instant, key: &K) -> bool;

    /// Appends at most `n` records under `key` to `out`: all, or a random choice spread evenly over the slots' order.
    fn read(&self, now: Instant, key: &K, n: usize, rng: &mut Rng, out: &mut Vec<R>);

    /// Appends at most `n` different keys that hold records to `out`: neighbours from a random one on, each as likely as
    /// any other. May take time in proportion to the number of keys: callers keep what they get for a while.
    fn sample_keys(&self, now: Instant, n: usize, rng: &mut Rng, out: &mut Vec<K>);

    /// Removes expired records. Stops soon after it looked at `work` records; [`next_expiry`](Storage::next_expiry)
    /// then still lies in the past.
    fn expire(&mut self, now: Instant, work: usize);

    /// When there may be something to remove: never later than the first expiry, a little earlier after a renewal.
    fn next_expiry(&self) -> Option<Instant>;

    /// Records held, expired ones that are not yet removed included.
    fn len(&self) -> usize;

    /// Whether nothing is held.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keys that hold records.
    fn keys(&self) -> usize;

    /// Memory held, in bytes, as it counts against [`StorageLimits::bytes`].
    fn bytes(&self) -> usize;
}
