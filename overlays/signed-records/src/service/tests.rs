//! One node, asked by others over the wire.

mod keeping;
mod limits;
mod refusing;

use kademlia_core::{Body, Codec, Message, TransactionId};

use super::*;
use crate::codec::Cbor;
use crate::config::engine_config;
use crate::message::{Response, Token};
use crate::record::{Draft, SignedRecord, Topic};
use crate::refusal::Refusal;

pub(super) type TestNode = Node<SignedRecords, RecordsService>;

pub(super) const WALL: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(super) fn clock() -> Clock {
    Clock::new(Instant::ZERO, WALL)
}

pub(super) fn service(config: RecordsConfig) -> RecordsService {
    RecordsService::new(SecretKey::from_seed(&[1; 32]), clock(), config, [2; 32])
}

pub(super) fn node(config: RecordsConfig) -> TestNode {
    service(config).into_node(engine_config(), [3; 32], Instant::ZERO)
}

/// The address of somebody on the Internet.
pub(super) fn host(n: u16) -> SocketAddr {
    let [high, low] = n.to_be_bytes();
    SocketAddr::from(([20, high, low, 1], 7_101))
}

pub(super) fn person(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// Sends a request in bytes; gives the answer, or the error's code; `None` for silence.
pub(super) fn ask(
    node: &mut TestNode,
    now: Instant,
    from: SocketAddr,
    request: Request,
) -> Option<Result<Response, Option<Refusal>>> {
    let sender = Key::new([9; 32]);
    let transaction = TransactionId::from(7);
    let body = Body::Request { sender, read_only: true, request };
    let mut datagram = Vec::new();
    Cbor::encode(&Message { transaction, observed: None, body }, &mut datagram);
    node.handle_datagram(now, from, &datagram);
    reply(node, from)
}

/// What the node has to say to `to`.
pub(super) fn reply(node: &mut TestNode, to: SocketAddr) -> Option<Result<Response, Option<Refusal>>> {
    let mut found = None;
    while let Some((goal, message)) = node.poll_message() {
        if goal == to && message.transaction == TransactionId::from(7) {
            assert_eq!(message.observed, Some(to), "every reply says where it goes (D8)");
            found = match message.body {
                Body::Response { response, .. } => Some(Ok(response)),
                Body::Error { code, .. } => Some(Err(Refusal::from_code(code))),
                Body::Request { .. } => found,
            };
        }
    }
    found
}

pub(super) fn token(node: &mut TestNode, now: Instant, from: SocketAddr, target: Key<32>) -> Token {
    let found = ask(node, now, from, Request::Find { target, kind: None, after: None });
    found.unwrap().unwrap().token.unwrap()
}

/// Puts a record as a peer does: asks for a token, and shows it.
pub(super) fn put(
    node: &mut TestNode,
    now: Instant,
    from: SocketAddr,
    record: &SignedRecord,
) -> Result<(), Refusal> {
    let key = record.target();
    let token = token(node, now, from, key);
    match ask(node, now, from, Request::Store { key, record: record.clone(), token }) {
        Some(Ok(_)) => Ok(()),
        Some(Err(refusal)) => Err(refusal.unwrap()),
        None => panic!("a put is answered"),
    }
}

pub(super) fn endpoint(text: &str) -> Draft {
    Draft::endpoint(text).unwrap()
}

pub(super) fn on_topic(name: &str) -> Draft {
    Draft::topic(Topic::new(name).unwrap(), "here").unwrap()
}
