//! T23: everybody restarts at once with much to announce.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

use bittorrent_profile::Mainline;
use bittorrent_profile::krpc::{Families, Request, Response};
use kademlia_core::{
    Cause, Contact, Effort, Event, Instant, Key, Keyspace, LookupId, LookupOptions, RenewalConfig, Renewals,
    Rng,
};
use tests::Network;
use transport_mem::{LinkModel, NodeIndex, Step};

/// What one node announces.
struct Announcer {
    renewals: Renewals<Key<20>>,
    running: BTreeMap<LookupId, (Key<20>, Effort)>,
    /// Announced for the first time.
    done: usize,
}

/// How the storm went.
struct Storm {
    /// The most requests that a node sent in a second, on average over a minute, and over the worst second.
    busiest_minute: f64,
    busiest_second: u64,
    /// When everything had been announced once.
    quiet_after: Duration,
}

/// Requests sent by each node in each second.
type Sent = std::sync::Arc<std::sync::Mutex<BTreeMap<(NodeIndex, u64), u64>>>;

fn publish(network: &mut Network, node: NodeIndex, key: Key<20>, effort: Effort) -> Option<LookupId> {
    let info_hash = key.into();
    let request = Request::GetPeers { info_hash, want: Families::NONE };
    let make = Box::new(move |_: &Contact<Key<20>>, response: &Response| {
        let port = NonZeroU16::new(6_881);
        Some(Request::AnnouncePeer { implied_port: false, info_hash, port, token: response.token? })
    });
    let options = LookupOptions { effort: Some(effort), ..LookupOptions::default() };
    network.simulation.call(node, |node, now| node.publish(now, key, request, make, options).ok()).flatten()
}

/// `nodes` nodes that have `each` to announce begin in the same second.
fn storm(nodes: usize, each: usize) -> Storm {
    let mut network = Network::grown(23, nodes, LinkModel::internet());
    let sent = watch_senders(&mut network);
    let start = network.simulation.now();
    let mut rng = Rng::from_number(23);
    let mut announcers: Vec<Announcer> = (0..nodes)
        .map(|_| {
            let mut renewals = Renewals::new(RenewalConfig::default());
            (0..each).for_each(|_| renewals.insert(start, Key::random(&mut rng)));
            Announcer { renewals, running: BTreeMap::new(), done: 0 }
        })
        .collect();
    let mut quiet_after = Duration::MAX;
    while network.simulation.now().since(start) < Duration::from_secs(30 * 60) {
        let now = network.simulation.now();
        for (node, announcer) in announcers.iter_mut().enumerate() {
            while let Some((key, effort)) = announcer.renewals.poll(now) {
                let id = publish(&mut network, node, key, effort).expect("room for one more lookup");
                announcer.running.insert(id, (key, effort));
            }
        }
        network.simulation.run_for(Duration::from_millis(250));
        settle(&mut network, &mut announcers, &mut rng);
        if announcers.iter().all(|announcer| announcer.done >= each) {
            quiet_after = network.simulation.now().since(start);
            break;
        }
    }
    let sent = sent.lock().unwrap();
    let mut minutes: BTreeMap<(NodeIndex, u64), u64> = BTreeMap::new();
    for ((node, second), count) in sent.iter() {
        *minutes.entry((*node, second / 60)).or_default() += count;
    }
    Storm {
        busiest_minute: minutes.values().copied().max().unwrap_or(0) as f64 / 60.0,
        busiest_second: sent.values().copied().max().unwrap_or(0),
        quiet_after,
    }
}

/// Notes the requests that each node sends. Replies are not its own choice: in a network that nobody leaves, everybody
/// knows the oldest nodes, and these are asked several times as often as the others.
fn watch_senders(network: &mut Network) -> Sent {
    let sent = Sent::default();
    let noted = std::sync::Arc::clone(&sent);
    network.simulation.observe(move |now: Instant, step: &Step<'_, Mainline>| {
        if let Step::Delivered { from, cause, .. }
        | Step::Lost { from, cause, .. }
        | Step::Vanished { from, cause, .. } = step
            && *cause != Some(Cause::Reply)
        {
            *noted.lock().unwrap().entry((*from, now.as_secs())).or_default() += 1;
        }
    });
    sent
}

fn settle(network: &mut Network, announcers: &mut [Announcer], rng: &mut Rng) {
    let now = network.simulation.now();
    for (node, event) in network.simulation.take_events() {
        let Event::Stored { lookup, stored } = event else { continue };
        let announcer = &mut announcers[node];
        if let Some((key, effort)) = announcer.running.remove(&lookup) {
            let stores = stored.accepted.len() + stored.refused.len() + stored.no_answer.len();
            let requests = stored.report.messages + stores;
            announcer.done += usize::from(!stored.accepted.is_empty());
            announcer.renewals.ended(now, key, effort, requests, !stored.accepted.is_empty(), rng);
        }
    }
}

#[test]
fn t23_a_restart_storm_stays_within_the_budget_and_passes() {
    let storm = storm(60, 60);
    assert!(storm.quiet_after <= Duration::from_secs(20 * 60), "{:?}", storm.quiet_after);
    assert!(storm.busiest_minute <= 25.0, "{} requests a second in the busiest minute", storm.busiest_minute);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t23_two_hundred_nodes_restart_with_eight_hundred_announcements_each() {
    let storm = storm(200, 800);
    println!(
        "200 nodes, 800 announcements each: all made after {:?}; busiest minute {:.1} requests/s a node, busiest second {}",
        storm.quiet_after, storm.busiest_minute, storm.busiest_second
    );
    assert!(storm.quiet_after <= Duration::from_secs(20 * 60));
    assert!(storm.busiest_minute <= 25.0);
}
