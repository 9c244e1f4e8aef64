//! How much comes out for what went in: P17 and T9.

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{Families, Krpc, Request, Response, Token};
use bittorrent_profile::{InfoHash, ServiceConfig};
use kademlia_core::{Body, Codec, Config, Family, Key, Message, TransactionId};
use tests::engine::{self, Engine, LOCAL, Sent, stranger};

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

/// What a stranger may get for one byte on the wire (T9).
#[derive(Clone, Copy)]
enum Limit {
    /// Three times: ping, errors, one list of nodes. Five times for both lists.
    Nodes,
    /// Five times.
    More,
    /// A value of 1,000 bytes, which is rationed.
    Value,
    /// The filters of BEP 33, 532 bytes, which are rationed too.
    Filters,
}

impl Limit {
    fn times(self, lists: usize) -> f64 {
        match self {
            Limit::Nodes if lists < 2 => 3.0,
            Limit::Nodes | Limit::More => 5.0,
            Limit::Value => 12.0,
            Limit::Filters => 8.0,
        }
    }
}

/// The shortest query that is answered at all: an empty transaction id, no version, and of the arguments those without
/// which it would be another question.
fn shortest(method: &str, arguments: &[u8]) -> Vec<u8> {
    let method = format!("1:q{}:{method}1:t0:1:y1:qe", method.len());
    [b"d1:ad", arguments, b"e", method.as_bytes()].concat()
}

/// The argument `id` and one that is as long.
fn naming(key: &str, value: Key<20>) -> Vec<u8> {
    let key = format!("{}:{key}20:", key.len());
    [b"2:id20:", &[9; 20][..], key.as_bytes(), value.as_ref()].concat()
}

const BAD_TOKEN: &[u8] = b"5:token1:x";

/// Every question that has a long answer and every kind of refusal, as short as it can be put; `want` not said yet.
fn questions(mutable: Key<20>, item: Key<20>) -> Vec<(&'static str, Limit, Vec<u8>, &'static str)> {
    let (target, info_hash) = (naming("target", LOCAL), naming("info_hash", LOCAL));
    let with = |arguments: &[u8], more: &[u8]| [arguments, more].concat();
    let id = b"2:id20:99999999999999999999";
    vec![
        ("ping", Limit::Nodes, id.to_vec(), "ping"),
        ("find_node", Limit::Nodes, target.clone(), "find_node"),
        ("a method without a name, as `find_node`", Limit::Nodes, target.clone(), ""),
        ("get_peers", Limit::More, info_hash.clone(), "get_peers"),
        ("get_peers, scrape", Limit::Filters, with(&info_hash, b"6:scrapei1e"), "get_peers"),
        ("sample_infohashes", Limit::More, target.clone(), "sample_infohashes"),
        ("get, nothing here", Limit::More, target.clone(), "get"),
        (
            "get, nothing newer",
            Limit::More,
            with(&naming("target", mutable), b"3:seqi9223372036854775807e"),
            "get",
        ),
        ("get, 1,000 bytes", Limit::Value, naming("target", item), "get"),
        ("get, 1,000 bytes signed", Limit::Value, naming("target", mutable), "get"),
        (
            "announce_peer, bad token (203)",
            Limit::Nodes,
            with(&info_hash, &[b"4:porti1e", BAD_TOKEN].concat()),
            "announce_peer",
        ),
        ("put, bad token (203)", Limit::Nodes, with(id, &[BAD_TOKEN, b"1:v0:"].concat()), "put"),
        ("put, no token (203)", Limit::Nodes, Vec::new(), "put"),
        ("get, no target (203)", Limit::Nodes, Vec::new(), "get"),
        ("get_peers, no info_hash (203)", Limit::Nodes, Vec::new(), "get_peers"),
        ("announce_peer, nothing (203)", Limit::Nodes, Vec::new(), "announce_peer"),
        ("ping, no id (203)", Limit::Nodes, Vec::new(), "ping"),
        (
            "put, 65 bytes of salt (207)",
            Limit::Nodes,
            [b"4:salt65:", &[0; 65][..], BAD_TOKEN].concat(),
            "put",
        ),
        ("put, 1,001 bytes (205)", Limit::Nodes, [BAD_TOKEN, b"1:v997:", &[0; 997][..]].concat(), "put"),
        ("a method without a name (204)", Limit::Nodes, Vec::new(), ""),
    ]
}

