//! The table's rules one by one, then (in [`agreement`]) all of them against a naive table.

use alloc::vec::Vec;
use core::net::SocketAddr;

use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::config::Config;
use crate::key::Key;
use crate::rng::Rng;

mod agreement;
mod diversity;
mod model;
mod upkeep;

type Small = Key<1>;

const LOCAL: Small = Key::new([0]);

fn rules() -> TableConfig {
    Config::default().table
}

/// No rule about addresses.
fn lax() -> TableConfig {
    Config::default().private_network().table
}

/// Every key at an address of its own, in a subnet of its own.
fn at(key: u8) -> Contact<Small> {
    Contact::new(Key::new([key]), SocketAddr::from(([1, 2, key, 1], 6881)))
}

fn from(key: u8, ip: [u8; 4], port: u16) -> Contact<Small> {
    Contact::new(Key::new([key]), SocketAddr::from((ip, port)))
}

fn minutes(n: u64) -> Instant {
    Instant::from_secs(60 * n)
}

fn filled(k: usize, keys: impl IntoIterator<Item = u8>) -> Table<Small> {
    let mut table = Table::new(LOCAL, k, rules());
    for key in keys {
        table.answered(Instant::ZERO, at(key), None);
    }
    table.check().unwrap();
    table
}

fn keys(table: &Table<Small>) -> Vec<u8> {
    let mut keys: Vec<u8> = table.iter().map(|entry| entry.key().to_bytes()[0]).collect();
    keys.sort_unstable();
    keys
}

fn quality(table: &Table<Small>, key: u8, now: Instant) -> Option<Quality> {
    table.get(&Key::new([key])).map(|entry| entry.quality(now, &table.config))
}

fn fail(table: &mut Table<Small>, key: u8, times: u8) -> Option<Contact<Small>> {
    (0..times).map(|_| table.failed(Instant::ZERO, &at(key))).last().flatten()
}

#[test]
fn an_entry_is_small() {
    assert!(size_of::<Entry<Key<20>>>() <= 52);
    assert!(size_of::<Entry<Key<32>>>() <= 64);
    assert!(size_of::<Bucket>() <= 8);
}

#[test]
fn memory_is_what_the_contacts_need() {
    let mut table = Table::new(Key::<20>::ZERO, 8, rules());
    assert!(table.memory() <= 64, "an empty table");
    let mut rng = Rng::from_number(1);
    for n in 0..40_000_u32 {
        let [_, a, b, _] = n.to_be_bytes();
        let addr = SocketAddr::from(([1 + a, b, n.to_be_bytes()[3], 1], 1));
        table.answered(Instant::ZERO, Contact::new(Key::random(&mut rng), addr), None);
    }
    table.check().unwrap();
    let held = table.len() + table.replacements.len();
    assert!(table.memory() <= held * 52 * 9 / 8 + 1024, "{} for {held}", table.memory());
}

#[test]
fn bep5_5_12_good_means_heard_of_within_15_minutes() {
    let mut table = filled(8, [1, 2]);
    assert_eq!(quality(&table, 1, minutes(15)), Some(Quality::Good));
    assert_eq!(quality(&table, 1, minutes(16)), Some(Quality::Questionable));
    assert!(table.queried_by(minutes(14), &at(2)), "it once answered, so its request keeps it good");
    assert_eq!(quality(&table, 2, minutes(28)), Some(Quality::Good));
    assert!(!table.queried_by(minutes(14), &at(3)), "an unknown one gains nothing");
    assert!(!table.queried_by(minutes(14), &from(2, [9, 9, 9, 9], 1)), "nor a known one elsewhere");
    assert_eq!(keys(&table), [1, 2]);
}

#[test]
fn bep5_5_12_bad_after_several_failures_in_a_row() {
    let mut table = filled(8, [1]);
    fail(&mut table, 1, 1);
    assert_eq!(quality(&table, 1, Instant::ZERO), Some(Quality::Questionable));
    table.queried_by(Instant::ZERO, &at(1));
    assert_eq!(quality(&table, 1, Instant::ZERO), Some(Quality::Questionable), "requests are easily forged");
    fail(&mut table, 1, 1);
    assert_eq!(quality(&table, 1, Instant::ZERO), Some(Quality::Bad));
    assert_eq!(table.answered(Instant::ZERO, at(1), None), Insert::Updated);
    assert_eq!(quality(&table, 1, Instant::ZERO), Some(Quality::Good), "an answer ends the row");
    fail(&mut table, 1, 255);
    fail(&mut table, 1, 255);
    assert_eq!(keys(&table), [1], "nobody wants the place");
}

