//! Lookups find what there is: exactly without loss, and nearly always with it.

use std::time::Duration;

use kademlia_core::{Key, LookupReport};
use tests::Network;
use transport_mem::LinkModel;

use crate::torrents;

/// Looks up random targets from random nodes; gives back how many found exactly the k closest live nodes, the trace
/// hash, and the reports.
fn exact_lookups(seed: u64, nodes: usize, lookups: usize) -> (usize, u64, Vec<LookupReport<Key<20>>>) {
    let mut network = Network::grown(seed, nodes, LinkModel::internet());
    let mut exact = 0;
    let mut reports = Vec::new();
    for _ in 0..lookups / 10 {
        let started: Vec<_> = (0..10)
            .map(|_| {
                let (from, target) = (network.any_node(), network.any_key());
                (from, target, network.find_node(from, target))
            })
            .collect();
        network.run_for(Duration::from_secs(21));
        for (from, target, id) in started {
            let report = network.ended_lookup(id).expect("every lookup has ended");
            let closest = network.simulation.closest_live(&target, 8, Some(from));
            exact += usize::from(report.closest == closest);
            reports.push(report);
        }
    }
    (exact, network.simulation.trace_hash(), reports)
}

/// Announces peers, looks each up from ten places; gives back lookups and how many found the peer.
fn peers_found(seed: u64, nodes: usize, count: usize, loss: f64) -> (usize, usize) {
    let mut network = Network::grown(seed, nodes, LinkModel::internet().with_loss(loss));
    let announced = torrents::announce(&mut network, count);
    torrents::find(&mut network, &announced)
}

fn median(mut numbers: Vec<usize>) -> usize {
    numbers.sort_unstable();
    numbers[numbers.len() / 2]
}

#[test]
fn p1_p25_two_hundred_nodes_find_exactly_the_closest_and_do_so_again() {
    let (exact, hash, _) = exact_lookups(7, 200, 200);
    assert_eq!(exact, 200);
    let (_, again, _) = exact_lookups(7, 200, 20);
    let (_, other, _) = exact_lookups(8, 200, 20);
    assert_ne!(hash, again, "fewer lookups, another trace");
    assert_ne!(again, other, "another seed, another trace");
    assert_eq!(exact_lookups(7, 200, 20).1, again, "P1: the same seed, the same trace");
}

#[test]
fn fs_a6_with_loss_announced_peers_are_found() {
    let (lookups, found) = peers_found(11, 100, 20, 0.05);
    assert_eq!((lookups, found), (200, 200));
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn p1_p25_a_thousand_nodes_a_thousand_exact_lookups_twice() {
    let (exact, hash, reports) = exact_lookups(1, 1_000, 1_000);
    let hops = median(reports.iter().map(|report| report.hops).collect());
    let messages = median(reports.iter().map(|report| report.messages).collect());
    println!(
        "1,000 nodes: {exact} of 1,000 lookups exact; median {hops} hops, {messages} messages; trace {hash:016x}"
    );
    assert_eq!(exact, 1_000);
    assert_eq!(exact_lookups(1, 1_000, 1_000).1, hash, "P1: the same seed, the same trace");
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn fs_a6_a_thousand_nodes_with_five_percent_loss_each_way() {
    let (lookups, found) = peers_found(2, 1_000, 100, 0.05);
    println!("1,000 nodes, 5 % loss each way: {found} of {lookups} get_peers found the announced peer");
    assert!(found * 1_000 >= lookups * 999);
}
