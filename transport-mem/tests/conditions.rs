//! What single hosts go through: translators, other addresses, clocks that err, sleep and blackouts.
#![allow(clippy::expect_used, clippy::unwrap_used, reason = "helpers of tests")]

mod overlay;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::{Config, Contact, Event, Instant, Key, Keyspace, LookupOptions, Rng};
use overlay::{Request, Tiny, node};
use transport_mem::{
    Fault, FaultPlan, Jump, LinkModel, Nat, NatKind, NodeIndex, Simulation, Step, address_v4,
};

type Net = Simulation<Tiny<8>, Tiny<8>>;

const KINDS: [NatKind; 4] =
    [NatKind::FullCone, NatKind::AddressRestricted, NatKind::PortRestricted, NatKind::Symmetric];

/// A network of `count` nodes, joined and at rest.
fn network(seed: u64, count: usize) -> Net {
    let config = Arc::new(Config::default());
    let mut network = Net::new(seed, LinkModel::perfect());
    network.grow(count, Duration::from_secs(1), |birth| node(birth, &config));
    network.run_for(Duration::from_secs(60));
    network.take_events();
    network
}

/// A new node behind a translator, which has not said anything yet.
fn add_behind(network: &mut Net, kind: NatKind) -> NodeIndex {
    let config = Arc::new(Config::default());
    let addr = address_v4(u32::try_from(network.len()).expect("few"));
    let index = network.spawn(addr, |birth| node(birth, &config));
    network.set_nat(index, Some(Nat::new(kind)));
    index
}

/// Whether `to` answers a ping.
fn ping(network: &mut Net, from: NodeIndex, to: SocketAddr) -> bool {
    network.events(from);
    network.call(from, |node, now| node.request(now, to, None, Request::Ping)).expect("alive");
    network.run_for(Duration::from_secs(20));
    let answered = network.events(from).into_iter().find_map(|event| match event {
        Event::Requested { result, .. } => Some(result.is_ok()),
        _ => None,
    });
    answered.expect("a request ends")
}

fn find(network: &mut Net, from: NodeIndex, target: Key<8>) -> Vec<Contact<Key<8>>> {
    network.events(from);
    let options = LookupOptions::default();
    let lookup = network.call(from, |node, now| node.lookup(now, target, Request::FindNode(target), options));
    lookup.expect("alive").expect("few lookups");
    network.run_for(Duration::from_secs(30));
    let found = network.events(from).into_iter().find_map(|event| match event {
        Event::LookupDone { report, .. } => Some(report.closest),
        _ => None,
    });
    found.expect("a lookup ends")
}

/// The steps of a run, printed.
fn steps(network: &mut Net) -> Arc<Mutex<Vec<String>>> {
    let steps = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&steps);
    network.observe(move |_, step| written.lock().unwrap().push(step.to_string()));
    steps
}

#[test]
fn a_node_behind_every_kind_of_nat_joins_and_looks_up() {
    for kind in KINDS {
        let mut network = network(1, 40);
        let index = add_behind(&mut network, kind);
        network.call(index, |node, now| node.bootstrap(now, &[address_v4(0), address_v4(1)]));
        network.run_for(Duration::from_secs(60));
        let known = network.node(index).expect("alive").table().len();
        assert!(network.node(index).expect("alive").is_bootstrapped() && known >= 8, "{kind:?}");
        let mut rng = Rng::from_number(1);
        for _ in 0..20 {
            let target = Key::random(&mut rng);
            let found = find(&mut network, index, target);
            assert_eq!(found, network.closest_live(&target, 8, Some(index)), "{kind:?}");
        }
        assert_eq!(network.nat(index), Some(Nat::new(kind)));
    }
}

