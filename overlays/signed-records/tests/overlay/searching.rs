//! D4: find, aggregate, resolve.

use kademlia_core::Storage;
use signed_records::{
    Draft, FindError, Kind, RecordsConfig, ResolveError, Slot, Subject, Topic, engine_config,
};
use transport_mem::LinkModel;

use crate::bed::{configured, finish, grown, node, person, publish, seconds};

#[test]
fn fs_d4_resolve_gives_the_newest_verified_endpoint() {
    let mut network = grown(1, 60, LinkModel::internet());
    let me = person(1);
    let replicas = publish(&mut network, 3, &me, Draft::endpoint("first").unwrap());
    assert!(replicas.accepted.len() >= 20, "{replicas:?}");
    let resolve = |network: &mut _, at| {
        finish(network, at, |service, now, done| service.resolve(now, me.public(), done))
    };
    let found = resolve(&mut network, 40).unwrap();
    assert_eq!((found.payload(), found.publisher), (Some(&b"first"[..]), me.public()));
    publish(&mut network, 3, &me, Draft::endpoint("second").unwrap());
    for at in [5, 17, 40, 59] {
        assert_eq!(resolve(&mut network, at).unwrap().payload(), Some(&b"second"[..]));
    }
    network.run_for(seconds(1));
}

#[test]
fn fs_d4_no_endpoint_and_no_records_are_told_apart() {
    let mut network = grown(2, 40, LinkModel::internet());
    let (me, nobody) = (person(1), person(2));
    publish(&mut network, 3, &me, Draft::mailbox("leave it here").unwrap());
    let resolve =
        |network: &mut _, whom| finish(network, 9, |service, now, done| service.resolve(now, whom, done));
    assert_eq!(resolve(&mut network, me.public()), Err(ResolveError::NoEndpoint));
    assert_eq!(resolve(&mut network, nobody.public()), Err(ResolveError::NoRecords));
    let find = |network: &mut _, kind| {
        finish(network, 9, |service, now, done| service.find(now, me.public().key(), Some(kind), done))
    };
    assert_eq!(find(&mut network, Kind::Mailbox).unwrap().records.len(), 1);
    assert_eq!(find(&mut network, Kind::Endpoint), Err(FindError::NoRecords));
}

#[test]
fn fs_d4_aggregate_collects_a_topic_of_more_members_than_fit_one_reply() {
    let mut network = grown(3, 40, LinkModel::internet());
    let topic = Topic::new("weather").unwrap();
    for n in 0..30 {
        let draft = Draft::topic(topic.clone(), format!("station {n}").repeat(20)).unwrap();
        publish(&mut network, usize::from(n), &person(n), draft);
    }
    let aggregate = |network: &mut _, at| {
        finish(network, at, |service, now, done| service.aggregate(now, topic.key(), Some(Kind::Topic), done))
    };
    let found = aggregate(&mut network, 35).unwrap();
    assert_eq!(found.records.len(), 30);
    assert!(found.records.is_sorted_by_key(|record| record.publisher), "and no doubles");
    let first =
        finish(&mut network, 36, |service, now, done| service.find(now, topic.key(), None, done)).unwrap();
    assert!(first.answered < found.answered, "{first:?} {}", found.answered);
    assert!(!first.records.is_empty());
}

#[test]
fn fs_d4_who_has_seen_a_newer_version_calls_the_older_one_stale() {
    let mut network = grown(4, 12, LinkModel::perfect());
    let me = person(1);
    let slot = Slot { publisher: me.public(), subject: Subject::Endpoint };
    publish(&mut network, 3, &me, Draft::endpoint("first").unwrap());
    let first = network.call(3, |node, now| node.service_mut().get(now, &slot)).flatten().unwrap();
    publish(&mut network, 3, &me, Draft::endpoint("second").unwrap());
    let resolve = |network: &mut _, at| {
        finish(network, at, |service, now, done| service.resolve(now, me.public(), done))
    };
    assert_eq!(resolve(&mut network, 5).unwrap().payload(), Some(&b"second"[..]));
    // All but that one forget, and somebody brings back the first.
    let router = network.address(5).unwrap();
    for at in (0..12).filter(|at| *at != 5) {
        network.restart(at, node);
        network.call(at, |node, now| node.bootstrap(now, &[router]));
    }
    network.call(5, |node, _| node.service_mut().storage_mut().remove(&me.public().key(), &slot));
    network.run_for(seconds(60));
    for at in 0..12 {
        let to = network.address(at).unwrap();
        if at != 7 && at != 5 {
            finish(&mut network, 7, |service, _, done| service.store_at(to, first.clone(), done)).unwrap();
        }
    }
    assert_eq!(resolve(&mut network, 5), Err(ResolveError::Stale));
    let find = finish(&mut network, 5, |service, now, done| service.find(now, me.public().key(), None, done));
    assert_eq!(find, Err(FindError::Stale));
    assert_eq!(resolve(&mut network, 8).unwrap().payload(), Some(&b"first"[..]), "who knows no better");
}

/// Thirty members, all of them known to every node, and few in one reply.
#[test]
fn fs_d4_a_search_takes_no_more_records_and_asks_for_no_more_replies_than_it_may() {
    let mut network = grown(5, 15, LinkModel::perfect());
    let topic = Topic::new("weather").unwrap();
    for n in 0..30 {
        let draft = Draft::topic(topic.clone(), [7; 300]).unwrap();
        publish(&mut network, usize::from(n) / 2, &person(n), draft);
    }
    let router = network.address(0).unwrap();
    let mut aggregate = |host, found, pages| {
        let config = RecordsConfig { found, pages, ..RecordsConfig::default() };
        let at = network.spawn(transport_mem::address_v4(host), |birth| {
            // It keeps nothing itself.
            let engine = kademlia_core::Config { read_only: true, ..engine_config() };
            configured(birth, &engine, config)
        });
        network.call(at, |node, now| node.bootstrap(now, &[router]));
        network.run_for(seconds(30));
        let found = finish(&mut network, at, |service, now, done| {
            service.aggregate(now, topic.key(), Some(Kind::Topic), done);
        });
        found.unwrap().records.len()
    };
    assert_eq!(aggregate(900, 1_024, 64), 30, "all of them");
    assert_eq!(aggregate(901, 7, 64), 7, "as many as it takes");
    // A list goes on after the last publisher of the reply before, so each reply asked for brings the next few.
    let few = aggregate(902, 1_024, 0);
    assert!(few < 5, "{few} in the first reply");
    let more = [(903, 1), (904, 2), (905, 3)].map(|(host, pages)| aggregate(host, 1_024, pages));
    assert_eq!(more, [2 * few, 3 * few, 4 * few]);
}
