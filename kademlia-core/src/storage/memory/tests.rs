//! What only the store in memory has; the rest is the suite's.

use alloc::vec;
use core::net::IpAddr;

use super::*;
use crate::key::Key;
use crate::storage::suite::Note;

type Store = MemoryStorage<Key<1>, Note>;

crate::storage_suite!(10_000, Store::new);

#[test]
fn whatever_leaves_is_kept_for_whoever_wants_to_know() {
    let note = |slot| Note::new(slot, IpAddr::from([192, 0, 2, slot]));
    let (one, two, later) = (Key::new([1]), Key::new([2]), Instant::from_secs(1));
    let mut store = Store::default();
    let insert = |store: &mut Store, now, key, slot| store.insert(now, key, note(slot), later).is_ok();
    assert!(insert(&mut store, Instant::ZERO, one, 0) && store.remove(&one, &0));
    assert!(store.take_gone().next().is_none(), "nobody wanted to know");

    store.keep_gone();
    assert!([0, 1, 2, 3].into_iter().all(|slot| insert(&mut store, Instant::ZERO, one, slot)));
    assert!(insert(&mut store, Instant::ZERO, two, 0));
    assert!(insert(&mut store, Instant::ZERO, one, 0), "replaces");
    assert!(store.remove(&one, &1));
    store.set_limit(store.bytes() - 1);
    store.expire(later, usize::MAX);
    let gone: Vec<_> = store.take_gone().map(|(key, note)| (key, note.slot())).collect();
    assert_eq!(gone, vec![(one, 0), (one, 1), (two, 0), (one, 0), (one, 2), (one, 3)]);
    assert!(store.take_gone().next().is_none() && store.is_empty());

    assert!(insert(&mut store, later, one, 0), "expired on arrival");
    assert!(insert(&mut store, later, one, 1), "and swept by the next");
    store.recenter(two);
    assert_eq!(store.take_gone().map(|(_, note)| note.slot()).collect::<Vec<_>>(), [0]);
}
