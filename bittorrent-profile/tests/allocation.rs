//! What is taken from the heap: by the codec nothing for bytes that it refuses and nothing for the common messages, by a
//! serving node nothing but a list of peers.

mod full_node;

use std::net::SocketAddr;
use std::time::Duration;

use allocation_counter::measure;
use bittorrent_profile::krpc::{Families, Krpc, Nodes, Request, Response, Token};
use bittorrent_profile::{InfoHash, Mainline};
use full_node::{MainlineNode, POPULAR, QUERIES, announce_peers, full_node, query, serve};
use kademlia_core::{Body, Codec, Config, Contact, Instant, Key, Message, TransactionId};

fn bytes(body: Body<Mainline>) -> Vec<u8> {
    let mut out = Vec::new();
    Krpc::encode(&Message { transaction: TransactionId::from(1), observed: None, body }, &mut out);
    out
}

fn nodes() -> Nodes {
    (1..=8).map(|n| Contact::new(Key::new([n; 20]), ([192, 0, 2, n], 6881).into())).collect()
}

#[test]
fn t11_p31_bombs_take_no_heap() {
    let bombs = [
        vec![b'l'; 2_000],
        vec![b'd'; 1_000],
        b"99999999999:".to_vec(),
        b"i-0e".to_vec(),
        [b"i".to_vec(), vec![b'1'; 1_000], b"e".to_vec()].concat(),
        format!("l{}e", "0:".repeat(1_000)).into_bytes(),
        vec![0xff; 65_507],
    ];
    for bomb in bombs {
        let info = measure(|| assert!(Krpc::decode(&bomb).is_err()));
        assert_eq!(info.count_total, 0, "{}", bomb[..10.min(bomb.len())].escape_ascii());
    }
}

#[test]
fn p31_common_messages_are_read_and_written_without_heap() {
    let (sender, target) = (Key::new([1; 20]), Key::new([2; 20]));
    let want = Families::BOTH;
    let request = |request| Body::Request { sender, read_only: false, request };
    let response = |response| Body::Response { sender, response };
    let token = Some(Token::from_array([3; 8]));
    for body in [
        request(Request::Ping),
        request(Request::FindNode { target, want }),
        request(Request::get_peers(InfoHash::new([4; 20]), want)),
        response(Response::default()),
        response(Response { nodes: nodes(), token, ..Response::default() }),
    ] {
        let datagram = bytes(body);
        let mut out = Vec::with_capacity(2_048);
        let info = measure(|| {
            let message = Krpc::decode(&datagram).expect("ours can be read");
            Krpc::encode(&message, &mut out);
        });
        assert_eq!((info.count_total, &out), (0, &datagram));
    }
}

#[test]
fn p31_t14_the_heap_that_a_reply_takes_is_bounded_by_its_length() {
    let values = vec![([192, 0, 2, 1], 6881).into(); 100];
    let datagram = bytes(Body::Response {
        sender: Key::new([1; 20]),
        response: Response { values, ..Response::default() },
    });
    let info = measure(|| drop(Krpc::decode(&datagram)));
    assert!(info.bytes_max <= 8 * datagram.len() as u64, "{info:?} for {} bytes", datagram.len());
}

/// Allocations of a thousand queries after a first one, which makes what room is kept.
fn allocations(node: &mut MainlineNode, make: impl Fn(u16) -> Request) -> u64 {
    let (from, start) = (SocketAddr::from(([8, 8, 8, 8], 6881)), Instant::from_secs(1_000));
    let mut reply = Vec::with_capacity(2_048);
    let mut ask = |n: u16, datagram: &[u8]| {
        let now = start + Duration::from_millis(n.into());
        reply.clear();
        assert!(serve(node, now, from, datagram, &mut reply));
    };
    let datagrams: Vec<_> = (0..=1_000).map(|n| query(make(n))).collect();
    ask(0, &datagrams[0]);
    measure(|| (1..).zip(&datagrams[1..]).for_each(|(n, datagram)| ask(n, datagram))).count_total
}

fn unlimited_node() -> MainlineNode {
    let mut config = Config::default();
    config.inbound.per_ip = 0;
    config.strangers.per_ip = 0;
    full_node(config, Instant::from_secs(1_000))
}

#[test]
fn a_serving_node_allocates_nothing() {
    let mut node = unlimited_node();
    for (name, make) in QUERIES {
        let about = |n: u16| make([n.to_be_bytes(); 10].concat().try_into().expect("20 bytes"));
        assert_eq!(allocations(&mut node, about), 0, "{name}");
    }
}

#[test]
fn a_list_of_peers_takes_one_allocation() {
    let mut node = unlimited_node();
    announce_peers(&mut node, Instant::from_secs(1_000), 64);
    let popular = |_| Request::get_peers(POPULAR, Families::NONE);
    assert_eq!(allocations(&mut node, popular), 1_000);
}
