//! Properties of the engine in networks in which things go wrong, by this crate's own strategies.
#![cfg(feature = "proptest")]
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod overlay;

use std::collections::BTreeSet;
use std::time::Duration;

use kademlia_core::{Config, Contact, Event, Key, Keyspace, LookupOptions, LookupReport, Node};
use overlay::{Request, Tiny};
use proptest::prelude::*;
use transport_mem::{Birth, NodeIndex, Simulation, strategies};

type Net = Simulation<Tiny<8>, Tiny<8>>;

fn node(birth: Birth<Key<8>>) -> Node<Tiny<8>, Tiny<8>> {
    Node::new(Tiny, birth.key, Config::default(), birth.seed, birth.now)
}

/// A few at every change; more if `PROPTEST_CASES` asks for more.
fn cases() -> ProptestConfig {
    let wanted = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(wanted.unwrap_or(64))
}

fn start(network: &mut Net, from: NodeIndex, target: Key<8>) {
    let options = LookupOptions::default();
    let started =
        network.call(from, |node, now| node.lookup(now, target, Request::FindNode(target), options));
    started.expect("alive").expect("few lookups");
}

fn reports(network: &mut Net, of: NodeIndex) -> Vec<LookupReport<Key<8>>> {
    let report = |event| {
        if let Event::LookupDone { report, .. } = event { Some(report) } else { None }
    };
    network.events(of).into_iter().filter_map(report).collect()
}

proptest! {
    #![proptest_config(cases())]

    /// P1: whatever goes wrong goes wrong again with the same seed.
    #[test]
    fn p1_a_run_with_faults_repeats(
        seed: u64,
        wire: bool,
        plan in strategies::fault_plan(Duration::from_secs(300)),
    ) {
        let run = || {
            let mut network = Net::new(seed, plan.model).wire(wire).trace_contents(true);
            network.grow(12, Duration::from_secs(1), node);
            network.endure(&plan, node);
            (network.trace_hash(), network.traffic())
        };
        prop_assert_eq!(run(), run());
    }

    /// P23, P26: a lookup ends under any plan, within its budgets, and reports different responders, nearest first.
    #[test]
    fn p23_p26_a_lookup_ends_under_any_plan(
        mut network in strategies::network(2..40, node),
        plan in strategies::fault_plan(Duration::from_secs(120)),
        target in strategies::key(),
    ) {
        let limits = Config::default().lookup;
        let everybody: BTreeSet<_> = network.nodes().map(|(_, node)| node.local()).collect();
        start(&mut network, 0, target);
        network.endure(&plan, node);
        let ended = reports(&mut network, 0);
        prop_assert_eq!(ended.len(), 1);
        for report in ended {
            prop_assert!(report.messages <= limits.messages);
            prop_assert!(report.took <= limits.time);
            prop_assert!(report.closest.is_sorted_by(|a, b| target.cmp_distance(&a.key, &b.key).is_lt()));
            prop_assert!(plan.takes_down() || report.closest.iter().all(|contact| everybody.contains(&contact.key)));
        }
    }

    /// P46: once the network is whole again, everybody who knew a way in finds everybody again.
    #[test]
    fn p46_tables_recover_from_any_plan(
        mut network in strategies::network(12..40, node),
        plan in strategies::fault_plan(Duration::from_secs(600)),
        target in strategies::key(),
    ) {
        network.endure(&plan, node);
        network.run_for(Duration::from_secs(1_800));
        // Who was started while all others were down knows nobody, and has nobody to ask; nor can anybody find him.
        let (joined, lost): (Vec<_>, Vec<_>) = network.nodes().partition(|(_, node)| node.is_bootstrapped());
        let lost: Vec<_> = lost.into_iter().map(|(_, node)| node.local()).collect();
        let joined: Vec<_> = joined.into_iter().map(|(index, _)| index).collect();
        for &index in &joined {
            let known = network.node(index).map_or(0, |node| node.table().len());
            prop_assert!(known >= 8.min(joined.len() - 1), "node {} knows {}", index, known);
        }
        let Some(&from) = joined.first() else { return Ok(()) };
        network.take_events();
        start(&mut network, from, target);
        network.run_for(Duration::from_secs(60));
        let found: Vec<_> = reports(&mut network, from).into_iter().map(|report| report.closest).collect();
        prop_assert_eq!(found.len(), 1);
        // Unless somebody still knows his address.
        let is_in = |contact: &Contact<Key<8>>| !lost.contains(&contact.key);
        let (found, strays): (Vec<_>, Vec<_>) = found.into_iter().flatten().partition(is_in);
        let closest = network.closest_live(&target, 8 + lost.len(), Some(from)).into_iter();
        let expected: Vec<_> = closest.filter(is_in).take(8 - strays.len()).collect();
        prop_assert_eq!(found, expected);
    }
}
