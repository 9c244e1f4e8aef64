//! One thing each, by example.

use alloc::collections::BTreeSet;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::any;
use proptest::prop_assert_eq;

use super::model::Tariff;
use super::{Note, START, UNLIMITED, all_keys, holds, insert, read_all, sample, store_key, v4};
use crate::key::Key;
use crate::rng::Rng;
use crate::storage::{NoRoom, Placed, Storage, StorageLimits};
use crate::time::Instant;

/// A record is there until another one comes into its slot.
pub fn what_is_inserted_is_read_until_its_slot_is_taken<S: Storage<Key<1>, Note>>(
    _: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let mut store = make(UNLIMITED);
    assert!(store.is_empty() && !store.has(START, &store_key(1)));
    assert_eq!((store.keys(), store.bytes(), store.next_expiry()), (0, 0, None));
    for (key, slot) in [(1, 2), (1, 1), (2, 1)] {
        assert_eq!(insert(&mut store, key, slot), Ok(Placed::New));
    }
    assert_eq!((store.len(), store.keys()), (3, 2));
    assert!(store.has(START, &store_key(1)) && !store.has(START, &store_key(3)));
    assert_eq!(read_all(&store, START, 1), [Note::new(1, v4(1, 1)), Note::new(2, v4(1, 1))]);

    let newer = Note { heap: 7, ..Note::new(1, v4(9, 9)) };
    let bytes = store.bytes();
    assert_eq!(store.insert(START, store_key(1), newer.clone(), Instant::NEVER), Ok(Placed::Renewed));
    assert_eq!(read_all(&store, START, 1), [newer, Note::new(2, v4(1, 1))]);
    assert_eq!((store.len(), store.keys()), (3, 2));
    assert!(store.bytes() >= bytes + 7, "heap and a source more");
    assert_eq!(insert(&mut store, 1, 1), Ok(Placed::Renewed));
    assert_eq!(store.bytes(), bytes);
}

/// To the microsecond, removed or not.
pub fn p42_a_record_is_read_until_it_expires_and_never_after<S: Storage<Key<1>, Note>>(
    _: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let mut store = make(UNLIMITED);
    let (key, tick) = (store_key(1), Duration::from_micros(1));
    let expires = START + Duration::from_secs(60);
    for (slot, expires) in [(0, expires), (1, expires + tick), (2, START)] {
        assert_eq!(store.insert(START, key, Note::new(slot, v4(0, 1)), expires), Ok(Placed::New));
    }
    let slots = |store: &S, now| read_all(store, now, 1).iter().map(|note| note.slot).collect::<Vec<_>>();
    assert_eq!(slots(&store, START), [0, 1], "what expires at once is never read");
    assert_eq!(slots(&store, expires - tick), [0, 1]);
    assert_eq!(slots(&store, expires), [1]);
    assert!(store.has(expires, &key));
    assert_eq!(slots(&store, expires + tick), Vec::<u8>::new());
    assert!(!store.has(expires + tick, &key));
    let mut keys = vec![];
    store.sample_keys(expires + tick, 9, &mut Rng::from_number(0), &mut keys);
    assert_eq!(keys, []);

    let renewed = expires + Duration::from_secs(60);
    assert_eq!(store.insert(expires - tick, key, Note::new(0, v4(0, 1)), renewed), Ok(Placed::Renewed));
    assert_eq!(slots(&store, renewed - tick), [0]);
    assert_eq!(slots(&store, renewed), Vec::<u8>::new());
}

/// Of many records so many are read, and each once.
pub fn a_read_is_a_choice_without_repetition<S: Storage<Key<1>, Note>>(
    cases: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    holds(cases, &(0..40_u8, 0..50_usize, any::<u64>()), |(held, n, seed)| {
        let mut store = make(UNLIMITED);
        for slot in 0..held {
            prop_assert_eq!(insert(&mut store, 0, slot), Ok(Placed::New));
        }
        let mut read = vec![];
        store.read(START, &store_key(0), n, &mut Rng::from_number(seed), &mut read);
        let slots: BTreeSet<u8> = read.iter().map(|note| note.slot).collect();
        prop_assert_eq!(read.len(), n.min(usize::from(held)));
        prop_assert_eq!(slots.len(), read.len());
        Ok(())
    });
}

