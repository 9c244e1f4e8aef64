//! Nodes that come and go, and plans in which much goes wrong at once.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod overlay;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::{Config, Event, Key, Keyspace, LookupOptions, Node, Rng};
use overlay::{Request, Tiny};
use transport_mem::{
    Birth, Churn, Churner, Fault, FaultPlan, Hostility, LinkModel, NodeIndex, Simulation, Step, Weibull,
    address_v4, swarm,
};

type Net = Simulation<Tiny<4>, Tiny<4>>;

const HOUR: Duration = Duration::from_secs(3_600);

/// Makes nodes that share one configuration.
fn maker() -> impl Fn(Birth<Key<4>>) -> Node<Tiny<4>, Tiny<4>> {
    let config = Arc::new(Config::default());
    move |birth| overlay::node(birth, &config)
}

fn network(seed: u64, count: usize) -> Net {
    let mut network = Net::new(seed, LinkModel::internet());
    network.grow(count, Duration::from_millis(500), maker());
    network.run_for(Duration::from_secs(60));
    network.take_events();
    network
}

fn churn(keep_state: f64) -> Churn {
    let span = Weibull { median: Duration::from_secs(600), shape: 1.0 };
    Churn { session: span, pause: span, keep_state, stays: 0.2 }
}

#[test]
fn half_are_away_keys_are_kept_or_not_and_some_never_leave() {
    for keep_state in [0.0, 1.0] {
        let mut network = network(1, 200);
        let key = |network: &Net, index| network.node(index).map(Node::local);
        let before: Vec<_> = (0..200).map(|index| key(&network, index)).collect();
        let left = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&left);
        network.observe(move |_, step| {
            if let Step::Stopped { node } = step {
                seen.lock().unwrap().insert(*node);
            }
        });
        network.churn_for(2 * HOUR, &churn(keep_state), &mut maker());
        let left = left.lock().unwrap();
        assert!((140..=180).contains(&left.len()), "{} of 200 left", left.len());
        let up = network.nodes().count();
        assert!((100..=140).contains(&up), "{up} of 200 are up");
        for (index, node) in network.nodes() {
            let same = Some(node.local()) == before[index];
            assert_eq!(same, keep_state > 0.0 || !left.contains(&index), "node {index}");
        }
    }
}

#[test]
fn lookups_find_nodes_under_churn() {
    let mut network = network(2, 100);
    let make = maker();
    let mut churner = Churner::new(churn(0.5), 1, &mut network);
    let mut rng = Rng::from_number(1);
    let (mut found, mut wanted) = (0, 0);
    for _ in 0..60 {
        let until = network.now() + Duration::from_secs(120);
        churner.run_until(&mut network, until, &make);
        let target = Key::random(&mut rng);
        let options = LookupOptions::default();
        network.call(0, |node, now| node.lookup(now, target, Request::FindNode(target), options));
        let until = network.now() + Duration::from_secs(20);
        churner.run_until(&mut network, until, &make);
        let truth = network.closest_live(&target, 8, Some(0));
        let reports = network.events(0).into_iter();
        let mut reports = reports.filter_map(|event| match event {
            Event::LookupDone { report, .. } => Some(report),
            _ => None,
        });
        let closest = reports.next_back().expect("node 0 is spared").closest;
        wanted += truth.len();
        found += truth.iter().filter(|contact| closest.contains(contact)).count();
    }
    assert!(found * 10 > wanted * 7, "{found} of {wanted}");
}

