//! Strategies for proptest (feature `proptest`): networks, faults, keys and addresses to test an overlay with.
//!
//! ```
#![doc = concat!("# #[path = \"", env!("CARGO_MANIFEST_DIR"), "/tests/overlay/mod.rs\"] mod overlay;")]
//! # use overlay::{Request, Tiny};
//! # use std::time::Duration;
//! use kademlia_core::{Config, Event, Key, LookupOptions, Node};
//! use proptest::prelude::*;
//! use transport_mem::{Birth, strategies};
//!
//! fn node(birth: Birth<Key<2>>) -> Node<Tiny<2>, Tiny<2>> {
//!     Node::new(Tiny, birth.key, Config::default(), birth.seed, birth.now)
//! }
//!
//! proptest! {
//!     # #![proptest_config(ProptestConfig::with_cases(4))]
//!     # /*
//!     #[test]
//!     # */
//!     fn a_lookup_ends_whatever_happens(
//!         mut network in strategies::network(5..30, node),
//!         plan in strategies::fault_plan(Duration::from_secs(600)),
//!         target in strategies::key(),
//!     ) {
//!         let options = LookupOptions::default();
//!         network.call(0, |node, now| node.lookup(now, target, Request::FindNode(target), options));
//!         network.endure(&plan, node);
//!         let ended = network.events(0).iter().any(|event| matches!(event, Event::LookupDone { .. }));
//!         prop_assert!(ended || network.node(0).is_none());
//!     }
//! }
//! # a_lookup_ends_whatever_happens();
//! ```

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use kademlia_core::{Contact, Keyspace, Node, Protocol, Service};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::addresses::{address_v4, address_v6};
use crate::faults::{Fault, FaultPlan};
use crate::link::{Bursts, Latency, LinkModel};
use crate::simulation::{Birth, Simulation};

/// Keys of any width.
pub fn key<K: Keyspace>() -> impl Strategy<Value = K> {
    vec(any::<u8>(), K::BITS / 8).prop_map(|bytes| K::from_slice(&bytes).unwrap_or(K::ZERO))
}

/// Keys that share 0 to all leading bits with `key`, each number of them as often as any other.
pub fn key_beside<K: Keyspace>(own: K) -> impl Strategy<Value = K> {
    (0..=K::BITS, any::<u64>())
        .prop_map(move |(bits, seed)| own.random_beside(bits, &mut kademlia_core::Rng::from_number(seed)))
}

/// Addresses that a node on the Internet may have, of both families, seldom two in one subnet.
pub fn address() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![any::<u32>().prop_map(address_v4), any::<u32>().prop_map(address_v6)]
}

/// Any addresses at all, those included that nobody may have: a stranger's claim.
pub fn claimed_address() -> impl Strategy<Value = SocketAddr> {
    let special = prop_oneof![Just([127, 0, 0, 1]), Just([10, 0, 0, 1]), Just([0; 4]), Just([255; 4])];
    let ip = prop_oneof![special.prop_map(IpAddr::from), any::<IpAddr>()];
    let port = prop_oneof![1 => Just(0), 9 => any::<u16>()];
    prop_oneof![(ip, port).prop_map(SocketAddr::from), address()]
}

/// Contacts with any key and an [`address`].
pub fn contact<K: Keyspace>() -> impl Strategy<Value = Contact<K>> {
    (key(), address()).prop_map(|(key, addr)| Contact::new(key, addr))
}

/// Latencies of up to half a second, of every kind.
pub fn latency() -> impl Strategy<Value = Latency> {
    let ms = |range: Range<u64>| range.prop_map(Duration::from_millis);
    prop_oneof![
        ms(0..500).prop_map(Latency::Constant),
        (ms(0..250), ms(0..250)).prop_map(|(min, more)| Latency::Uniform { min, max: min + more }),
        (ms(0..20), ms(1..80)).prop_map(|(floor, more)| Latency::HeavyTailed {
            floor,
            median: floor + more,
            ceiling: Duration::from_millis(500),
        }),
    ]
}

/// Links with a random subset of all mishaps, each at a random strength: up to 30 % loss, 10 % of the others.
pub fn link_model() -> impl Strategy<Value = LinkModel> {
    let chance = |most: f64| prop_oneof![Just(0.0), 0.0..most];
    let bursts = (0.0..0.1, 1..60_u64, 0.5..=1.0).prop_map(|(share, seconds, loss)| Bursts {
        share,
        length: Duration::from_secs(seconds),
        loss,
    });
    let mishaps = (chance(0.2), chance(0.3), chance(0.1), chance(0.1), chance(0.1));
    (latency(), mishaps, proptest::option::of(bursts), 0..2_000_u64).prop_map(
        |(latency, (jitter, loss, duplicate, reorder, corrupt), bursts, hold)| LinkModel {
            latency,
            jitter,
            loss,
            bursts,
            duplicate,
            reorder,
            hold: Duration::from_millis(hold),
            corrupt,
            ..LinkModel::internet()
        },
    )
}

/// Plans of this length: links with mishaps, and up to 20 crashes, restarts, cuts and repairs.
pub fn fault_plan(length: Duration) -> impl Strategy<Value = FaultPlan> {
    let fault = prop_oneof![
        4 => any::<usize>().prop_map(Fault::Crash),
        4 => any::<usize>().prop_map(Fault::Restart),
        1 => (2..4_u32).prop_map(Fault::Partition),
        1 => Just(Fault::Heal),
    ];
    let at = (0.0..1.0).prop_map(move |share| length.mul_f64(share));
    (link_model(), vec((at, fault), 0..20)).prop_map(move |(model, faults)| FaultPlan {
        model,
        faults,
        length,
    })
}

/// Networks of `count` nodes made by `make`, joined on links as on the [Internet](LinkModel::internet), and at rest.
pub fn network<P: Protocol, S: Service<P>>(
    count: Range<usize>,
    make: impl Fn(Birth<P::Key>) -> Node<P, S>,
) -> impl Strategy<Value = Simulation<P, S>> {
    (any::<u64>(), count).prop_map(move |(seed, count)| {
        let mut simulation = Simulation::new(seed, LinkModel::internet());
        simulation.grow(count, Duration::from_secs(1), &make);
        simulation.run_for(Duration::from_secs(60));
        simulation.take_events();
        simulation
    })
}
