//! D5: publish, renew, withdraw.

use std::time::Duration;

use kademlia_core::Storage;
use signed_records::{
    AskError, Draft, FindError, Kind, Refusal, ResolveError, SignedRecord, Slot, Subject, Topic,
};
use transport_mem::LinkModel;

use crate::bed::{Network, finish, grown, person, publish, seconds};

/// How many live nodes give a record out.
fn holders(network: &mut Network, slot: &Slot) -> usize {
    let nodes: Vec<_> = network.nodes().map(|(at, _)| at).collect();
    let holds = |at: &usize| {
        let held = network.call(*at, |node, now| node.service_mut().get(now, slot));
        held.flatten().is_some_and(|record| !record.is_withdrawal())
    };
    nodes.iter().copied().filter(holds).count()
}

fn slot(n: u8, subject: Subject) -> Slot {
    Slot { publisher: person(n).public(), subject }
}

#[test]
fn fs_d5_publish_keeps_a_copy_returns_at_once_and_replicates_to_the_k_closest_reachable() {
    let mut network = grown(1, 80, LinkModel::internet());
    let me = person(1);
    for crashed in [10, 20, 30] {
        network.crash(crashed);
    }
    let slot = slot(1, Subject::Endpoint);
    let publisher = me.clone();
    let now_held = network.call(3, |node, now| {
        let service = node.service_mut();
        service.publish(now, publisher, Draft::endpoint("x").unwrap(), |_| {}).unwrap();
        service.get(now, &slot)
    });
    assert_eq!(now_held.flatten().unwrap().payload(), Some(&b"x"[..]), "no datagram has been sent yet");
    network.run_for(seconds(20));
    for contact in network.closest_live(&me.public().key(), 20, Some(3)) {
        let (at, _) = network.nodes().find(|(_, node)| node.local() == contact.key).unwrap();
        let held = network.call(at, |node, now| node.service_mut().get(now, &slot)).flatten();
        assert!(held.is_some(), "node {at} is one of the twenty closest");
    }
}

#[test]
fn fs_d5_a_record_is_renewed_until_withdrawn() {
    let mut network = grown(2, 40, LinkModel::internet());
    let me = person(1);
    let draft = Draft::endpoint("x").unwrap().lasting(seconds(120));
    publish(&mut network, 3, &me, draft);
    let mut last = 0;
    for _ in 0..5 {
        network.run_for(seconds(300));
        let found =
            finish(&mut network, 33, |service, now, done| service.resolve(now, me.public(), done)).unwrap();
        assert!(found.sequence > last, "a new version each time");
        last = found.sequence;
    }
    // Its publisher is gone without a word: what it said is gone after its time to live.
    network.crash(3);
    network.run_for(seconds(121));
    assert_eq!(holders(&mut network, &slot(1, Subject::Endpoint)), 0);
    let found = finish(&mut network, 33, |service, now, done| service.resolve(now, me.public(), done));
    assert_eq!(found, Err(ResolveError::NoRecords));
}

#[test]
fn fs_d5_one_call_withdraws_everything_of_one_publisher_and_of_nobody_else() {
    let mut network = grown(3, 60, LinkModel::internet().with_loss(0.05));
    let topics: Vec<_> = (0..20).map(|n| Topic::new(&format!("topic {n}")).unwrap()).collect();
    for n in [1, 2] {
        let of = |draft: Draft| draft.lasting(seconds(600));
        publish(&mut network, 3, &person(n), of(Draft::endpoint("x").unwrap()));
        publish(&mut network, 3, &person(n), of(Draft::mailbox("x").unwrap()));
        for topic in &topics {
            publish(&mut network, 3, &person(n), of(Draft::topic(topic.clone(), "x").unwrap()));
        }
    }
    let withdrawn = network.call(3, |node, now| node.service_mut().withdraw(now, person(1).public()));
    assert_eq!(withdrawn, Some(22));
    let again = network.call(3, |node, now| node.service_mut().withdraw(now, person(1).public()));
    assert_eq!(again, Some(0));
    network.run_for(seconds(60));
    let found = finish(&mut network, 40, |service, now, done| service.resolve(now, person(1).public(), done));
    assert!(matches!(found, Err(ResolveError::NoRecords)), "{found:?}: others were told at once");
    // Whoever was not told forgets it in time.
    network.run_for(seconds(600));
    let all =
        topics.iter().map(|topic| Subject::Topic(topic.clone())).chain([Subject::Endpoint, Subject::Mailbox]);
    for subject in all {
        assert_eq!(holders(&mut network, &slot(1, subject.clone())), 0, "{subject}");
        assert!(holders(&mut network, &slot(2, subject.clone())) >= 20, "{subject}");
    }
    let publications = network.node(3).unwrap().service().publications().count();
    assert_eq!(publications, 22, "the withdrawals are done with");
}

#[test]
fn fs_d5_what_was_withdrawn_cannot_be_put_again() {
    let mut network = grown(4, 30, LinkModel::perfect());
    let me = person(1);
    publish(&mut network, 3, &me, Draft::endpoint("x").unwrap());
    let slot = slot(1, Subject::Endpoint);
    let old: SignedRecord =
        network.call(3, |node, now| node.service_mut().get(now, &slot)).flatten().unwrap();
    network.call(3, |node, now| node.service_mut().withdraw(now, me.public()));
    network.run_for(seconds(20));
    // Somebody kept a copy, and offers it to everybody. Whoever is near the key has heard of the withdrawal.
    let target = me.public().key();
    let near = network.closest_live(&target, 20, Some(3));
    for at in (0..30).filter(|at| *at != 9) {
        let (to, key) = (network.address(at).unwrap(), network.node(at).unwrap().local());
        let stored = finish(&mut network, 9, |service, _, done| service.store_at(to, old.clone(), done));
        if near.iter().any(|contact| contact.key == key) {
            assert_eq!(stored, Err(AskError::Refused(Refusal::Stale)));
        }
    }
    let found = finish(&mut network, 9, |service, now, done| service.resolve(now, me.public(), done));
    assert_eq!(found, Err(ResolveError::NoRecords));
    // Who has seen the withdrawal once believes no copy, wherever it comes from.
    let found =
        finish(&mut network, 9, |service, now, done| service.find(now, target, Some(Kind::Endpoint), done));
    assert!(matches!(found, Err(FindError::NoRecords | FindError::Stale)), "{found:?}");
}

#[test]
fn fs_d5_publishing_before_there_is_a_network_works_once_there_is() {
    let mut network = grown(5, 30, LinkModel::internet());
    let me = person(1);
    let router = network.address(0).unwrap();
    let late = network.spawn(transport_mem::address_v4(1_000), crate::bed::node);
    let publisher = me.clone();
    network.call(late, |node, now| {
        node.service_mut().publish(now, publisher, Draft::endpoint("x").unwrap(), |_| {}).unwrap();
    });
    network.run_for(Duration::from_secs(30));
    network.call(late, |node, now| node.bootstrap(now, &[router]));
    network.run_for(seconds(180));
    let found = finish(&mut network, 7, |service, now, done| service.resolve(now, me.public(), done));
    assert_eq!(found.unwrap().payload(), Some(&b"x"[..]));
}

#[test]
fn holders_have_records_in_their_stores_and_not_only_in_their_answers() {
    let mut network = grown(6, 30, LinkModel::perfect());
    publish(&mut network, 3, &person(1), Draft::endpoint("x").unwrap());
    let stored = network.nodes().filter(|(_, node)| node.service().storage().len() == 1).count();
    assert!(stored >= 21, "{stored}: twenty and the publisher's own");
}
