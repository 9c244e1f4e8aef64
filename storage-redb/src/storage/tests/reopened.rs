//! What is there after the process has gone.

use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::strategy::Just;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Insert { key: u8, slot: u8, ttl: u64 },
    Remove { key: u8, slot: u8 },
    Pass { secs: u64 },
    Expire,
    Recenter { center: u8 },
    Limit { bytes: usize },
    Flush,
}

fn a_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        16 => (0..8_u8, 0..6_u8, 1..60_u64).prop_map(|(key, slot, ttl)| Step::Insert { key, slot, ttl }),
        4 => (0..30_u64).prop_map(|secs| Step::Pass { secs }),
        2 => (0..8_u8, 0..6_u8).prop_map(|(key, slot)| Step::Remove { key, slot }),
        2 => Just(Step::Expire),
        2 => any::<u8>().prop_map(|center| Step::Recenter { center }),
        1 => (0..6_000_usize).prop_map(|bytes| Step::Limit { bytes }),
        2 => Just(Step::Flush),
    ]
}

fn take(store: &mut Store, step: Step, now: &mut Instant) {
    match step {
        Step::Insert { key, slot, ttl } => {
            store.insert(*now, Key::new([key]), note(slot), *now + secs(ttl)).ok();
        }
        Step::Remove { key, slot } => {
            store.remove(&Key::new([key]), &slot);
        }
        Step::Pass { secs: passed } => *now = *now + secs(passed),
        Step::Expire => store.expire(*now, 3),
        Step::Recenter { center } => store.recenter(Key::new([center])),
        Step::Limit { bytes } => store.set_limit(bytes),
        Step::Flush => store.flush().unwrap(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn p41_p42_what_is_on_disk_is_what_was_in_memory(
        steps in proptest::collection::vec(a_step(), 1..60),
        closed_for in 0..40_u64,
        clock_back: bool,
    ) {
        let (platter, mut now) = (Platter::default(), NOW);
        let mut store = open(&platter, 1_000_000).unwrap();
        store.set_limit(4_000);
        steps.into_iter().for_each(|step| take(&mut store, step, &mut now));
        store.expire(now, 0);
        store.insert(now, Key::new([9]), note(0), Instant::NEVER).ok();
        store.flush().unwrap();
        prop_assert_eq!(store.health(), Health { waiting: 0, failures: 0, error: None });

        let (later, unix) = match clock_back {
            false => (now + secs(closed_for), 1_000_000 + (now + secs(closed_for)).since(NOW).as_secs()),
            true => (now, closed_for),
        };
        // Twice: the second time from what opening has put right.
        let copy = platter.copy();
        for _ in 0..2 {
            let mut reopened = open(&copy, unix).unwrap();
            for passed in [0, 10, 30, 60] {
                prop_assert_eq!(contents(&reopened, NOW + secs(passed)), contents(&store, later + secs(passed)));
            }
            prop_assert_eq!(reopened.len(), contents(&store, later).len());
            reopened.expire(NOW, usize::MAX);
            reopened.flush().unwrap();
            prop_assert_eq!(copy.rows(), reopened.len() as u64);
        }
    }
}

#[test]
fn dropping_the_store_writes_what_is_left() {
    let platter = Platter::default();
    let mut store = open(&platter, 0).unwrap();
    (0..100).for_each(|slot| insert(&mut store, 1, slot, 60));
    drop(store);
    assert_eq!(slots(&open(&platter, 0).unwrap(), NOW).len(), 100);
}

#[test]
fn p42_what_expired_meanwhile_is_not_read_and_leaves_the_file() {
    let platter = Platter::default();
    let mut store = open(&platter, 1_000).unwrap();
    for (slot, ttl) in [(1, 10), (2, 20), (3, 30)] {
        insert(&mut store, 1, slot, ttl);
    }
    drop(store);
    let store = open(&platter, 1_020).unwrap();
    assert_eq!((slots(&store, NOW), store.len()), ([3].into(), 1));
    assert_eq!(slots(&store, NOW + secs(10)), [].into());
    store.flush().unwrap();
    assert_eq!(platter.rows(), 1);
}

#[test]
fn a_clock_that_went_back_makes_no_record_live_longer() {
    let platter = Platter::default();
    let mut store = open(&platter, 1_000_000_000).unwrap();
    insert(&mut store, 1, 1, 60);
    insert(&mut store, 1, 2, 30);
    store.expire(NOW + secs(30), usize::MAX);
    insert(&mut store, 1, 3, 90);
    drop(store);
    // The first time it went back, every other time it does not start.
    for left in [30, 20, 10] {
        let mut store = open(&platter, 5).unwrap();
        assert_eq!(slots(&store, NOW + secs(left) - Duration::from_micros(1)), [1, 3].into());
        assert_eq!(slots(&store, NOW + secs(left)), [3].into());
        store.expire(NOW + secs(10), usize::MAX);
        insert(&mut store, 2, u8::try_from(left).unwrap(), 0);
        drop(store);
    }
    assert_eq!(slots(&open(&platter, 5).unwrap(), NOW), [3].into());
}

#[test]
fn a_clock_that_was_far_ahead_makes_no_record_immortal() {
    let platter = Platter::default();
    let mut store = open(&platter, 9_000_000_000).unwrap();
    insert(&mut store, 1, 1, 60);
    drop(store);
    let store = open(&platter, 1_000_000_000).unwrap();
    assert_eq!(slots(&store, NOW + secs(59)), [1].into());
    assert_eq!(slots(&store, NOW + secs(60)), [].into());
    drop(store);
    assert!(open(&platter, 1_000_000_060).unwrap().is_empty(), "it counts by the right clock now");
    platter.rows();
}

#[test]
fn expired_records_are_cleared_away_a_bounded_number_at_a_time() {
    let platter = Platter::default();
    let mut store = open(&platter, 0).unwrap();
    for key in 0..=255 {
        (0..32).for_each(|slot| insert(&mut store, key, slot, 60));
    }
    drop(store);
    assert_eq!(platter.rows(), 8_192);
    let mut store = open(&platter, 60).unwrap();
    assert!(store.is_empty());
    let mut left = 8_192;
    while left > 0 {
        insert(&mut store, 1, 1, 60);
        store.flush().unwrap();
        let now_left = platter.rows() - 1;
        assert!(store.remove(&Key::new([1]), &1));
        assert!(now_left + 2 * 4_096 >= left, "the start may have done one of the two");
        assert!(now_left < left);
        left = now_left;
    }
}

#[test]
fn limits_that_became_too_low_take_the_farthest_out_of_the_file() {
    let platter = Platter::default();
    let mut store = open(&platter, 0).unwrap();
    (0..8).for_each(|key| insert(&mut store, key, key, 60));
    // And the half of their subnet's entry.
    let half = store.bytes() / 2 + 20;
    drop(store);
    let store = open_limited(&platter, StorageLimits { bytes: half, ..UNLIMITED }, 0).unwrap();
    assert_eq!(slots(&store, NOW), (0..4).collect());
    drop(store);
    assert_eq!(platter.rows(), 4);
    let store = open_limited(&platter, StorageLimits { per_subnet: 3, ..UNLIMITED }, 0).unwrap();
    assert_eq!(store.len(), 3);
    drop(store);
    assert_eq!(platter.rows(), 3);
}

#[test]
fn the_file_does_not_grow_with_what_has_gone() {
    let platter = Platter::default();
    let mut store = open(&platter, 0).unwrap();
    let mut now = NOW;
    let mut longest_of_first = 0;
    for round in 0..200 {
        for slot in 0..100 {
            store.insert(now, Key::new([round]), note(slot), now + secs(60)).unwrap();
        }
        store.flush().unwrap();
        now = now + secs(30);
        store.expire(now, usize::MAX);
        if round < 20 {
            longest_of_first = platter.bytes().len().max(longest_of_first);
        }
    }
    assert!(platter.bytes().len() <= 2 * longest_of_first, "{longest_of_first}");
    assert_eq!(store.len(), 100);
}

fn told(store: &mut Store, unix_secs: u64) {
    store.set_clock(NOW, secs(unix_secs));
}

#[test]
fn after_a_sleep_what_is_written_has_all_its_time_and_what_was_there_is_older() {
    let platter = Platter::default();
    let mut store = open(&platter, 1_000).unwrap();
    insert(&mut store, 1, 1, 60);
    insert(&mut store, 1, 2, 7_260);
    // Two hours, of which the engine's clock knows nothing.
    told(&mut store, 8_200);
    insert(&mut store, 1, 3, 60);
    drop(store);
    let store = open(&platter, 8_210).unwrap();
    assert_eq!(slots(&store, NOW), [2, 3].into());
    assert_eq!(slots(&store, NOW + secs(50)), [].into(), "none lives longer by it");
}

#[test]
fn a_clock_that_is_set_back_meanwhile_makes_no_record_live_longer_or_shorter() {
    let platter = Platter::default();
    let mut store = open(&platter, 1_000_000).unwrap();
    insert(&mut store, 1, 1, 60);
    told(&mut store, 5_000);
    insert(&mut store, 1, 2, 90);
    drop(store);
    let store = open(&platter, 5_010).unwrap();
    assert_eq!(slots(&store, NOW + secs(59)), [1, 2].into());
    assert_eq!(slots(&store, NOW + secs(60)), [2].into());
    assert_eq!(slots(&store, NOW + secs(90)), [].into());
}

#[test]
fn a_clock_that_was_behind_and_is_set_right_costs_no_record() {
    let platter = Platter::default();
    let mut store = open(&platter, 1_000_000_000).unwrap();
    insert(&mut store, 1, 1, 60);
    store.insert(NOW, Key::new([2]), note(4), Instant::NEVER).unwrap();
    drop(store);
    // A host without a battery starts in 1970, and hears of the time a little later, in two steps.
    let mut store = open(&platter, 5).unwrap();
    insert(&mut store, 1, 2, 90);
    told(&mut store, 900_000_000);
    told(&mut store, 1_000_000_010);
    insert(&mut store, 1, 3, 30);
    drop(store);
    let store = open(&platter, 1_000_000_020).unwrap();
    for (passed, left) in [(0, vec![1, 2, 3, 4]), (20, vec![1, 2, 4]), (50, vec![2, 4]), (80, vec![4])] {
        assert_eq!(slots(&store, NOW + secs(passed)), left.into_iter().collect(), "{passed}");
    }
    drop(store);
    assert_eq!(platter.rows(), 4);
}
