use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::krpc::Nodes;

/// One node of a model network: what its table holds, and what it stores.
struct Node {
    table: Vec<Contact<Key<20>>>,
    hashes: Vec<InfoHash>,
    interval: Duration,
    is_dead: bool,
}

/// A network without time or packets.
struct Model {
    nodes: BTreeMap<SocketAddr, (Key<20>, Node)>,
    rng: Rng,
}

/// Most info hashes in one answer of the model's.
const TOLD: usize = 5;

fn addr(n: usize) -> SocketAddr {
    let [.., a, b] = n.to_be_bytes();
    SocketAddr::from(([20, 1, a, b], 6_881))
}

impl Model {
    /// Nodes with tables of long standing: of those that share exactly i bits with a node, for every i, up to eight.
    fn new(count: usize, each: usize, dead: f64, seed: u64) -> Self {
        let mut rng = Rng::from_number(seed);
        let all: Vec<_> = (0..count).map(|n| Contact::new(Key::random(&mut rng), addr(n))).collect();
        let mut nodes = BTreeMap::new();
        for own in &all {
            let mut buckets: BTreeMap<usize, Vec<Contact<Key<20>>>> = BTreeMap::new();
            let first = rng.below(count);
            for other in all.iter().cycle().skip(first).take(count).filter(|other| other.key != own.key) {
                let bucket = buckets.entry(own.key.common_prefix(&other.key)).or_default();
                if bucket.len() < 8 {
                    bucket.push(*other);
                }
            }
            let table = buckets.into_values().flatten().collect();
            let hashes = (0..each).map(|_| InfoHash::from(<Key<20>>::random(&mut rng))).collect();
            let interval = Duration::from_secs(rng.below(21_600) as u64);
            let is_dead = rng.chance(dead);
            nodes.insert(own.addr, (own.key, Node { table, hashes, interval, is_dead }));
        }
        Model { nodes, rng }
    }

    fn closest(&self, target: &Key<20>, among: impl Iterator<Item = Contact<Key<20>>>) -> Nodes {
        let mut all: Vec<_> = among.collect();
        all.sort_by(|a, b| target.cmp_distance(&a.key, &b.key));
        all.into_iter().take(8).collect()
    }

    /// What a lookup finds that also meets the dead.
    fn nearest(&self, target: &Key<20>) -> Nodes {
        let all = self.nodes.iter().map(|(addr, (key, _))| Contact::new(*key, *addr));
        self.closest(target, all)
    }

    fn ask(&mut self, contact: &Contact<Key<20>>, target: &Key<20>) -> Option<Response> {
        let (key, node) = self.nodes.get(&contact.addr)?;
        assert_eq!(*key, contact.key);
        let nodes = self.closest(target, node.table.iter().copied());
        let first = self.rng.below(node.hashes.len().max(1));
        let told = node.hashes.iter().cycle().skip(first).take(TOLD.min(node.hashes.len()));
        let samples = Samples {
            interval: node.interval,
            num: node.hashes.len() as u64,
            info_hashes: told.copied().collect(),
        };
        let response = Response { nodes, samples: Some(Box::new(samples)), ..Response::default() };
        (!node.is_dead).then_some(response)
    }

    fn live(&self) -> usize {
        self.nodes.values().filter(|(_, node)| !node.is_dead).count()
    }
}

/// How a walk went.
struct Walked {
    progress: Progress,
    hashes: BTreeSet<InfoHash>,
    /// Questions to each node, with the time of each.
    asked: BTreeMap<SocketAddr, Vec<Instant>>,
    took: Duration,
}

/// Every answer comes after a tenth of a second and some more.
fn walk(model: &mut Model, config: SweepConfig) -> Walked {
    let start = Instant::from_secs(1_000);
    let mut walk = Walk::new(Family::V4, Reach::Global, config, &mut Rng::from_number(9));
    let (mut now, mut number) = (start, 0_u64);
    let (mut hashes, mut asked): (BTreeSet<_>, BTreeMap<_, Vec<_>>) = Default::default();
    let mut coming = BTreeMap::new();
    loop {
        let until = match walk.poll(now) {
            Step::Ask(contact, target) => {
                asked.entry(contact.addr).or_default().push(now);
                number += 1;
                let after = Duration::from_millis(100 + number * 37 % 100);
                coming.insert((now + after, number), (contact, target));
                continue;
            }
            Step::Find(target) => {
                let live = model.nodes.iter().filter(|(_, (_, node))| !node.is_dead);
                let live = live.map(|(addr, (key, _))| Contact::new(*key, *addr));
                let found = model.closest(&target, live);
                walk.found(now, &target, found.contacts());
                continue;
            }
            Step::Wait(until) => until,
            Step::Rest => Instant::NEVER,
            Step::Done => break,
        };
        let Some(first) = coming.first_entry().filter(|first| first.key().0 <= until) else {
            assert!(until < Instant::NEVER, "nothing to wait for");
            now = until;
            continue;
        };
        now = first.key().0;
        let (contact, target) = first.remove();
        match model.ask(&contact, &target) {
            Some(response) => hashes.extend(walk.answered(now, contact.addr, &response)),
            None => walk.failed(contact.addr),
        }
        assert!((0.0..=1.0).contains(&walk.progress().coverage));
    }
    assert!((walk.progress().coverage - 1.0).abs() < f64::EPSILON);
    Walked { progress: walk.progress(), hashes, asked, took: now.since(start) }
}