#[test]
fn strangers_reach_only_a_full_cone_and_only_while_it_is_open() {
    for (kind, after_it_spoke) in KINDS.into_iter().zip([true, false, false, false]) {
        // Nobody has joined anything: nothing is sent but what the test sends.
        let mut network = Net::new(2, LinkModel::perfect());
        let config = Arc::new(Config::default());
        for n in 0..2 {
            network.spawn(address_v4(n), |birth| node(birth, &config));
        }
        let hidden = add_behind(&mut network, kind);
        let addr = network.address(hidden).expect("known");
        assert!(!ping(&mut network, 0, addr), "{kind:?}");
        assert!(ping(&mut network, hidden, address_v4(1)), "{kind:?}");
        assert_eq!(ping(&mut network, 0, addr), after_it_spoke, "{kind:?}");
        network.run_for(Duration::from_secs(30));
        network.set_nat(hidden, None);
        assert!(ping(&mut network, 0, addr), "{kind:?}");
    }
}

#[test]
fn a_refused_datagram_is_a_step_of_the_trace() {
    let mut network = Net::new(2, LinkModel::perfect());
    let config = Arc::new(Config::default());
    network.spawn(address_v4(0), |birth| node(birth, &config));
    let hidden = add_behind(&mut network, NatKind::PortRestricted);
    let addr = network.address(hidden).expect("known");
    let steps = steps(&mut network);
    assert!(!ping(&mut network, 0, addr));
    assert_eq!(network.traffic().refused, network.traffic().sent);
    let refused = format!("0 → {addr}: refused by its NAT");
    assert!(steps.lock().unwrap().iter().filter(|step| step.starts_with(&refused)).count() == 3);
}

#[test]
fn a_symmetric_nat_shows_another_port_and_the_others_do_not() {
    for kind in KINDS {
        let mut network = network(3, 10);
        let index = add_behind(&mut network, kind);
        let steps = steps(&mut network);
        assert!(ping(&mut network, index, address_v4(4)));
        let ip = network.address(index).expect("known").ip();
        let translated =
            steps.lock().unwrap().iter().any(|step| step.starts_with(&format!("{index} as {ip}:")));
        assert_eq!(translated, kind == NatKind::Symmetric);
    }
}

#[test]
fn a_node_that_moves_is_found_at_its_new_address_and_only_there() {
    let mut network = network(4, 30);
    let (old, new) = (network.address(9).expect("known"), address_v4(1_000));
    network.call(0, |node, now| node.request(now, old, None, Request::Ping));
    let steps = steps(&mut network);
    network.readdress(9, new);
    network.run_for(Duration::from_secs(20));
    assert!(steps.lock().unwrap()[0].starts_with(&format!("0 → {old}: nobody there")));
    assert!(!ping(&mut network, 0, old) && ping(&mut network, 0, new));
    network.run_for(Duration::from_secs(3_600));
    let key = network.node(9).expect("alive").local();
    assert_eq!(find(&mut network, 0, key)[0], Contact::new(key, new));
}

#[test]
fn a_rebound_nat_has_another_port_and_no_mappings() {
    let mut network = network(5, 10);
    let index = add_behind(&mut network, NatKind::FullCone);
    let before = network.address(index).expect("known");
    assert!(ping(&mut network, index, address_v4(1)) && ping(&mut network, 2, before));
    network.rebind(index);
    let after = network.address(index).expect("known");
    assert!(after.ip() == before.ip() && after.port() != before.port());
    assert!(!ping(&mut network, 2, before) && !ping(&mut network, 2, after));
    assert!(ping(&mut network, index, address_v4(1)) && ping(&mut network, 2, after));
}

#[test]
fn where_every_pair_is_one_way_only_some_get_through() {
    let mut network = network(6, 10);
    network.links_mut().model_mut().oneway = 0.3;
    let reached: Vec<_> = (1..10).map(|n| ping(&mut network, 0, address_v4(n))).collect();
    let again: Vec<_> = (1..10).map(|n| ping(&mut network, 0, address_v4(n))).collect();
    assert!(reached.contains(&true) && reached.contains(&false));
    assert_eq!(reached, again);
}

