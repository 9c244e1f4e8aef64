//! A Mainline node whose routing table is full, and what it is asked: the subject of the serving benchmarks and tests.
// Each of those uses a part of it.
#![allow(dead_code, unreachable_pub)]

use std::net::SocketAddr;

use bittorrent_profile::krpc::{Families, Krpc, Request, Response};
use bittorrent_profile::{InfoHash, Mainline, MainlineService, ServiceConfig};
use kademlia_core::{
    Body, Codec, Config, Contact, Instant, Key, Keyspace, Message, Node, Rng, Storage, TransactionId,
};

pub type MainlineNode = Node<Mainline, MainlineService>;

/// Buckets that are filled: with k = 8, as many contacts as a node of a network of a million holds.
const DEPTH: usize = 17;

/// A node that knows 136 contacts, eight in each of 17 buckets, all of which have answered it just now.
pub fn full_node(config: Config, now: Instant) -> MainlineNode {
    let mut rng = Rng::from_number(1);
    let service = MainlineService::new(ServiceConfig::default(), rng.fork());
    let local = Key::random(&mut rng);
    let mut node = Node::new(service, local, config, rng.fork(), now);
    for host in 0.. {
        if node.table().len() == DEPTH * node.config().k {
            break;
        }
        let key = local.random_beside(rng.below(DEPTH), &mut rng);
        // Global addresses, each in a subnet of its own.
        let addr = SocketAddr::from(((0x4000_0000_u32 + (host << 8)).to_be_bytes(), 6881));
        introduce(&mut node, now, Contact::new(key, addr));
    }
    node
}

/// The node asks the contact and the contact answers, which is the only way into the table.
fn introduce(node: &mut MainlineNode, now: Instant, contact: Contact<Key<20>>) {
    node.request(now, contact.addr, Some(contact.key), Request::Ping);
    while let Some((to, message)) = node.poll_message() {
        // Who had its place wanted is asked and answers, too.
        let known = node.table().iter().map(|entry| entry.contact()).find(|known| known.addr == to);
        let sender = known.unwrap_or(contact).key;
        let body = Body::Response { sender, response: Response::default() };
        node.handle_message(now, to, Message { body, observed: None, ..message });
    }
    while node.poll_event().is_some() {}
}

/// A query about some key.
pub type Query = fn([u8; 20]) -> Request;

/// The queries that a serving node hears all day, each about a target.
pub const QUERIES: [(&str, Query); 3] = [
    ("ping", |_| Request::Ping),
    ("find_node", |target| Request::FindNode { target: Key::new(target), want: Families::NONE }),
    ("get_peers", |target| Request::get_peers(InfoHash::new(target), Families::NONE)),
];

/// A stranger's datagram.
pub fn query(request: Request) -> Vec<u8> {
    let body = Body::Request { sender: Key::new(*b"abcdefghij0123456789"), read_only: false, request };
    let mut datagram = Vec::new();
    Krpc::encode(
        &Message { transaction: TransactionId::from(0x6161_6161), observed: None, body },
        &mut datagram,
    );
    datagram
}

/// Hands the node a datagram and appends its reply to `out`. False if there is none.
pub fn serve(
    node: &mut MainlineNode,
    now: Instant,
    from: SocketAddr,
    datagram: &[u8],
    out: &mut Vec<u8>,
) -> bool {
    node.handle_datagram(now, from, datagram);
    let replied = node.poll_transmit(out) == Some(from);
    replied && node.poll_transmit(out).is_none() && node.poll_event().is_none()
}

/// What peers share after [`announce_peers`].
pub const POPULAR: InfoHash = InfoHash::new([0xbb; 20]);

/// So many peers announce themselves under [`POPULAR`], each from its own network.
pub fn announce_peers(node: &mut MainlineNode, now: Instant, peers: u8) {
    let get_peers = query(Request::get_peers(POPULAR, Families::NONE));
    for peer in 0..peers {
        let from = SocketAddr::from(([80, peer, 1, 1], 6881));
        let mut reply = Vec::new();
        assert!(serve(node, now, from, &get_peers, &mut reply));
        let Ok(Body::Response { response, .. }) = Krpc::decode(&reply).map(|message| message.body) else {
            continue;
        };
        let Some(token) = response.token else { continue };
        let announce =
            Request::AnnouncePeer { implied_port: true, info_hash: POPULAR, port: None, seed: false, token };
        assert!(serve(node, now, from, &query(announce), &mut reply));
    }
    assert_eq!(node.service().peers().len(), usize::from(peers));
}