/// No record is favoured by its slot.
pub fn every_record_is_chosen_about_as_often_as_any_other<S: Storage<Key<1>, Note>>(
    _: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let mut store = make(UNLIMITED);
    for slot in 0..10 {
        assert_eq!(insert(&mut store, 0, slot), Ok(Placed::New));
    }
    let (mut chosen, mut rng) = ([0_u32; 10], Rng::from_number(1));
    for _ in 0..10_000 {
        let mut read = vec![];
        store.read(START, &store_key(0), 3, &mut rng, &mut read);
        read.iter().for_each(|note| chosen[usize::from(note.slot)] += 1);
    }
    assert!(chosen.iter().all(|times| (2_000..4_000).contains(times)), "{chosen:?}");
}

/// Per key, per source and per subnet; renewing is always possible.
pub fn fs_b10_each_limit_is_reached_and_named<S: Storage<Key<1>, Note>>(
    _: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let mut store = make(StorageLimits { bytes: usize::MAX, per_key: 2, per_source: 3, per_subnet: 4 });
    let mut insert = |key: u8, slot, ip| {
        let (key, note) = (store_key(key), Note::new(slot, ip));
        let admitted = store.admits(&key, &note);
        let placed = store.insert(START, key, note, Instant::NEVER);
        assert_eq!(placed.map(drop), admitted);
        placed
    };
    assert_eq!(insert(1, 1, v4(0, 1)), Ok(Placed::New));
    assert_eq!(insert(1, 2, v4(0, 1)), Ok(Placed::New));
    assert_eq!(insert(1, 3, v4(9, 9)), Err(NoRoom::Key));
    assert_eq!(insert(2, 1, v4(0, 1)), Ok(Placed::New));
    assert_eq!(insert(3, 1, v4(0, 1)), Err(NoRoom::Source));
    assert_eq!(insert(1, 1, v4(0, 1)), Ok(Placed::Renewed), "one's own can always be renewed");
    assert_eq!(insert(3, 1, v4(0, 2)), Ok(Placed::New));
    assert_eq!(insert(4, 1, v4(0, 3)), Err(NoRoom::Subnet));
    assert_eq!(insert(4, 1, v4(1, 1)), Ok(Placed::New));
}

/// The eviction rule, where there is room for three.
pub fn t7_over_budget_the_farthest_key_gives_way_to_nearer_ones_only<S: Storage<Key<1>, Note>>(
    _: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let one = Tariff::of(make(UNLIMITED)).one();
    let mut store = make(StorageLimits { bytes: 3 * one, ..UNLIMITED });
    store.recenter(store_key(0xf0));
    for key in [0x0f, 0x0e, 0x0d] {
        assert_eq!(insert(&mut store, key, 0), Ok(Placed::New));
    }
    assert_eq!(insert(&mut store, 0xf8, 0), Ok(Placed::New), "0f gives way");
    assert_eq!(insert(&mut store, 0x0f, 0), Err(NoRoom::Bytes), "and does not come back");
    assert_eq!(all_keys(&store), [0x0d, 0x0e, 0xf8]);
}

/// What is over a lowered limit goes, the farthest keys first; a raised one makes room.
pub fn p41_a_lower_limit_holds_at_once<S: Storage<Key<1>, Note>>(_: u32, make: impl Fn(StorageLimits) -> S) {
    let one = Tariff::of(make(UNLIMITED)).one();
    let mut store = make(UNLIMITED);
    for key in 0..8 {
        assert_eq!(insert(&mut store, key, 0), Ok(Placed::New));
    }
    store.set_limit(5 * one);
    assert_eq!((all_keys(&store), store.bytes()), (vec![0, 1, 2, 3, 4], 5 * one));
    store.set_limit(5 * one - 1);
    assert_eq!((all_keys(&store), store.bytes()), (vec![0, 1, 2, 3], 4 * one));
    assert_eq!(insert(&mut store, 9, 0), Err(NoRoom::Bytes));
    store.set_limit(5 * one);
    assert_eq!(insert(&mut store, 9, 0), Ok(Placed::New));
    store.set_limit(0);
    assert_eq!((store.len(), store.keys(), store.bytes()), (0, 0, 0));
}

/// Distance is measured from the new center, for what was there before, too; nothing is lost by the move itself.
pub fn a_new_center_changes_who_gives_way<S: Storage<Key<1>, Note>>(
    _: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let one = Tariff::of(make(UNLIMITED)).one();
    let mut store = make(StorageLimits { bytes: 3 * one, ..UNLIMITED });
    for key in [0x10, 0x20, 0x80] {
        assert_eq!(insert(&mut store, key, 0), Ok(Placed::New));
    }
    store.recenter(store_key(0x90));
    assert_eq!((all_keys(&store), store.bytes()), (vec![0x10, 0x20, 0x80], 3 * one));
    assert_eq!(read_all(&store, START, 0x20), [Note::new(0, v4(0x20, 1))]);
    assert_eq!(insert(&mut store, 0x91, 0), Ok(Placed::New), "20 gives way");
    assert_eq!(all_keys(&store), [0x10, 0x80, 0x91]);
}

