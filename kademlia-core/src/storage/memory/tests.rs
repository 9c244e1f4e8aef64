//! The store against a naive list with the same rules (P41-P43), and the limits one by one.

use alloc::collections::BTreeSet;
use alloc::vec;
use core::net::IpAddr;
use core::time::Duration;

use proptest::prelude::{
    ProptestConfig, Strategy, TestCaseError, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

use super::*;
use crate::key::Key;
use crate::storage::counts::subnet;

#[derive(Clone, Debug, PartialEq)]
struct Note {
    slot: u8,
    source: IpAddr,
    heap: usize,
}

impl Record for Note {
    type Slot = u8;

    fn slot(&self) -> u8 {
        self.slot
    }

    fn source(&self) -> IpAddr {
        self.source
    }

    fn heap_bytes(&self) -> usize {
        self.heap
    }
}

type Store = MemoryStorage<Key<1>, Note>;

fn v4(third: u8, fourth: u8) -> IpAddr {
    IpAddr::from([192, 0, third, fourth])
}

fn note(slot: u8, source: IpAddr) -> Note {
    Note { slot, source, heap: 0 }
}

/// A store's worth of records in a list, with every figure counted afresh.
struct Model {
    limits: StorageLimits,
    center: u8,
    held: Vec<(u8, Note, Instant)>,
}

impl Model {
    fn keys(&self) -> BTreeSet<u8> {
        self.held.iter().map(|(key, ..)| *key).collect()
    }

    fn under(&self, key: u8) -> impl Iterator<Item = &(u8, Note, Instant)> {
        self.held.iter().filter(move |held| held.0 == key)
    }

    fn weight(&self, key: u8) -> usize {
        Store::KEY + self.under(key).map(|(_, note, _)| Store::RECORD + note.heap).sum::<usize>()
    }

    fn bytes(&self) -> usize {
        let sources: BTreeSet<IpAddr> = self.held.iter().map(|(_, note, _)| source(note.source)).collect();
        let subnets: BTreeSet<IpAddr> = self.held.iter().map(|(_, note, _)| subnet(note.source)).collect();
        let counts = (sources.len() + subnets.len()) * Counts::ENTRY;
        self.keys().into_iter().map(|key| self.weight(key)).sum::<usize>() + counts
    }

    fn counted(&self, ip: IpAddr, group: fn(IpAddr) -> IpAddr) -> usize {
        self.held.iter().filter(|(_, note, _)| group(note.source) == group(ip)).count()
    }

    /// The same list with the record in its slot, whatever the limits.
    fn with(&self, key: u8, note: &Note, expires: Instant) -> Model {
        let mut held = self.held.clone();
        held.retain(|(held_key, held, _)| (*held_key, held.slot) != (key, note.slot));
        held.push((key, note.clone(), expires));
        held.sort_by_key(|(key, note, _)| (*key, note.slot));
        Model { held, limits: self.limits, center: self.center }
    }

    fn insert(&mut self, now: Instant, key: u8, note: &Note, expires: Instant) -> Result<Placed, NoRoom> {
        self.held.retain(|(held_key, _, expires)| *held_key != key || *expires > now);
        let replaced =
            self.under(key).find(|(_, held, _)| held.slot == note.slot).map(|(_, held, _)| held.clone());
        if replaced.as_ref().is_none_or(|old| source(old.source) != source(note.source)) {
            if self.counted(note.source, source) >= self.limits.per_source {
                return Err(NoRoom::Source);
            }
            if self.counted(note.source, subnet) >= self.limits.per_subnet {
                return Err(NoRoom::Subnet);
            }
        }
        if replaced.is_none() && self.under(key).count() >= self.limits.per_key {
            return Err(NoRoom::Key);
        }
        // What the store accounts with before it forgets the replaced record's source.
        let bytes = |model: &Model| {
            let mut with = model.with(key, note, expires);
            if let Some(old) = &replaced {
                with.held.push((key, Note { heap: 0, ..old.clone() }, expires));
                return with.bytes() - Store::RECORD;
            }
            with.bytes()
        };
        let far =
            |model: &Model| model.keys().into_iter().filter(|far| far ^ self.center > key ^ self.center);
        let freeable: usize = far(self).map(|far| self.weight(far)).sum();
        if bytes(self).saturating_sub(self.limits.bytes) > freeable {
            return Err(NoRoom::Bytes);
        }
        while bytes(self) > self.limits.bytes {
            let farthest = self.keys().into_iter().max_by_key(|key| key ^ self.center).unwrap();
            let last = self.held.iter().rposition(|held| held.0 == farthest).unwrap();
            self.held.remove(last);
        }
        *self = self.with(key, note, expires);
        Ok(if replaced.is_some() { Placed::Renewed } else { Placed::New })
    }

    fn live(&self, now: Instant, key: u8) -> Vec<Note> {
        self.under(key).filter(|(_, _, expires)| *expires > now).map(|(_, note, _)| note.clone()).collect()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { key: u8, note: Note, ttl: u64 },
    Pass { secs: u64 },
    Expire,
    Recenter { center: u8 },
}

fn a_source() -> impl Strategy<Value = IpAddr> {
    let v6 = |subnet: u16, net: u16, host: u16| IpAddr::from([0x2001, 0xdb8, subnet, net, 0, 0, 0, host]);
    prop_oneof![
        (0..2_u8, 0..4_u8).prop_map(|(third, fourth)| v4(third, fourth)),
        (0..2_u16, 0..2_u16, 0..3_u16).prop_map(move |(subnet, net, host)| v6(subnet, net, host)),
    ]
}

fn a_step() -> impl Strategy<Value = Step> {
    let note = (0..6_u8, a_source(), prop_oneof![5 => 0..64_usize, 1 => 0..4_000_usize]);
    let note = note.prop_map(|(slot, source, heap)| Note { slot, source, heap });
    prop_oneof![
        8 => (0..16_u8, note, 0..60_u64).prop_map(|(key, note, ttl)| Step::Insert { key: key << 4, note, ttl }),
        2 => (0..30_u64).prop_map(|secs| Step::Pass { secs }),
        1 => proptest::strategy::Just(Step::Expire),
        1 => any::<u8>().prop_map(|center| Step::Recenter { center }),
    ]
}

/// Every figure the store keeps agrees with a recount, and no limit is passed (P41).
fn check(store: &Store, model: &Model, now: Instant) -> Result<(), TestCaseError> {
    prop_assert!(store.bytes() <= store.limits.bytes);
    prop_assert_eq!(store.bytes(), model.bytes());
    prop_assert_eq!((store.len(), store.keys()), (model.held.len(), model.keys().len()));
    let dues: BTreeSet<_> =
        store.shelves.iter().map(|(d, shelf)| (shelf.due, store.center.distance(d))).collect();
    prop_assert_eq!(&store.dues, &dues);
    let first = store.shelves.values().flat_map(|shelf| &shelf.records).map(|held| held.expires).min();
    prop_assert!(store.next_expiry() <= first);
    for (_, note, _) in &model.held {
        prop_assert!(model.counted(note.source, source) <= store.limits.per_source);
        prop_assert!(model.counted(note.source, subnet) <= store.limits.per_subnet);
    }
    for key in model.keys() {
        let mut read = Vec::new();
        store.read(now, &Key::new([key]), usize::MAX, &mut Rng::from_number(0), &mut read);
        prop_assert_eq!(read, model.live(now, key));
        prop_assert!(model.under(key).count() <= store.limits.per_key);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]
    #[test]
    fn p41_p42_p43_the_store_does_what_a_naive_list_does(
        bytes in 0..6_000_usize,
        per_key in 1..6_usize,
        per_source in 1..8_usize,
        per_subnet in 1..12_usize,
        steps in proptest::collection::vec(a_step(), 1..40),
    ) {
        let limits = StorageLimits { bytes, per_key, per_source, per_subnet };
        let (mut store, mut now) = (Store::new(limits), Instant::ZERO);
        let mut model = Model { limits, center: 0, held: Vec::new() };
        for step in steps {
            match step {
                Step::Insert { key, note, ttl } => {
                    let expires = now + Duration::from_secs(ttl);
                    let admitted = store.clone();
                    let expected = model.insert(now, key, &note, expires);
                    prop_assert_eq!(store.insert(now, Key::new([key]), note.clone(), expires), expected);
                    if admitted.next_expiry().is_none_or(|due| due > now) {
                        prop_assert_eq!(admitted.admits(&Key::new([key]), &note), expected.map(drop));
                    }
                }
                Step::Pass { secs } => now = now + Duration::from_secs(secs),
                Step::Expire => {
                    store.expire(now, usize::MAX);
                    model.held.retain(|(_, _, expires)| *expires > now);
                }
                Step::Recenter { center } => {
                    store.recenter(Key::new([center]));
                    model.center = center;
                }
            }
            check(&store, &model, now)?;
        }
    }

    #[test]
    fn a_read_is_a_choice_without_repetition(held in 0..40_u8, n in 0..50_usize, seed: u64) {
        let mut store = Store::default();
        for slot in 0..held {
            store.insert(Instant::ZERO, Key::ZERO, note(slot, v4(0, slot)), Instant::NEVER).unwrap();
        }
        let mut read = Vec::new();
        store.read(Instant::ZERO, &Key::ZERO, n, &mut Rng::from_number(seed), &mut read);
        prop_assert_eq!(read.len(), n.min(usize::from(held)));
        prop_assert!(read.is_sorted_by(|a, b| a.slot < b.slot));
    }

    #[test]
    fn sampled_keys_are_different_live_and_no_more_than_asked_for(keys: BTreeSet<u8>, n in 0..20_usize, seed: u64) {
        let mut store = Store::default();
        store.recenter(Key::new([0x5a]));
        for key in &keys {
            let expires = Instant::from_secs(u64::from(key % 2));
            store.insert(Instant::ZERO, Key::new([*key]), note(0, v4(0, *key)), expires).unwrap();
        }
        let mut sample = Vec::new();
        store.sample_keys(Instant::ZERO, n, &mut Rng::from_number(seed), &mut sample);
        let live: BTreeSet<u8> = keys.into_iter().filter(|key| key % 2 == 1).collect();
        let distinct: BTreeSet<u8> = sample.iter().map(|key| key.to_bytes()[0]).collect();
        prop_assert_eq!(distinct.len(), n.min(live.len()));
        prop_assert_eq!(distinct.len(), sample.len());
        prop_assert!(distinct.is_subset(&live));
    }
}

#[test]
fn every_record_is_chosen_about_as_often_as_any_other() {
    let mut store = Store::default();
    for slot in 0..10 {
        store.insert(Instant::ZERO, Key::ZERO, note(slot, v4(0, slot)), Instant::NEVER).unwrap();
    }
    let (mut chosen, mut rng) = ([0_u32; 10], Rng::from_number(1));
    for _ in 0..10_000 {
        let mut read = Vec::new();
        store.read(Instant::ZERO, &Key::ZERO, 3, &mut rng, &mut read);
        for note in read {
            chosen[usize::from(note.slot)] += 1;
        }
    }
    assert!(chosen.iter().all(|n| (2_000..4_000).contains(n)), "{chosen:?}");
}

#[test]
fn fs_b10_each_limit_is_reached_and_named() {
    let far = Instant::NEVER;
    let limits = StorageLimits { bytes: usize::MAX, per_key: 2, per_source: 3, per_subnet: 4 };
    let mut store = Store::new(limits);
    let mut insert = |key: u8, slot, ip| store.insert(Instant::ZERO, Key::new([key]), note(slot, ip), far);
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

#[test]
fn t7_over_budget_the_farthest_key_gives_way_to_nearer_ones_only() {
    let one = Store::KEY + Store::RECORD + 2 * Counts::ENTRY;
    let mut store = Store::new(StorageLimits { bytes: 3 * one, ..StorageLimits::default() });
    store.recenter(Key::new([0xf0]));
    let mut insert =
        |key: u8| store.insert(Instant::ZERO, Key::new([key]), note(0, v4(key, 1)), Instant::NEVER);
    assert_eq!(insert(0x0f), Ok(Placed::New));
    assert_eq!(insert(0x0e), Ok(Placed::New));
    assert_eq!(insert(0x0d), Ok(Placed::New));
    assert_eq!(insert(0xf8), Ok(Placed::New), "0f gives way");
    assert_eq!(insert(0x0f), Err(NoRoom::Bytes), "and does not come back");
    let mut keys = vec![];
    store.sample_keys(Instant::ZERO, 9, &mut Rng::from_number(0), &mut keys);
    keys.sort();
    assert_eq!(keys, [0x0d, 0x0e, 0xf8].map(|key| Key::new([key])));
}

#[test]
fn sampled_keys_are_drawn_from_all_however_close_together_they_lie() {
    let mut store = Store::default();
    store.recenter(Key::new([0x40]));
    for key in 0x40..0x48 {
        store.insert(Instant::ZERO, Key::new([key]), note(0, v4(0, key)), Instant::NEVER).unwrap();
    }
    let (mut rng, mut times) = (Rng::from_number(1), [0; 8]);
    for _ in 0..8_000 {
        let mut sample = vec![];
        store.sample_keys(Instant::ZERO, 2, &mut rng, &mut sample);
        sample.iter().for_each(|key| times[usize::from(key.to_bytes()[0] - 0x40)] += 1);
    }
    assert!(times.iter().all(|times| (1_800..2_200).contains(times)), "{times:?}");
}

#[test]
fn expiry_does_a_bounded_amount_of_work_and_says_that_more_is_left() {
    let mut store = Store::default();
    for key in 0..10 {
        store.insert(Instant::ZERO, Key::new([key]), note(0, v4(key, 1)), Instant::from_secs(1)).unwrap();
    }
    store.expire(Instant::from_secs(1), 4);
    assert_eq!((store.len(), store.next_expiry()), (6, Some(Instant::from_secs(1))));
    store.expire(Instant::from_secs(1), usize::MAX);
    assert_eq!((store.len(), store.keys(), store.bytes(), store.next_expiry()), (0, 0, 0, None));
}
