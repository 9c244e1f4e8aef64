//! The simulator, driven by a small overlay.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod overlay;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::{Codec, Config, Event, Key, Keyspace, LookupOptions, Protocol, Rng};
use overlay::{Request, Tiny, node};
use transport_mem::{LinkModel, NodeIndex, Payload, Simulation, Step, address_v4};

type Net = Simulation<Tiny<2>, Tiny<2>>;

/// A network of `count` nodes, joined and at rest.
fn network(simulation: Net, count: usize) -> Net {
    let config = Arc::new(Config::default());
    let mut simulation = simulation;
    simulation.grow(count, Duration::from_secs(1), |birth| node(birth, &config));
    simulation.run_for(Duration::from_secs(60));
    simulation
}

fn start(simulation: &mut Net, from: NodeIndex, target: Key<2>) {
    let lookup = simulation.call(from, |node, now| {
        node.lookup(now, target, Request::FindNode(target), LookupOptions::default())
    });
    lookup.expect("alive").expect("few lookups");
}

/// Runs one lookup and gives the keys it found.
fn find(simulation: &mut Net, from: NodeIndex, target: Key<2>) -> Vec<Key<2>> {
    simulation.events(from);
    start(simulation, from, target);
    simulation.run_for(Duration::from_secs(30));
    let mut found = simulation.events(from).into_iter().filter_map(|event| match event {
        Event::LookupDone { report, .. } => Some(report.closest.iter().map(|contact| contact.key).collect()),
        _ => None,
    });
    let result = found.next().expect("a lookup ends within 20 s");
    assert_eq!(found.next(), None, "and only once");
    result
}

fn expected(simulation: &Net, from: NodeIndex, target: Key<2>) -> Vec<Key<2>> {
    simulation.closest_live(&target, 8, Some(from)).iter().map(|contact| contact.key).collect()
}

#[test]
fn p1_the_same_seed_gives_the_same_trace_twice_and_another_seed_another() {
    let run = |seed, wire| {
        let model = LinkModel {
            duplicate: 0.05,
            reorder: 0.05,
            hold: Duration::from_secs(1),
            corrupt: 0.02,
            ..LinkModel::internet().with_loss(0.05)
        };
        let mut simulation = network(Simulation::new(seed, model).wire(wire).trace_contents(true), 40);
        simulation.crash(7);
        let target = Key::new([0x12, 0x34]);
        start(&mut simulation, 3, target);
        simulation.run_for(Duration::from_secs(600));
        (simulation.trace_hash(), simulation.traffic())
    };
    for wire in [false, true] {
        assert_eq!(run(1, wire), run(1, wire));
        assert_ne!(run(1, wire), run(2, wire));
    }
}

#[test]
fn bytes_and_typed_messages_give_the_same_results() {
    let run = |wire| {
        let mut simulation = network(Simulation::new(5, LinkModel::internet()).wire(wire), 50);
        let mut rng = Rng::from_number(9);
        let found: Vec<_> = (0..20).map(|from| find(&mut simulation, from, Key::random(&mut rng))).collect();
        let tables: Vec<_> = simulation.nodes().map(|(_, node)| node.snapshot(simulation.now())).collect();
        (found, tables, simulation.traffic().sent)
    };
    let (typed, wire) = (run(false), run(true));
    assert_eq!(typed, wire);
}

#[test]
fn p25_lookups_in_a_small_network_are_exact() {
    let mut simulation = network(Simulation::new(11, LinkModel::internet()), 60);
    assert!(simulation.nodes().skip(1).all(|(_, node)| node.is_bootstrapped()));
    let mut rng = Rng::from_number(1);
    for _ in 0..60 {
        let (from, target) = (rng.below(60), Key::random(&mut rng));
        let found = find(&mut simulation, from, target);
        assert_eq!(found, expected(&simulation, from, target), "from {from} for {target}");
    }
}

