//! What a node believes of its own address: T15, P48.

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::{Mainline, node_id};
use kademlia_core::{Body, Contact, Event, Key, Keyspace, Message};
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

/// Moves a node to another address; gives back how long it took to notice, half an hour at most. Its application looks
/// something up every so often, if at all.
fn time_to_notice(network: &mut Network, mover: NodeIndex, every: Option<u64>) -> Option<Duration> {
    let to = address_v4(2_000_000 + u32::try_from(mover).unwrap());
    network.simulation.take_events();
    // Whoever did not answer lately may have to go anyway.
    let known = |network: &Network| -> Vec<Contact<Key<20>>> {
        let table = network.simulation.node(mover).unwrap().table();
        table.iter().filter(|entry| entry.failures() == 0).map(|entry| entry.contact()).collect()
    };
    let mut before = known(network);
    network.simulation.readdress(mover, to);
    let noticed = |event: &(NodeIndex, Event<Mainline>)| *event == (mover, Event::External(to));
    for second in 1..=1_800 {
        if every.is_some_and(|every| second % every == 0) {
            let target = network.any_key();
            network.find_node(mover, target);
        }
        network.simulation.run_for(Duration::from_secs(1));
        if changes(network).iter().any(noticed) {
            let node = network.simulation.node(mover).unwrap();
            assert!(node_id::verify(to.ip(), &node.local()), "the id follows");
            // Nobody is lost but where the new id has no place for more: the bucket is full.
            for lost in before.iter().filter(|contact| !node.table().contains(contact)) {
                let shared = node.local().common_prefix(&lost.key).min(node.table().depth() - 1);
                let bucket = node.table().buckets().find(|bucket| bucket.index == shared).unwrap();
                assert_eq!(bucket.entries.len(), 8, "{lost:?}");
            }
            return Some(Duration::from_secs(second));
        }
        before = known(network);
    }
    None
}

#[test]
fn t15_a_new_address_is_noticed_within_ten_minutes_and_nobody_is_lost() {
    let mut network = Network::grown(16, 60, LinkModel::internet());
    network.simulation.run_for(60 * MINUTE);
    // With an application that does something every two minutes; and with none, when all depends on the upkeep of the
    // table.
    for (mover, every) in [(7, Some(120)), (23, None), (31, Some(120)), (44, None), (50, None), (58, None)] {
        let took = time_to_notice(&mut network, mover, every);
        println!("node {mover}, active every {every:?} s, noticed its new address after {took:?}");
        assert!(took.is_some_and(|took| took <= 10 * MINUTE), "node {mover}: {took:?}");
    }
}
