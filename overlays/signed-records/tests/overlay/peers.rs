//! D6, D7, D8, D10, D11: one peer at a time, and the way in.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use kademlia_core::{Contact, Event, Failure, Keyspace, Node};
use signed_records::{
    AskError, Draft, PublicKey, RecordsConfig, RecordsService, Refusal, SecretKey, Status, candidates,
    engine_config,
};
use transport_mem::{LinkModel, Nat, NatKind, address_v4};

use crate::bed::{EPOCH, address, clock, finish, grown, identity, node, person, seconds};

#[test]
fn fs_d6_one_peer_is_asked_directly() {
    let mut network = grown(1, 30, LinkModel::internet());
    let (me, to) = (person(1), address(&network, 7));
    let pong = finish(&mut network, 3, |service, _, done| service.ping(to, done)).unwrap();
    assert_eq!(pong.contact, Contact::new(identity(&network, 7).key(), to));
    assert!(pong.round_trip.is_some());
    let proven = finish(&mut network, 3, |service, _, done| service.ping_identity(to, done));
    assert_eq!(proven, Ok(identity(&network, 7)));
    let target = me.public().key();
    let nodes = finish(&mut network, 3, |service, _, done| service.find_node_at(to, target, done)).unwrap();
    assert_eq!(nodes.len(), 20);
    assert!(nodes.is_sorted_by(|a, b| target.cmp_distance(&a.key, &b.key).is_le()));
    let record = Draft::endpoint("x").unwrap().sign(&me, 1, EPOCH.after(seconds(40)));
    let value = |network: &mut _| {
        finish(network, 3, |service, _, done| service.find_value_at(to, target, None, done)).unwrap()
    };
    assert_eq!(value(&mut network), []);
    let stored = finish(&mut network, 3, |service, _, done| service.store_at(to, record.clone(), done));
    assert_eq!(stored.unwrap().addr, to);
    assert_eq!(value(&mut network), std::slice::from_ref(&record));
    let again = finish(&mut network, 3, |service, _, done| service.store_at(to, record, done));
    assert_eq!(again, Err(AskError::Refused(Refusal::Stale)));
    let nobody = address_v4(999);
    let silence = finish(&mut network, 3, |service, _, done| service.ping(nobody, done));
    assert_eq!(silence, Err(AskError::Failed(Failure::TimedOut)));
}

#[test]
fn fs_d6_whoever_goes_by_anothers_key_cannot_prove_it() {
    let mut network = grown(2, 10, LinkModel::perfect());
    let addr = address_v4(500);
    // The key of node 4, but not the secret.
    let stolen = identity(&network, 4).key();
    network.spawn(addr, |birth| {
        let service = RecordsService::new(person_secret(), clock(), RecordsConfig::default(), [8; 32]);
        Node::new(service, stolen, engine_config(), birth.seed, birth.now)
    });
    let pong = finish(&mut network, 3, |service, _, done| service.ping(addr, done)).unwrap();
    assert_eq!(pong.contact.key, stolen, "a ping believes it");
    let proven = finish(&mut network, 3, |service, _, done| service.ping_identity(addr, done));
    assert_eq!(proven, Err(AskError::NoProof));
}

fn person_secret() -> SecretKey {
    SecretKey::from_seed(&[77; 32])
}

#[test]
fn fs_d7_a_node_joins_through_bare_addresses_or_known_identities_but_not_through_impostors() {
    let mut network = grown(3, 40, LinkModel::internet());
    network.watch(|_, event| matches!(event, Event::Bootstrapped));
    let router = address(&network, 11);
    let bare = network.spawn(address_v4(600), node);
    network.call(bare, |node, now| node.bootstrap(now, &[router]));
    network.run_for(seconds(20));
    assert_eq!(network.events(bare), [Event::Bootstrapped]);
    let learnt = network.node(bare).unwrap().table().get(&identity(&network, 11).key()).unwrap().contact();
    assert_eq!(learnt.addr, router, "it has learnt who is there");
    let own = network.node(bare).unwrap().local();
    let known_to = network.nodes().filter(|(_, node)| node.table().get(&own).is_some()).count();
    assert!(known_to >= 20, "{known_to}: it looked itself up, and its neighbours know it");

    let known = network.spawn(address_v4(601), node);
    let contact = Contact::new(identity(&network, 11).key(), router);
    network.call(known, |node, now| node.add_contacts(now, &[contact]));
    network.run_for(seconds(20));
    assert_eq!(network.events(known), [Event::Bootstrapped]);

    let misled = network.spawn(address_v4(602), node);
    let impostor = Contact::new(PublicKey::new([1; 32]).key(), router);
    network.call(misled, |node, now| node.add_contacts(now, &[impostor]));
    network.run_for(seconds(60));
    assert_eq!(network.events(misled), []);
    assert!(network.node(misled).unwrap().table().get(&impostor.key).is_none());
}