#[test]
fn bep51_51_2_every_node_is_asked_and_none_twice() {
    for (count, seed, rate) in
        [(1, 1, 10), (3, 2, 10), (9, 3, 10), (40, 4, 10), (1_000, 5, 10), (1_000, 6, 200)]
    {
        let mut model = Model::new(count, 3, 0.0, seed);
        let walked = walk(&mut model, SweepConfig { rate, ..SweepConfig::default() });
        assert!(walked.asked.values().all(|times| times.len() == 1), "{count} nodes");
        assert_eq!((walked.asked.len(), walked.hashes.len()), (count, 3 * count), "{:?}", walked.progress);
        assert!(walked.progress.lookups <= 1 + u64::from(rate) / 20, "{count} nodes: {:?}", walked.progress);
        let least = Duration::from_secs(1) / rate * (u32::try_from(count).unwrap() - 1);
        assert!(walked.took >= least, "{rate} a second: {:?}", walked.took);
    }
}

#[test]
fn bep51_51_2_who_holds_more_than_it_told_is_asked_again_after_its_interval() {
    let mut model = Model::new(100, 3 * TOLD, 0.0, 6);
    let config = SweepConfig { rounds: 3, ..SweepConfig::default() };
    let walked = walk(&mut model, config);
    for (addr, times) in &walked.asked {
        assert!((2..=3).contains(&times.len()));
        let (_, node) = &model.nodes[addr];
        for pair in times.windows(2) {
            assert!(pair[1].since(pair[0]) > node.interval.max(LEAST_PAUSE), "{addr}: {times:?}");
        }
    }
    assert!((250..=300).contains(&walked.progress.requests), "{:?}", walked.progress);
    let once = walk(&mut Model::new(100, 3 * TOLD, 0.0, 6), SweepConfig::default());
    assert!(once.asked.values().all(|times| times.len() == 1) && once.hashes.len() < walked.hashes.len());
}

#[test]
fn a_full_memory_makes_it_rest_and_never_ask_twice() {
    let mut model = Model::new(60, 1, 0.0, 7);
    let config = SweepConfig { nodes: 25, ..SweepConfig::default() };
    let walked = walk(&mut model, config);
    assert_eq!(walked.asked.len(), 60, "{:?}", walked.progress);
    assert!(walked.took >= LEAST_PAUSE, "it had to wait: {:?}", walked.took);
    for (addr, times) in &walked.asked {
        let interval = model.nodes[addr].1.interval;
        assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) > interval), "{addr}: {times:?}");
    }
}

#[test]
fn whoever_does_not_know_the_method_still_shows_the_way() {
    let model = Model::new(200, 1, 0.0, 8);
    let mut walk = Walk::new(Family::V4, Reach::Global, SweepConfig::default(), &mut Rng::from_number(1));
    let mut now = Instant::ZERO;
    let mut asked = 0;
    loop {
        match walk.poll(now) {
            Step::Ask(contact, target) => {
                asked += 1;
                let (_, node) = &model.nodes[&contact.addr];
                let nodes = model.closest(&target, node.table.iter().copied());
                let found = walk.answered(now, contact.addr, &Response { nodes, ..Response::default() });
                assert!(found.is_empty());
            }
            Step::Find(target) => {
                walk.found(now, &target, model.nearest(&target).contacts());
            }
            Step::Wait(until) => now = until,
            Step::Rest => panic!("nothing runs"),
            Step::Done => break,
        }
    }
    assert_eq!((asked, walk.progress().sampled), (200, 0));
}

