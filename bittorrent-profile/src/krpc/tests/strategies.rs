//! Arbitrary messages, as far as they can be said in KRPC.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::num::NonZeroU16;

use kademlia_core::{Contact, Family, TransactionId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::*;
use crate::id::InfoHash;
use crate::krpc::decode::MAX_ERROR_TEXT;
use crate::krpc::{Families, Nodes, ShortBytes, compact};

pub(super) fn a_key() -> impl Strategy<Value = Key<20>> {
    any::<[u8; 20]>().prop_map(Key::new)
}

fn an_info_hash() -> impl Strategy<Value = InfoHash> {
    a_key().prop_map(InfoHash::from)
}

pub(super) fn an_addr(family: Family) -> impl Strategy<Value = SocketAddr> {
    let addr = (any::<u32>(), any::<u128>(), any::<u16>()).prop_map(move |(v4, v6, port)| {
        let ip = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(v4)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(v6)),
        };
        SocketAddr::new(ip, port)
    });
    addr.prop_filter("encodable", |addr| compact::is_encodable(*addr))
}

fn an_addr_of_either() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![an_addr(Family::V4), an_addr(Family::V6)]
}

pub(super) fn contacts(family: Family, n: usize) -> impl Strategy<Value = Vec<Contact<Key<20>>>> {
    vec((a_key(), an_addr(family)).prop_map(|(key, addr)| Contact::new(key, addr)), 0..=n)
}

fn short<const N: usize>() -> impl Strategy<Value = ShortBytes<N>> {
    vec(any::<u8>(), 0..=N).prop_map(|bytes| ShortBytes::new(&bytes).unwrap())
}

pub(super) fn a_transaction() -> impl Strategy<Value = TransactionId> {
    vec(any::<u8>(), 0..=32).prop_map(|bytes| TransactionId::new(&bytes).unwrap())
}

pub(super) fn families() -> impl Strategy<Value = Families> {
    let all = [Families::NONE, Family::V4.into(), Family::V6.into(), Families::BOTH];
    proptest::sample::select(all.to_vec())
}

pub(super) fn a_request() -> impl Strategy<Value = Request> {
    let announce = (any::<bool>(), an_info_hash(), option::of(any::<NonZeroU16>()), short());
    prop_oneof![
        Just(Request::Ping),
        (a_key(), families()).prop_map(|(target, want)| Request::FindNode { target, want }),
        (an_info_hash(), families()).prop_map(|(info_hash, want)| Request::GetPeers { info_hash, want }),
        announce.prop_map(|(implied_port, info_hash, port, token)| Request::AnnouncePeer {
            implied_port: implied_port || port.is_none(),
            info_hash,
            port,
            token,
        }),
    ]
}

pub(super) fn nodes() -> impl Strategy<Value = Nodes> {
    (families(), contacts(Family::V4, 8), contacts(Family::V6, 8)).prop_map(|(lists, v4, v6)| {
        let mut nodes = Nodes::default();
        for (family, contacts) in [(Family::V4, v4), (Family::V6, v6)] {
            if lists.contains(family) {
                nodes.open(family);
                nodes.extend(contacts);
            }
        }
        nodes
    })
}

/// `peers` peers at most: more than so many may not fit beside the rest.
pub(super) fn a_response(peers: usize) -> impl Strategy<Value = Response> {
    (nodes(), option::of(short()), vec(an_addr_of_either(), 0..=peers), option::of(short()))
        .prop_map(|(nodes, token, values, version)| Response { nodes, token, values, version })
}

fn an_error() -> impl Strategy<Value = (i64, String)> {
    let text = ".{0,64}".prop_filter("short enough", |text| text.len() <= MAX_ERROR_TEXT);
    (prop_oneof![200..310_i64, any::<i64>()], text)
}

pub(super) fn a_message(peers: usize) -> impl Strategy<Value = Message<Mainline>> {
    let request = (a_key(), any::<bool>(), a_request())
        .prop_map(|(sender, read_only, request)| Body::Request { sender, read_only, request });
    let response =
        (a_key(), a_response(peers)).prop_map(|(sender, response)| Body::Response { sender, response });
    let error = an_error().prop_map(|(code, text)| Body::Error { code, text });
    let body = prop_oneof![2 => request, 2 => response, 1 => error];
    (a_transaction(), option::of(an_addr_of_either()), body).prop_map(|(transaction, observed, body)| {
        // Only replies say where they go.
        let observed = observed.filter(|_| !matches!(body, Body::Request { .. }));
        Message { transaction, observed, body }
    })
}
