//! The same run, again and everywhere.

use std::num::NonZeroU16;
use std::time::Duration;

use tests::Network;
use transport_mem::LinkModel;

const PORT: NonZeroU16 = NonZeroU16::new(51_413).unwrap();

/// Lookups and announcements in a network of this size; the hash of all that happened.
fn trace(nodes: u32, lookups: usize, loss: f64) -> u64 {
    let mut network = Network::filled(6, nodes, LinkModel::internet().with_loss(loss));
    for _ in 0..lookups {
        let (from, info_hash) = (network.any_node(), network.any_key());
        network.announce(from, info_hash, PORT);
        let (from, target) = (network.any_node(), network.any_key());
        network.find_node(from, target);
        network.run_for(Duration::from_secs(1));
    }
    network.run_for(Duration::from_secs(60));
    network.simulation.trace_hash()
}

/// What the small scenario gave when it was last changed on purpose. A debug and a release build, and every machine,
/// are compared through it.
const RECORDED: u64 = 0x8373_9fef_cb7c_24be;

#[test]
fn p1_a_fixed_scenario_has_one_trace_in_every_build() {
    let trace = trace(200, 10, 0.05);
    assert_eq!(
        trace, RECORDED,
        "{trace:#018x}: if the engine or the simulator was changed on purpose, this is the new one"
    );
}

/// The same of ten thousand nodes.
const RECORDED_LARGE: u64 = 0x629c_7ee0_3eec_8937;

#[test]
fn p1_ten_thousand_nodes_have_the_same_trace_twice_and_in_every_build() {
    for _ in 0..2 {
        let trace = trace(10_000, 20, 0.05);
        assert_eq!(trace, RECORDED_LARGE, "{trace:#018x}");
    }
}
