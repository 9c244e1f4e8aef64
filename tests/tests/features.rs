//! Lines of the feature sets A, B and C that need the whole engine; the others have their tests where they are done.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Krpc, Request, Response};
use bittorrent_profile::{InfoHash, Mainline};
use kademlia_core::{
    Body, Codec, Event, Failure, Family, Key, LookupOptions, Message, Protocol, Rng, TransactionId,
};
use tests::engine::{self, Engine, LOCAL, Sent, naming, stranger};

fn ping(node: &mut Engine, n: u8) -> Vec<u8> {
    let (now, to) = (node.now, stranger(n, Family::V4));
    node.stack.node_mut(Family::V4).unwrap().request(now, to.addr, Some(to.key), Request::Ping);
    let mut sent = node.sent();
    assert_eq!(sent.len(), 1);
    sent.remove(0).1
}

/// How single requests ended since this was last asked.
fn ended(node: &mut Engine) -> Vec<Result<Key<20>, Failure>> {
    let events = node.events().into_iter();
    let ended = events.filter_map(|event| match event {
        Event::Requested { result, .. } => Some(result.map(|answered| answered.from.key)),
        _ => None,
    });
    ended.collect()
}

#[test]
fn fs_a8_only_the_asked_address_with_the_asked_transaction_ends_a_wait() {
    let mut node = Engine::server();
    let asked = stranger(1, Family::V4);
    let query = ping(&mut node, 1);
    let reply = engine::reply(&query, asked.key, Response::default()).unwrap();
    let Message { transaction, .. } = Krpc::decode(&query).unwrap();

    let other_port = SocketAddr::new(asked.addr.ip(), asked.addr.port() + 1);
    for from in [other_port, stranger(2, Family::V4).addr] {
        node.receive(from, &reply);
        assert_eq!(ended(&mut node), [], "from {from}");
    }
    for wrong in [&b""[..], b"aa", b"aaaa", &transaction.as_bytes()[..3]] {
        let transaction = TransactionId::new(wrong).unwrap();
        for body in [
            Body::Response { sender: asked.key, response: Response::default() },
            Body::Error { code: 201, text: String::new() },
        ] {
            node.receive(asked.addr, &engine::encoded(&Message { transaction, observed: None, body }));
            assert_eq!(ended(&mut node), [], "with {transaction:?}");
        }
    }
    node.receive(asked.addr, &reply);
    assert_eq!(ended(&mut node), [Ok(asked.key)]);
    node.receive(asked.addr, &reply);
    assert_eq!(ended(&mut node), [], "once");
}

#[test]
fn fs_a8_unrelated_datagrams_neither_end_nor_prolong_a_wait() {
    let wait = |noise: bool| {
        let mut node = Engine::server();
        let query = ping(&mut node, 1);
        let from = node.now;
        let forged = engine::reply(&query, stranger(1, Family::V4).key, Response::default()).unwrap();
        loop {
            if noise {
                node.receive(stranger(2, Family::V4).addr, &forged);
                node.receive(
                    stranger(1, Family::V4).addr,
                    b"d1:rd2:id20:abcdefghij0123456789e1:t2:aa1:y1:re",
                );
            }
            node.pass(Duration::from_millis(50));
            let ended = ended(&mut node);
            if !ended.is_empty() {
                assert_eq!(ended, [Err(Failure::TimedOut)]);
                return node.now.since(from);
            }
        }
    };
    assert_eq!(wait(true), wait(false));
    // Three attempts of at most two seconds each (T17).
    assert!(wait(true) <= Duration::from_secs(6));
}

