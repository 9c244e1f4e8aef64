//! A day without the network, and a day asleep: T20, P47.

use std::collections::VecDeque;
use std::time::Duration;

use kademlia_core::{Contact, Key};
use tests::Network;
use transport_mem::LinkModel;

const SECOND: Duration = Duration::from_secs(1);
/// The node that loses the network.
const SUBJECT: usize = 5;

#[derive(Clone, Copy, Debug)]
enum Outage {
    /// Nothing leaves, nothing arrives.
    Blackout,
    /// It sleeps.
    Suspend,
}

/// A node whose application looks for peers every 30 seconds.
struct Life {
    network: Network,
    seconds: u64,
}

impl Life {
    /// Lets one second pass; gives back how many messages the node sent in it.
    fn second(&mut self) -> u64 {
        let before = self.sent();
        if self.seconds.is_multiple_of(30) {
            let info_hash = self.network.any_key();
            self.network.get_peers(SUBJECT, info_hash);
        }
        self.seconds += 1;
        self.network.run_for(SECOND);
        self.sent() - before
    }

    fn sent(&self) -> u64 {
        let counters = self.network.simulation.node(SUBJECT).unwrap().counters();
        counters.asked + counters.served
    }

    /// The most messages within ten seconds of an hour.
    fn busiest(&mut self) -> u64 {
        let (mut last, mut most) = (VecDeque::new(), 0);
        for _ in 0..3_600 {
            last.push_back(self.second());
            if last.len() > 10 {
                last.pop_front();
            }
            most = most.max(last.iter().sum());
        }
        most
    }

    fn known(&self) -> Vec<Contact<Key<20>>> {
        let node = self.network.simulation.node(SUBJECT).unwrap();
        node.table().iter().map(|entry| entry.contact()).collect()
    }

    /// Good entries, once the node is in.
    fn good(&self) -> usize {
        let node = self.network.simulation.node(SUBJECT).unwrap();
        if !node.is_bootstrapped() {
            return 0;
        }
        node.table().counts(self.network.simulation.now()).good
    }
}

fn survive(seed: u64, nodes: u32, outage: Outage, length: Duration) {
    let mut life = Life { network: Network::filled(seed, nodes, LinkModel::internet()), seconds: 0 };
    let busiest = life.busiest();
    let known = life.known();
    match outage {
        Outage::Blackout => life.network.simulation.isolate(SUBJECT, true),
        Outage::Suspend => life.network.simulation.suspend(SUBJECT),
    }
    for _ in 0..length.as_secs() {
        life.second();
    }
    match outage {
        Outage::Blackout => life.network.simulation.isolate(SUBJECT, false),
        Outage::Suspend => life.network.simulation.resume(SUBJECT),
    }
    let kept = life.known().iter().filter(|contact| known.contains(contact)).count();
    let first: u64 = (0..10).map(|_| life.second()).sum();
    let mut until_good = 10;
    while life.good() < 8 && until_good < 30 {
        life.second();
        until_good += 1;
    }
    println!(
        "{outage:?} of {length:?}: {kept} of {} kept; {first} messages in the first 10 s, {busiest} in the busiest \
         normal ones; {} good after {until_good} s",
        known.len(),
        life.good()
    );
    assert!(kept * 10 >= known.len() * 8, "80 % of the table");
    assert!(life.good() >= 8, "eight good nodes within 30 s");
    assert!(first <= 2 * busiest, "twice what is normal");
}

#[test]
fn t20_p47_two_hours_without_the_network() {
    survive(20, 60, Outage::Blackout, Duration::from_secs(2 * 3_600));
}

#[test]
fn t20_p47_two_hours_asleep() {
    survive(21, 60, Outage::Suspend, Duration::from_secs(2 * 3_600));
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t20_p47_twelve_hours_without_the_network() {
    survive(22, 200, Outage::Blackout, Duration::from_secs(12 * 3_600));
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t20_p47_twelve_hours_asleep() {
    survive(23, 200, Outage::Suspend, Duration::from_secs(12 * 3_600));
}