/// What a query may say of the lists it wants: nothing, the one of the other family, both.
fn wants(from: SocketAddr) -> [(&'static [u8], usize); 3] {
    let other: &[u8] = if from.is_ipv4() { b"4:wantl2:n6e" } else { b"4:wantl2:n4e" };
    [(b"", 1), (other, 1), (b"4:wantl2:n42:n6e", 2)]
}

fn announce(info_hash: InfoHash, token: Token) -> Request {
    Request::AnnouncePeer { implied_port: true, info_hash, port: None, seed: false, token }
}

fn longest() -> RawValue {
    RawValue::string([0; 996]).unwrap()
}

/// The longest answer to `get` there is.
fn signed() -> Item {
    let owner = SecretKey::from_seed(&[1; 32]);
    Item::Mutable(MutableItem::sign(&owner, Salt::default(), i64::MAX, longest()).into())
}

/// A node as [`full_node`], which also holds items of 1,000 bytes and a hundred info hashes.
fn fullest_node(info_hash: InfoHash, items: &[Item]) -> Engine {
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
        for item in items {
            let get = Request::Get { seq: None, target: item.target(), want: Families::NONE };
            store(get, &|token| Request::put(item, None, token));
        }
        for n in 0..60 {
            let info_hash = InfoHash::new([n; 20]);
            store(Request::get_peers(info_hash, Families::NONE), &|token| announce(info_hash, token));
        }
    }
    node
}

/// The replies among what was sent, which all go to `from` but for what the node itself asks.
fn replies(sent: &Sent, from: SocketAddr) -> impl Iterator<Item = &Vec<u8>> {
    let is_reply = |bytes: &[u8]| !matches!(Krpc::decode(bytes).unwrap().body, Body::Request { .. });
    sent.iter().filter(move |(to, bytes)| *to == from && is_reply(bytes)).map(|(_, bytes)| bytes)
}

/// Bytes on the wire that `from` gets for a query, and how many times its own that is.
fn answer(node: &mut Engine, from: SocketAddr, query: &[u8]) -> (usize, f64) {
    // A second on, so that nothing is short of its ration.
    node.pass(Duration::from_secs(1));
    let sent = node.receive(from, query);
    let bytes = replies(&sent, from).map(|datagram| on_wire(&from, datagram)).sum();
    (bytes, bytes as f64 / on_wire(&from, query) as f64)
}

fn strangers() -> [SocketAddr; 2] {
    ["200.1.2.3:6881", "[2a01:1::1]:6881"].map(|addr| addr.parse().unwrap())
}

/// P17 and T9's table, which `docs/amplification.md` has as this test prints it.
#[test]
fn p17_t9_no_stranger_gets_much_more_than_he_sent() {
    let (item, mutable) = (Item::Immutable(longest()), signed());
    let mut node = fullest_node(InfoHash::from(LOCAL), &[item.clone(), mutable.clone()]);
    let mut table = String::from(
        "| question | IPv4 | for IPv6 nodes | both lists | IPv6 | for IPv4 nodes | both lists |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for (name, limit, arguments, method) in questions(mutable.target(), item.target()) {
        let mut row = format!("| {name}");
        for from in strangers() {
            for (want, lists) in wants(from) {
                let query = shortest(method, &[&arguments, want].concat());
                let (bytes, ratio) = answer(&mut node, from, &query);
                let most = limit.times(lists);
                assert!(bytes > 0 && ratio <= most, "{name} from {from}, {lists} lists: {ratio:.2} times");
                row += &format!(" | {ratio:.2} ({bytes} B)");
            }
        }
        table += &(row + " |\n");
    }
    println!("{table}");
    let kept = include_str!("../../../docs/amplification.md");
    assert!(kept.contains(&table), "docs/amplification.md is out of date:\n{table}");
}

