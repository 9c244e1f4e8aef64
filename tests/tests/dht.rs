//! Feature set C and the driver: the asynchronous front door over the in-memory network, in virtual time.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::net::{IpAddr, SocketAddr};

use std::time::Duration;

use bittorrent_profile::dht::{Builder, Port, Stored};
use bittorrent_profile::{Dht, InfoHash, NodeId, node_id};
use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Family, Key, Keyspace};
use tests::live::{PORT, describe, hash, router, servers, spawn};
use tokio::time::{Instant, timeout};
use transport_mem::{LinkModel, MemNetwork, address_v4, address_v6};

/// The eight servers closest to a torrent took its announcement. So did others, on the other paths: in a network as
/// small as these, nearly all.
async fn holds_at_the_closest(announced: &Stored, servers: &[Dht], announcer: usize, info_hash: InfoHash) {
    let target = Key::from(info_hash);
    let mut others = Vec::new();
    for (n, server) in servers.iter().enumerate() {
        if n != announcer {
            others.push(Key::from(server.state().await.unwrap().families[0].id));
        }
    }
    others.sort_by(|a, b| target.cmp_distance(a, b));
    let holders: Vec<_> = announced.accepted.iter().map(|holder| holder.key).collect();
    for closest in &others[..8] {
        assert!(holders.contains(closest), "{closest} is not among {holders:?}");
    }
    // 8 paths of 4 each, and as many whose ids are bound to their addresses.
    assert!(holders.len() <= 64);
}

fn network() -> MemNetwork {
    MemNetwork::new(LinkModel::internet(), 1)
}

#[tokio::test(start_paused = true)]
async fn fs_c2_fs_c3_fs_a14_an_early_search_waits_for_bootstrap_and_streams_peers() {
    let network = network();
    let servers = servers(&network, 30).await;
    let announced = servers[7].announce_once(hash(1), PORT).await.unwrap();
    holds_at_the_closest(&announced, &servers, 7, hash(1)).await;

    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    let mut peers = client.get_peers(hash(1));
    assert!(!client.state().await.unwrap().families[0].bootstrapped, "called before bootstrap");
    let found = peers.next().await.expect("the announced peer");
    assert_eq!(found.peer, SocketAddr::new(address_v4(7).ip(), 51_413));
    assert!(client.state().await.unwrap().families[0].bootstrapped, "answered after it");
    let early = peers.summary();
    assert_eq!(
        (early.peers, early.asked >= early.answered, early.answered >= 1),
        (1, true, true),
        "{early:?}"
    );
    assert!(peers.next().await.is_none(), "each peer once");
    let summary = peers.summary();
    assert_eq!((summary.peers, summary.answered >= 8), (1, true), "{summary:?}");
    assert!(summary.answered > early.answered && summary.took > early.took, "{early:?}, {summary:?}");
    assert!((8..=summary.answered).contains(&peers.sources(&found.peer)), "{}", peers.sources(&found.peer));
}

#[tokio::test(start_paused = true)]
async fn fs_c2_bootstrapped_can_be_awaited_through_a_late_router() {
    let network = network();
    let client = spawn(&network, 1, describe(1).bootstrap(router()));
    let early = Instant::now();
    assert!(timeout(Duration::from_secs(100), client.bootstrapped()).await.is_err(), "nobody is there");
    let _router = spawn(&network, 0, describe(0).server(true));
    client.bootstrapped().await.unwrap();
    assert!(early.elapsed() < Duration::from_secs(500), "the pauses are bounded");
}

#[tokio::test(start_paused = true)]
async fn fs_c4_an_announcement_is_renewed_until_it_is_withdrawn() {
    let network = network();
    let servers = servers(&network, 20).await;
    let mut announcement = servers[3].announce(hash(2), PORT);
    let found = async |n: usize| servers[n].get_peers(hash(2)).finish().await.peers;
    let first = announcement.round().await.unwrap().unwrap();
    holds_at_the_closest(&first, &servers, 3, hash(2)).await;
    // Nodes keep a peer for 30 minutes; three hours later it is still there.
    for round in 0..12 {
        announcement.round().await.unwrap().unwrap();
        assert_eq!(found(9).await, 1, "round {round}");
    }
    announcement.withdraw();
    tokio::time::sleep(Duration::from_secs(35 * 60)).await;
    assert_eq!(found(9).await, 0, "A10: forgotten");
}

