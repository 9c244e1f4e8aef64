//! Everything that a node was ever sent, sent again: T16.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kademlia_core::{Contact, Key, Rng, Storage};
use tests::Network;
use transport_mem::{LinkModel, Step};

const PORT: NonZeroU16 = NonZeroU16::new(51_413).unwrap();
/// The node that is sent everything again.
const VICTIM: usize = 3;

type Heard = Arc<Mutex<Vec<(SocketAddr, Box<[u8]>)>>>;

/// Who is in the victim's table, and which peers it keeps.
type State = (Vec<Contact<Key<20>>>, Vec<(Key<20>, Vec<SocketAddr>)>);

fn state(network: &Network) -> State {
    let node = network.simulation.node(VICTIM).unwrap();
    let mut table: Vec<_> = node.table().iter().map(|entry| entry.contact()).collect();
    table.sort_unstable();
    let (peers, now, mut rng) = (node.service().peers(), network.simulation.now(), Rng::from_number(1));
    let mut keys = Vec::new();
    peers.sample_keys(now, usize::MAX, &mut rng, &mut keys);
    keys.sort_unstable();
    let stored = keys.into_iter().map(|key| {
        let mut found = Vec::new();
        peers.read(now, &key, usize::MAX, &mut rng, &mut found);
        let mut addrs: Vec<_> = found.iter().map(|peer| peer.addr()).collect();
        addrs.sort_unstable();
        (key, addrs)
    });
    let stored = stored.collect();
    (table, stored)
}

/// Records what the victim is sent while so many peers are announced and searched for, and replays all of it ten times.
fn replay(nodes: usize, torrents: usize) {
    let mut network = Network::grown(16, nodes, LinkModel::internet());
    let heard = Heard::default();
    let record = Arc::clone(&heard);
    let addresses: Vec<_> = (0..nodes).filter_map(|index| network.simulation.address(index)).collect();
    network.simulation.observe(move |_, step| {
        if let Step::Delivered { from, to: VICTIM, payload, .. } = step
            && let transport_mem::Payload::Bytes(bytes) = payload
        {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            record.push((addresses[*from], bytes.clone()));
        }
    });
    for round in 0..torrents {
        let (from, info_hash) = (network.any_node(), network.any_key());
        network.announce(from, info_hash, PORT);
        let reader = if round % 3 == 0 { VICTIM } else { network.any_node() };
        network.run_for(Duration::from_secs(10));
        network.get_peers(reader, info_hash);
        network.run_for(Duration::from_secs(10));
    }
    let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    // Nobody is there to answer, so that whatever changes now changes by what was recorded.
    network.simulation.isolate(VICTIM, true);
    let before = state(&network);
    assert!(before.0.len() >= 8 && before.1.len() >= torrents / 10 && heard.len() > 10 * torrents);
    let answered = network.simulation.node(VICTIM).unwrap().counters().answered;
    for round in 0..10 {
        for (from, datagram) in &heard {
            network.simulation.call(VICTIM, |node, now| node.handle_datagram(now, *from, datagram));
        }
        assert_eq!(state(&network), before, "round {round}");
    }
    let node = network.simulation.node(VICTIM).unwrap();
    assert_eq!(node.counters().answered, answered, "no transaction was open to a second answer");
    println!(
        "{} datagrams ten times: {} entries, {} torrents as before",
        heard.len(),
        before.0.len(),
        before.1.len()
    );
}

#[test]
fn t16_a_trace_replayed_ten_times_changes_nothing() {
    replay(40, 30);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t16_a_long_trace_replayed_ten_times_changes_nothing() {
    replay(200, 80);
}
