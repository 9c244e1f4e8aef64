use super::*;
use crate::addresses::{address_v4, address_v6};

const SENT: usize = 20_000;

/// Fates of many datagrams from one address to others.
fn fates(model: LinkModel) -> Vec<Transit> {
    let mut links = Links::new(model, 7);
    (0..SENT).map(|n| links.transit(Instant::from_micros(n as u64), address_v4(0), pair(n), 100)).collect()
}

fn pair(n: usize) -> SocketAddr {
    address_v4(1 + u32::try_from(n % 1_000).unwrap())
}

fn share(fates: &[Transit], wanted: impl Fn(&Transit) -> bool) -> f64 {
    fates.iter().filter(|fate| wanted(fate)).count() as f64 / SENT as f64
}

fn delays(model: LinkModel) -> Vec<Duration> {
    let mut delays: Vec<_> = fates(model).iter().map(|fate| fate.deliveries()[0].delay).collect();
    delays.sort();
    delays
}

/// Four standard deviations of a share of `SENT` draws.
fn near(measured: f64, expected: f64) -> bool {
    (measured - expected).abs() < 4.0 * (expected * (1.0 - expected) / SENT as f64).sqrt()
}

#[test]
fn a_perfect_network_delivers_everything_once_and_on_time() {
    let expected = Transit::Once(Delivery { delay: Duration::from_millis(20), inverted: None });
    assert!(fates(LinkModel::perfect()).iter().all(|fate| *fate == expected));
}

#[test]
fn the_same_seed_decides_alike_and_another_one_otherwise() {
    let model =
        LinkModel { duplicate: 0.1, reorder: 0.1, corrupt: 0.1, ..LinkModel::internet().with_loss(0.1) };
    assert_eq!(fates(model), fates(model));
    let mut other = Links::new(model, 8);
    let other: Vec<_> =
        (0..SENT).map(|n| other.transit(Instant::ZERO, address_v4(0), pair(n), 100)).collect();
    assert_ne!(fates(model), other);
}

#[test]
fn mishaps_come_as_often_as_asked_for() {
    let perfect = LinkModel::perfect();
    let lost = share(&fates(perfect.with_loss(0.3)), |fate| *fate == Transit::Lost);
    assert!(near(lost, 0.3), "{lost}");
    let twice = share(&fates(LinkModel { duplicate: 0.05, ..perfect }), |fate| fate.deliveries().len() == 2);
    assert!(near(twice, 0.05), "{twice}");
    let hold = Duration::from_secs(1);
    let late = LinkModel { reorder: 0.2, hold, ..perfect };
    let overtaken = share(&fates(late), |fate| fate.deliveries()[0].delay > Duration::from_millis(20));
    assert!(near(overtaken, 0.2), "{overtaken}");
    assert!(*delays(late).last().unwrap() < hold + Duration::from_millis(20));
    let inverted = share(&fates(LinkModel { corrupt: 0.1, ..perfect }), |fate| {
        fate.deliveries()[0].inverted.is_some_and(|bit| bit < 800)
    });
    assert!(near(inverted, 0.1), "{inverted}");
}

#[test]
fn latencies_follow_the_distribution() {
    let ms = Duration::from_millis;
    let uniform = LinkModel::perfect().with_latency(Latency::Uniform { min: ms(10), max: ms(90) });
    let uniform = delays(uniform);
    assert!(uniform[0] >= ms(10) && uniform[SENT - 1] < ms(90));
    assert!(uniform[SENT / 2] > ms(45) && uniform[SENT / 2] < ms(55), "{:?}", uniform[SENT / 2]);

    let heavy = delays(LinkModel::internet());
    let (median, p95, p99) = (heavy[SENT / 2], heavy[SENT * 95 / 100], heavy[SENT * 99 / 100]);
    assert!(heavy[0] >= ms(2) && median > ms(36) && median < ms(46), "{median:?}");
    assert!(p95 > ms(130) && p95 < ms(230) && p99 > ms(250) && p99 < ms(1_000), "{p95:?} {p99:?}");
}

#[test]
fn a_pair_keeps_its_distance_in_both_directions() {
    let links = Links::new(LinkModel::internet(), 1);
    for n in 1..100 {
        let (a, b) = (address_v4(n), address_v6(n));
        assert_eq!(links.distance(a, b), links.distance(b, a));
        assert_ne!(links.distance(a, b), links.distance(a, address_v4(n + 1)));
    }
}