#[test]
fn a_partition_stops_what_crosses_it_and_heals() {
    let mut simulation = network(Simulation::new(3, LinkModel::perfect()), 30);
    let crossed = Arc::new(Mutex::new([0, 0]));
    let seen = Arc::clone(&crossed);
    simulation.observe(move |_, step| {
        let mut seen = seen.lock().unwrap();
        match step {
            Step::Delivered { from, to, .. } if from % 2 != to % 2 => seen[0] += 1,
            Step::Lost { .. } => seen[1] += 1,
            _ => {}
        }
    });
    simulation.run_until_quiet(Duration::from_secs(1));
    *crossed.lock().unwrap() = [0, 0];

    simulation.partition(|node| u32::from(node % 2 == 0));
    let target = Key::new([0x80, 0]);
    let found = find(&mut simulation, 0, target);
    let [through, lost] = *crossed.lock().unwrap();
    assert!(through == 0 && lost > 0, "{through} through, {lost} lost");
    let evens: Vec<_> =
        simulation.nodes().filter(|(i, _)| i % 2 == 0).map(|(_, node)| node.local()).collect();
    assert!(!found.is_empty() && found.iter().all(|key| evens.contains(key)));

    simulation.heal();
    find(&mut simulation, 0, target);
    assert!(crossed.lock().unwrap()[0] > 0);
}

#[test]
fn a_crashed_node_hears_nothing_and_a_restarted_one_remembers_what_it_is_given() {
    let mut simulation = network(Simulation::new(4, LinkModel::perfect()), 30);
    let target = simulation.node(9).expect("alive").local();
    let config = Arc::new(Config::default());

    let dead = simulation.crash(9).expect("was alive");
    assert!(simulation.node(9).is_none() && simulation.crash(9).is_none());
    assert_eq!(simulation.call(9, |_, _| ()), None);
    assert!(!find(&mut simulation, 0, target).contains(&target), "the dead do not answer");
    assert!(simulation.traffic().vanished > 0);

    let snapshot = dead.snapshot(simulation.now());
    simulation.restart(9, |birth| {
        let mut node = node(transport_mem::Birth { key: snapshot.local, ..birth }, &config);
        node.add_contacts(birth.now, &snapshot.contacts);
        node
    });
    simulation.run_for(Duration::from_secs(60));
    let restarted = simulation.node(9).expect("alive again");
    assert!(restarted.is_bootstrapped() && restarted.table().len() >= 8, "{}", restarted.table().len());
    assert_eq!(find(&mut simulation, 0, target), expected(&simulation, 0, target));
}

#[test]
fn junk_and_strangers_are_carried_too() {
    let mut simulation = network(Simulation::new(6, LinkModel::perfect()).wire(true), 5);
    let stranger = address_v4(1_000);
    simulation.call(2, |node, now| {
        node.handle_datagram(now, stranger, &[0xff; 100]);
        node.handle_datagram(now, SocketAddr::from(([0; 4], 0)), b"");
    });
    assert_eq!(simulation.node(2).expect("alive").counters().malformed, 2);
    assert!(simulation.run_until_quiet(Duration::from_secs(10)));
}

#[test]
fn time_stops_where_it_should() {
    let mut simulation = network(Simulation::new(7, LinkModel::perfect()), 10);
    let before = simulation.now();
    assert!(!simulation.run_while(Duration::from_secs(5), |_| true), "there is always something to do");
    assert_eq!(simulation.now(), before + Duration::from_secs(5));
    assert!(simulation.run_while(Duration::from_secs(5), |_| false));
    assert_eq!(simulation.now(), before + Duration::from_secs(5));
    let mut empty = Net::new(1, LinkModel::perfect());
    assert!(!empty.step());
    empty.run_for(Duration::from_secs(1));
    assert_eq!(empty.now().as_secs(), 1);
}

#[test]
fn timers_do_not_pile_up() {
    let mut simulation = network(Simulation::new(8, LinkModel::internet()), 20);
    let before = simulation.traffic();
    for _ in 0..60 {
        simulation.run_for(Duration::from_secs(60));
        assert!(simulation.pending() <= simulation.in_flight() + simulation.len());
    }
    let after = simulation.traffic();
    // An idle node wakes for keepalives, refreshes and their deadlines: well under one a second.
    let per_node = (after.timeouts - before.timeouts) / 20;
    assert!(per_node < 1_800, "{per_node} timeouts per node and hour");
}

#[test]
fn the_overlay_reads_what_it_wrote() {
    let mut simulation = network(Simulation::new(9, LinkModel::perfect()), 12);
    let seen = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&seen);
    simulation.observe(move |_, step| {
        if let Step::Delivered { payload: Payload::Message(message), .. } = step {
            let mut bytes = Vec::new();
            Tiny::<2>::encode(message, &mut bytes);
            assert_eq!(<Tiny<2> as Protocol>::Codec::decode(&bytes).as_ref(), Ok(message.as_ref()));
            *counted.lock().unwrap() += 1;
        }
    });
    simulation.run_for(Duration::from_secs(1_800));
    assert!(*seen.lock().unwrap() > 100);
}
