//! T7: how long storing takes while a million hosts announce and the budget of 64 MiB runs out. Not by criterion, whose
//! means would hide the one announcement for which much has to go: every single one is timed.
#![allow(missing_docs)]
#![allow(clippy::expect_used, clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../tests/full_node/mod.rs"]
mod full_node;

use std::net::SocketAddr;
use std::time::{Duration, Instant as Clock};

use bittorrent_profile::InfoHash;
use bittorrent_profile::item::{Item, RawValue};
use bittorrent_profile::krpc::{Families, Request, Response, Token};
use full_node::{MainlineNode, full_node};
use kademlia_core::{Body, Config, Instant, Key, Keyspace, Message, Rng, Storage};

const NOW: Instant = Instant::from_secs(1_000);
const ANNOUNCES: u32 = 1_000_000;
const INFO_HASHES: u32 = 100_000;

fn main() {
    let mut config = Config::default();
    config.inbound.per_ip = 0;
    let mut node = full_node(config, NOW);
    let (mut announces, mut puts) = (Vec::new(), Vec::new());
    for n in 0..ANNOUNCES {
        let from = host(n);
        let info_hash = InfoHash::from(Key::random(&mut Rng::from_number(u64::from(n % INFO_HASHES))));
        let token =
            ask(&mut node, from, Request::get_peers(info_hash, Families::NONE)).0.and_then(|r| r.token);
        if let Some(token) = token {
            announces.push(ask(&mut node, from, announce(info_hash, token)).1);
        }
        if n.is_multiple_of(10) {
            let item = item(n);
            let get = Request::Get { seq: None, target: item.target(), want: Families::NONE };
            if let Some(token) = ask(&mut node, from, get).0.and_then(|response| response.token) {
                puts.push(ask(&mut node, from, Request::put(&item, None, token)).1);
            }
        }
    }
    let (peers, items) = (node.service().peers(), node.service().items());
    println!("{} peers, {} items, {} bytes", peers.len(), items.len(), peers.bytes() + items.bytes());
    report("announce_peer", announces);
    report("put of 1,000 bytes, immutable", puts);
}

fn report(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |per_mille: usize| times.get(times.len() * per_mille / 1_000).copied().unwrap_or_default();
    println!("{name}: {} times, p50 {:?}, p99 {:?}, p99.9 {:?}", times.len(), at(500), at(990), at(999));
}

/// Each in a network of its own.
fn host(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::from(([20 + a, b, c, 1], 6881))
}

fn announce(info_hash: InfoHash, token: Token) -> Request {
    Request::AnnouncePeer { implied_port: true, info_hash, port: None, seed: false, token }
}

fn item(n: u32) -> Item {
    let mut bytes = [b'.'; 996];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    Item::Immutable(RawValue::string(bytes).expect("1,000 bytes"))
}

/// The response, if there is one, and how long the node took for it.
fn ask(node: &mut MainlineNode, from: SocketAddr, request: Request) -> (Option<Response>, Duration) {
    let body = Body::Request { sender: Key::ZERO, read_only: true, request };
    let message = Message { transaction: 7.into(), observed: None, body };
    let began = Clock::now();
    node.handle_message(NOW, from, message);
    let took = began.elapsed();
    let reply = node.poll_message().map(|(_, message)| message.body);
    let Some(Body::Response { response, .. }) = reply else { return (None, took) };
    (Some(response), took)
}