#[tokio::test(start_paused = true)]
async fn fs_c5_the_library_is_read_only_by_default_and_serving_is_a_choice() {
    let network = network();
    let servers = servers(&network, 2).await;
    let client = spawn(&network, 50, describe(50).bootstrap(router()));
    client.bootstrapped().await.unwrap();
    let failure = servers[1].ping(address_v4(50)).await.unwrap_err();
    assert!(matches!(failure, RequestFailure::Failed(kademlia_core::Failure::TimedOut)), "{failure}");
    assert!(servers[1].ping(address_v4(0)).await.is_ok());
    let known = servers[0].snapshots().await.unwrap();
    assert!(known[0].1.contacts.iter().all(|contact| contact.addr != address_v4(50)), "43.2: kept nowhere");
}

#[tokio::test(start_paused = true)]
async fn fs_c6_fs_a3_the_announced_port_is_the_given_one_or_the_sockets() {
    let network = network();
    let servers = servers(&network, 10).await;
    servers[1].announce_once(hash(3), Port::Implied).await.unwrap();
    servers[2].announce_once(hash(3), PORT).await.unwrap();
    let mut peers = servers[5].get_peers(hash(3));
    let mut found = Vec::new();
    while let Some(peer) = peers.next().await {
        found.push(peer.peer);
    }
    found.sort();
    let mut expected = [address_v4(1), SocketAddr::new(address_v4(2).ip(), 51_413)];
    expected.sort();
    assert_eq!(found, expected);
}

#[tokio::test(start_paused = true)]
async fn fs_c7_searches_for_one_hash_share_a_lookup_and_a_recent_one_is_not_repeated() {
    let network = network();
    let servers = servers(&network, 20).await;
    servers[1].announce_once(hash(4), PORT).await.unwrap();
    let client = spawn(&network, 60, describe(60).bootstrap(router()));
    client.bootstrapped().await.unwrap();
    // So that it has learnt its address, and looks around for nothing else.
    client.get_peers(hash(6)).finish().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    let asked = async || client.state().await.unwrap().families[0].counters.asked;
    let before = asked().await;
    let searches: Vec<_> = (0..50).map(|_| client.get_peers(hash(4))).collect();
    let mut messages = 0;
    for search in searches {
        let summary = search.finish().await;
        assert_eq!(summary.peers, 1);
        messages = summary.messages as u64;
    }
    let once = asked().await - before;
    assert!(once < messages + 10, "one lookup of {messages} messages, not fifty: {once} requests");
    assert_eq!(client.get_peers(hash(4)).finish().await.peers, 1);
    assert_eq!(asked().await - before, once, "answered from what is at hand");
    tokio::time::sleep(Duration::from_secs(16)).await;
    assert_eq!(client.get_peers(hash(4)).finish().await.peers, 1);
    assert!(asked().await - before > once, "the interval is over");
}

#[tokio::test(start_paused = true)]
async fn fs_c8_state_can_be_read_and_contacts_saved_and_loaded() {
    let network = network();
    let servers = servers(&network, 20).await;
    let first = spawn(&network, 70, describe(70).bootstrap(router()));
    first.bootstrapped().await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let state = first.state().await.unwrap();
    assert!(state.families[0].table.good >= 8, "{state:?}");
    let saved = first.snapshots().await.unwrap();
    first.shutdown().await;
    assert!(first.state().await.is_err(), "closed");
    // The router is gone; the contacts are enough, and the id is the same.
    servers[0].shutdown().await;
    let second = spawn(&network, 70, describe(71).remember(saved.clone()));
    timeout(Duration::from_secs(10), second.bootstrapped()).await.expect("warm start").unwrap();
    assert_eq!(second.state().await.unwrap().families[0].id, NodeId::from(saved[0].1.local));
}

