//! Keepalive, refresh, a new key, and clocks that jump.

use super::*;

#[test]
fn the_longest_unchecked_entry_is_due_first_and_asking_moves_it_on() {
    let mut table = filled(8, [1, 2]);
    table.answered(minutes(1), at(1), None);
    table.queried_by(minutes(5), &at(2));
    assert_eq!(table.next_due(), Some(minutes(12)), "requests do not count: they may be forged");
    assert_eq!(table.due(minutes(11)), None);
    assert_eq!(table.due(minutes(13)), Some(at(2)));
    table.asked(minutes(13), &at(2));
    assert_eq!(table.due(minutes(14)), Some(at(1)));
    table.answered(minutes(14), at(1), None);
    assert_eq!(table.due(minutes(14)), None);
    assert_eq!(table.due(minutes(26)), Some(at(2)), "whatever came of it");
}

#[test]
fn a_doubt_is_settled_soon_and_a_bad_entry_is_tried_ever_more_rarely() {
    let mut table = filled(8, [1]);
    table.failed(minutes(12), &at(1));
    let mut last = table.entries[0].last_seen();
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let due = table.next_due().unwrap();
        assert_eq!(table.due(due), Some(at(1)));
        pauses.push(due.since(last).as_secs().div_ceil(60));
        table.failed(due, &at(1));
        last = due;
    }
    assert_eq!(pauses, [14, 24, 48, 96, 192, 384, 384, 384]);
}

#[test]
fn bep5_5_14_a_bucket_is_refreshed_15_minutes_after_its_last_change() {
    let mut rng = Rng::from_number(1);
    let mut table = filled(2, [0x80, 0x90, 0x40, 0x50, 0x20]);
    assert_eq!(table.depth(), 3);
    table.answered(minutes(5), at(0x80), None);
    table.answered(minutes(1), at(0x40), None);
    assert_eq!(table.refresh(minutes(14), &mut rng), None);
    assert_eq!(table.next_refresh(), Some(minutes(15)));
    let refreshed = |table: &mut Table<Small>, rng: &mut Rng| {
        let key = table.refresh(minutes(21), rng);
        key.map(|key| key.common_prefix(&LOCAL).min(2))
    };
    assert_eq!(refreshed(&mut table, &mut rng), Some(2), "the longest unchanged first");
    assert_eq!(refreshed(&mut table, &mut rng), Some(1));
    assert_eq!(refreshed(&mut table, &mut rng), Some(0));
    assert_eq!(refreshed(&mut table, &mut rng), None, "each once");
    assert!(table.next_refresh().unwrap() > minutes(35));
}

#[test]
fn bep5_5_14_answers_insertions_and_replacements_change_a_bucket() {
    let mut table = filled(1, [0x80, 0x40]);
    let changed = |table: &Table<Small>| table.buckets().next().unwrap().changed.as_secs().div_ceil(60);
    table.queried_by(minutes(1), &at(0x80));
    assert_eq!(changed(&table), 0);
    table.answered(minutes(2), at(0x80), None);
    assert_eq!(changed(&table), 2);
    assert_eq!(table.answered(minutes(3), at(0x90), None), Insert::Waiting { ask: None });
    assert_eq!(changed(&table), 2, "nothing changed");
    table.failed(minutes(4), &at(0x80));
    assert!(table.failed(minutes(5), &at(0x80)).is_some());
    assert_eq!(changed(&table), 5);
}

#[test]
fn an_empty_table_asks_for_nothing() {
    let mut table = filled(8, []);
    assert_eq!((table.next_due(), table.next_refresh(), table.due(Instant::NEVER)), (None, None, None));
    assert_eq!(table.refresh(Instant::NEVER, &mut Rng::from_number(1)), None);
    assert_eq!(table.counts(Instant::ZERO), Counts::default());
}

