//! Mainline keeps the laws of `transport_mem::kit`, as every overlay must.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly, and figures are printed"
)]

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use allocation_counter::measure;
use bittorrent_profile::item::{Item, ItemParts, RawValue};
use bittorrent_profile::krpc::{ErrorCode, Families, Request, Response, Samples, Token};
use bittorrent_profile::{InfoHash, Mainline, MainlineService};
use kademlia_core::{Config, Contact, Key, Node, Storage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tests::mainline_node;
use transport_mem::kit::{Kit, Law};
use transport_mem::{Birth, strategies};

fn node(birth: Birth<Key<20>>) -> Node<Mainline, MainlineService> {
    mainline_node(&birth, Arc::new(Config::default()))
}

fn key() -> impl Strategy<Value = Key<20>> {
    strategies::key()
}

fn token() -> impl Strategy<Value = Token> {
    any::<[u8; 8]>().prop_map(Token::from_array)
}

fn value() -> impl Strategy<Value = RawValue> {
    vec(any::<u8>(), 0..400).prop_map(|bytes| RawValue::string(bytes).unwrap())
}

fn families() -> impl Strategy<Value = Families> {
    select(vec![Families::NONE, Families::BOTH])
}

fn requests() -> impl Strategy<Value = Request> {
    let announce = (key(), any::<NonZeroU16>(), any::<bool>(), token());
    prop_oneof![
        Just(Request::Ping),
        (key(), families()).prop_map(|(target, want)| Request::FindNode { target, want }),
        (key(), families()).prop_map(|(hash, want)| Request::get_peers(hash.into(), want)),
        announce.prop_map(|(hash, port, seed, token)| Request::AnnouncePeer {
            implied_port: false,
            info_hash: hash.into(),
            port: Some(port),
            seed,
            token,
        }),
        (key(), families()).prop_map(|(target, want)| Request::Get { seq: None, target, want }),
        (value(), token()).prop_map(|(value, token)| Request::put(&Item::Immutable(value), None, token)),
        key().prop_map(|target| Request::SampleInfohashes { target, want: Families::NONE }),
    ]
}

fn responses() -> impl Strategy<Value = Response> {
    let contacts = vec(strategies::contact::<Key<20>>(), 0..=8);
    let peers = vec(strategies::address(), 0..=20);
    let nodes = contacts.prop_map(|contacts| Response {
        nodes: contacts.into_iter().filter(|contact: &Contact<_>| contact.addr.is_ipv4()).collect(),
        ..Response::default()
    });
    let nodes = nodes.boxed();
    let samples = vec(key().prop_map(InfoHash::from), 0..=20).prop_map(|info_hashes| Samples {
        interval: Duration::from_secs(60),
        num: 100,
        info_hashes,
    });
    prop_oneof![
        Just(Response::default()),
        nodes.clone(),
        (nodes, token(), peers).prop_map(|(plain, token, values)| Response {
            token: Some(token),
            values,
            ..plain
        }),
        value().prop_map(|value| Response {
            item: Some(Box::new(ItemParts { value: Some(value), ..ItemParts::default() })),
            ..Response::default()
        }),
        samples.prop_map(|samples| Response { samples: Some(Box::new(samples)), ..Response::default() }),
    ]
}

/// Whoever has a token stores something.
fn store(request: &Request, response: &Response) -> Option<Request> {
    let token = response.token?;
    match request {
        Request::GetPeers { info_hash, .. } => Some(Request::AnnouncePeer {
            implied_port: true,
            info_hash: *info_hash,
            port: None,
            seed: false,
            token,
        }),
        Request::Get { target, .. } => {
            let value = RawValue::string(target.to_bytes()).ok()?;
            Some(Request::put(&Item::Immutable(value), None, token))
        }
        _ => None,
    }
}

fn laws_hold(seed: u64) {
    let report = Kit::new(node)
        .seed(seed)
        .requests(requests())
        .responses(responses())
        .errors(
            [ErrorCode::Generic, ErrorCode::Protocol].map(|code| (code.into(), "A Generic Error Ocurred")),
        )
        .follow_up(store)
        .holds(|service: &MainlineService| service.peers().bytes() + service.items().bytes(), 64 << 20)
        .measure(|run| measure(run).bytes_total)
        .check();
    println!("{report}");
    assert_eq!(report.seen.len(), Law::ALL.len());
}

#[test]
fn fs_kit_mainline_keeps_all_laws() {
    laws_hold(1);
}

#[test]
#[ignore = "long: docs/results/regenerate.sh runs it"]
fn fs_kit_mainline_keeps_all_laws_with_twenty_seeds_at_release_size() {
    (2..=20).for_each(laws_hold);
}
