//! Points of `bittorrent-profile/CONFORMANCE.md` that need more than one crate: joining, both families, other clients'
//! hints, and BEP 42 in full.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Krpc, Request, Response};
use bittorrent_profile::{Dht, Mainline, NodeId, ServiceConfig, node_id};
use kademlia_core::{Body, Codec, Config, Contact, Family, Key, Keyspace, Message, Node, TransactionId};
use tests::Network;
use tests::engine::{self, Engine, Sent, naming, stranger};
use tests::live::{PORT, describe, hash, router, spawn};
use tokio::time::timeout;
use transport_mem::{LinkModel, MemNetwork, address_v4};

async fn known(dht: &Dht) -> BTreeSet<SocketAddr> {
    let contacts = dht.snapshots().await.unwrap().remove(0).1.contacts;
    contacts.into_iter().map(|contact| contact.addr).collect()
}

#[test]
fn bep5_5_15_a_newcomer_knows_its_true_neighbours_and_they_know_it() {
    let mut network = Network::grown(15, 100, LinkModel::perfect());
    let local = network.any_key();
    let index = network.simulation.spawn(address_v4(50_000), |birth| {
        let birth = transport_mem::Birth { key: local, ..birth };
        tests::mainline_node(&birth, Config::default().into())
    });
    let router = network.simulation.address(0).unwrap();
    network.simulation.call(index, |node, now| node.bootstrap(now, &[router]));
    network.run_for(Duration::from_secs(60));

    let newcomer = network.simulation.node(index).unwrap();
    assert!(newcomer.is_bootstrapped());
    let local = newcomer.local();
    let others = network.simulation.nodes().filter(|(other, _)| *other != index);
    let mut others: Vec<(Key<20>, usize)> = others.map(|(other, node)| (node.local(), other)).collect();
    others.sort_by(|a, b| local.cmp_distance(&a.0, &b.0));
    let now = network.simulation.now();
    for (key, other) in &others[..8] {
        let knows = |node: &Node<Mainline, _>, key: &Key<20>| {
            node.snapshot(now).contacts.iter().any(|contact| contact.key == *key)
        };
        assert!(knows(newcomer, key), "find_node of the own id until nobody is closer");
        assert!(knows(network.simulation.node(*other).unwrap(), &local), "and they were asked by it");
    }
}

#[tokio::test(start_paused = true)]
async fn bep5_5_15_the_table_is_kept_between_runs_and_asked_before_the_routers() {
    let network = MemNetwork::new(LinkModel::internet(), 1);
    let mut servers = vec![spawn(&network, 0, describe(0).server(true))];
    for n in 1..10 {
        let server = spawn(&network, n, describe(n).server(true).bootstrap(router()));
        server.bootstrapped().await.unwrap();
        servers.push(server);
    }
    let first = spawn(&network, 20, describe(20).bootstrap(router()));
    first.bootstrapped().await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let saved = first.snapshots().await.unwrap();
    first.shutdown().await;
    let asked = servers[0].state().await.unwrap().families[0].counters.served;
    let only_others: Vec<_> = saved
        .into_iter()
        .map(|(family, mut snapshot)| {
            snapshot.contacts.retain(|contact| contact.addr != address_v4(0));
            (family, snapshot)
        })
        .collect();
    let second = spawn(&network, 20, describe(21).remember(only_others).bootstrap(router()));
    timeout(Duration::from_secs(10), second.bootstrapped()).await.expect("warm start").unwrap();
    let asked = servers[0].state().await.unwrap().families[0].counters.served - asked;
    assert!(asked <= 2, "T20: as one node among others, and not as the way in: {asked}");
}

