//! How much comes out for what went in: P17 and T9.

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::item::{Item, RawValue};
use bittorrent_profile::krpc::{Families, Krpc, Request, Response, Token};
use bittorrent_profile::{InfoHash, ServiceConfig};
use kademlia_core::{Body, Codec, Config, Family, Key, TransactionId};
use tests::engine::{self, Engine, LOCAL, stranger};

/// Headers of IP and UDP.
fn on_wire(to: &SocketAddr, datagram: &[u8]) -> usize {
    let headers = match Family::of(to) {
        Family::V4 => 20 + 8,
        Family::V6 => 40 + 8,
    };
    headers + datagram.len()
}

/// A node whose tables of both families are full, and who knows many peers of one torrent in both.
fn full_node(info_hash: InfoHash) -> Engine {
    let mut node = Engine::new(&[Family::V4, Family::V6], &Config::default(), ServiceConfig::default());
    let transaction = TransactionId::new(b"t").unwrap();
    for family in [Family::V4, Family::V6] {
        (0..100).for_each(|n| node.introduce(stranger(n, family)));
        for n in 100..220 {
            let peer = stranger(n, family);
            let ask = engine::query(peer.key, transaction, Request::get_peers(info_hash, Families::NONE));
            let sent = node.receive(peer.addr, &ask);
            let (_, reply) = sent.iter().find(|(to, _)| *to == peer.addr).unwrap();
            let Body::Response { response: Response { token: Some(token), .. }, .. } =
                Krpc::decode(reply).unwrap().body
            else {
                panic!("no token")
            };
            let announce =
                Request::AnnouncePeer { implied_port: true, info_hash, port: None, seed: false, token };
            node.receive(peer.addr, &engine::query(peer.key, transaction, announce));
            node.pass(Duration::from_millis(20));
        }
    }
    node
}

/// What a stranger may get for one byte on the wire, by what he asks (T9). Values and filters are rationed instead.
fn limit(request: &Request) -> f64 {
    match request {
        Request::Ping => 3.0,
        Request::FindNode { want, .. } if *want != Families::BOTH => 3.0,
        Request::Get { .. } | Request::GetPeers { scrape: true, .. } => 12.0,
        _ => 5.0,
    }
}

/// Every question that gets a long answer, as short as it can be put.
fn questions(info_hash: InfoHash, item: Key<20>, want: Families) -> Vec<(&'static str, Request)> {
    vec![
        ("ping", Request::Ping),
        ("find_node", Request::FindNode { target: LOCAL, want }),
        ("get_peers", Request::get_peers(info_hash, want)),
        ("get_peers, scrape", Request::GetPeers { info_hash, noseed: false, scrape: true, want }),
        ("announce_peer, bad token", announce(info_hash, Token::from_array([0]))),
        ("get, nothing here", Request::Get { seq: None, target: LOCAL, want }),
        ("get, 1,000 bytes", Request::Get { seq: None, target: item, want }),
        ("put, bad token", Request::put(&Item::Immutable(longest()), None, Token::from_array([0]))),
        ("sample_infohashes", Request::SampleInfohashes { target: LOCAL, want }),
    ]
}

fn announce(info_hash: InfoHash, token: Token) -> Request {
    Request::AnnouncePeer { implied_port: true, info_hash, port: None, seed: false, token }
}

fn longest() -> RawValue {
    RawValue::string([0; 996]).unwrap()
}

/// A node as [`full_node`], which also holds an item of 1,000 bytes and a hundred info hashes.
fn fullest_node(info_hash: InfoHash, item: &Item) -> Engine {
    let mut node = full_node(info_hash);
    let transaction = TransactionId::new(b"t").unwrap();
    for family in [Family::V4, Family::V6] {
        let peer = stranger(221, family);
        let mut store = |get: Request, put: &dyn Fn(Token) -> Request| {
            let sent = node.receive(peer.addr, &engine::query(peer.key, transaction, get));
            let (_, reply) = sent.iter().find(|(to, _)| *to == peer.addr).unwrap();
            let Body::Response { response, .. } = Krpc::decode(reply).unwrap().body else {
                panic!("no response")
            };
            let put = put(response.token.unwrap());
            node.receive(peer.addr, &engine::query(peer.key, transaction, put));
            node.pass(Duration::from_secs(1));
        };
        let get = Request::Get { seq: None, target: item.target(), want: Families::NONE };
        store(get, &|token| Request::put(item, None, token));
        for n in 0..60 {
            let info_hash = InfoHash::new([n; 20]);
            store(Request::get_peers(info_hash, Families::NONE), &|token| announce(info_hash, token));
        }
    }
    node
}