/// How long a request to nobody takes to fail, in virtual time.
fn patience(ppm: i32) -> Duration {
    let mut network = Net::new(7, LinkModel::perfect());
    let config = Arc::new(Config::default());
    network.spawn(address_v4(0), |birth| node(birth, &config));
    if ppm != 0 {
        network.set_skew(0, ppm);
    }
    network.call(0, |node, now| node.request(now, address_v4(1), None, Request::Ping));
    let ended = Arc::new(Mutex::new(Instant::ZERO));
    let end = Arc::clone(&ended);
    network.observe(move |now, step| {
        if let Step::Event { .. } = step {
            *end.lock().unwrap() = now;
        }
    });
    network.run_for(Duration::from_secs(60));
    ended.lock().unwrap().since(Instant::ZERO)
}

#[test]
fn deadlines_follow_the_nodes_own_clock() {
    let normal = patience(0);
    assert!(normal > Duration::from_secs(2));
    assert_eq!(patience(-500_000), normal * 2, "half as fast");
    let half = Duration::from_micros(u64::try_from(normal.as_micros().div_ceil(2)).unwrap());
    assert_eq!(patience(1_000_000), half, "twice as fast");
    assert_eq!(patience(-1_000_000), Duration::ZERO, "it stands: the request never fails");
}

#[test]
fn only_the_node_sees_its_clock() {
    let mut network = network(8, 5);
    let hour = Duration::from_secs(3_600);
    network.jump_clock(3, Jump::Forward(hour));
    let now = network.now();
    assert_eq!(network.call(3, |_, now| now), Some(now + hour));
    assert_eq!((network.call(2, |_, now| now), network.now()), (Some(now), now));
    network.jump_clock(3, Jump::Back(hour));
    assert_eq!(network.call(3, |_, now| now), Some(now));
    let config = Arc::new(Config::default());
    network.jump_clock(3, Jump::Forward(hour));
    network.restart(3, |birth| {
        assert_eq!(birth.now, now + hour);
        node(birth, &config)
    });
}

#[test]
fn p5_t21_no_jump_panics_or_starts_a_storm() {
    let ten_years = Duration::from_secs(10 * 365 * 86_400);
    let hour = Duration::from_secs(3_600);
    let jumps = [
        Jump::Forward(hour),
        Jump::Back(hour),
        Jump::Forward(ten_years),
        Jump::Back(ten_years),
        Jump::Forward(Duration::from_micros(u64::MAX)),
        Jump::Back(Duration::from_micros(u64::MAX)),
    ];
    for (first, second) in jumps.iter().flat_map(|first| jumps.iter().map(move |second| (*first, *second))) {
        let mut network = network(9, 12);
        for (index, jump) in [(0, first), (1, second), (0, second)] {
            network.run_for(Duration::from_secs(7));
            let steps = steps(&mut network);
            network.jump_clock(index, jump);
            network.run_for(Duration::from_secs(1));
            let sender = format!("{index} → ");
            let sent = steps.lock().unwrap().iter().filter(|step| step.starts_with(&sender)).count();
            assert!(sent <= 64, "{sent} messages in the second after {jump:?}");
        }
        let target = Key::random(&mut Rng::from_number(1));
        assert_eq!(find(&mut network, 5, target), network.closest_live(&target, 8, Some(5)));
    }
}