#[tokio::test(start_paused = true)]
async fn bep5_5_16_nodes_that_a_client_hears_of_are_pinged_and_kept_however_many() {
    let network = MemNetwork::new(LinkModel::perfect(), 1);
    let router = [address_v4(0).to_string()];
    let _router = spawn(&network, 0, describe(0).server(true));
    // These know nobody, and nobody knows them: only a PORT message or a torrent's `nodes` leads to them.
    let hidden: Vec<_> = (1..60).map(|n| spawn(&network, n, describe(n).server(true))).collect();
    let client = spawn(&network, 100, describe(100).bootstrap(router));
    client.bootstrapped().await.unwrap();
    assert_eq!(known(&client).await, BTreeSet::from([address_v4(0)]));
    for (n, _) in (1..60).zip(&hidden) {
        client.add_nodes(vec![address_v4(n)]).await.unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    for (n, hidden) in (1..60).zip(&hidden) {
        let served = hidden.state().await.unwrap().families[0].counters.served;
        assert!(served >= 1, "node {n} was asked");
        assert!(served < 20, "and not again for each that came after it: {served}");
    }
    assert!(known(&client).await.len() >= 20, "who answered is kept, where the buckets have room");
}

#[tokio::test(start_paused = true)]
async fn bep5_5_16_a_client_that_knows_nobody_joins_through_a_port_message() {
    let network = MemNetwork::new(LinkModel::perfect(), 1);
    let _server = spawn(&network, 0, describe(0).server(true));
    let client = spawn(&network, 1, describe(1));
    client.add_nodes(vec![address_v4(0)]).await.unwrap();
    timeout(Duration::from_secs(20), client.bootstrapped()).await.expect("it is the way in").unwrap();
}

/// A server in both networks, which knows some of each.
fn dual(v4: u8, v6: u8) -> Engine {
    let mut node = Engine::new(&[Family::V4, Family::V6], &Config::default(), ServiceConfig::default());
    (0..v4).for_each(|n| node.introduce(stranger(n, Family::V4)));
    (0..v6).for_each(|n| node.introduce(stranger(n, Family::V6)));
    node
}

/// The `find_node`s among what was sent: where to, and what they want.
fn wanted(sent: &Sent) -> Vec<(Family, Families)> {
    let requests = sent.iter().filter_map(|(to, datagram)| match Krpc::decode(datagram).ok()?.body {
        Body::Request { request: Request::FindNode { want, .. }, .. } => Some((Family::of(to), want)),
        _ => None,
    });
    requests.collect()
}

#[test]
fn bep32_32_2_32_3_both_lists_through_either_family_hold_the_closest_of_each_table() {
    let mut node = dual(100, 100);
    let now = node.now;
    for from in ["8.8.8.8:6881", "[2a00:1450::1]:6881"] {
        let from: SocketAddr = from.parse().unwrap();
        let target = Key::new([0x54; 20]);
        let request = Request::FindNode { target, want: Families::BOTH };
        let query = engine::query(Key::new([9; 20]), TransactionId::new(b"aa").unwrap(), request);
        let sent = node.receive(from, &query);
        let Body::Response { response, .. } = Krpc::decode(&sent[0].1).unwrap().body else {
            panic!("{sent:?}")
        };
        for family in [Family::V4, Family::V6] {
            let own = node.stack.node(family).unwrap();
            let mut closest: Vec<_> = own.snapshot(now).contacts;
            closest.sort_by(|a, b| target.cmp_distance(&a.key, &b.key));
            let listed: Vec<_> = response.nodes.of(family).copied().collect();
            assert_eq!(listed, closest[..8], "{family:?} through {from}");
        }
    }
}

#[test]
fn bep32_32_7_joining_asks_for_both_families_and_tells_each_of_the_other() {
    let mut node = dual(0, 0);
    let (now, router) = (node.now, stranger(0, Family::V4));
    node.stack.bootstrap(now, &[router.addr]);
    let sent = node.sent();
    assert_eq!(wanted(&sent), [(Family::V4, Families::BOTH)]);
    let response = naming((1..4).map(|n| stranger(n, Family::V6)));
    let sent = node.receive(router.addr, &engine::reply(&sent[0].1, router.key, response).unwrap());
    let v6: BTreeSet<_> = sent.iter().map(|(to, _)| *to).filter(SocketAddr::is_ipv6).collect();
    let named: BTreeSet<_> = (1..4).map(|n| stranger(n, Family::V6).addr).collect();
    assert_eq!(v6, named, "one router's IPv4 address leads into both networks");
}

#[test]
fn bep32_32_7_steady_state_asks_for_the_own_family_and_seldom_for_the_other() {
    let asks_for_both = |mut node: Engine| {
        let mut wants = Vec::new();
        // Half an hour: long enough for every entry's keepalive, and for refreshes. Answers take 0.1 s.
        for _ in 0..18_000 {
            let mut sent = node.pass(Duration::from_millis(100));
            wants.append(&mut wanted(&sent));
            while let Some((to, datagram)) = sent.pop() {
                let family = Family::of(&to);
                let n = (0..250).find(|n| stranger(*n, family).addr == to).unwrap();
                if let Some(reply) = engine::reply(&datagram, stranger(n, family).key, Response::default()) {
                    sent.append(&mut node.receive(to, &reply));
                }
            }
        }
        assert!(wants.len() > 20);
        wants.iter().filter(|(_, want)| *want == Families::BOTH).count()
    };
    assert_eq!(asks_for_both(dual(20, 20)), 0, "both are well known");
    assert!(asks_for_both(dual(20, 2)) > 0, "the other network is nearly lost");
}

#[test]
fn bep32_32_1_each_family_has_a_table_of_its_own_and_needs_a_node_of_its_own() {
    let mut node = dual(10, 5);
    let lengths =
        |node: &Engine| [Family::V4, Family::V6].map(|family| node.stack.node(family).unwrap().table().len());
    assert_eq!(lengths(&node), [10, 5]);
    node.introduce(stranger(30, Family::V6));
    assert_eq!(lengths(&node), [10, 6]);
    let mut v6_only = Engine::new(&[Family::V6], &Config::default(), ServiceConfig::default());
    let ping = engine::query(Key::new([9; 20]), TransactionId::new(b"aa").unwrap(), Request::Ping);
    assert_eq!(v6_only.receive("8.8.8.8:1".parse().unwrap(), &ping), [], "a family without a node");
}

#[test]
fn bep42_42_4_ip_is_in_responses_and_errors_of_both_families() {
    let mut node = dual(0, 0);
    for from in ["8.8.8.8:1234", "[2a00:1450::1]:6881"] {
        let from: SocketAddr = from.parse().unwrap();
        for query in [
            &b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"[..],
            b"d1:ade1:q4:ping1:t2:aa1:y1:qe",
            b"d1:ad2:id20:abcdefghij0123456789e1:q5:novel1:t2:aa1:y1:qe",
        ] {
            let sent = node.receive(from, query);
            let Message { observed, body, .. } = Krpc::decode(&sent[0].1).unwrap();
            assert_eq!(observed, Some(from), "{body:?}");
            let ip = match from {
                SocketAddr::V4(_) => &b"2:ip6:\x08\x08\x08\x08\x04\xd2"[..],
                SocketAddr::V6(_) => b"2:ip18:\x2a\0\x14\x50\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1",
            };
            assert!(sent[0].1.windows(ip.len()).any(|window| window == ip), "at the top level, compact");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bep42_42_5_strict_announces_only_to_nodes_whose_ids_fit() {
    let network = MemNetwork::new(LinkModel::perfect(), 1);
    // Fewer than a quorum: those whose ids do not fit never learn their address.
    let mut servers = Vec::new();
    for n in 0..8_u8 {
        let ip = address_v4(n.into()).ip();
        let server = describe(n.into()).server(true);
        let server = if n % 2 == 0 { server.public_ip(ip) } else { server.node_id(NodeId::new([n; 20])) };
        let server = if n == 0 { server } else { server.bootstrap(router()) };
        servers.push(spawn(&network, n.into(), server));
    }
    for server in &servers[1..] {
        server.bootstrapped().await.unwrap();
    }
    let fits = |contact: &Contact<Key<20>>| node_id::verify(contact.addr.ip(), &contact.key);
    let accepted = async |n: u8, strict: bool| {
        let client = spawn(&network, n.into(), describe(n.into()).strict_bep42(strict).bootstrap(router()));
        client.bootstrapped().await.unwrap();
        let announced = client.announce_once(hash(n), PORT).await.unwrap();
        assert_eq!(announced.asked, 8, "everybody is asked");
        announced.accepted
    };
    assert_eq!(accepted(100, false).await.len(), 8);
    let strict = accepted(101, true).await;
    assert_eq!(strict.len(), 4);
    assert!(strict.iter().all(fits), "{strict:?}");
}
