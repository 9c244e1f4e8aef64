//! Random sequences of everything that can be done to a store, against the model.

use core::net::IpAddr;
use core::time::Duration;

use alloc::vec::Vec;

use proptest::prelude::any;
use proptest::strategy::{Just, Strategy};
use proptest::test_runner::TestCaseResult;
use proptest::{prop_assert, prop_assert_eq, prop_oneof};

use super::model::{Model, Tariff};
use super::{Note, START, UNLIMITED, holds, read_all, store_key, v4};
use crate::key::Key;
use crate::storage::{Storage, StorageLimits};
use crate::time::Instant;

#[derive(Clone, Debug)]
enum Step {
    Insert { key: u8, note: Note, ttl: u64 },
    Remove { key: u8, slot: u8 },
    Pass { secs: u64 },
    Expire,
    Recenter { center: u8 },
    Limit { bytes: usize },
}

fn a_source() -> impl Strategy<Value = IpAddr> {
    let v6 = |subnet: u16, net: u16, host: u16| IpAddr::from([0x2001, 0xdb8, subnet, net, 0, 0, 0, host]);
    prop_oneof![
        (0..2_u8, 0..4_u8).prop_map(|(third, fourth)| v4(third, fourth)),
        (0..2_u16, 0..2_u16, 0..3_u16).prop_map(move |(subnet, net, host)| v6(subnet, net, host)),
    ]
}

fn a_key() -> impl Strategy<Value = u8> {
    (0..16_u8).prop_map(|key| key << 4)
}

fn a_step() -> impl Strategy<Value = Step> {
    let note = (0..6_u8, a_source(), prop_oneof![5 => 0..64_usize, 1 => 0..4_000_usize]);
    let note = note.prop_map(|(slot, source, heap)| Note { heap, ..Note::new(slot, source) });
    prop_oneof![
        16 => (a_key(), note, 0..60_u64).prop_map(|(key, note, ttl)| Step::Insert { key, note, ttl }),
        4 => (0..30_u64).prop_map(|secs| Step::Pass { secs }),
        2 => (a_key(), 0..6_u8).prop_map(|(key, slot)| Step::Remove { key, slot }),
        2 => Just(Step::Expire),
        2 => any::<u8>().prop_map(|center| Step::Recenter { center }),
        1 => (0..6_000_usize).prop_map(|bytes| Step::Limit { bytes }),
    ]
}

fn some_limits() -> impl Strategy<Value = StorageLimits> {
    (0..6_000_usize, 1..6_usize, 1..8_usize, 1..12_usize).prop_map(
        |(bytes, per_key, per_source, per_subnet)| StorageLimits { bytes, per_key, per_source, per_subnet },
    )
}

fn take(
    step: Step,
    store: &mut impl Storage<Key<1>, Note>,
    model: &mut Model,
    now: &mut Instant,
) -> TestCaseResult {
    match step {
        Step::Insert { key, note, ttl } => {
            let expires = *now + Duration::from_secs(ttl);
            let expected = model.insert(*now, key, &note, expires);
            if store.next_expiry().is_none_or(|due| due > *now) {
                prop_assert_eq!(store.admits(&store_key(key), &note), expected.map(drop));
            }
            prop_assert_eq!(store.insert(*now, store_key(key), note, expires), expected);
        }
        Step::Remove { key, slot } => {
            prop_assert_eq!(store.remove(&store_key(key), &slot), model.remove(key, slot));
        }
        Step::Pass { secs } => *now = *now + Duration::from_secs(secs),
        Step::Expire => {
            store.expire(*now, usize::MAX);
            model.expire(*now);
            prop_assert!(store.next_expiry().is_none_or(|due| due > *now));
        }
        Step::Recenter { center } => {
            store.recenter(store_key(center));
            model.center = center;
        }
        Step::Limit { bytes } => {
            store.set_limit(bytes);
            model.limits.bytes = bytes;
            model.shrink();
        }
    }
    Ok(())
}

/// Every figure the store keeps agrees with a recount, no limit is passed (P41), and what is live is read (P42).
fn check(store: &impl Storage<Key<1>, Note>, model: &Model, now: Instant) -> TestCaseResult {
    prop_assert!(store.bytes() <= model.limits.bytes);
    prop_assert_eq!(store.bytes(), model.bytes());
    prop_assert_eq!((store.len(), store.keys()), (model.len(), model.keys().len()));
    prop_assert_eq!(store.next_expiry().is_none(), store.is_empty());
    prop_assert!(store.next_expiry() <= model.first_expiry());
    prop_assert!(model.is_fair());
    for key in model.keys() {
        let live = model.live(now, key);
        prop_assert_eq!(store.has(now, &store_key(key)), !live.is_empty());
        prop_assert_eq!(read_all(store, now, key), live);
    }
    Ok(())
}

/// Any sequence of calls has the same results as on a list with every figure counted afresh, the same records held, and the
/// same ones evicted.
pub fn p41_p42_p43_the_store_does_what_a_naive_list_does<S: Storage<Key<1>, Note>>(
    cases: u32,
    make: impl Fn(StorageLimits) -> S,
) {
    let tariff = Tariff::of(make(UNLIMITED));
    let steps = proptest::collection::vec(a_step(), 1..40);
    holds(cases, &(some_limits(), steps), |(limits, steps): (StorageLimits, Vec<Step>)| {
        let (mut store, mut now) = (make(limits), START);
        let mut model = Model::new(limits, tariff);
        for step in steps {
            take(step, &mut store, &mut model, &mut now)?;
            check(&store, &model, now)?;
        }
        Ok(())
    });
}
