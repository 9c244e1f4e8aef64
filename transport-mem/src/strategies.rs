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
//!         prop_assert!(ended);
//!     }
//! }
//! # a_lookup_ends_whatever_happens();
//! ```

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use kademlia_core::{Contact, Keyspace, Node, Protocol, Service};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::addresses::{address_v4, address_v6};
use crate::churn::{Churn, Weibull};
use crate::clock::Jump;
use crate::faults::{Fault, FaultPlan};
use crate::link::{Bursts, Latency, LinkModel};
use crate::nat::{Nat, NatKind};
use crate::peers::Hostility;
use crate::simulation::{Birth, Simulation};
use crate::swarm::most;

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
    let half = most::LATENCY / 2;
    prop_oneof![
        up_to(most::LATENCY).prop_map(Latency::Constant),
        (up_to(half), up_to(half)).prop_map(|(min, more)| Latency::Uniform { min, max: min + more }),
        (0..20_u64, 1..80_u64).prop_map(|(floor, more)| Latency::HeavyTailed {
            floor: Duration::from_millis(floor),
            median: Duration::from_millis(floor + more),
            ceiling: most::LATENCY,
        }),
    ]
}

/// Links with a random subset of all mishaps, each at a random strength: up to 30 % loss, 10 % of the others.
pub fn link_model() -> impl Strategy<Value = LinkModel> {
    let chance = |most: f64| prop_oneof![Just(0.0), 0.0..most];
    let bursts = (0.0..most::BURSTS, 1..=most::BURST.as_secs(), 0.5..=1.0)
        .prop_map(|(share, seconds, loss)| Bursts { share, length: Duration::from_secs(seconds), loss });
    let shares = (chance(most::JITTER), chance(most::LOSS), chance(most::ONEWAY));
    let mishaps = (chance(most::MISHAP), chance(most::MISHAP), chance(most::MISHAP));
    let mtu = prop_oneof![Just(LinkModel::internet().mtu), most::SMALL_MTU..LinkModel::internet().mtu];
    (latency(), shares, mishaps, option::of(bursts), up_to(most::HOLD), mtu).prop_map(
        |(latency, (jitter, loss, oneway), (duplicate, reorder, corrupt), bursts, hold, mtu)| LinkModel {
            latency,
            jitter,
            loss,
            bursts,
            duplicate,
            reorder,
            hold,
            corrupt,
            mtu,
            oneway,
        },
    )
}

/// Churn with half-lives of 10 to 60 minutes.
pub fn churn() -> impl Strategy<Value = Churn> {
    let (least, longest) = most::HALF_LIFE;
    let session = (least.as_secs()..=longest.as_secs()).prop_map(Duration::from_secs);
    (session, 0.0..1.0, 0.4..=1.0, 0.0..=1.0, 0.0..=1.0).prop_map(
        |(median, away, shape, keep_state, stays): (Duration, f64, f64, f64, f64)| Churn {
            session: Weibull { median, shape },
            pause: Weibull { median: median.mul_f64(away), shape },
            keep_state,
            stays,
        },
    )
}

/// Everything that can befall a network at one time.
pub fn fault() -> impl Strategy<Value = Fault> {
    let jump = prop_oneof![up_to(most::JUMP).prop_map(Jump::Forward), up_to(most::JUMP).prop_map(Jump::Back)];
    prop_oneof![
        4 => any::<usize>().prop_map(Fault::Crash),
        3 => any::<usize>().prop_map(Fault::Restart),
        2 => any::<usize>().prop_map(Fault::Recover),
        1 => (2..=most::PARTS).prop_map(Fault::Partition),
        1 => Just(Fault::Heal),
        1 => any::<usize>().prop_map(Fault::Isolate),
        1 => any::<usize>().prop_map(Fault::Reconnect),
        1 => (1..=most::CLOGGED, up_to(most::PACE)).prop_map(|(nodes, pace)| Fault::SwizzleClog { nodes, pace }),
        1 => any::<usize>().prop_map(Fault::Suspend),
        1 => any::<usize>().prop_map(Fault::Resume),
        1 => (any::<usize>(), jump).prop_map(|(node, jump)| Fault::ClockJump(node, jump)),
        1 => any::<usize>().prop_map(Fault::Rebind),
    ]
}

/// Plans of this length with the vocabulary of [`swarm::draw`](crate::swarm::draw): links with mishaps, up to 20
/// faults, churn, hostile peers, translators, clocks that err. Node 0 is spared.
pub fn fault_plan(length: Duration) -> impl Strategy<Value = FaultPlan> {
    let at = (0.0..1.0).prop_map(move |share| length.mul_f64(share));
    let hostile = vec((select(&Hostility::ALL[..]), 0.0..most::HOSTILE), 0..3);
    let nats = vec((nat(), 0.0..most::NAT), 0..3);
    let skew = prop_oneof![Just(0), 1..=most::SKEW];
    (link_model(), vec((at, fault()), 0..=most::FAULTS), option::of(churn()), hostile, nats, skew).prop_map(
        move |(model, faults, churn, hostile, nats, skew)| FaultPlan {
            length,
            model,
            faults,
            churn,
            hostile,
            nats,
            skew,
            spared: 1,
        },
    )
}

/// Translators of all kinds that keep a mapping for 30 s to 5 minutes.
pub fn nat() -> impl Strategy<Value = Nat> {
    let mapping = 30..=most::MAPPING.as_secs();
    (select(&NatKind::ALL[..]), mapping)
        .prop_map(|(kind, seconds)| Nat { kind, mapping: Duration::from_secs(seconds) })
}

fn up_to(most: Duration) -> impl Strategy<Value = Duration> {
    (0..=u64::try_from(most.as_millis()).unwrap_or(u64::MAX)).prop_map(Duration::from_millis)
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