/// Bytes on the wire that `from` gets for a question, and how many times its own that is.
fn answer(node: &mut Engine, from: SocketAddr, request: Request) -> (usize, f64) {
    let query = engine::query(Key::new([9; 20]), TransactionId::new(b"a").unwrap(), request);
    // A second on, so that nothing is short of its ration. Sent twice, so that the ping to a stranger does not count.
    node.pass(Duration::from_secs(1));
    node.receive(from, &query);
    let sent = node.receive(from, &query);
    let replies = sent.iter().filter(|(to, _)| *to == from);
    let bytes = replies.map(|(to, datagram)| on_wire(to, datagram)).sum();
    (bytes, bytes as f64 / on_wire(&from, &query) as f64)
}

/// P17 and T9's table, which `docs/amplification.md` has as this test prints it.
#[test]
fn p17_t9_no_stranger_gets_much_more_than_he_sent() {
    let (info_hash, item) = (InfoHash::from(LOCAL), Item::Immutable(longest()));
    let mut node = fullest_node(info_hash, &item);
    let strangers = ["200.1.2.3:6881", "[2a01:1::1]:6881"].map(|addr| addr.parse::<SocketAddr>().unwrap());
    let mut table = String::from(
        "| question | IPv4 | IPv4, both lists | IPv6 | IPv6, both lists |\n|---|---|---|---|---|\n",
    );
    for at in 0..questions(info_hash, item.target(), Families::NONE).len() {
        let mut row = String::new();
        for from in strangers {
            for want in [Families::NONE, Families::BOTH] {
                let (name, request) = questions(info_hash, item.target(), want).swap_remove(at);
                let most = limit(&request);
                let (bytes, ratio) = answer(&mut node, from, request);
                assert!(bytes > 0 && ratio <= most, "{name} from {from}, {want:?}: {ratio:.2} times");
                if row.is_empty() {
                    row = format!("| {name}");
                }
                row += &format!(" | {ratio:.1} ({bytes} B)");
            }
        }
        table += &(row + " |\n");
    }
    println!("{table}");
    let kept = include_str!("../../../docs/amplification.md");
    assert!(kept.contains(&table), "docs/amplification.md is out of date:\n{table}");
}

/// T9: what cannot be kept short goes out seldom.
#[test]
fn t9_a_flood_in_a_victim_s_name_brings_it_little() {
    let (info_hash, item) = (InfoHash::from(LOCAL), Item::Immutable(longest()));
    let mut node = fullest_node(info_hash, &item);
    let victim: SocketAddr = "200.1.2.3:6881".parse().unwrap();
    let target = item.target();
    for request in [
        Request::Get { seq: None, target, want: Families::BOTH },
        Request::GetPeers { info_hash, noseed: false, scrape: true, want: Families::BOTH },
        Request::get_peers(info_hash, Families::BOTH),
    ] {
        node.pass(Duration::from_secs(60));
        let query = engine::query(Key::new([9; 20]), TransactionId::new(b"a").unwrap(), request.clone());
        let (mut bytes, seconds) = (0, 60);
        for _ in 0..1_000 * seconds {
            let sent = node.receive(victim, &query);
            let replies = sent.iter().filter(|(to, _)| *to == victim);
            bytes += replies.map(|(to, datagram)| on_wire(to, datagram)).sum::<usize>();
            node.pass(Duration::from_millis(1));
        }
        assert!(bytes <= (8 * seconds + 32) << 10, "{request:?}: {bytes} bytes in {seconds} s");
    }
}