#[test]
fn bep51_51_2_where_nobody_is_found_it_tries_for_two_minutes_and_other_families_are_none_of_its_business() {
    let mut walk = Walk::new(Family::V6, Reach::Global, SweepConfig::default(), &mut Rng::from_number(1));
    let (mut now, mut lookups) = (Instant::ZERO, 0);
    loop {
        match walk.poll(now) {
            Step::Find(target) => {
                assert_eq!(walk.poll(now + SLOW), Step::Rest);
                walk.found(now, &target, &[Contact::new(target, addr(1))]);
                lookups += 1;
            }
            Step::Wait(until) => now = until,
            step => break assert_eq!(step, Step::Done),
        }
    }
    assert_eq!((lookups, now.since(Instant::ZERO).as_secs()), (6, 5 + 10 + 20 + 40 + 80));
    assert!(walk.answered(Instant::ZERO, addr(1), &Response::default()).is_empty(), "nobody asked it");
    assert_eq!((walk.progress().answered, walk.progress().coverage), (0, 0.0));
}

#[test]
fn bep51_51_2_an_outage_leaves_no_part_of_the_keyspace_out() {
    let mut model = Model::new(300, 1, 0.0, 11);
    let mut walk = Walk::new(Family::V4, Reach::Global, SweepConfig::default(), &mut Rng::from_number(4));
    let (mut now, mut hashes) = (Instant::ZERO, BTreeSet::new());
    // Nobody answers in its first minute, nor for half an hour after the hundredth info hash.
    let mut back = Instant::from_secs(60);
    loop {
        let is_out = now < back;
        match walk.poll(now) {
            Step::Ask(contact, target) => match model.ask(&contact, &target) {
                Some(response) if !is_out => hashes.extend(walk.answered(now, contact.addr, &response)),
                _ => walk.failed(contact.addr),
            },
            Step::Find(target) if is_out => walk.found(now, &target, &[]),
            Step::Find(target) => {
                walk.found(now, &target, model.nearest(&target).contacts());
            }
            Step::Wait(until) => now = until,
            Step::Rest => panic!("nothing runs"),
            Step::Done => break,
        }
        if hashes.len() >= 100 && back < Instant::from_secs(100) {
            back = now + Duration::from_secs(1_800);
        }
    }
    let Progress { coverage, failed, lookups, .. } = walk.progress();
    assert!((coverage - 1.0).abs() < f64::EPSILON && lookups > 6, "{lookups} lookups");
    // Who was asked during the outage is lost to this walk, and nobody else.
    assert!(hashes.len() as u64 + failed >= 300, "{} told, {failed} failed", hashes.len());
}

#[test]
fn invented_nodes_cost_a_question_each_and_hold_nobody_up() {
    let mut model = Model::new(400, 2, 0.0, 10);
    let mut walk = Walk::new(Family::V4, Reach::Global, SweepConfig::default(), &mut Rng::from_number(2));
    let (mut now, mut rng, mut invented) = (Instant::ZERO, Rng::from_number(3), 0_usize);
    let mut hashes = BTreeSet::new();
    for _ in 0..20_000 {
        match walk.poll(now) {
            Step::Ask(contact, target) => {
                let lies = rng.chance(0.3);
                match model.ask(&contact, &target) {
                    Some(mut response) if lies => {
                        // Eight that do not exist, right beside the liar, and he knows nobody else.
                        let contacts = (0..8).map(|n| {
                            let ip = [21, 0, 0, 0_u8];
                            let port = u16::try_from((invented + n) % 60_000 + 1).unwrap();
                            Contact::new(
                                contact.key.random_within(30, &mut rng),
                                SocketAddr::from((ip, port)),
                            )
                        });
                        response.nodes = contacts.collect();
                        invented += 8;
                        hashes.extend(walk.answered(now, contact.addr, &response));
                    }
                    Some(response) => hashes.extend(walk.answered(now, contact.addr, &response)),
                    None => walk.failed(contact.addr),
                }
            }
            Step::Find(target) => {
                walk.found(now, &target, model.nearest(&target).contacts());
            }
            Step::Wait(until) => now = until,
            Step::Rest => panic!("nothing runs"),
            Step::Done => break,
        }
    }
    assert_eq!(walk.poll(now), Step::Done, "{:?}", walk.progress());
    assert!(hashes.len() >= 790, "{} of 800", hashes.len());
    assert!(walk.progress().requests < 400 + invented as u64 + 1, "{:?}", walk.progress());
}

proptest! {
    #[test]
    fn bep51_51_2_among_the_dead_nearly_every_live_node_is_asked(seed in 0_u64..1_000, dead in 0.0..0.4) {
        let mut model = Model::new(300, 1, dead, seed);
        let walked = walk(&mut model, SweepConfig::default());
        prop_assert!(walked.asked.values().all(|times| times.len() == 1));
        prop_assert_eq!(walked.progress.sampled + walked.progress.failed, walked.progress.requests);
        prop_assert!(walked.hashes.len() * 100 >= model.live() * 99, "{} of {}", walked.hashes.len(), model.live());
    }
}
