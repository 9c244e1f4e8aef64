//! The kit: the toy overlay keeps all laws, and each law can be broken.
#![cfg(feature = "kit")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "helpers of tests")]

mod broken;
#[path = "../overlay/mod.rs"]
mod overlay;

use kademlia_core::{Config, Contacts, Key, Node};
use overlay::{Request, Tiny};
use proptest::collection::vec;
use proptest::prelude::*;
use transport_mem::kit::{Kit, Law};
use transport_mem::{Birth, strategies};

type K = Key<4>;

fn tiny(birth: Birth<K>) -> Node<Tiny<4>, Tiny<4>> {
    Node::new(Tiny, birth.key, Config::default(), birth.seed, birth.now)
}

fn requests() -> impl Strategy<Value = Request<K>> {
    prop_oneof![Just(Request::Ping), strategies::key().prop_map(Request::FindNode)]
}

fn responses() -> impl Strategy<Value = Contacts<K>> {
    vec(strategies::contact(), 0..=16).prop_map(|contacts| contacts.into_iter().collect())
}

#[test]
fn the_toy_overlay_keeps_all_laws() {
    let report = Kit::new(tiny)
        .requests(requests())
        .responses(responses())
        .errors([(203, "no such thing")])
        .size(450)
        .check();
    println!("{report}");
    assert_eq!(report.seen.iter().map(|(law, _)| *law).collect::<Vec<_>>(), Law::ALL);
}

#[test]
fn another_width_and_seed_and_strategies_left_out() {
    let node = |birth: Birth<Key<32>>| Node::new(Tiny, birth.key, Config::default(), birth.seed, birth.now);
    let report = Kit::<Tiny<32>, Tiny<32>>::new(node).seed(2).cases(200).nodes(32).check();
    assert_eq!((report.seed, report.seen.len()), (2, Law::ALL.len()));
}

#[test]
fn the_report_is_the_same_again() {
    let kit = Kit::new(tiny).requests(requests()).cases(100).nodes(20);
    assert_eq!(kit.run().unwrap(), kit.run().unwrap());
    let other = Kit::new(tiny).requests(requests()).cases(100).nodes(20).seed(3);
    assert_ne!(kit.run().unwrap().seen, other.run().unwrap().seen);
}