#[test]
fn extremes_neither_panic_nor_pass_the_ceiling() {
    let odd = [Duration::ZERO, Duration::from_micros(1), Duration::from_secs(1 << 40)];
    for (floor, median, ceiling) in
        odd.iter().flat_map(|a| odd.iter().flat_map(move |b| odd.map(|c| (*a, *b, c))))
    {
        let links =
            Links::new(LinkModel::perfect().with_latency(Latency::HeavyTailed { floor, median, ceiling }), 1);
        for n in 0..100 {
            assert!(links.distance(address_v4(n), address_v4(n + 1)) <= ceiling);
        }
    }
}

#[test]
fn what_is_longer_than_the_mtu_is_lost() {
    let mut links = Links::new(LinkModel { mtu: 100, ..LinkModel::perfect() }, 1);
    let mut sent = |len| links.transit(Instant::ZERO, address_v4(0), address_v4(1), len) != Transit::Lost;
    assert!(sent(100) && !sent(101));
}

#[test]
fn losses_come_in_bursts() {
    let bursts = Bursts { share: 0.1, length: Duration::from_secs(1), loss: 1.0 };
    let mut links = Links::new(LinkModel { bursts: Some(bursts), ..LinkModel::perfect() }, 3);
    // 100 links, one datagram in 0.1 s on each, for 200 s.
    let mut lost = 0;
    let mut changes = 0;
    for link in 0..100 {
        let mut before = None;
        for tick in 0..2_000 {
            let now = Instant::from_micros(tick * 100_000);
            let fate = links.transit(now, address_v4(link), address_v4(link + 1), 1) == Transit::Lost;
            lost += u32::from(fate);
            changes += u32::from(before.replace(fate).is_some_and(|before| before != fate));
        }
    }
    let share = f64::from(lost) / 200_000.0;
    assert!((0.08..0.12).contains(&share), "{share}");
    // Independent losses of the same share would change 2 * 0.1 * 0.9 of the time: 36,000 times.
    assert!((3_000..4_200).contains(&changes), "{changes}");
}

#[test]
fn a_partition_cuts_between_groups_and_heals() {
    let mut links = Links::new(LinkModel::perfect(), 1);
    let [a, b, c, unnamed] = [0, 1, 2, 3].map(address_v4);
    links.partition([(a, 1), (b, 1), (c, 0)]);
    assert!(links.connected(a, b) && links.connected(c, unnamed));
    assert!(!links.connected(a, c) && !links.connected(unnamed, b));
    assert_eq!(links.transit(Instant::ZERO, a, c, 1), Transit::Lost);
    links.heal();
    assert!(links.connected(a, c));
}

#[test]
fn some_ordered_pairs_never_reach_each_other_and_the_others_always_do() {
    let mut links = Links::new(LinkModel { oneway: 0.1, ..LinkModel::perfect() }, 5);
    let mut passes = |from, to| {
        let fates = [0, 1, 2].map(|at| links.transit(Instant::from_secs(at), from, to, 1) != Transit::Lost);
        assert!(fates == [links.connected(from, to); 3]);
        fates[0]
    };
    let (mut neither, mut one, mut both) = (0, 0, 0);
    for n in 0..10_000 {
        let (a, b) = (address_v4(n), address_v6(n));
        match (passes(a, b), passes(b, a)) {
            (true, true) => both += 1,
            (false, false) => neither += 1,
            _ => one += 1,
        }
    }
    // 81 %, 18 % and 1 % of all pairs.
    assert!((7_950..8_250).contains(&both) && (1_650..1_950).contains(&one), "{both} {one} {neither}");
}

#[test]
fn who_moves_keeps_its_side_of_a_partition() {
    let mut links = Links::new(LinkModel::perfect(), 1);
    let [a, b, moved] = [0, 1, 2].map(address_v4);
    links.partition([(a, 1), (b, 1)]);
    links.moved(b, moved);
    assert!(links.connected(a, moved) && !links.connected(a, b));
    links.moved(b, a);
    assert!(links.connected(a, moved));
}

#[test]
fn an_inverted_bit_is_one_bit() {
    let mut datagram = [0; 4];
    Delivery { delay: Duration::ZERO, inverted: Some(9) }.apply(&mut datagram);
    assert_eq!(datagram, [0, 0x40, 0, 0]);
    Delivery { delay: Duration::ZERO, inverted: Some(32) }.apply(&mut datagram);
    assert_eq!(datagram, [0, 0x40, 0, 0]);
}
