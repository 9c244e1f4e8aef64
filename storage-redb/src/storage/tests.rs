//! The store on a disk that can be copied, filled and broken.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::{Duration, UNIX_EPOCH};

use kademlia_core::storage_suite::Note;
use kademlia_core::{Key, Record};

use super::*;

mod broken;
mod platter;
mod reopened;

use platter::Platter;

type Store = RedbStorage<Key<1>, Note>;

const NOW: Instant = Instant::from_secs(1_000);
const UNLIMITED: StorageLimits =
    StorageLimits { bytes: usize::MAX, per_key: 0, per_source: 0, per_subnet: 0 };

fn wall(secs: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(secs)
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A store on `platter`, at the time [`NOW`] and so many seconds after 1970.
fn open(platter: &Platter, unix_secs: u64) -> Result<Store, OpenError> {
    open_limited(platter, UNLIMITED, unix_secs)
}

fn open_limited(platter: &Platter, limits: StorageLimits, unix_secs: u64) -> Result<Store, OpenError> {
    RedbStorage::open_with(platter.opener(8), limits, Key::ZERO, NOW, wall(unix_secs))
}

fn note(slot: u8) -> Note {
    Note::new(slot, IpAddr::from([192, 0, 2, slot]))
}

fn insert(store: &mut Store, key: u8, slot: u8, ttl: u64) {
    assert_eq!(store.insert(NOW, Key::new([key]), note(slot), NOW + secs(ttl)), Ok(Placed::New));
}

/// Everything that can be read, by key and slot.
fn contents(store: &Store, now: Instant) -> BTreeMap<(u8, u8), Note> {
    let (mut rng, mut keys) = (Rng::from_number(0), Vec::new());
    store.sample_keys(now, usize::MAX, &mut rng, &mut keys);
    let mut contents = BTreeMap::new();
    for key in keys {
        let mut notes = Vec::new();
        store.read(now, &key, usize::MAX, &mut rng, &mut notes);
        contents.extend(notes.into_iter().map(|note| ((key.to_bytes()[0], note.slot()), note)));
    }
    contents
}

fn slots(store: &Store, now: Instant) -> BTreeSet<u8> {
    contents(store, now).into_keys().map(|(_, slot)| slot).collect()
}

kademlia_core::storage_suite!(300, |limits| open_limited(&Platter::default(), limits, 0).unwrap());