#[test]
fn p5_after_any_jump_everything_is_due_once_and_then_not_for_a_while() {
    let year = Duration::from_secs(365 * 86_400);
    for jump in
        [Duration::from_secs(3_600), 10 * year, 200 * year, 2_284 * year, 500_000 * year, Duration::MAX]
    {
        let mut table = filled(1, [0x80, 0x40, 0x20]);
        let now = Instant::ZERO + jump;
        let mut rng = Rng::from_number(1);
        let asked = (0..9).map_while(|_| table.due(now).inspect(|due| table.asked(now, due))).count();
        let refreshed = (0..9).map_while(|_| table.refresh(now, &mut rng)).count();
        assert_eq!((asked, refreshed), (3, 3), "{jump:?}");
        assert!(soon(table.next_due(), now) && soon(table.next_refresh(), now), "{jump:?}");
        assert_eq!(table.counts(now).questionable, 3);
        table.answered(now, at(0x80), None);
        assert_eq!(quality(&table, 0x80, now), Some(Quality::Good), "{jump:?}");
    }

    /// Either nothing is planned (where stamps stand still) or it lies ahead: no busy loop.
    fn soon(next: Option<Instant>, now: Instant) -> bool {
        next.is_none_or(|next| next > now)
    }
}

#[test]
fn p5_a_clock_that_goes_back_makes_nobody_old() {
    let mut table = filled(1, []);
    for key in [0x80, 0x40] {
        table.answered(minutes(60), at(key), None);
    }
    assert_eq!(table.counts(Instant::ZERO).good, 2);
    assert_eq!(table.due(Instant::ZERO), None);
    table.answered(Instant::ZERO, at(0x80), None);
    assert_eq!(table.due(minutes(12)), Some(at(0x80)), "its times follow the clock");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Stamps keep the order of any two times, are never later, and never by more than a step.
    #[test]
    fn p5_stamps_round_down_and_keep_the_order(a: u64, b: u64) {
        let stamp = |micros| Stamp::new(Instant::from_micros(micros));
        prop_assert!(stamp(a.min(b)) <= stamp(a.max(b)));
        let (low, kept) = (a >> 8, stamp(a >> 8).instant().as_micros());
        prop_assert!(kept <= low && low - kept < 1 << 16);
    }

    /// Whom the table asks, and in which order, depends on what happened and never on when it is looked at.
    #[test]
    fn p49_the_order_of_asking_does_not_depend_on_now(seen in vec(0_u64..1 << 40, 1..40), later: u64, latest: u64) {
        let mut table = Table::new(LOCAL, 255, lax());
        for (key, micros) in (1..).zip(&seen) {
            table.answered(Instant::from_micros(*micros), at(key), None);
        }
        let order = |past: u64| {
            // Beyond the last stamp's keepalive, so that every entry is due.
            let now = Instant::from_micros((1 << 41) + (past >> 8));
            let mut table = table.clone();
            let asked = (0..seen.len()).map_while(|_| table.due(now).inspect(|due| table.asked(now, due)));
            asked.collect::<Vec<_>>()
        };
        prop_assert_eq!(order(later).len(), seen.len());
        prop_assert_eq!(order(later), order(latest));
        let oldest = |past: u64| table.least_recent(Instant::from_micros((1 << 41) + (past >> 8)), 0, Quality::Questionable);
        prop_assert_eq!(oldest(later), oldest(latest));
    }

    /// T15: a new key costs only the entries that its buckets have no place for.
    #[test]
    fn t15_renaming_keeps_all_that_the_buckets_allow(
        keys in vec(any::<u8>(), 0..80), dead in vec(any::<u8>(), 0..20), k in 1_usize..20, to: u8,
    ) {
        let mut table = Table::new(LOCAL, k, rules());
        for (n, key) in keys.iter().enumerate() {
            table.answered(Instant::from_secs(n as u64), at(*key), None);
        }
        for key in &dead {
            fail(&mut table, *key, 2);
        }
        let before: Vec<Entry<Small>> = table.iter().chain(&table.replacements).copied().collect();
        let local = Small::new([to]);
        table.rename(Instant::from_secs(99), local);
        prop_assert_eq!(table.check(), Ok(()));
        prop_assert_eq!(table.local(), local);
        for lost in before.iter().filter(|entry| table.get(entry.key()).is_none() && *entry.key() != local) {
            let bucket = table.entries_of(table.bucket_of(lost.key()));
            prop_assert_eq!(bucket.len(), k, "lost from a bucket that has room");
            prop_assert!(lost.is_bad(&table.config) || bucket.iter().all(|entry| !entry.is_bad(&table.config)));
            let waits = table.replacements.iter().any(|entry| entry.key() == lost.key());
            prop_assert!(waits || lost.is_bad(&table.config) || table.replacements.len() >= 8);
        }
    }
}
