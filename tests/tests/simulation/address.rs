//! What a node believes of its own address: T15, P48.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::krpc::Nodes;
use bittorrent_profile::{Mainline, node_id};
use kademlia_core::{Body, Config, Contact, Event, Key, Keyspace, Message, Rng};
use tests::{Network, mainline_node};
use transport_mem::peers::{Outgoing, Sending, Tamper, Tampered};
use transport_mem::{LinkModel, NodeIndex, Simulation, address_v4};

const MINUTE: Duration = Duration::from_secs(60);

/// Tells everybody the same wrong address; one of a gang names nobody but the gang, whatever it is asked.
struct Misaddressing {
    address: SocketAddr,
    gang: Vec<Contact<Key<20>>>,
    rng: Rng,
}

impl Misaddressing {
    fn new(number: usize, gang: &[Contact<Key<20>>]) -> Self {
        let (address, rng) = (address_v4(1_000_000), Rng::from_number(number as u64));
        Misaddressing { address, gang: gang.to_vec(), rng }
    }
}

impl Tamper<Mainline> for Misaddressing {
    fn send(
        &mut self,
        sending: Sending<'_, Mainline>,
        mut message: Message<Mainline>,
        out: &mut Vec<Outgoing<Mainline>>,
    ) {
        if let Body::Response { response, .. } = &mut message.body {
            message.observed = Some(self.address);
            if !self.gang.is_empty() && !response.nodes.contacts().is_empty() {
                response.nodes = Nodes::default();
                response.nodes.extend((0..8).map(|_| self.gang[self.rng.below(self.gang.len())]));
            }
        }
        out.push(Outgoing::message(sending.to, message));
    }
}

/// A network that has agreed on everybody's address, of which the first few then lie: those who are in the most tables.
fn network_of_liars(seed: u64, nodes: usize, liars: usize, steering: bool) -> Network {
    let mut network = Network::grown(seed, nodes, LinkModel::internet());
    network.simulation.run_for(40 * MINUTE);
    for (index, node) in network.simulation.nodes() {
        assert_eq!(node.external(), network.simulation.address(index), "agreed");
    }
    let member = |index| {
        let node = network.simulation.node(index).unwrap();
        Contact::new(node.local(), network.simulation.address(index).unwrap())
    };
    let gang: Vec<_> = (0..liars).filter(|_| steering).map(member).collect();
    for index in 0..liars {
        let wrong = Misaddressing::new(index, &gang);
        assert!(network.simulation.turn(index, |node, _| Box::new(Tampered::new(node, wrong))));
    }
    network.simulation.take_events();
    network
}

/// A network in which three in ten have lied from their first reply on, so that nobody ever knew better.
fn network_of_born_liars(seed: u64, nodes: usize) -> Network {
    let mut simulation = Simulation::new(seed, LinkModel::internet()).wire(true);
    let config = Arc::new(Config::default());
    for index in 0..nodes {
        simulation.grow(1, MINUTE / 120, |birth| mainline_node(&birth, Arc::clone(&config)));
        if index % 10 >= 7 {
            let wrong = Misaddressing::new(index, &[]);
            assert!(simulation.turn(index, |node, _| Box::new(Tampered::new(node, wrong))));
        }
    }
    Network::of(simulation, seed)
}

/// How many of the honest know their address, of how many; panics if one is wrong.
fn knowing(network: &Network) -> (usize, usize) {
    let mut known = (0, 0);
    for (index, node) in network.simulation.nodes() {
        known.0 += usize::from(node.external().is_some());
        known.1 += 1;
        let truth = network.simulation.address(index);
        assert!(
            node.external().is_none_or(|addr| Some(addr) == truth),
            "node {index}: {:?}",
            node.external()
        );
    }
    known
}

/// How often somebody changed their mind.
fn changes(network: &mut Network) -> Vec<(NodeIndex, Event<Mainline>)> {
    let events = network.simulation.take_events().into_iter();
    events.filter(|(_, event)| matches!(event, Event::External(_) | Event::Renamed { .. })).collect()
}

fn live_among_liars(seed: u64, nodes: usize, liars: usize, hours: u32, steering: bool) {
    let mut network = network_of_liars(seed, nodes, liars, steering);
    for _ in 0..hours {
        network.simulation.run_for(60 * MINUTE);
        assert_eq!(changes(&mut network), [], "seed {seed}");
    }
}

