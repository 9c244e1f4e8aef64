//! How long an insertion keeps its caller, in memory and with a database behind it: median and 99th percentile.
//!
//! Both stores are full and take the same insertions in turns, so that whatever else the machine does falls on both alike. They
//! come as fast as the store takes them, far faster than any node receives them: whenever the writer has rested, much waits.
#![allow(missing_docs)]

use std::error::Error;
use std::hint::black_box;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, SystemTime};

use kademlia_core::{Durable, Instant, Key, Keyspace, MemoryStorage, Record, Rng, Storage, StorageLimits};
use storage_redb::RedbStorage;

const ROUNDS: usize = 200;
const TURN: usize = 2_000;
/// Keys in use. With [`VALUE`] a third more than fits, so that far keys give way all the time.
const KEYS: usize = 100_000;
const VALUE: usize = 500;
const LIMITS: StorageLimits = StorageLimits { bytes: 64 << 20, per_key: 1_000, per_source: 0, per_subnet: 0 };

#[derive(Clone, Debug)]
struct Value(Vec<u8>);

impl Record for Value {
    type Slot = ();

    fn slot(&self) {}

    fn source(&self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::LOCALHOST)
    }

    fn heap_bytes(&self) -> usize {
        self.0.len()
    }
}

impl Durable for Value {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(Value(bytes.to_vec()))
    }
}

/// One turn of insertions; the time of each goes into `times`.
fn turn(
    store: &mut impl Storage<Key<20>, Value>,
    keys: &[Key<20>],
    rng: &mut Rng,
    times: &mut Vec<Duration>,
) {
    for _ in 0..TURN {
        let key = keys[rng.below(keys.len())];
        let value = Value(vec![7; VALUE]);
        let start = std::time::Instant::now();
        black_box(store.insert(Instant::ZERO, key, value, Instant::from_secs(3_600))).ok();
        times.push(start.elapsed());
    }
}

/// Nanoseconds.
fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[times.len() * percent / 100].as_secs_f64() * 1e9
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let file = directory.path().join("records");
    let mut memory = MemoryStorage::new(LIMITS);
    let mut redb = RedbStorage::open(file, LIMITS, Key::ZERO, Instant::ZERO, SystemTime::now())?;
    let mut rng = Rng::from_number(1);
    let keys: Vec<Key<20>> = (0..KEYS).map(|_| Key::random(&mut rng)).collect();

    let (mut in_memory, mut with_redb, mut warm_up) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..2 * ROUNDS {
        let mut same = rng.clone();
        let filling = round < ROUNDS;
        turn(&mut memory, &keys, &mut same, if filling { &mut warm_up } else { &mut in_memory });
        turn(&mut redb, &keys, &mut rng, if filling { &mut warm_up } else { &mut with_redb });
    }
    redb.flush()?;

    let mut out = io::stdout();
    writeln!(out, "{:>10}  {:>10}  {:>10}  {:>6}", "insertion", "memory", "redb", "ratio")?;
    for (name, percent) in [("median", 50), ("p99", 99)] {
        let (memory, redb) = (percentile(&mut in_memory, percent), percentile(&mut with_redb, percent));
        writeln!(out, "{name:>10}  {memory:>7.0} ns  {redb:>7.0} ns  {:>6.2}", redb / memory)?;
    }
    writeln!(out, "{} records held, {:?}", redb.len(), redb.health())?;
    Ok(())
}
