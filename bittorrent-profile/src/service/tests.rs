//! The service behind a node, datagrams in and out: how a Mainline node answers.

mod announcing;
mod cost;
mod families;
mod items;
mod serving;
mod swarms;

use core::net::SocketAddr;
use core::num::NonZeroU16;

use kademlia_core::{
    Body, Codec, Config, Contact, Family, Instant, Key, Keyspace, Message, Node, Rng, TransactionId,
};

use super::*;
use crate::id::InfoHash;
use crate::krpc::Krpc;
use crate::krpc::Token;

const LOCAL: [u8; 20] = [0x55; 20];
const START: Instant = Instant::from_secs(1_000);

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn node(config: ServiceConfig) -> Node<Mainline, MainlineService> {
    Node::new(MainlineService::new(config, [1; 32]), Key::new(LOCAL), Config::default(), [2; 32], START)
}

/// A query as the bytes of a stranger at an address.
struct Asker {
    addr: SocketAddr,
    id: Key<20>,
    transaction: TransactionId,
    read_only: bool,
}

impl Asker {
    fn at(text: &str) -> Self {
        let transaction = TransactionId::new(b"\xff\0asker").unwrap();
        Asker { addr: addr(text), id: Key::new([0xaa; 20]), transaction, read_only: false }
    }

    fn bytes(&self, request: Request) -> Vec<u8> {
        let body = Body::Request { sender: self.id, read_only: self.read_only, request };
        let mut bytes = Vec::new();
        Krpc::encode(&Message { transaction: self.transaction, observed: None, body }, &mut bytes);
        bytes
    }

    /// The node's reply to this asker's datagram, if there is one; what else the node sends is dropped.
    fn send(
        &self,
        node: &mut Node<Mainline, MainlineService>,
        now: Instant,
        datagram: &[u8],
    ) -> Option<Message<Mainline>> {
        node.handle_datagram(now, self.addr, datagram);
        let mut reply = None;
        let mut bytes = Vec::new();
        while let Some(to) = node.poll_transmit(&mut bytes) {
            let message = Krpc::decode(&bytes).expect("ours can be read");
            bytes.clear();
            if to == self.addr && !matches!(message.body, Body::Request { .. }) {
                assert_eq!(message.transaction, self.transaction);
                assert!(reply.replace(message).is_none(), "one query, one reply (5.1)");
            }
        }
        reply
    }

    fn ask(&self, node: &mut Node<Mainline, MainlineService>, request: Request) -> Response {
        self.ask_at(node, START, request)
    }

    fn ask_at(&self, node: &mut Node<Mainline, MainlineService>, now: Instant, request: Request) -> Response {
        match self.send(node, now, &self.bytes(request)).map(|message| message.body) {
            Some(Body::Response { sender, response }) => {
                assert_eq!(sender, node.local());
                response
            }
            other => panic!("{other:?}"),
        }
    }

    fn refusal(&self, node: &mut Node<Mainline, MainlineService>, now: Instant, request: Request) -> i64 {
        match self.send(node, now, &self.bytes(request)).map(|message| message.body) {
            Some(Body::Error { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }
}

fn get_peers(info_hash: u8) -> Request {
    Request::get_peers(InfoHash::new([info_hash; 20]), Families::NONE)
}

fn announce(info_hash: u8, port: u16, token: Token) -> Request {
    Request::AnnouncePeer {
        implied_port: false,
        info_hash: InfoHash::new([info_hash; 20]),
        port: NonZeroU16::new(port),
        seed: false,
        token,
    }
}

fn after(secs: u64) -> Instant {
    START + Duration::from_secs(secs)
}

/// Fetches a token and uses it.
fn announce_from(node: &mut Node<Mainline, MainlineService>, from: &str, info_hash: u8, port: u16) {
    let asker = Asker::at(from);
    let token = asker.ask(node, get_peers(info_hash)).token.expect("there is room");
    asker.ask(node, announce(info_hash, port, token));
}

/// Lets the node ask a contact and the contact answer, which puts it into the table.
fn introduce(node: &mut Node<Mainline, MainlineService>, contact: Contact<Key<20>>) {
    node.request(START, contact.addr, Some(contact.key), Request::Ping);
    while let Some((to, message)) = node.poll_message() {
        if to == contact.addr {
            let body = Body::Response { sender: contact.key, response: Response::default() };
            node.handle_message(START, to, Message { body, observed: None, ..message });
        }
    }
    while node.poll_event().is_some() {}
}

/// `n` contacts with ids of every prefix, each in a network of its own.
fn strangers(n: u8, family: Family) -> Vec<Contact<Key<20>>> {
    let mut rng = Rng::from_number(7);
    let contact = |at: u8| {
        let ip = match family {
            Family::V4 => [64, at, 1, 1].into(),
            Family::V6 => [0x2a00, u16::from(at), 0, 0, 0, 0, 0, 1].into(),
        };
        Contact::new(Key::new(LOCAL).random_within(usize::from(at) / 2, &mut rng), SocketAddr::new(ip, 6881))
    };
    (0..n).map(contact).collect()
}