#[test]
fn fs_d7_candidates_lead_back_in_after_a_cold_start() {
    let mut network = grown(4, 40, LinkModel::internet());
    network.watch(|_, event| matches!(event, Event::Bootstrapped));
    let now = network.now();
    let exported = candidates(network.node(5).unwrap(), now);
    assert!((20..=256).contains(&exported.len()), "{}", exported.len());
    network.restart(5, node);
    network.call(5, |node, now| node.add_contacts(now, &exported));
    network.run_for(seconds(20));
    assert_eq!(network.events(5), [Event::Bootstrapped]);
}

#[test]
fn fs_d8_every_reply_says_where_it_went_and_a_callback_hears_of_it() {
    let mut network = grown(5, 20, LinkModel::perfect());
    let heard: Arc<Mutex<Vec<(SocketAddr, SocketAddr)>>> = Arc::default();
    let ears = Arc::clone(&heard);
    let addr = address_v4(700);
    let at = network.spawn(addr, |birth| {
        let identity = SecretKey::from_seed(&birth.seed);
        let service = RecordsService::new(identity, clock(), RecordsConfig::default(), [8; 32]);
        let observer = Box::new(move |reporter, seen| ears.lock().unwrap().push((reporter, seen)));
        service.with_observer(observer).into_node(engine_config(), birth.seed, birth.now)
    });
    let to = address(&network, 3);
    finish(&mut network, at, |service, _, done| service.ping(to, done)).unwrap();
    assert_eq!(*heard.lock().unwrap(), [(to, addr)]);
    assert_eq!(network.node(at).unwrap().service().apparent(), Some(addr));
}

#[test]
fn fs_d10_a_probe_says_whether_a_peer_reaches_an_address() {
    let mut network = grown(6, 20, LinkModel::internet());
    let (peer, own) = (address(&network, 3), address(&network, 8));
    let mut probe = |at, claimed| {
        let result = finish(&mut network, at, |service, _, done| service.probe(peer, claimed, done));
        network.run_for(seconds(10));
        result
    };
    assert_eq!(probe(8, own), Ok(true));
    let closed = SocketAddr::new(own.ip(), 1);
    assert_eq!(probe(8, closed), Ok(false), "no echo is no error");
    let elsewhere = address_v4(3);
    assert_eq!(probe(8, elsewhere), Err(AskError::Refused(Refusal::NotYours)));
}

#[test]
fn fs_d10_behind_a_translator_a_peer_reaches_the_port_it_was_written_from_and_no_other() {
    let mut network = grown(7, 20, LinkModel::internet());
    network.set_nat(8, Some(Nat::new(NatKind::Symmetric)));
    let (peer, own) = (address(&network, 3), address(&network, 8));
    // The port that this peer sees is another than the host's own.
    finish(&mut network, 8, |service, _, done| service.ping(peer, done)).unwrap();
    let closed = finish(&mut network, 8, |service, _, done| service.probe(peer, own, done));
    assert_eq!(closed, Ok(false));
    network.run_for(seconds(10));
    // A peer that is gone sends no echo either.
    network.crash(3);
    assert_eq!(finish(&mut network, 8, |service, _, done| service.probe(peer, own, done)), Ok(false));
}

#[test]
fn fs_d10_peers_behind_the_same_external_address_are_recognised() {
    let mut network = grown(8, 20, LinkModel::perfect());
    let own = address(&network, 8);
    let to = address(&network, 3);
    finish(&mut network, 8, |service, _, done| service.ping(to, done)).unwrap();
    let service = network.node(8).unwrap().service();
    assert_eq!(service.apparent(), Some(own));
    assert!(service.is_hairpin(SocketAddr::new(own.ip(), own.port() ^ 1)));
    assert!(!service.is_hairpin(to));
}

#[test]
fn fs_d11_seen_peers_survive_a_restart_and_the_network_is_counted() {
    let mut network = grown(9, 60, LinkModel::internet());
    network.run_for(seconds(3_600));
    for n in 0..3 {
        let target = person(n).public().key();
        finish(&mut network, 5, |service, _, done| service.closest(target, done)).unwrap();
    }
    let now = network.now();
    let service = network.node(5).unwrap().service();
    let (reach, seen) = (service.reach(now), service.seen().copied().collect::<Vec<_>>());
    assert!(reach.hour >= 20 && reach.day == reach.week && seen.len() == reach.week, "{reach:?}");
    let status = network.call(5, Status::of).unwrap();
    let [nodes, ..] = status.network_size.unwrap();
    assert!((30.0..120.0).contains(&nodes), "{nodes} of 60");
    assert_eq!((status.reach, status.bootstrapped), (reach, true));
    // The next run remembers whom this one saw, though it has met nobody yet.
    network.restart(5, node);
    let remembered = network.call(5, |node, now| {
        node.service_mut().remember(now, seen);
        node.service().reach(now)
    });
    assert_eq!(remembered, Some(reach));
}