#[test]
fn t15_p48_three_in_ten_lie_about_our_address_and_nobody_believes_them() {
    live_among_liars(15, 40, 12, 3, false);
}

/// Lives among those who lied from the start; how many learnt their address all the same.
fn live_among_born_liars(seed: u64, nodes: usize, hours: u32) -> (usize, usize) {
    let mut network = network_of_born_liars(seed, nodes);
    let mut believed = BTreeMap::new();
    for _ in 0..hours {
        network.simulation.run_for(60 * MINUTE);
        for (index, event) in changes(&mut network) {
            if let Event::External(addr) = event {
                assert_eq!(
                    network.simulation.address(index),
                    Some(addr),
                    "seed {seed}: node {index} was misled"
                );
                assert_eq!(believed.insert(index, addr), None, "seed {seed}: node {index} wavers");
            }
        }
        println!("seed {seed}: {:?} know their address", knowing(&network));
    }
    knowing(&network)
}

#[test]
fn t15_p48_three_in_ten_have_lied_from_the_start_and_the_others_learn_the_truth() {
    let (known, honest) = live_among_born_liars(15, 40, 3);
    assert_eq!(honest, 28);
    assert!(known * 10 >= honest * 9, "{known} of {honest} know their address");
}

#[test]
#[ignore = "long: docs/results/regenerate.sh runs it"]
fn t15_p48_a_day_among_born_liars_misleads_nobody_at_release_size() {
    let (known, honest) = live_among_born_liars(17, 100, 24);
    assert_eq!((known, honest), (70, 70));
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t15_p48_a_day_among_liars_changes_nothing() {
    live_among_liars(15, 100, 30, 24, false);
}

#[test]
fn t15_p48_a_fifth_lie_and_steer_every_lookup_to_each_other_and_nobody_believes_them() {
    live_among_liars(16, 100, 20, 3, true);
}

#[test]
#[ignore = "long: docs/results/regenerate.sh runs it"]
fn t15_p48_days_among_liars_change_nothing_in_any_network_at_release_size() {
    for seed in 15..27 {
        live_among_liars(seed, 100, 30, 24, false);
        live_among_liars(seed, 100, 20, 24, true);
        println!("seed {seed}: nobody was misled");
    }
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
            // Nobody is lost but where the new id has no place for more, as the bucket is full; whoever has renamed
            // himself is still there.
            let there: Vec<_> = node.table().iter().map(|entry| entry.contact().addr).collect();
            for lost in before.iter().filter(|contact| !there.contains(&contact.addr)) {
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

/// Moves as many honest nodes of each kind among liars, one after the other, and gives back how many noticed in ten minutes:
/// those with an application that looks something up every two minutes, and the others, who ask nobody but their tables until
/// nearly all of these deny the old address.
fn move_among_liars(seed: u64, nodes: usize, each: usize) -> [usize; 2] {
    let mut network = network_of_born_liars(seed, nodes);
    network.simulation.run_for(120 * MINUTE);
    let movers = (0..nodes).filter(|index| index % 10 < 7).take(2 * each);
    let mut noticed = [0; 2];
    for (number, mover) in movers.enumerate() {
        let every = number.is_multiple_of(2).then_some(120);
        let took = time_to_notice(&mut network, mover, every);
        println!(
            "among liars: node {mover}, active every {every:?} s, noticed its new address after {took:?}"
        );
        assert!(took.is_some(), "node {mover} never noticed");
        noticed[number % 2] += usize::from(took.is_some_and(|took| took <= 10 * MINUTE));
    }
    println!(
        "among liars: {} of {each} active and {} of {each} idle nodes noticed in time",
        noticed[0], noticed[1]
    );
    noticed
}

#[test]
fn t15_a_new_address_is_noticed_among_liars_too() {
    let [active, idle] = move_among_liars(18, 60, 5);
    assert!(active == 5 && idle >= 4, "{active} and {idle} of 5");
}

#[test]
#[ignore = "long: docs/results/regenerate.sh runs it"]
fn t15_many_new_addresses_are_noticed_among_liars_too_at_release_size() {
    for seed in [20, 21] {
        let [active, idle] = move_among_liars(seed, 200, 30);
        assert!(active >= 29 && idle >= 28, "{active} and {idle} of 30 in time");
    }
}
