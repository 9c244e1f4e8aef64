//! What a node believes of its own address: T15, P48.

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::{Mainline, node_id};
use kademlia_core::{Body, Event, Message};
use tests::Network;
use transport_mem::peers::{Outgoing, Sending, Tamper, Tampered};
use transport_mem::{LinkModel, NodeIndex, address_v4};

const MINUTE: Duration = Duration::from_secs(60);

/// Tells everybody the same wrong address.
struct Misaddressing(SocketAddr);

impl Tamper<Mainline> for Misaddressing {
    fn send(
        &mut self,
        sending: Sending<'_, Mainline>,
        mut message: Message<Mainline>,
        out: &mut Vec<Outgoing<Mainline>>,
    ) {
        if matches!(message.body, Body::Response { .. }) {
            message.observed = Some(self.0);
        }
        out.push(Outgoing::message(sending.to, message));
    }
}

/// A network that has agreed on everybody's address, of which three in ten then lie.
fn network_of_liars(seed: u64, nodes: usize) -> Network {
    let mut network = Network::grown(seed, nodes, LinkModel::internet());
    network.simulation.run_for(40 * MINUTE);
    for (index, node) in network.simulation.nodes() {
        assert_eq!(node.external(), network.simulation.address(index), "agreed");
    }
    let liars = nodes * 3 / 10;
    for index in 0..liars {
        let wrong = Misaddressing(address_v4(1_000_000));
        assert!(network.simulation.turn(index, |node, _| Box::new(Tampered::new(node, wrong))));
    }
    network.simulation.take_events();
    network
}

/// How often somebody changed their mind.
fn changes(network: &mut Network) -> Vec<(NodeIndex, Event<Mainline>)> {
    let events = network.simulation.take_events().into_iter();
    events.filter(|(_, event)| matches!(event, Event::External(_) | Event::Renamed { .. })).collect()
}

fn live_among_liars(seed: u64, nodes: usize, hours: u32) {
    let mut network = network_of_liars(seed, nodes);
    for _ in 0..hours {
        network.simulation.run_for(60 * MINUTE);
        assert_eq!(changes(&mut network), [], "seed {seed}");
    }
}

#[test]
fn t15_p48_three_in_ten_lie_about_our_address_and_nobody_believes_them() {
    live_among_liars(15, 40, 3);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t15_p48_a_day_among_liars_changes_nothing() {
    live_among_liars(15, 100, 24);
}

/// Moves a node to another address; gives back how long it took to notice.
fn time_to_notice(network: &mut Network, mover: NodeIndex, to: SocketAddr) -> Option<Duration> {
    network.simulation.take_events();
    let moved = network.simulation.now();
    let before = network.simulation.node(mover).unwrap().table().counts(moved);
    network.simulation.readdress(mover, to);
    let noticed = |event: &(NodeIndex, Event<Mainline>)| *event == (mover, Event::External(to));
    for second in 1..=600 {
        network.simulation.run_for(Duration::from_secs(1));
        if changes(network).iter().any(noticed) {
            let node = network.simulation.node(mover).unwrap();
            assert!(node_id::verify(to.ip(), &node.local()), "the id follows");
            let after = node.table().counts(network.simulation.now());
            // Nobody is lost, but perhaps who stands where the new id has no place for them: they wait.
            assert!(
                after.alive() + after.bad + after.replacements >= before.alive() + before.bad,
                "{before:?} became {after:?}"
            );
            return Some(Duration::from_secs(second));
        }
    }
    None
}

#[test]
fn t15_a_new_address_is_noticed_within_ten_minutes_and_nobody_is_lost() {
    let mut network = Network::grown(16, 60, LinkModel::internet());
    network.simulation.run_for(60 * MINUTE);
    for mover in [7, 23] {
        let to = address_v4(2_000_000 + u32::try_from(mover).unwrap());
        let took = time_to_notice(&mut network, mover, to);
        println!("node {mover} noticed its new address after {took:?}");
        assert!(took.is_some());
    }
}