#[test]
fn p1_churn_repeats() {
    let run = |seed| {
        let mut network = network(seed, 60);
        network.churn_for(HOUR, &churn(0.5), &mut maker());
        network.trace_hash()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn ten_thousand_nodes_may_churn() {
    // Nobody knows anybody: this is about the schedule.
    let make = maker();
    let mut network = Net::new(4, LinkModel::perfect());
    for n in 0..10_000 {
        network.spawn(address_v4(n), &make);
    }
    let stopped = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&stopped);
    network
        .observe(move |_, step| *counter.lock().unwrap() += u32::from(matches!(step, Step::Stopped { .. })));
    let lonely = Churn { session: churn(0.0).session, ..Churn::with_half_life(Duration::from_secs(600)) };
    network.churn_for(HOUR / 60, &lonely, &mut |birth| make(birth));
    let stopped = *stopped.lock().unwrap();
    // One minute out of a half-life of ten: 6.7 % of them.
    assert!((500..=900).contains(&stopped), "{stopped}");
}

/// Who leaves whose place in what order, by the steps of a run.
fn plan(length: u64, faults: &[(u64, Fault)]) -> FaultPlan {
    let faults = faults.iter().map(|(at, fault)| (Duration::from_secs(*at), *fault)).collect();
    FaultPlan { faults, ..FaultPlan::quiet(Duration::from_secs(length)) }
}

fn known(network: &Net, index: NodeIndex) -> usize {
    network.node(index).map_or(0, |node| node.table().len())
}

#[test]
fn a_node_recovers_with_its_state_or_restarts_without() {
    let mut network = network(5, 30);
    let key = |network: &Net, index| network.node(index).map(Node::local);
    let before = [key(&network, 3), key(&network, 4)];
    let crash = [Fault::Crash(3), Fault::Crash(4)];
    let plan = plan(120, &[(10, crash[0]), (10, crash[1]), (60, Fault::Recover(3)), (60, Fault::Restart(4))]);
    network.endure(&plan, maker());
    assert_eq!(key(&network, 3), before[0]);
    assert!(key(&network, 4).is_some() && key(&network, 4) != before[1]);
    assert!(known(&network, 3) >= 8 && known(&network, 4) >= 8);
}

#[test]
fn the_first_nodes_are_spared() {
    let faults: Vec<_> = (0..40).map(|n| (10, Fault::Crash(n))).collect();
    let mut network = network(6, 20);
    network.endure(&FaultPlan { spared: 2, ..plan(60, &faults) }, maker());
    assert_eq!(network.nodes().map(|(index, _)| index).collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn after_a_swizzle_clog_all_cables_are_in_again() {
    let mut network = network(7, 12);
    let swizzle = Fault::SwizzleClog { nodes: 12, pace: Duration::from_secs(60) };
    let lost = network.traffic().lost;
    network.endure(&plan(24 * 60, &[(0, swizzle)]), maker());
    assert!(network.traffic().lost > lost && (0..12).all(|index| !network.is_isolated(index)));
    network.run_for(HOUR);
    let known: Vec<_> = (0..12).map(|index| known(&network, index)).collect();
    assert!(known.iter().all(|known| *known >= 8), "everybody is back: {known:?}");
}

#[test]
fn the_hostile_turn_at_the_start_and_are_gone_at_the_end() {
    for kind in Hostility::ALL {
        let mut network = network(8, 30);
        let calm = FaultPlan::quiet(Duration::from_secs(1_200));
        network.endure(&FaultPlan { hostile: vec![(kind, 0.3)], spared: 5, ..calm }, maker());
        let down: Vec<_> = (0..30).filter(|index| network.is_down(*index)).collect();
        assert!((2..=14).contains(&down.len()) && down.iter().all(|index| *index >= 5), "{kind:?}: {down:?}");
    }
}

/// Seeds that are tried at every change.
const SEEDS: u64 = 25;

#[test]
fn p1_every_seed_of_the_swarm_replays() {
    for seed in 0..SEEDS {
        let run = || {
            let mut network = Net::new(seed, LinkModel::internet()).wire(seed % 2 == 0).trace_contents(true);
            network.grow(25, Duration::from_millis(500), maker());
            network.endure(&swarm::draw(seed, Duration::from_secs(300)), maker());
            (network.trace_hash(), network.traffic())
        };
        assert_eq!(run(), run(), "seed {seed}: {}", swarm::draw(seed, Duration::from_secs(300)));
    }
}

/// An hour after a plan, the first node that knows fewer than k good ones, or fewer than there are.
fn lonely(seed: u64, plan: &FaultPlan) -> Option<NodeIndex> {
    let mut network = Net::new(seed, LinkModel::internet()).wire(seed % 2 == 1);
    network.grow(25, Duration::from_millis(500), maker());
    network.run_for(Duration::from_secs(60));
    let check = |network: &Net| network.nodes().for_each(|(_, node)| node.check().expect("a sound node"));
    network.endure_with(plan, maker(), check);
    network.run_for(HOUR);
    check(&network);
    let enough = 8.min(network.nodes().count() - 1);
    // By its own clock, which the plan may have set.
    let good = |index| network.call(index, |node, now| node.table().counts(now).good);
    (0..25).map(good).position(|good| good.is_some_and(|good| good < enough))
}

#[test]
fn p8_p46_the_swarm_leaves_no_node_alone_and_breaks_none() {
    for seed in 0..SEEDS {
        let plan = swarm::draw(seed, Duration::from_secs(900));
        if let Some(index) = lonely(seed, &plan) {
            let smallest = swarm::shrink(&plan, |plan| lonely(seed, plan).is_some()).plan;
            panic!("seed {seed}, node {index}: {plan}\nsmallest: {smallest}");
        }
    }
}

#[test]
fn a_shrunk_plan_fails_again_by_its_steps_alone() {
    // What "fails" is of no matter here: that a node is down in the end.
    let run = |seed, plan: &FaultPlan| {
        let mut network = network(seed, 12);
        network.endure(plan, maker());
        let down = (0..12).find(|index| network.is_down(*index));
        (down, network.trace_hash())
    };
    let mut shrunk = 0;
    for seed in 0..10 {
        let plan = swarm::draw(seed, Duration::from_secs(300));
        if run(seed, &plan).0.is_none() {
            continue;
        }
        let small = swarm::shrink(&plan, |plan| run(seed, plan).0.is_some());
        let again = swarm::retrace(&swarm::draw(seed, Duration::from_secs(300)), &small.steps).unwrap();
        assert!(small.plan != plan && run(seed, &again) == run(seed, &small.plan), "seed {seed}: {again}");
        shrunk += 1;
    }
    assert!(shrunk > 3, "{shrunk}");
}

#[test]
fn what_is_oversized_arrives_where_a_longest_datagram_is_set() {
    let mut network = Net::new(9, LinkModel::internet()).wire(true);
    network.grow(20, Duration::from_millis(500), maker());
    let malformed = |network: &Net| network.nodes().map(|(_, node)| node.counters().malformed).sum::<u64>();
    let plan = FaultPlan {
        hostile: vec![(Hostility::Oversized, 0.5)],
        spared: 5,
        ..FaultPlan::quiet(Duration::from_secs(900))
    };
    network.endure(&plan, maker());
    assert!(malformed(&network) > 0);
}
