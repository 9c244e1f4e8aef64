//! Everything that a node was ever sent, sent again: T16.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bittorrent_profile::Mainline;
use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::Request;
use kademlia_core::{Body, Codec, Config, Contact, Key, Protocol, Rng, Storage};
use tests::Network;
use transport_mem::{LinkModel, Payload, Step};

const PORT: NonZeroU16 = NonZeroU16::new(51_413).unwrap();
/// The node that is sent everything again.
const VICTIM: usize = 3;
/// From one replay to the next: the first few come while tokens of the recording are still valid (10 minutes at most),
/// and all while its peers are still held.
const PAUSE: Duration = Duration::from_secs(100);
const STEP: Duration = Duration::from_secs(3);
/// Versions of each mutable item.
const VERSIONS: i64 = 3;

type Heard = Arc<Mutex<Vec<(SocketAddr, Box<[u8]>)>>>;

/// What a node knows and keeps, but for when it last heard of each.
#[derive(Debug, PartialEq)]
struct State {
    table: Vec<Contact<Key<20>>>,
    peers: Vec<(Key<20>, Vec<SocketAddr>)>,
    items: Vec<(Key<20>, Item)>,
}

fn state(network: &Network) -> State {
    let node = network.simulation.node(VICTIM).unwrap();
    let mut table: Vec<_> = node.table().iter().map(|entry| entry.contact()).collect();
    table.sort_unstable();
    let (now, mut rng) = (network.simulation.now(), Rng::from_number(1));
    let (mut keys, peers) = (Vec::new(), node.service().peers());
    peers.sample_keys(now, usize::MAX, &mut rng, &mut keys);
    keys.sort_unstable();
    let addrs = |key| {
        let mut found = Vec::new();
        peers.read(now, key, usize::MAX, &mut Rng::from_number(1), &mut found);
        let mut addrs: Vec<_> = found.iter().map(|peer| peer.addr()).collect();
        addrs.sort_unstable();
        addrs
    };
    let peers = keys.iter().map(|key| (*key, addrs(key))).collect();
    let (mut keys, items) = (Vec::new(), node.service().items());
    items.sample_keys(now, usize::MAX, &mut rng, &mut keys);
    keys.sort_unstable();
    let item = |key| {
        let mut found = Vec::new();
        items.read(now, key, 1, &mut Rng::from_number(1), &mut found);
        found.pop().unwrap().into_item()
    };
    let items = keys.iter().map(|key| (*key, item(key))).collect();
    State { table, peers, items }
}

/// The `n`th item, in this version; those with even numbers cannot change.
fn item(n: usize, version: i64) -> Item {
    if n.is_multiple_of(2) {
        return Item::Immutable(RawValue::string(format!("value {n}")).unwrap());
    }
    let salt = Salt::new(&n.to_be_bytes()).unwrap();
    let value = RawValue::string(format!("version {version}")).unwrap();
    MutableItem::sign(&SecretKey::from_seed(&[5; 32]), salt, version, value).into()
}

/// Peers are announced and searched for, and items put, some with `cas`, some without.
fn live(network: &mut Network, torrents: usize) {
    for round in 0..torrents {
        let (from, info_hash) = (network.any_node(), network.any_key());
        network.announce(from, info_hash, PORT);
        let reader = if round % 3 == 0 { VICTIM } else { network.any_node() };
        network.run_for(STEP);
        network.get_peers(reader, info_hash);
        network.run_for(STEP);
    }
    for n in 0..torrents / 3 {
        for version in (1..=VERSIONS).take(if n.is_multiple_of(2) { 1 } else { usize::MAX }) {
            let from = network.any_node();
            network.put(from, &item(n, version), (n % 3 == 0 && version > 1).then_some(version - 1));
            network.run_for(STEP);
        }
    }
}

/// Whether a datagram is a request to store an item, and one in place of another version.
fn puts(datagram: &[u8]) -> (bool, bool) {
    match <Mainline as Protocol>::Codec::decode(datagram).map(|message| message.body) {
        Ok(Body::Request { request: Request::Put { cas, .. }, .. }) => (true, cas.is_some()),
        _ => (false, false),
    }
}

/// Records what the victim is sent while so many peers are announced and searched for and a third as many items put,
/// and replays all of it ten times.
fn replay(seed: u64, nodes: usize, torrents: usize) {
    let mut config = Config::default();
    // Everything is looked at, however much it is at once.
    (config.inbound.per_ip, config.inbound.quiet) = (0, u32::MAX);
    let mut network = Network::grown_with(seed, nodes, LinkModel::internet(), config);
    let heard = Heard::default();
    let record = Arc::clone(&heard);
    let addresses: Vec<_> = (0..nodes).filter_map(|index| network.simulation.address(index)).collect();
    network.simulation.observe(move |_, step| {
        if let Step::Delivered { from, to: VICTIM, payload: Payload::Bytes(bytes), .. } = step {
            let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
            record.push((addresses[*from], bytes.clone()));
        }
    });
    live(&mut network, torrents);
    let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
    // Nobody is there to answer, so that whatever changes now changes by what was recorded.
    network.simulation.isolate(VICTIM, true);
    let before = state(&network);
    let count =
        |what: fn(&(bool, bool)) -> bool| heard.iter().filter(|(_, bytes)| what(&puts(bytes))).count();
    let (put, in_place) = (count(|puts| puts.0), count(|puts| puts.1));
    let newest = before.items.iter().filter(|(_, item)| item.seq() == Some(VERSIONS)).count();
    assert!(before.table.len() >= 8 && before.peers.len() >= torrents / 10 && heard.len() > 10 * torrents);
    let varied = put > before.items.len() && in_place > 0 && newest > 0 && newest < before.items.len();
    assert!(varied, "{put} puts, {in_place} in place, {newest} of {} items the newest", before.items.len());
    let counted = |network: &Network| {
        let counters = network.simulation.node(VICTIM).unwrap().counters();
        (counters.answered, counters.limited)
    };
    let counted_before = counted(&network);
    for round in 0..10 {
        for (from, datagram) in &heard {
            network.simulation.call(VICTIM, |node, now| node.handle_datagram(now, *from, datagram));
        }
        assert_eq!(state(&network), before, "round {round}");
        network.simulation.run_for(PAUSE);
    }
    assert_eq!(state(&network), before, "in the end");
    assert_eq!(counted(&network), counted_before, "no second answer counted, and nothing was dropped unread");
    println!(
        "{} datagrams, {put} puts among them, {in_place} with cas, ten times in {:?}: {} entries, {} torrents, {} items as before",
        heard.len(),
        10 * PAUSE,
        before.table.len(),
        before.peers.len(),
        before.items.len(),
    );
}

#[test]
fn t16_a_trace_replayed_ten_times_changes_nothing() {
    replay(16, 40, 30);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t16_a_long_trace_replayed_ten_times_changes_nothing() {
    replay(21, 200, 80);
}
