//! Peers that are not our nodes: they get what is sent to them, send what they like, and break nothing.
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod overlay;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::{
    Body, Config, Contact, Event, Instant, Key, Keyspace, LookupOptions, LookupReport, Message, Node, Rng,
    TransactionId,
};
use overlay::{Request, Tiny, node};
use transport_mem::peers::{
    Flooding, Lying, Mute, Oversized, Replaying, Rewriting, Scripted, Silent, Tamper, Tampered,
};
use transport_mem::{LinkModel, NodeIndex, Outgoing, Peer, Simulation, Step, address_v4};

type Net = Simulation<Tiny<2>, Tiny<2>>;

fn network(seed: u64, count: usize, wire: bool) -> Net {
    let config = Arc::new(Config::default());
    let mut network = Net::new(seed, LinkModel::internet()).wire(wire);
    network.grow(count, Duration::from_secs(1), |birth| node(birth, &config));
    network.run_for(Duration::from_secs(60));
    network.take_events();
    network
}

/// Runs one lookup to its end.
fn find(network: &mut Net, from: NodeIndex, target: Key<2>) -> LookupReport<Key<2>> {
    network.events(from);
    let options = LookupOptions::default();
    network.call(from, |node, now| node.lookup(now, target, Request::FindNode(target), options));
    network.run_for(Duration::from_secs(30));
    let done = |event| if let Event::LookupDone { report, .. } = event { Some(report) } else { None };
    network.events(from).into_iter().find_map(done).expect("lookups end")
}

/// Turns every third node of a network into what `tamper` makes, and lets it live for an hour.
fn with_every_third<T: Tamper<Tiny<2>> + 'static>(wire: bool, tamper: impl Fn([u8; 32]) -> T) -> Net {
    let mut network = network(1, 30, wire);
    for index in (0..30).step_by(3) {
        assert!(network.turn(index, |node, seed| Box::new(Tampered::new(node, tamper(seed)))));
        assert!(network.is_peer(index) && network.node(index).is_none());
    }
    network.run_for(Duration::from_secs(3_600));
    network
}

#[test]
fn a_scripted_peer_answers_and_does_not_count() {
    for wire in [false, true] {
        let mut network = network(2, 20, wire);
        let (key, target) = (Key::new([0x55, 0x55]), Key::new([0x55, 0x54]));
        let answered = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&answered);
        let friend = Contact::new(Key::new([0x55, 0x56]), address_v4(900));
        let liar = Scripted::new(key, move |_, _, _: &Message<Tiny<2>>| {
            *counter.lock().unwrap() += 1;
            Some([friend].into_iter().collect())
        });
        let addr = address_v4(500);
        let index = network.spawn_peer(addr, Box::new(liar));
        assert_eq!((network.address(index), network.nodes().count()), (Some(addr), 20));
        assert!(network.closest_live(&target, 30, None).iter().all(|contact| contact.addr != addr));

        network.call(3, |node, now| node.request(now, addr, Some(key), Request::FindNode(target)));
        network.run_for(Duration::from_secs(30));
        let events = network.events(3);
        let [Event::Requested { result: Ok(answer), .. }] = events.as_slice() else {
            panic!("{events:?}");
        };
        assert_eq!((answer.from, &answer.response[..]), (Contact::new(key, addr), &[friend][..]));
        assert!(*answered.lock().unwrap() > 0);
        assert!(network.crash(index).is_none() && network.is_down(index), "it goes without a trace");
    }
}

/// Sends one request under somebody else's address, whenever its time comes.
struct Forger {
    due: Instant,
    victim: SocketAddr,
    to: SocketAddr,
}

impl Peer<Tiny<2>> for Forger {
    fn receive(
        &mut self,
        _: Instant,
        _: SocketAddr,
        _: SocketAddr,
        _: &Message<Tiny<2>>,
        _: &mut Vec<Outgoing<Tiny<2>>>,
    ) {
        panic!("the answer goes to the victim");
    }

    fn poll_timeout(&self) -> Option<Instant> {
        Some(self.due)
    }

    fn handle_timeout(&mut self, now: Instant, me: SocketAddr, out: &mut Vec<Outgoing<Tiny<2>>>) {
        assert_eq!(me, address_v4(500));
        self.due = now + Duration::from_secs(1);
        let body = Body::Request { sender: Key::new([1, 2]), read_only: true, request: Request::Ping };
        let message = Message { transaction: TransactionId::from(7), observed: None, body };
        out.push(Outgoing::message(self.to, message).forged(self.victim));
        out.push(Outgoing::bytes(self.to, vec![0xff; 3_000]));
    }
}

