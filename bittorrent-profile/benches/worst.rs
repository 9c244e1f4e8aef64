//! T18: what the dearest datagrams cost a node, beside the query that everybody sends.
#![allow(missing_docs)]
#![allow(clippy::expect_used, clippy::panic, reason = "a bench whose node does not answer has to stop")]

#[path = "../tests/full_node/mod.rs"]
mod full_node;

use std::hint::black_box;
use std::net::SocketAddr;

use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey, Signature};
use bittorrent_profile::krpc::{Families, Krpc, Request, Token};
use criterion::{Criterion, criterion_group, criterion_main};
use full_node::{MainlineNode, POPULAR, announce_peers, full_node, query};
use kademlia_core::{Body, Codec, Config, Instant, Key};

const NOW: Instant = Instant::from_secs(1_000);
const FROM: ([u8; 4], u16) = ([8, 8, 8, 8], 6881);

fn worst(criterion: &mut Criterion) {
    let mut config = Config::default();
    config.inbound.per_ip = 0;
    config.strangers.per_ip = 0;
    let mut node = full_node(config, NOW);
    announce_peers(&mut node, NOW, 250);
    let find_node = query(Request::FindNode { target: Key::new([7; 20]), want: Families::NONE });
    let scrape = Request::GetPeers { info_hash: POPULAR, noseed: false, scrape: true, want: Families::NONE };
    let owner = SecretKey::from_seed(&[1; 32]);
    let value = RawValue::string("v".repeat(900)).expect("short enough");
    let signed = MutableItem::sign(&owner, Salt::default(), 1, value);
    let forged = MutableItem { signature: Signature::new([1; 64]), ..signed.clone() };
    let token = token(&mut node, &Item::Mutable(signed.into()));
    let datagrams = [
        ("find_node", find_node),
        ("find_node, `want` 470 times", wanting(470)),
        ("find_node, `want` 500 times", wanting(500)),
        ("scrape of 250 peers", query(scrape)),
        ("put, forged, behind a good token", query(Request::put(&Item::Mutable(forged.into()), None, token))),
        ("2,048 lists in one another", vec![b'l'; 2_048]),
        (
            "2,048 bytes of short strings",
            b"d".iter().chain(b"1:a0:".iter().cycle()).copied().take(2_048).collect(),
        ),
    ];
    for (name, datagram) in datagrams {
        criterion.bench_function(name, |bench| bench.iter(|| exchange(&mut node, black_box(&datagram))));
    }
}

/// A `find_node` that names families so many times.
fn wanting(times: usize) -> Vec<u8> {
    let want = "2:n4".repeat(times);
    let head = b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234564:wantl";
    [head.as_slice(), want.as_bytes(), b"ee1:q9:find_node1:t2:aa1:y1:qe"].concat()
}

fn token(node: &mut MainlineNode, item: &Item) -> Token {
    let get = Request::Get { seq: None, target: item.target(), want: Families::NONE };
    let reply = exchange(node, &query(get));
    match Krpc::decode(&reply).map(|message| message.body) {
        Ok(Body::Response { response, .. }) => response.token.expect("there is room"),
        other => panic!("{other:?}"),
    }
}

fn exchange(node: &mut MainlineNode, datagram: &[u8]) -> Vec<u8> {
    node.handle_datagram(NOW, SocketAddr::from(FROM), datagram);
    let mut reply = Vec::with_capacity(2_048);
    while node.poll_transmit(&mut reply).is_some() {}
    reply
}

criterion_group!(benches, worst);
criterion_main!(benches);
