//! Networks filled by the oracle are as good as grown ones.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod overlay;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use kademlia_core::{Config, Event, Key, Keyspace, LookupOptions, Rng};
use overlay::{Request, Tiny, node};
use transport_mem::{LinkModel, Simulation, address_v4};

type Net = Simulation<Tiny<20>, Tiny<20>>;

/// A network of strangers that is filled at the age of 15 minutes.
fn filled(seed: u64, count: u32) -> Net {
    let config = Arc::new(Config::default());
    let mut network = Net::new(seed, LinkModel::internet());
    for n in 0..count {
        network.spawn(address_v4(n), |birth| node(birth, &config));
    }
    network.run_for(Duration::from_secs(900));
    network.fill_tables(8);
    network
}

#[test]
fn p10_every_bucket_is_as_full_as_it_can_be_and_nobody_said_a_word() {
    let network = filled(1, 600);
    assert_eq!((network.traffic().sent, network.pending()), (0, 600));
    for (_, node) in network.nodes() {
        assert!(node.is_bootstrapped());
        for depth in 0..20 {
            let shares = |key: &Key<20>| node.local().common_prefix(key) == depth;
            let there = network.nodes().filter(|(_, other)| shares(&other.local())).count();
            let known: BTreeSet<_> = node.table().iter().map(|entry| *entry.key()).filter(shares).collect();
            assert_eq!(known.len(), there.min(8), "at depth {depth}");
        }
    }
}

#[test]
fn p25_lookups_in_a_filled_network_are_exact() {
    let mut network = filled(2, 1_000);
    let mut rng = Rng::from_number(2);
    for round in 0..3 {
        for from in 0..300 {
            let target = Key::random(&mut rng);
            network.call(from, |node, now| {
                node.lookup(now, target, Request::FindNode(target), LookupOptions::default()).is_ok()
            });
        }
        network.run_for(Duration::from_secs(30));
        let census = network.census();
        let mut done = 0;
        for (by, event) in network.take_events() {
            if let Event::LookupDone { report, .. } = event {
                let truth = network.closest_live(&report.target, 8, Some(by));
                assert_eq!(report.closest, truth, "round {round}");
                assert_eq!(census.closest(&report.target, 8, Some(by)), truth);
                done += 1;
            }
        }
        assert_eq!(done, 300);
        network.run_for(Duration::from_secs(1_800));
    }
}

#[test]
fn checks_are_spread_over_the_keepalives_span() {
    let mut network = filled(3, 300);
    let keepalive = Config::default().table.keepalive.as_secs();
    let minutes = keepalive / 60;
    let mut sent = Vec::new();
    for _ in 0..minutes {
        let before = network.traffic().sent;
        network.run_for(Duration::from_secs(60));
        sent.push(network.traffic().sent - before);
    }
    let average = sent.iter().sum::<u64>() / minutes;
    assert!(sent.iter().all(|sent| (average / 2..=average * 2).contains(sent)), "{sent:?}");
}

#[test]
fn p1_a_filled_network_repeats_with_its_seed() {
    let run = |seed| {
        let mut network = filled(seed, 100);
        network.run_for(Duration::from_secs(1_800));
        (network.trace_hash(), network.traffic())
    };
    assert_eq!(run(4), run(4));
    assert_ne!(run(4), run(5));
}

#[test]
fn sleepers_and_the_cut_off_stay_out_and_small_networks_work() {
    let config = Arc::new(Config::default());
    let mut network = Net::new(6, LinkModel::internet());
    network.fill_tables(8);
    for n in 0..6 {
        network.spawn(address_v4(n), |birth| node(birth, &config));
    }
    network.suspend(1);
    network.isolate(2, true);
    network.crash(3);
    network.fill_tables(8);
    let known = |index| network.node(index).map(|node| node.table().len());
    assert_eq!([0, 1, 2, 3, 4, 5].map(known), [Some(2), Some(0), Some(0), None, Some(2), Some(2)]);
}

#[test]
fn a_census_knows_what_looking_at_everybody_finds() {
    let mut network = filled(7, 200);
    network.suspend(20);
    let census = network.census();
    assert!(census.len() == 199 && !census.is_empty());
    let mut rng = Rng::from_number(7);
    for n in (0..100).chain([198, 199, 200, 500]) {
        let target = Key::random(&mut rng);
        let except = (n % 3 == 0).then_some(n);
        assert_eq!(census.closest(&target, n, except), network.closest_live(&target, n, except), "{n}");
    }
}
