//! Nobody answers: T17, P47.

use std::time::Duration;

use bittorrent_profile::Mainline;
use kademlia_core::{Config, Event, Instant, Key, Keyspace, LookupLimit, LookupOptions, Protocol, Rng};
use tests::engine::stranger;

use crate::field::{Field, V4};

/// A node whose whole table has fallen silent.
fn silent(seed: u64, entries: u8, config: Config) -> Field {
    let mut field = Field::new(seed, entries, config);
    field.neighbours.clear();
    field
}

fn look_up(field: &mut Field, rng: &mut Rng) -> Result<(), LookupLimit> {
    let (now, target) = (field.now, Key::random(rng));
    let options = LookupOptions { answers: true, ..LookupOptions::default() };
    field.node.lookup(now, target, Mainline::find_node(target), options).map(|_| ())
}

/// Queues so many lookups at once; gives back the most memory that was held, and when all had ended.
fn queue_up(lookups: usize) -> (usize, Duration) {
    let mut config = Config::default();
    config.lookup.waiting = lookups;
    let mut field = silent(17, 20, config);
    let mut rng = Rng::from_number(17);
    let begun = field.now;
    for _ in 0..lookups {
        look_up(&mut field, &mut rng).expect("there is room");
        field.drain();
    }
    let (mut most, mut ended) = (field.node.memory(), 0);
    while ended < lookups {
        let due = field.node.poll_timeout().expect("P4: work is pending");
        field.pass(due.since(field.now));
        most = most.max(field.node.memory());
        for event in std::mem::take(&mut field.events) {
            if let Event::LookupDone { report, .. } = event {
                assert!(report.took <= Duration::from_secs(20), "{report:?}");
                assert_eq!(report.answered, 0);
                ended += 1;
            }
        }
    }
    (most, field.now.since(begun))
}

#[test]
fn t17_on_a_silent_network_every_lookup_ends_and_the_queue_is_small() {
    let (most, took) = queue_up(2_000);
    println!("2,000 lookups without an answer: {most} bytes, {took:?}");
    assert!(most <= 64 << 20);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t17_a_hundred_thousand_lookups_without_an_answer_fit_64_mib() {
    let (most, took) = queue_up(100_000);
    println!("100,000 lookups without an answer: {most} bytes, {took:?}");
    assert!(most <= 64 << 20);
}

#[test]
fn t17_more_lookups_than_may_wait_are_refused() {
    let mut field = silent(18, 20, Config::default());
    let mut rng = Rng::from_number(18);
    let taken = (0..10_000).filter(|_| look_up(&mut field, &mut rng).is_ok()).count();
    assert_eq!(taken, 64 + 1_024);
    assert!(field.node.memory() <= 4 << 20, "{}", field.node.memory());
}

#[test]
fn p47_t20_whoever_hears_nobody_gives_nobody_up() {
    for seed in 0..100 {
        let mut rng = Rng::from_number(seed);
        let entries = 1 + u8::try_from(rng.below(100)).unwrap();
        let mut field = Field::new(seed, entries, Config::default());
        // A while of normal life, so that entries are of different ages.
        field.pass(Duration::from_secs(rng.below(3_600) as u64));
        let known = field.known();
        let neighbours = std::mem::take(&mut field.neighbours);
        let until = field.now + Duration::from_secs(60 + rng.below(12 * 3_600) as u64);
        while field.now < until {
            if rng.chance(0.5) {
                let _ = look_up(&mut field, &mut rng);
                field.drain();
            }
            field.pass(Duration::from_secs(rng.below(600) as u64));
        }
        assert_eq!(field.known(), known, "seed {seed}");
        let counts = field.node.table().counts(field.now);
        assert_eq!(counts.bad, 0, "seed {seed}: {counts:?}");
        // And back: half a minute later eight are good again, or all there are.
        field.neighbours = neighbours;
        field.pass(Duration::from_secs(30));
        let counts = field.node.table().counts(field.now);
        // But for a request that went out before and failed after the return.
        assert!(counts.good + 1 >= known.len().min(9), "seed {seed}: {counts:?}");
        assert_eq!(field.known(), known, "seed {seed}");
    }
}

#[test]
fn p5_t21_a_clock_that_jumps_while_much_is_under_way_starts_no_storm() {
    let (hour, years) = (3_600_000_000, 10 * 365 * 86_400_000_000_u64);
    for seed in 0..200 {
        let mut rng = Rng::from_number(seed);
        let mut field = silent(seed, 100, Config::default());
        for _ in 0..1 + rng.below(64) {
            let _ = look_up(&mut field, &mut rng);
        }
        field.drain();
        field.pass(Duration::from_millis(rng.below(5_000) as u64));
        let was = field.now.as_micros();
        let jumps = [was + hour, was - was.min(hour), was + years, u64::MAX, 0];
        let mut clock = Instant::from_micros(jumps[rng.below(jumps.len())]);
        let mut packets = 0;
        field.node.handle_timeout(clock);
        packets += field.drain().len();
        // A second by the clock that jumped, or by a good one if that has run out.
        for _ in 0..1_000 {
            clock = clock + Duration::from_millis(1);
            let mut calls = 0;
            while field.node.poll_timeout().is_some_and(|due| due <= clock) {
                field.node.handle_timeout(clock);
                packets += field.drain().len();
                calls += 1;
                assert!(calls < 1_000, "seed {seed}: no end of timers at {clock:?}");
            }
        }
        assert!(
            packets <= 64,
            "seed {seed}: {packets} packets in the second after a jump from {was} to {clock:?}"
        );
        // Whatever happened, it can still be asked.
        let sent = field.receive(
            stranger(1, V4).addr,
            crate::field::query(stranger(1, V4).key, bittorrent_profile::krpc::Request::Ping),
        );
        assert!(!sent.is_empty());
    }
}