#[test]
fn bep5_5_12_only_good_entries_are_handed_out() {
    let mut table = filled(8, [1, 2, 3]);
    fail(&mut table, 1, 1);
    fail(&mut table, 2, 2);
    let (mut good, mut alive) = (Vec::new(), Vec::new());
    table.closest_good(Instant::ZERO, &LOCAL, 8, None, &mut good);
    table.closest(Instant::ZERO, &LOCAL, 8, &mut alive);
    assert_eq!(good, [at(3)]);
    assert_eq!(alive, [at(1), at(3)]);
    good.clear();
    table.closest_good(Instant::ZERO, &LOCAL, 8, Some(Key::new([3])), &mut good);
    assert!(good.is_empty(), "the asker is left out");
}

#[test]
fn bep5_5_13_one_bucket_at_first_and_only_the_own_one_splits() {
    let mut table = Table::new(LOCAL, 2, rules());
    assert_eq!(table.depth(), 1);
    for key in [0x80, 0xc0] {
        assert_eq!(table.answered(Instant::ZERO, at(key), None), Insert::Added);
    }
    assert_eq!(table.depth(), 1);
    assert_eq!(table.answered(Instant::ZERO, at(0x40), None), Insert::Added);
    assert_eq!(table.depth(), 2, "full, and the own key in its range");
    assert_eq!(table.answered(Instant::ZERO, at(0xe0), None), Insert::Waiting { ask: None });
    assert_eq!(keys(&table), [0x40, 0x80, 0xc0], "full of good entries: the newcomer waits outside");
    assert_eq!(table.depth(), 2);
}

#[test]
fn bep50_50_1_the_last_two_buckets_hold_more_and_a_bucket_that_is_neither_keeps_the_best() {
    let mut table = Table::new(LOCAL, 1, TableConfig { near: 8, per_subnet: 0, ..rules() });
    let insert = |table: &mut Table<Small>, keys: core::ops::Range<u8>| {
        for key in keys {
            table.answered(minutes(key.into()), at(key), None);
            table.check().unwrap();
        }
    };
    let lens = |table: &Table<Small>| table.buckets().map(|bucket| bucket.entries.len()).collect::<Vec<_>>();
    insert(&mut table, 0x80..0x88);
    assert_eq!(lens(&table), [8], "the own bucket");
    insert(&mut table, 0x40..0x48);
    assert_eq!(lens(&table), [8, 8], "and its sibling");
    fail(&mut table, 0x87, 2);
    insert(&mut table, 0x20..0x21);
    assert_eq!(lens(&table), [1, 8, 1], "once it is split, the former sibling holds k");
    assert!(table.get(&Key::new([0x86])).is_some(), "the one seen last that is not bad");
    assert_eq!(table.counts(minutes(0x86)).replacements, 6, "and others that are not bad wait");
}

#[test]
fn bep5_5_13_splits_end_at_the_width_of_the_key() {
    let table = filled(1, 1..=255);
    assert_eq!(table.depth(), 8);
    assert_eq!(table.len(), 8, "one for each number of shared bits");
    let table = filled(300, 1..=255);
    assert_eq!((table.depth(), table.len()), (1, 255), "no need to split");
    assert_eq!(filled(8, 0..=255).len(), 8 * 5 + 4 + 2 + 1);
}

#[test]
fn bep5_5_13_bad_entries_are_replaced() {
    let mut table = filled(2, [0x80, 0x90, 0x40]);
    fail(&mut table, 0x90, 2);
    assert_eq!(table.answered(Instant::ZERO, at(0xa0), None), Insert::Replaced(at(0x90)));
    assert_eq!(keys(&table), [0x40, 0x80, 0xa0]);
}