#[tokio::test(start_paused = true)]
async fn fs_a12_fs_b2_a_driver_stops_when_told_and_when_its_last_handle_is_gone() {
    let network = network();
    let dht = spawn(&network, 0, describe(0).server(true));
    timeout(Duration::from_secs(1), dht.shutdown()).await.expect("P51: within a second");
    assert!(dht.ping(address_v4(1)).await.is_err());
    let second = spawn(&network, 1, describe(1).server(true));
    drop(second);
    // Its transport is dropped with it, so the address is free again.
    while network.bind(address_v4(1)).is_err() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_search_is_cancelled() {
    let network = network();
    let client = spawn(&network, 90, describe(90).bootstrap(router()));
    let outstanding = async || {
        let count = client
            .handle()
            .with(|shell, _| shell.stack.nodes().map(|(_, node)| node.outstanding()).sum::<usize>());
        count.await.unwrap()
    };
    let _servers = servers(&network, 10).await;
    client.bootstrapped().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let search = client.get_peers(hash(9));
    while outstanding().await == 0 {
        tokio::task::yield_now().await;
    }
    drop(search);
    while outstanding().await > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn fs_b12_the_external_address_is_voted_on_and_the_id_follows() {
    let network = network();
    let _servers = servers(&network, 30).await;
    let client = spawn(&network, 80, describe(80).bootstrap(router()));
    client.bootstrapped().await.unwrap();
    // Joining alone may ask fewer than the twelve that have to agree.
    client.get_peers(hash(6)).finish().await;
    let state = client.state().await.unwrap();
    assert_eq!(state.families[0].external, Some(address_v4(80)));
    let id = Key::from(state.families[0].id);
    assert!(node_id::verify(address_v4(80).ip(), &id), "42.4: the id fits the address that the others see");
}

#[tokio::test(start_paused = true)]
async fn fs_b7_a_given_public_address_decides_the_id_and_strict_keeps_others_out() {
    let network = network();
    let public = |n: u32| address_v4(n).ip();
    let first = spawn(&network, 0, describe(0).server(true).public_ip(public(0)));
    assert!(node_id::verify(public(0), &first.state().await.unwrap().families[0].id.into()));
    // One node's id fits, one's does not.
    let wrong = NodeId::new([0xee; 20]);
    assert!(!node_id::verify(public(2), &wrong.into()));
    let _fits = spawn(&network, 1, describe(1).server(true).public_ip(public(1)).bootstrap(router()));
    let _wrong = spawn(&network, 2, describe(2).server(true).node_id(wrong).bootstrap(router()));
    let strict = spawn(&network, 3, describe(3).server(true).strict_bep42(true).bootstrap(router()));
    strict.bootstrapped().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let contacts = strict.snapshots().await.unwrap().remove(0).1.contacts;
    assert!(!contacts.is_empty());
    assert!(contacts.iter().all(|contact| node_id::verify(contact.addr.ip(), &contact.key)), "{contacts:?}");
}

#[tokio::test(start_paused = true)]
async fn fs_c1_bep32_32_1_32_7_a_dual_stack_node_is_in_two_networks_and_finds_one_through_the_other() {
    let network = network();
    let dual = |n: u32, describe: Builder| {
        describe.spawn(network.bind_dual(address_v4(n), address_v6(n)).unwrap()).unwrap()
    };
    let mut nodes = vec![dual(0, describe(0).server(true))];
    for n in 1..20 {
        // The router's IPv4 address alone: nodes6 leads into the other network (32.7).
        let node = dual(n, describe(n).server(true).bootstrap(router()));
        node.bootstrapped().await.unwrap();
        nodes.push(node);
    }
    // Somebody has to be known in IPv6 for anybody to be named.
    nodes[1].add_nodes(vec![address_v6(0)]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(20 * 60)).await;
    let late = dual(40, describe(40).bootstrap(router()));
    late.bootstrapped().await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    let state = late.state().await.unwrap();
    for family in &state.families {
        assert!(family.table.good >= 3, "{family:?}");
    }
    let announced = nodes[5].announce_once(hash(5), PORT).await.unwrap();
    assert!(announced.accepted.len() > 8, "in both networks: {}", announced.accepted.len());
    let mut peers = late.get_peers(hash(5));
    let mut families = Vec::new();
    while let Some(found) = peers.next().await {
        assert_eq!(
            Family::of(&found.peer),
            Family::of(&found.from.addr),
            "32.4: each network tells of its own"
        );
        families.push(Family::of(&found.peer));
    }
    families.sort();
    assert_eq!(families, [Family::V4, Family::V6]);
}

#[tokio::test]
async fn fs_a13_router_names_are_resolved() {
    let localhost = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), 0);
    let bind = async || transport_udp::UdpTransport::bind(localhost).await.unwrap();
    let first = Dht::builder().server(true).spawn(bind().await).unwrap();
    let port = first.local_addrs()[0].port();
    let second = Dht::builder().bootstrap([format!("localhost:{port}")]).spawn(bind().await).unwrap();
    timeout(Duration::from_secs(20), second.bootstrapped()).await.expect("localhost resolves").unwrap();
}