/// What clients send is longer than need be, by a version or some bytes of transaction id, and is worth eight nodes of
/// every list.
#[test]
fn t9_bep5_5_7_bep32_32_2_a_client_s_question_gets_all_eight_nodes() {
    let mut node = full_node(InfoHash::from(LOCAL));
    let find_node = naming("target", LOCAL);
    for from in strangers() {
        let own: &[u8] = if from.is_ipv4() { b"4:wantl2:n4e" } else { b"4:wantl2:n6e" };
        for (want, lists) in [(&b""[..], 1), (own, 1), (b"4:wantl2:n42:n6e", 2)] {
            let query = [b"d1:ad", &find_node[..], want, b"e1:q9:find_node1:t2:aa1:v4:LT021:y1:qe"];
            let query = query.concat();
            node.pass(Duration::from_secs(1));
            let sent = node.receive(from, &query);
            let reply = replies(&sent, from).next().unwrap();
            let Message { observed, body: Body::Response { response, .. }, .. } =
                Krpc::decode(reply).unwrap()
            else {
                panic!("no response")
            };
            assert_eq!(response.nodes.contacts().len(), 8 * lists, "{from} {}", want.escape_ascii());
            assert_eq!(observed, Some(from), "42.4");
        }
    }
}

/// Whoever has had his ration still learns the version (44.8), and that keeps to the limit too.
#[test]
fn p17_t9_bep44_44_8_beyond_the_ration_the_number_comes_alone() {
    let mutable = signed();
    let mut node = fullest_node(InfoHash::from(LOCAL), std::slice::from_ref(&mutable));
    for from in strangers() {
        node.pass(Duration::from_secs(2));
        for (want, _) in wants(from) {
            let query = shortest("get", &[&naming("target", mutable.target()), want].concat());
            for n in 0..8 {
                let sent = node.receive(from, &query);
                let reply = replies(&sent, from).next().unwrap();
                let Body::Response { response, .. } = Krpc::decode(reply).unwrap().body else {
                    panic!("no response")
                };
                let parts = response.item.unwrap();
                assert_eq!(parts.seq, mutable.seq());
                let ratio = on_wire(&from, reply) as f64 / on_wire(&from, &query) as f64;
                assert!(parts.value.is_some() || ratio <= 5.0, "{ratio:.2} times without a value");
                assert!(parts.value.is_none() || n < 4, "the {n}th");
            }
        }
    }
}

/// T9: what cannot be kept short goes out seldom.
#[test]
fn t9_a_flood_in_a_victim_s_name_brings_it_little() {
    let (info_hash, item) = (InfoHash::from(LOCAL), Item::Immutable(longest()));
    let mut node = fullest_node(info_hash, std::slice::from_ref(&item));
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
            let to_victim = sent.iter().filter(|(to, _)| *to == victim);
            bytes += to_victim.map(|(to, datagram)| on_wire(to, datagram)).sum::<usize>();
            node.pass(Duration::from_millis(1));
        }
        assert!(bytes <= (8 * seconds + 32) << 10, "{request:?}: {bytes} bytes in {seconds} s");
    }
}

/// T9: however many the sources, and whatever they ask.
#[test]
fn t9_all_strangers_together_get_256_kilobytes_a_second() {
    let (info_hash, item) = (InfoHash::from(LOCAL), Item::Immutable(longest()));
    let mut node = fullest_node(info_hash, std::slice::from_ref(&item));
    let questions = [
        shortest("get_peers", &[&naming("info_hash", LOCAL), &b"4:wantl2:n42:n6e"[..]].concat()),
        shortest("get", &naming("target", item.target())),
        shortest("sample_infohashes", &naming("target", LOCAL)),
        shortest("get", b""),
    ];
    node.pass(Duration::from_secs(60));
    let (mut offered, mut bytes, mut by_second) = (0_u32, 0, Vec::new());
    for millisecond in 1..=5_000 {
        // Thirty thousand sources in five seconds, no two alike.
        for _ in 0..6 {
            offered += 1;
            let [.., a, b, c] = offered.to_be_bytes();
            let from = SocketAddr::from(([130 + a, b, c, 7], 6881));
            let sent = node.receive(from, &questions[offered as usize % questions.len()]);
            bytes += replies(&sent, from).map(|datagram| on_wire(&from, datagram)).sum::<usize>();
        }
        node.pass(Duration::from_millis(1));
        if millisecond % 1_000 == 0 {
            by_second.push(std::mem::take(&mut bytes));
        }
    }
    println!("{offered} strangers were sent {by_second:?} bytes, second by second");
    // The bucket is one second deep: what was not used before comes on top, once.
    assert!(by_second[0] <= 2 * 256_000, "{by_second:?}");
    assert!(by_second[1..].iter().all(|bytes| (200_000..=262_000).contains(bytes)), "{by_second:?}");
}