#[test]
fn fs_a13_bootstrap_asks_a_router_for_the_own_id_and_then_whoever_is_closer() {
    let mut node = Engine::server();
    let (router, now) = (stranger(0, Family::V4), node.now);
    node.stack.bootstrap(now, &[router.addr]);
    let mut waiting = node.sent();
    let mut asked = Vec::new();
    while let Some((to, datagram)) = waiting.pop() {
        let Body::Request { request, .. } = Krpc::decode(&datagram).unwrap().body else { panic!("a query") };
        let n = (0..80).find(|n| stranger(*n, Family::V4).addr == to).unwrap();
        // Everybody is asked for the own id, and names two who are closer.
        if let Request::FindNode { target, .. } = request
            && target == LOCAL
        {
            asked.push(n);
        }
        let closer = [n + 4, n + 8].into_iter().filter(|n| *n < 80);
        let response = naming(closer.map(|n| stranger(n, Family::V4)));
        let reply = engine::reply(&datagram, stranger(n, Family::V4).key, response).unwrap();
        waiting.append(&mut node.receive(to, &reply));
    }
    assert_eq!(asked[0], 0, "the router first");
    assert!(asked.contains(&76), "5.15: until nobody is closer: {asked:?}");
    assert!(node.events().contains(&Event::Bootstrapped));
}

fn drawn(rng: &mut Rng, below: u8) -> u8 {
    u8::try_from(rng.below(below.into())).unwrap()
}

/// A day in the life of a node: the same for the same seed.
fn inputs(seed: u64, node: &mut Engine) -> Sent {
    let mut rng = Rng::from_number(seed);
    let now = node.now;
    node.stack.bootstrap(now, &[stranger(0, Family::V4).addr]);
    let mut sent = node.sent();
    for _ in 0..2_000 {
        let contact = stranger(drawn(&mut rng, 200), Family::V4);
        let request = match rng.below(3) {
            0 => Request::Ping,
            1 => Mainline::find_node(Key::new([drawn(&mut rng, 255); 20])),
            _ => Request::get_peers(InfoHash::new([1; 20]), Families::BOTH),
        };
        let query = engine::query(contact.key, TransactionId::new(b"aa").unwrap(), request);
        let mut answers = node.receive(contact.addr, &query);
        assert!(answers.len() <= 2, "a reply, and a ping to whoever is new: {}", answers.len());
        for (to, datagram) in &answers {
            if let Some(reply) = engine::reply(datagram, contact.key, Response::default()) {
                assert_eq!(*to, contact.addr);
                node.receive(*to, &reply);
            }
        }
        sent.append(&mut answers);
        sent.append(&mut node.pass(Duration::from_millis(rng.below(60_000) as u64)));
    }
    sent
}

#[test]
fn fs_b1_the_same_inputs_give_the_same_bytes() {
    let run = |seed| {
        let mut node = Engine::server();
        let sent = inputs(seed, &mut node);
        (sent, node.events(), node.stack.poll_timeout())
    };
    let first = run(1);
    assert!(first.0.len() > 2_000);
    assert_eq!(first, run(1), "no clock, no socket and no randomness but the host's");
    assert_ne!(first.0, run(2).0);
}

#[test]
fn fs_b1_fs_b10_packets_wait_in_a_bounded_list_for_a_host_that_does_not_fetch_them() {
    let mut node = Engine::server();
    let now = node.now;
    for n in 0..20_000_u32 {
        let [.., a, b, c] = n.to_be_bytes();
        let from = SocketAddr::from(([64 + a, b, c, 1], 6881));
        let query = engine::query(Key::new([0xaa; 20]), TransactionId::new(b"aa").unwrap(), Request::Ping);
        node.stack.handle_datagram(now, from, &query);
    }
    for n in 0..200_u8 {
        let own = node.stack.node_mut(Family::V4).unwrap();
        let target = Key::new([n; 20]);
        let _ = own.lookup(now, target, Mainline::find_node(target), LookupOptions::default());
    }
    let waiting = node.sent().len();
    assert!((1_024..3_000).contains(&waiting), "{waiting} packets");
    assert!(node.stack.node(Family::V4).unwrap().counters().overflowed > 0);
}

#[test]
fn fs_c9_the_docs_explain_a_dht_to_who_has_never_run_one() {
    let source = include_str!("../../bittorrent-profile/src/dht/mod.rs");
    let docs: Vec<_> = source.lines().filter_map(|line| line.strip_prefix("//!")).collect();
    let docs = docs.join("\n").to_lowercase();
    for topic in [
        "sloppy",
        "forget",
        "nat ",
        "banned",
        "port where peers connect",
        "dht's own socket",
        "forward its udp port",
    ] {
        assert!(docs.contains(topic), "nothing about: {topic}");
    }
}