/// Neither in what is read nor in any figure, nor against any quota.
pub fn what_is_removed_leaves_no_trace<S: Storage<Key<1>, Note>>(_: u32, make: impl Fn(StorageLimits) -> S) {
    let mut store = make(StorageLimits { per_source: 2, ..UNLIMITED });
    let expires = START + Duration::from_secs(1);
    let put = |store: &mut S, key, slot, expires| {
        store.insert(START, store_key(key), Note { heap: 9, ..Note::new(slot, v4(0, 1)) }, expires)
    };
    assert_eq!(put(&mut store, 1, 1, expires), Ok(Placed::New));
    let bytes = store.bytes();
    assert_eq!(put(&mut store, 1, 2, Instant::NEVER), Ok(Placed::New));
    assert_eq!(put(&mut store, 2, 1, Instant::NEVER), Err(NoRoom::Source));
    assert!(!store.remove(&store_key(1), &3) && !store.remove(&store_key(2), &1));
    assert!(store.remove(&store_key(1), &2) && !store.remove(&store_key(1), &2));
    assert_eq!((store.len(), store.keys(), store.bytes()), (1, 1, bytes));
    assert_eq!(put(&mut store, 2, 1, Instant::NEVER), Ok(Placed::New));
    assert!(store.remove(&store_key(2), &1));
    assert!(store.remove(&store_key(1), &1), "expired or not");
    assert_eq!((store.len(), store.keys(), store.bytes(), store.next_expiry()), (0, 0, 0, None));
    assert_eq!(read_all(&store, START, 1), []);
}

/// Whatever is held and whoever asks.
pub fn sampled_keys_are_different_live_and_no_more_than_asked_for<S: Storage<Key<1>, Note>>(
    cases: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let keys = proptest::collection::btree_set(any::<u8>(), 0..60);
    holds(cases, &(keys, 0..20_usize, any::<u64>()), |(keys, n, seed)| {
        let mut store = make(UNLIMITED);
        store.recenter(store_key(0x5a));
        for key in &keys {
            let expires = START + Duration::from_secs(u64::from(key % 2));
            let placed = store.insert(START, store_key(*key), Note::new(0, v4(*key, 1)), expires);
            prop_assert_eq!(placed, Ok(Placed::New));
        }
        let live: BTreeSet<u8> = keys.into_iter().filter(|key| key % 2 == 1).collect();
        let sampled = sample(&store, n, &mut Rng::from_number(seed));
        let distinct: BTreeSet<u8> = sampled.iter().copied().collect();
        prop_assert_eq!(sampled.len(), n.min(live.len()));
        prop_assert_eq!(distinct.len(), sampled.len());
        prop_assert_eq!(distinct.difference(&live).count(), 0);
        Ok(())
    });
}

/// Nodes hold what lies close to them; a choice by distance would always hit the same keys.
pub fn sampled_keys_are_drawn_from_all_however_close_together_they_lie<S: Storage<Key<1>, Note>>(
    _: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let mut store = make(UNLIMITED);
    store.recenter(store_key(0x40));
    for key in 0x40..0x48 {
        assert_eq!(insert(&mut store, key, 0), Ok(Placed::New));
    }
    let (mut rng, mut times) = (Rng::from_number(1), [0; 8]);
    for _ in 0..8_000 {
        sample(&store, 2, &mut rng).iter().for_each(|key| times[usize::from(key - 0x40)] += 1);
    }
    assert!(times.iter().all(|times| (1_800..2_200).contains(times)), "{times:?}");
}

/// A flood of expiring records does not hold up the node.
pub fn expiry_does_a_bounded_amount_of_work_and_says_that_more_is_left<S: Storage<Key<1>, Note>>(
    _: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let mut store = make(UNLIMITED);
    let expires = START + Duration::from_secs(1);
    for key in 0..10 {
        assert_eq!(store.insert(START, store_key(key), Note::new(0, v4(key, 1)), expires), Ok(Placed::New));
    }
    store.expire(START, usize::MAX);
    assert_eq!((store.len(), store.next_expiry()), (10, Some(expires)));
    store.expire(expires, 4);
    assert_eq!((store.len(), store.next_expiry()), (6, Some(expires)));
    store.expire(expires, usize::MAX);
    assert_eq!((store.len(), store.keys(), store.bytes(), store.next_expiry()), (0, 0, 0, None));
}