#[test]
fn replies_to_a_forged_source_go_to_the_victim_and_raw_bytes_arrive() {
    for wire in [false, true] {
        let mut network = network(3, 5, wire);
        let got = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&got);
        let (forger, victim) = (5, 6);
        network.observe(move |_, step| {
            if let Step::Delivered { from, seen_as, to, .. } = step
                && (*from == forger || *to == victim)
            {
                seen.lock().unwrap().push((*from, *seen_as, *to));
            }
        });
        let links = network.links_mut().model_mut();
        links.mtu = usize::MAX;
        let due = network.now() + Duration::from_secs(1);
        let peer = Forger { due, victim: address_v4(600), to: address_v4(2) };
        assert_eq!(network.spawn_peer(address_v4(500), Box::new(peer)), forger);
        assert_eq!(network.spawn_peer(address_v4(600), Box::new(Silent)), victim);
        let before = network.node(2).expect("alive").counters().malformed;
        network.run_for(Duration::from_millis(10_900));
        assert_eq!(network.node(2).expect("alive").counters().malformed - before, 10);
        let got = got.lock().unwrap();
        assert_eq!(got.iter().filter(|step| **step == (forger, Some(address_v4(600)), 2)).count(), 10);
        assert!(got.iter().filter(|step| **step == (2, None, victim)).count() >= 9, "{got:?}");
    }
}

/// Every third node misbehaves; lookups of the others find all honest nodes that they should.
fn lookups_stay_exact(network: &mut Net, what: &str) {
    let mut rng = Rng::from_number(4);
    for from in [1, 2, 4, 5, 7] {
        let target = Key::random(&mut rng);
        let report = find(network, from, target);
        let keys: BTreeSet<_> = network.nodes().map(|(_, node)| node.local()).collect();
        let found = report.closest.iter().map(|contact| contact.key);
        let honest: Vec<_> = found.filter(|key| keys.contains(key)).collect();
        let truth = network.closest_live(&target, honest.len(), Some(from));
        let truth: Vec<_> = truth.iter().map(|contact| contact.key).collect();
        assert_eq!(honest, truth, "{what} from {from}");
        assert!(honest.len() >= 4, "{what}: {}", honest.len());
    }
}

#[test]
fn tampered_nodes_do_as_they_say() {
    for wire in [false, true] {
        let mut rewriting = with_every_third(wire, Rewriting::new);
        assert!(rewriting.nodes().any(|(_, node)| node.counters().impostors > 0));
        lookups_stay_exact(&mut rewriting, "rewriting");

        let mut oversized = with_every_third(wire, |_| Oversized { bytes: 4_000 });
        let counters =
            |network: &Net| network.nodes().map(|(_, node)| node.counters().malformed).sum::<u64>();
        // Where there are no bytes there is no MTU; elsewhere the link drops what is too long.
        assert_eq!(counters(&oversized), 0);
        oversized.links_mut().model_mut().mtu = usize::MAX;
        oversized.run_for(Duration::from_secs(1_800));
        assert!(counters(&oversized) > 0);
        lookups_stay_exact(&mut oversized, "oversized");

        let mut mute = with_every_third(wire, |seed| Mute::new(0.5, seed));
        lookups_stay_exact(&mut mute, "mute");

        let mut flooding = with_every_third(wire, |_| Flooding::new(10, Duration::from_millis(200)));
        let unmatched =
            |network: &Net| network.nodes().map(|(_, node)| node.counters().unmatched).sum::<u64>();
        assert!(unmatched(&flooding) > 100, "{}", unmatched(&flooding));
        assert!(flooding.traffic().sent > 10 * 3_600 * 5, "{:?}", flooding.traffic());
        lookups_stay_exact(&mut flooding, "flooding");

        let mut replaying = with_every_third(wire, |seed| Replaying::new(3, seed));
        assert!(unmatched(&replaying) > 100, "{}", unmatched(&replaying));
        lookups_stay_exact(&mut replaying, "replaying");
    }
}

#[test]
fn a_liar_changes_its_answers_and_nothing_else() {
    let lie = Contact::new(Key::new([0xab, 0xcd]), address_v4(700));
    let liar = |_| {
        Lying(move |_: Instant, _: SocketAddr, asked: &Message<Tiny<2>>, answer: &mut _| {
            assert!(matches!(asked.body, Body::Request { .. }));
            *answer = [lie].into_iter().collect();
        })
    };
    let mut network = with_every_third(false, liar);
    assert!(network.traffic().vanished > 0, "the lie is asked");
    assert!(network.nodes().all(|(_, node)| node.table().iter().all(|entry| entry.contact().key != lie.key)));
    lookups_stay_exact(&mut network, "lying");
}

#[test]
fn p1_a_network_with_hostile_peers_repeats() {
    let run = || with_every_third(true, |seed| Replaying::new(2, seed)).trace_hash();
    assert_eq!(run(), run());
}

#[test]
fn ten_thousand_attackers_are_cheap() {
    let mut network = Simulation::<Tiny<2>, Tiny<2>>::new(5, LinkModel::internet());
    let shared = Arc::new(Mutex::new(0));
    for n in 0..10_000 {
        let shared = Arc::clone(&shared);
        let liar = Scripted::new(Key::new([0, 1]), move |_, _, _: &Message<Tiny<2>>| {
            *shared.lock().unwrap() += 1;
            None
        });
        assert!(size_of_val(&liar) <= 32);
        network.spawn_peer(address_v4(n), Box::new(liar));
    }
    assert_eq!((network.pending(), network.nodes().count(), network.len()), (0, 0, 10_000));
    let index = network.spawn(address_v4(20_000), |birth| {
        Node::new(Tiny, birth.key, Config::default(), birth.seed, birth.now)
    });
    network.call(index, |node, now| node.bootstrap(now, &[address_v4(77)]));
    network.run_for(Duration::from_secs(10));
    assert!(*shared.lock().unwrap() > 0);
}
