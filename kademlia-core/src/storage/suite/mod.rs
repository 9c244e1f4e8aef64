//! What every [`Storage`](crate::Storage) has to show, in memory or in a database.
//!
//! [`storage_suite!`](crate::storage_suite!) makes a test of each function here for a store of one's own:
//!
//! ```
//! use kademlia_core::MemoryStorage;
//!
//! kademlia_core::storage_suite!(1_000, MemoryStorage::new);
//! ```
//!
//! The store is expected to account evenly, whatever its figures are: so much for a key, for a record, for a source and for a
//! subnet, and every record's heap on top. It may have what it likes under it, as long as it answers at once.

use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};

use crate::key::Key;
use crate::rng::Rng;
use crate::storage::{Durable, NoRoom, Placed, Record, Storage, StorageLimits};
use crate::time::Instant;

mod checks;
mod model;
mod steps;

pub use checks::*;
pub use steps::p41_p42_p43_the_store_does_what_a_naive_list_does;

/// Makes one test of each check of [`storage_suite`](mod@crate::storage_suite), in the module where it is called.
///
/// Takes how many cases the properties try, and what makes an empty store of given limits: any
/// `Fn(StorageLimits) -> impl Storage<Key<1>, Note>`. The store may live on a while after the test dropped it.
#[macro_export]
macro_rules! storage_suite {
    ($cases:expr, $make:expr) => {
        $crate::storage_suite! { @tests $cases, $make;
            what_is_inserted_is_read_until_its_slot_is_taken
            p42_a_record_is_read_until_it_expires_and_never_after
            a_read_is_a_choice_without_repetition
            every_record_is_chosen_about_as_often_as_any_other
            fs_b10_each_limit_is_reached_and_named
            t7_over_budget_the_farthest_key_gives_way_to_nearer_ones_only
            p41_a_lower_limit_holds_at_once
            a_new_center_changes_who_gives_way
            what_is_removed_leaves_no_trace
            sampled_keys_are_different_live_and_no_more_than_asked_for
            sampled_keys_are_drawn_from_all_however_close_together_they_lie
            expiry_does_a_bounded_amount_of_work_and_says_that_more_is_left
            p41_p42_p43_the_store_does_what_a_naive_list_does
        }
    };
    (@tests $cases:expr, $make:expr; $($check:ident)*) => { $(
        #[test]
        fn $check() {
            $crate::storage_suite::$check($cases, $make);
        }
    )* };
}

/// The record that the suite stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    slot: u8,
    source: IpAddr,
    /// Bytes that it claims to have on the heap.
    heap: usize,
}

impl Note {
    /// A record from `source`, with nothing on the heap.
    pub fn new(slot: u8, source: IpAddr) -> Self {
        Note { slot, source, heap: 0 }
    }
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

impl Durable for Note {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(self.slot);
        out.extend((self.heap as u64).to_be_bytes());
        match self.source {
            IpAddr::V4(ip) => out.extend(ip.octets()),
            IpAddr::V6(ip) => out.extend(ip.octets()),
        }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (slot, rest) = bytes.split_first()?;
        let (heap, ip) = rest.split_first_chunk()?;
        let v6 = || <[u8; 16]>::try_from(ip).map(IpAddr::from);
        let source = <[u8; 4]>::try_from(ip).map(IpAddr::from).or_else(|_| v6()).ok()?;
        Some(Note { slot: *slot, source, heap: usize::try_from(u64::from_be_bytes(*heap)).ok()? })
    }
}

const START: Instant = Instant::from_secs(1_000);
const UNLIMITED: StorageLimits =
    StorageLimits { bytes: usize::MAX, per_key: 0, per_source: 0, per_subnet: 0 };

fn store_key(byte: u8) -> Key<1> {
    Key::new([byte])
}

fn v4(third: u8, fourth: u8) -> IpAddr {
    IpAddr::from([192, 0, third, fourth])
}

/// Inserts a record that never expires, from a subnet of its own for each key.
fn insert(store: &mut impl Storage<Key<1>, Note>, key: u8, slot: u8) -> Result<Placed, NoRoom> {
    store.insert(START, store_key(key), Note::new(slot, v4(key, 1)), Instant::NEVER)
}

fn read_all(store: &impl Storage<Key<1>, Note>, now: Instant, key: u8) -> Vec<Note> {
    let mut read = vec![];
    store.read(now, &store_key(key), usize::MAX, &mut Rng::from_number(0), &mut read);
    read
}

/// At most `n` keys that hold something live, in order.
fn sample(store: &impl Storage<Key<1>, Note>, n: usize, rng: &mut Rng) -> Vec<u8> {
    let mut keys = vec![];
    store.sample_keys(START, n, rng, &mut keys);
    let mut keys: Vec<u8> = keys.into_iter().flat_map(Key::to_bytes).collect();
    keys.sort_unstable();
    keys
}

fn all_keys(store: &impl Storage<Key<1>, Note>) -> Vec<u8> {
    sample(store, usize::MAX, &mut Rng::from_number(0))
}

/// Tries `cases` values; the message of a failure has the smallest that fails.
fn holds<T: Strategy>(cases: u32, values: &T, test: impl Fn(T::Value) -> TestCaseResult) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(values, test);
    assert!(outcome.is_ok(), "{}", outcome.err().map(|error| alloc::format!("{error}")).unwrap_or_default());
}