#[test]
fn a_sleeper_does_nothing_hears_nothing_and_wakes_late() {
    let mut network = network(10, 20);
    let addr = network.address(7).expect("known");
    let key = network.node(7).expect("alive").local();
    network.suspend(7);
    assert!(network.is_suspended(7) && network.call(7, |_, _| ()).is_none());
    let steps = steps(&mut network);
    assert!(!ping(&mut network, 0, addr));
    assert!(!network.closest_live(&key, 8, None).iter().any(|contact| contact.key == key));
    network.run_for(Duration::from_secs(3_600));
    let of_it = |step: &String| step.starts_with("7:") || step.starts_with("7 ") || step.contains("→ 7:");
    assert!(!steps.lock().unwrap().iter().any(of_it));

    steps.lock().unwrap().clear();
    network.resume(7);
    assert_eq!(steps.lock().unwrap().first().map(String::as_str), Some("7: timeout"));
    network.resume(7);
    assert_eq!(steps.lock().unwrap().iter().filter(|step| *step == "7: timeout").count(), 1);
    network.run_for(Duration::from_secs(60));
    assert!(ping(&mut network, 0, addr) && ping(&mut network, 7, address_v4(0)));
}

#[test]
fn a_blackout_cuts_both_ways_lets_timers_run_and_is_no_partition() {
    let mut network = network(11, 20);
    let addr = network.address(7).expect("known");
    // One on its way in each direction: what left before the cable was pulled arrives.
    network.call(0, |node, now| node.request(now, addr, None, Request::Ping));
    network.call(7, |node, now| node.request(now, address_v4(0), None, Request::Ping));
    network.isolate(7, true);
    let steps = steps(&mut network);
    network.run_for(Duration::from_secs(60));
    network.heal();
    assert!(!ping(&mut network, 0, addr) && !ping(&mut network, 7, address_v4(1)));
    let steps = std::mem::take(&mut *steps.lock().unwrap());
    let lost = format!("0 → {addr}: lost");
    assert!(steps.iter().any(|step| step.starts_with(&lost)) && steps.contains(&"7: timeout".to_owned()));
    assert_eq!(steps.iter().filter(|step| step.starts_with("7 → ") && !step.contains(": lost")).count(), 1);
    assert!(!steps.iter().any(|step| step.contains("→ 7:")) && network.is_isolated(7));
    network.isolate(7, false);
    assert!(ping(&mut network, 0, addr) && ping(&mut network, 7, address_v4(1)));
}

#[test]
fn p1_conditions_repeat_with_their_seed() {
    let run = |seed| {
        let mut network = network(seed, 20);
        for (index, kind) in KINDS.into_iter().enumerate() {
            network.set_nat(index, Some(Nat::new(kind)));
        }
        network.set_skew(4, 300);
        let faults = [
            (1, Fault::Suspend(5)),
            (1, Fault::Isolate(6)),
            (2, Fault::ClockJump(7, Jump::Back(Duration::from_secs(90)))),
            (3, Fault::Rebind(3)),
            (200, Fault::Resume(5)),
            (210, Fault::Reconnect(6)),
            (220, Fault::Suspend(8)),
            (220, Fault::Isolate(9)),
        ];
        let faults = faults.map(|(at, fault)| (Duration::from_secs(at), fault)).to_vec();
        let plan = FaultPlan { faults, ..FaultPlan::quiet(Duration::from_secs(600)) };
        let config = Arc::new(Config::default());
        network.endure(&plan, |birth| node(birth, &config));
        assert!(!network.is_suspended(8) && !network.is_isolated(9), "all over");
        (network.trace_hash(), network.traffic())
    };
    assert_eq!(run(12), run(12));
    assert_ne!(run(12), run(13));
}

#[test]
fn only_watched_events_are_kept() {
    let mut network = network(14, 10);
    let all = network.trace_hash();
    network.watch(|index, event| index == 3 && matches!(event, Event::LookupDone { .. }));
    let target = Key::new([1; 8]);
    for from in [2, 3] {
        network.call(from, |node, now| {
            node.lookup(now, target, Request::FindNode(target), LookupOptions::default()).is_ok()
        });
    }
    network.run_for(Duration::from_secs(30));
    let kept = network.take_events();
    assert!(matches!(kept.as_slice(), [(3, Event::LookupDone { .. })]), "{kept:?}");
    assert_ne!(network.trace_hash(), all, "the trace covers all");
}
