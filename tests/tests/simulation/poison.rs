//! Nodes that name what must not be spoken to, and peers that are none: T13, T14.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bittorrent_profile::Mainline;
use bittorrent_profile::krpc::{Request, Response};
use kademlia_core::{Body, Contact, Instant, Key, Keyspace, Message, Reach, Rng};
use tests::Network;
use transport_mem::peers::{Lying, Tampered};
use transport_mem::{LinkModel, Step};

use crate::torrents;

/// An address that nobody may speak to.
pub(crate) fn martian(rng: &mut Rng) -> SocketAddr {
    const FIRST: [[u8; 2]; 12] = [
        [0, 1],
        [10, 2],
        [100, 64],
        [127, 0],
        [169, 254],
        [172, 16],
        [192, 168],
        [198, 18],
        [224, 0],
        [240, 9],
        [255, 255],
        [8, 8],
    ];
    let [a, b] = FIRST[rng.below(FIRST.len())];
    let [c, d, ..] = rng.next_u32().to_be_bytes();
    // The last of them is somebody, at a port that nobody has.
    SocketAddr::from(([a, b, c, d], if a == 8 { 0 } else { 6_881 }))
}

fn target_of(message: &Message<Mainline>) -> Key<20> {
    match &message.body {
        Body::Request { request: Request::FindNode { target, .. }, .. } => *target,
        Body::Request { request: Request::GetPeers { info_hash, .. }, .. } => (*info_hash).into(),
        _ => Key::ZERO,
    }
}

/// Makes this share of the nodes change their answers by `lie`.
fn corrupt(
    network: &mut Network,
    share: f64,
    lie: impl Fn(&mut Rng, Key<20>, &mut Response) + Clone + Send + 'static,
) {
    for index in 0..network.simulation.len() {
        if network.rng.chance(share) {
            let mut rng = Rng::from_seed(network.rng.fork());
            let lie = lie.clone();
            network.simulation.turn(index, |node, _| {
                let lying =
                    move |_: Instant, _: SocketAddr, request: &Message<Mainline>, response: &mut Response| {
                        lie(&mut rng, target_of(request), response);
                    };
                Box::new(Tampered::new(node, Lying(lying)))
            });
        }
    }
}

/// Counts what is sent to where nothing may be sent.
fn count_martians(network: &mut Network) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    network.simulation.observe(move |_, step| {
        if let Step::Lost { to, .. } | Step::Vanished { to, .. } | Step::Refused { to, .. } = step
            && !Reach::Global.admits(*to)
        {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    count
}

/// Half of the nodes name only martians, nearer to what is asked for than anybody. Lookups for announced peers, and how
/// many found them.
fn with_poisoned_nodes(seed: u64, nodes: usize, count: usize) -> (usize, usize) {
    let mut network = Network::grown(seed, nodes, LinkModel::internet());
    corrupt(&mut network, 0.5, |rng, target, response| {
        if !response.nodes.contacts().is_empty() {
            let named = (0..8).map(|_| Contact::new(target.random_within(100, rng), martian(rng)));
            response.nodes = named.collect();
        }
    });
    let martians = count_martians(&mut network);
    let announced = torrents::announce(&mut network, count);
    let found = torrents::find(&mut network, &announced);
    assert_eq!(martians.load(Ordering::Relaxed), 0, "P20");
    found
}

#[test]
fn t13_p20_half_of_the_nodes_name_martians_and_peers_are_found() {
    assert_eq!(with_poisoned_nodes(13, 100, 20), (200, 200));
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t13_p20_half_of_a_thousand_nodes_name_martians() {
    let (lookups, found) = with_poisoned_nodes(13, 1_000, 100);
    println!("1,000 nodes, half of which name martians only: {found} of {lookups} found the announced peer");
    assert!(found * 1_000 >= lookups * 999);
}

/// One torrent after the other: all of it within the half hour for which peers are kept.
///
/// A tenth of the nodes adds a hundred peers that are none to each answer. The most memory that a lookup took.
fn with_poisoned_values(seed: u64, nodes: usize, count: usize) -> usize {
    let mut network = Network::grown(seed, nodes, LinkModel::internet());
    corrupt(&mut network, 0.1, |rng, _, response| {
        response.values = (0..100).map(|_| martian(rng)).collect();
    });
    let martians = count_martians(&mut network);
    let mut most = 0;
    for (info_hash, peer) in torrents::announce(&mut network, count) {
        let from = network.any_node();
        let held = |network: &Network| {
            let node = network.simulation.node(from);
            node.map_or(0, |node| node.memory() - node.table().memory())
        };
        let before = held(&network);
        let id = network.get_peers(from, info_hash);
        for _ in 0..210 {
            network.run_for(Duration::from_millis(100));
            most = most.max(held(&network).saturating_sub(before));
        }
        let answers = network.answers(id);
        assert!(answers.iter().all(|answer| answer.values.len() <= 100), "T14: at most 100 of a reply");
        assert!(
            answers.iter().any(|answer| answer.values.contains(&peer)),
            "the true one is there all the same"
        );
    }
    assert_eq!(martians.load(Ordering::Relaxed), 0, "P20");
    most
}

#[test]
fn t14_a_tenth_of_the_nodes_names_peers_that_are_none_and_a_lookup_stays_small() {
    let most = with_poisoned_values(14, 100, 20);
    println!("100 nodes: at most {most} bytes for a lookup");
    assert!(most <= 64 << 10);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t14_a_tenth_of_a_thousand_nodes_names_peers_that_are_none() {
    let most = with_poisoned_values(14, 1_000, 60);
    println!("1,000 nodes: at most {most} bytes for a lookup");
    assert!(most <= 64 << 10);
}
