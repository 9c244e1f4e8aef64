//! Arbitrary messages, as far as they can be said in KRPC.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::num::NonZeroU16;
use core::time::Duration;
use std::sync::Arc;

use kademlia_core::{Contact, Family, TransactionId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

use super::*;
use crate::id::InfoHash;
use crate::item::{Item, ItemParts, MutableItem, PublicKey, RawValue, Salt, Signature};
use crate::krpc::decode::MAX_ERROR_TEXT;
use crate::krpc::{Families, Nodes, Samples, ShortBytes, compact};
use crate::scrape::{BloomFilter, Scrape};

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

/// Numbers that a sequence number may be.
fn a_seq() -> impl Strategy<Value = i64> {
    prop_oneof![0..10_i64, 0..=i64::MAX]
}

/// Any value of less than a hundred bytes, or a long string.
fn a_value() -> impl Strategy<Value = RawValue> {
    let raw = |text: &str| RawValue::new(text.as_bytes()).unwrap();
    prop_oneof![
        any::<i64>().prop_map(move |number| raw(&format!("i{number}e"))),
        vec(any::<u8>(), 0..400).prop_map(|bytes| RawValue::string(bytes).unwrap()),
        any::<[i64; 3]>().prop_map(move |[a, b, c]| raw(&format!("d1:ali{a}ei{b}ee1:bd0:i{c}eee"))),
    ]
}

fn bytes64() -> impl Strategy<Value = [u8; 64]> {
    (any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(a, b)| {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&a);
        bytes[32..].copy_from_slice(&b);
        bytes
    })
}

fn a_put() -> impl Strategy<Value = Request> {
    let mutable = (any::<[u8; 32]>(), vec(any::<u8>(), 0..=64), a_seq(), bytes64(), option::of(a_seq()));
    (option::of(mutable), short(), a_value()).prop_map(|(mutable, token, value)| {
        let item = match &mutable {
            None => Item::Immutable(value),
            Some((key, salt, seq, signature, _)) => Item::Mutable(Arc::new(MutableItem {
                key: PublicKey::new(*key),
                salt: Salt::new(salt).unwrap(),
                seq: *seq,
                value,
                signature: Signature::new(*signature),
            })),
        };
        Request::put(&item, mutable.and_then(|(.., cas)| cas), token)
    })
}

pub(super) fn a_request() -> impl Strategy<Value = Request> {
    let announce = (any::<bool>(), an_info_hash(), option::of(any::<NonZeroU16>()), any::<bool>(), short());
    let get_peers = (an_info_hash(), any::<bool>(), any::<bool>(), families());
    prop_oneof![
        Just(Request::Ping),
        (a_key(), families()).prop_map(|(target, want)| Request::FindNode { target, want }),
        get_peers.prop_map(|(info_hash, noseed, scrape, want)| Request::GetPeers {
            info_hash,
            noseed,
            scrape,
            want
        }),
        announce.prop_map(|(implied_port, info_hash, port, seed, token)| Request::AnnouncePeer {
            implied_port: implied_port || port.is_none(),
            info_hash,
            port,
            seed,
            token,
        }),
        (option::of(a_seq()), a_key(), families()).prop_map(|(seq, target, want)| Request::Get {
            seq,
            target,
            want
        }),
        a_put(),
        (a_key(), families()).prop_map(|(target, want)| Request::SampleInfohashes { target, want }),
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

/// What only one method's responses have.
#[derive(Clone, Debug)]
enum Special {
    None,
    Scrape(Box<Scrape>),
    Item(Box<ItemParts>),
    Samples(Box<Samples>),
}

fn special() -> impl Strategy<Value = Special> {
    let filter = || {
        any::<u64>().prop_map(|bits| {
            let bytes = core::array::from_fn(|at| if bits >> (at % 64) & 1 == 1 { 0xa5 } else { 0 });
            BloomFilter::from_bytes(bytes)
        })
    };
    let scrape = (filter(), filter()).prop_map(|(seeds, peers)| Box::new(Scrape { seeds, peers }));
    let key = any::<[u8; 32]>().prop_map(PublicKey::new);
    let signature = bytes64().prop_map(Signature::new);
    let item = (option::of(a_value()), option::of(key), option::of(any::<i64>()), option::of(signature))
        .prop_map(|(value, key, seq, signature)| ItemParts { value, key, seq, signature })
        .prop_filter("there", |item| *item != ItemParts::default());
    let samples = (0..=21_600_u64, 0..1_000_000_u64, vec(an_info_hash(), 0..=20)).prop_map(
        |(seconds, more, info_hashes)| Samples {
            interval: Duration::from_secs(seconds),
            num: more + info_hashes.len() as u64,
            info_hashes,
        },
    );
    prop_oneof![
        3 => Just(Special::None),
        1 => scrape.prop_map(Special::Scrape),
        1 => item.prop_map(|item| Special::Item(Box::new(item))),
        1 => samples.prop_map(|samples| Special::Samples(Box::new(samples))),
    ]
}

/// `peers` peers at most: more than so many may not fit beside the rest. Only one list of nodes beside what is long.
pub(super) fn a_response(peers: usize) -> impl Strategy<Value = Response> {
    (nodes(), option::of(short()), vec(an_addr_of_either(), 0..=peers), option::of(short()), special())
        .prop_map(|(nodes, token, values, version, special)| {
            let plain = Response { nodes, token, values, version, ..Response::default() };
            let short = || Response {
                nodes: plain.nodes.of(Family::V4).take(4).copied().collect(),
                values: plain.values.iter().take(2).copied().collect(),
                ..plain.clone()
            };
            match special {
                Special::None => plain,
                Special::Scrape(scrape) => Response { scrape: Some(scrape), ..short() },
                Special::Item(item) => Response { item: Some(item), ..short() },
                Special::Samples(samples) => Response { samples: Some(samples), ..short() },
            }
        })
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
