//! The laws of every overlay on this engine.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kademlia_core::{Contact, Key, Storage};
use key_value::{
    ErrorCode, Id, K, KeyValue, KvConfig, MAX_VALUE, Request, Response, Token, Value, Versioned,
};
use proptest::collection::vec;
use proptest::prelude::*;
use transport_mem::kit::Kit;

use crate::network::node;

fn key() -> impl Strategy<Value = Id> {
    any::<[u8; 32]>().prop_map(Key::new)
}

fn token() -> impl Strategy<Value = Token> {
    any::<[u8; 8]>().prop_map(Token::new)
}

fn item() -> impl Strategy<Value = Versioned> {
    let value = proptest::option::of(vec(any::<u8>(), 0..=MAX_VALUE));
    (any::<u64>(), value, any::<u32>()).prop_map(|(version, value, life)| Versioned {
        version,
        value: value.map(|bytes| Value::new(&bytes).unwrap()),
        life,
    })
}

fn contacts(most: usize) -> impl Strategy<Value = Vec<Contact<Id>>> {
    let addr = (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port));
    vec((key(), addr).prop_map(|(key, addr)| Contact::new(key, addr)), 0..=most).prop_map(|mut contacts| {
        contacts.sort_by_key(|contact| contact.addr.is_ipv6());
        contacts
    })
}

fn requests() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Ping),
        (key(), token(), item()).prop_map(|(key, token, item)| Request::Store { key, token, item }),
        key().prop_map(|target| Request::FindNode { target }),
        key().prop_map(|key| Request::FindValue { key }),
    ]
}

fn responses() -> impl Strategy<Value = Response> {
    prop_oneof![
        Just(Response::Pong),
        Just(Response::Stored),
        (token(), contacts(K)).prop_map(|(token, contacts)| Response::Nodes { token, contacts }),
        // Two fit beside the longest value.
        (token(), item(), contacts(2)).prop_map(|(token, item, contacts)| Response::Found {
            token,
            item,
            contacts
        }),
    ]
}

/// Whoever was told a token stores.
fn follow_up(request: &Request, response: &Response) -> Option<Request> {
    let Request::FindValue { key } = *request else { return None };
    let value = Some(Value::new(&[7; 700]).ok()?);
    Some(Request::Store { key, token: response.token()?, item: Versioned { version: 1, value, life: 3_600 } })
}

#[test]
fn the_overlay_keeps_the_laws() {
    let codes = [
        ErrorCode::UnknownRequest,
        ErrorCode::BadToken,
        ErrorCode::Outdated,
        ErrorCode::TooLong,
        ErrorCode::FromFuture,
        ErrorCode::Expired,
        ErrorCode::NoRoom,
    ];
    let config = Arc::new(KeyValue::config());
    let mut service = KvConfig::default();
    service.storage.bytes = 256 << 10;
    let limit = service.storage.bytes;
    let report = Kit::new(move |birth| node(&birth, Arc::clone(&config), service))
        .requests(requests())
        .responses(responses())
        .errors(codes.map(|code| (code.into(), code.to_string())))
        .follow_up(follow_up)
        .holds(|service| service.store().bytes(), limit)
        .nodes(60)
        .check();
    println!("{report}");
}
