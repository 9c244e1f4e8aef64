//! D3 and D9: one launch after the other, healthy nodes first.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::{Body, Contact, Health, Instant, Key};
use signed_records::{Draft, Request};
use transport_mem::{Latency, LinkModel, Payload, Step};

use crate::bed::{Network, finish, grown, person, publish, seconds};

/// Notes when node `at` asks somebody for records, from now on.
fn launches(network: &mut Network, at: usize) -> Arc<Mutex<Vec<Instant>>> {
    let launches = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&launches);
    let latency = Duration::from_millis(40);
    network.observe(move |now, step| {
        let (from, payload) = match step {
            Step::Delivered { from, payload, .. } => (*from, payload),
            _ => return,
        };
        if from == at && asks_for_records(payload) {
            seen.lock().unwrap().push(now - latency);
        }
    });
    launches
}

fn asks_for_records(payload: &Payload<signed_records::SignedRecords>) -> bool {
    use kademlia_core::Codec;
    let message = match payload {
        Payload::Bytes(bytes) => signed_records::codec::Cbor::decode(bytes).ok(),
        Payload::Message(message) => Some((**message).clone()),
    };
    message.is_some_and(|message| matches!(message.body, Body::Request { request: Request::Find { .. }, .. }))
}

fn slow() -> LinkModel {
    LinkModel::perfect().with_latency(Latency::Constant(Duration::from_millis(40)))
}

#[test]
fn fs_d3_a_reply_inside_the_window_saves_the_launches_beside_it() {
    let mut network = grown(1, 60, slow());
    let me = person(1);
    publish(&mut network, 3, &me, Draft::endpoint("x").unwrap());
    let launches = launches(&mut network, 50);
    let found =
        finish(&mut network, 50, |service, now, done| service.find(now, me.public().key(), None, done))
            .unwrap();
    network.run_for(seconds(5));
    let times = launches.lock().unwrap().clone();
    // A round trip takes 80 ms, and so long the window is once that has been measured. All at once would be three.
    assert!(found.asked <= 2, "{found:?}");
    assert_eq!(times.len(), found.asked, "{times:?}");
    assert!(times.windows(2).all(|pair| pair[1].since(pair[0]) >= Duration::from_millis(75)), "{times:?}");
}

#[test]
fn fs_d3_before_anything_was_measured_the_window_is_200_ms() {
    let mut network = grown(5, 20, slow());
    let at = network.spawn(transport_mem::address_v4(900), crate::bed::node);
    // Nobody of those it knows of is there, and it has never asked anybody.
    let contacts: Vec<_> =
        (0..5).map(|n| contact(n, transport_mem::address_v4(1_000 + u32::from(n)))).collect();
    network.call(at, |node, now| node.preload(now, &contacts));
    let launches = vanished(&mut network, at);
    let target = person(1).public().key();
    finish(&mut network, at, |service, now, done| service.find(now, target, None, done)).unwrap_err();
    let mut times = launches.lock().unwrap().clone();
    times.dedup_by_key(|(to, _)| *to);
    let begun: Vec<_> = times.iter().take(3).map(|(_, now)| now.since(times[0].1).as_millis()).collect();
    assert_eq!(begun, [0, 200, 400]);
}

fn contact(n: u8, addr: SocketAddr) -> Contact<Key<32>> {
    Contact::new(person(100 + n).public().key(), addr)
}

/// Notes whom node `at` asks who is not there, from now on.
fn vanished(network: &mut Network, at: usize) -> Arc<Mutex<Vec<(SocketAddr, Instant)>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    network.observe(move |now, step| {
        if let Step::Vanished { from, to, .. } = step
            && *from == at
        {
            seen.lock().unwrap().push((*to, now));
        }
    });
    asked
}

#[test]
fn fs_d3_an_answer_moves_the_lookup_on_at_once() {
    let mut network = grown(2, 60, slow());
    let me = person(1);
    publish(&mut network, 3, &me, Draft::endpoint("x").unwrap());
    let found =
        finish(&mut network, 50, |service, now, done| service.aggregate(now, me.public().key(), None, done));
    let found = found.unwrap();
    assert!(found.answered >= 20);
    // One after the other, each with its round trip, and not with a timeout.
    let paced = Duration::from_millis(80) * u32::try_from(found.asked + 2).unwrap();
    assert!(found.took <= paced, "{found:?}");
}

#[test]
fn fs_d3_whoever_was_silent_is_asked_last() {
    let mut network = grown(3, 60, slow());
    let me = person(1);
    publish(&mut network, 3, &me, Draft::endpoint("x").unwrap());
    let target = me.public().key();
    let closest = network.closest_live(&target, 6, Some(50));
    let dead: Vec<_> = network
        .nodes()
        .filter(|(_, node)| closest.iter().any(|c| c.key == node.local()))
        .map(|(at, _)| at)
        .collect();
    for at in &dead {
        network.crash(*at);
    }
    let find = |network: &mut Network| {
        finish(network, 50, |service, now, done| service.find(now, target, None, done)).unwrap()
    };
    let first = find(&mut network);
    let health = |network: &Network| {
        let node = network.node(50).unwrap();
        dead.iter().map(|at| node.health(network.address(*at).unwrap())).collect::<Vec<_>>()
    };
    // Let it learn who is gone.
    finish(&mut network, 50, |service, now, done| service.aggregate(now, target, None, done)).unwrap();
    network.run_for(seconds(10));
    assert!(health(&network).contains(&Health::Bad), "{:?}", health(&network));
    let second = find(&mut network);
    assert!(first.took > Duration::from_millis(160), "{first:?}: the nearest are gone");
    // The first to be asked answers; its answer and the next launch fall together.
    assert!(second.took <= Duration::from_millis(80) && second.asked <= 2, "{second:?}");
}

#[test]
fn fs_d9_a_peer_is_unknown_then_good_then_bad() {
    let mut network = grown(4, 10, LinkModel::perfect());
    let (stranger, addr) =
        (network.spawn(transport_mem::address_v4(500), crate::bed::node), transport_mem::address_v4(500));
    let health = |network: &Network| network.node(2).unwrap().health(addr);
    assert_eq!(health(&network), Health::Unknown);
    let pong = finish(&mut network, 2, |service, _, done| service.ping(addr, done)).unwrap();
    assert_eq!(health(&network), Health::Good);
    network.crash(stranger);
    // Others are heard meanwhile: so it is the peer that is silent, and not the network.
    finish(&mut network, 2, |service, _, done| service.closest(pong.contact.key, done)).unwrap();
    assert_eq!(health(&network), Health::Bad);
}