#[test]
fn bep5_5_13_questionable_entries_are_asked_before_they_are_replaced() {
    let mut table = filled(2, [0x80, 0x90, 0x40]);
    table.queried_by(minutes(1), &at(0x80));
    let now = minutes(20);
    assert_eq!(
        table.answered(now, at(0xa0), None),
        Insert::Waiting { ask: Some(at(0x90)) },
        "least recently seen first"
    );
    assert_eq!(table.failed(now, &at(0x90)), None, "one retry");
    assert_eq!(table.failed(now, &at(0x90)), Some(at(0xa0)));
    assert_eq!(keys(&table), [0x40, 0x80, 0xa0]);
    assert_eq!(table.answered(now, at(0xb0), None), Insert::Waiting { ask: Some(at(0x80)) });
    table.answered(now, at(0x80), None);
    assert_eq!(table.answered(now, at(0xb1), None), Insert::Waiting { ask: None }, "all are good");
}

#[test]
fn fs_b5_replacements_are_bounded_and_the_latest_takes_the_place() {
    let mut table = filled(1, [0x80, 0x40]);
    for (n, key) in (0x90..0xa0).enumerate() {
        table.answered(Instant::from_secs(n as u64), at(key), None);
    }
    table.check().unwrap();
    assert_eq!(table.counts(Instant::ZERO).replacements, 8);
    assert_eq!(table.failed(Instant::ZERO, &at(0x9f)), None, "a replacement that fails is dropped");
    assert!(table.queried_by(Instant::from_secs(99), &at(0x9a)));
    assert!(table.queried_by(Instant::from_secs(98), &at(0x99)));
    assert_eq!(fail(&mut table, 0x80, 2), Some(at(0x9a)));
    assert_eq!(fail(&mut table, 0x9a, 2), Some(at(0x99)));
    assert_eq!(fail(&mut table, 0x99, 2), Some(at(0x9e)));
    assert_eq!(table.counts(Instant::ZERO).replacements, 4);
    table.check().unwrap();
}

#[test]
fn fs_b5_without_replacements_the_questionable_are_still_asked() {
    let mut table = Table::new(LOCAL, 1, TableConfig { replacements: 0, ..rules() });
    for key in [0x80, 0x40] {
        table.answered(Instant::ZERO, at(key), None);
    }
    assert_eq!(table.answered(minutes(20), at(0x90), None), Insert::Waiting { ask: Some(at(0x80)) });
    assert_eq!(table.counts(minutes(20)).replacements, 0);
}

#[test]
fn the_own_key_never_enters() {
    let mut table = filled(8, []);
    assert_eq!(table.answered(Instant::ZERO, at(0), None), Insert::Refused);
    assert!(!table.wants(Instant::ZERO, &at(0)));
}

#[test]
fn round_trip_times_are_kept_in_milliseconds() {
    let mut table = filled(8, [1]);
    let rtt = |table: &Table<Small>| table.get(&Key::new([1])).and_then(Entry::rtt);
    assert_eq!(rtt(&table), None);
    for (measured, kept) in
        [(Duration::ZERO, 0), (Duration::from_micros(42_900), 42), (Duration::MAX, 65_534)]
    {
        table.answered(Instant::ZERO, at(1), Some(measured));
        assert_eq!(rtt(&table), Some(Duration::from_millis(kept)));
    }
    table.answered(Instant::ZERO, at(1), None);
    assert!(rtt(&table).is_some(), "an unmeasured answer keeps the last measurement");
}

#[test]
fn fs_a5_closest_is_exact_for_every_target_and_number_of_a_full_table() {
    for k in [1, 8, 20, 255] {
        let table = filled(k, 1..=255);
        for target in (0..=255).map(|target| Small::new([target])) {
            let mut sorted: Vec<_> = table.iter().map(Entry::contact).collect();
            sorted.sort_by_key(|contact| contact.key.distance(&target));
            for n in [0, 1, 7, 8, 31, 32, 33, 64, 65, 255, usize::MAX] {
                let mut found = Vec::new();
                table.closest(Instant::ZERO, &target, n, &mut found);
                assert_eq!(found, sorted[..n.min(sorted.len())], "k {k}, target {target}, n {n}");
            }
        }
    }
}
