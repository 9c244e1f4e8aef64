//! What a node costs.

use std::sync::Arc;
use std::time::Duration;

use kademlia_core::Config;
use tests::mainline_node;
use transport_mem::{LinkModel, Simulation};

/// Grows a network of typed messages, lets it settle, and gives back the mean of accounted bytes a node.
fn bytes_per_node(nodes: usize) -> usize {
    let config = Arc::new(Config::default());
    let mut simulation = Simulation::new(5, LinkModel::internet());
    let pace = Duration::from_millis(20);
    simulation.grow(nodes, pace, |birth| mainline_node(&birth, Arc::clone(&config)));
    simulation.run_for(Duration::from_secs(10 * 60));
    simulation.take_events();
    simulation.nodes().map(|(_, node)| node.memory()).sum::<usize>() / simulation.len()
}

#[test]
fn an_idle_node_is_small() {
    let bytes = bytes_per_node(200);
    println!("{bytes} bytes a node in a network of 200");
    assert!(bytes <= 12 * 1_024);
}

#[test]
#[ignore = "long: docs/results/regenerate.sh runs it"]
fn an_idle_node_in_a_network_of_ten_thousand_is_small_at_release_size() {
    let bytes = bytes_per_node(10_000);
    println!("{bytes} bytes a node in a network of 10,000");
    // 64 votes on the own address (T15) are 2.5 kB of it.
    assert!(bytes <= 14 * 1_024);
}
