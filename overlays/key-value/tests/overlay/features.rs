//! The lines of feature set E, on a network in virtual time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::{Body, Cause, Codec, Event, Failure, Keyspace, LookupLimit, Message};
use key_value::{
    Compact, Id, K, KeyValue, KvConfig, NotPut, Request, Token, Value, Versioned, Wanted, key_of,
};
use transport_mem::{LinkModel, NodeIndex, Payload, Step, address_v4};

use crate::network::{HOUR, MINUTE, Network, node};

#[test]
fn fs_e1_the_first_node_needs_nobody_and_what_it_has_goes_to_those_who_join() {
    let mut network = Network::empty(1, LinkModel::internet(), KvConfig::default());
    network.grow(1);
    let put = network.put(0, "greeting", b"hello");
    assert_eq!((put.here, put.copies()), (Some(Ok(())), 1), "kept by the first node, for there is no other");
    assert_eq!(network.get(0, "greeting").value().unwrap().as_bytes(), b"hello");

    network.grow(9);
    network.run_for(30 * Duration::from_secs(1));
    assert_eq!(network.holders(&key_of("greeting")).len(), 10, "handed to everybody who came");
    for node in 0..10 {
        assert_eq!(network.get(node, "greeting").value().unwrap().as_bytes(), b"hello");
    }
    // Whoever joins through any of them, not only through the first.
    network.simulation.crash(0);
    network.grow(5);
    network.run_for(MINUTE);
    assert!(network.simulation.nodes().all(|(_, node)| node.is_bootstrapped()));
    assert_eq!(network.get(14, "greeting").value().unwrap().as_bytes(), b"hello");
}

#[test]
fn fs_e2_every_operation_ends_even_if_nobody_answers() {
    let mut network = Network::grown(2, 30, LinkModel::internet());
    *network.simulation.links_mut().model_mut() = LinkModel::internet().with_loss(1.0);
    let put = network.put(3, "greeting", b"hello");
    assert!(put.stored.accepted.is_empty());
    let got = network.get(4, "greeting");
    assert_eq!(got.value(), None);
    let newest = network.begin_get(4, key_of("greeting"), Wanted::Newest);
    assert!(network.wait(&newest).is_ok());
    let removed = network.remove(3, "greeting");
    assert!(removed.stored.accepted.is_empty());
}

#[test]
fn fs_e2_each_of_the_four_requests_ends_in_a_timeout_if_nobody_answers() {
    let mut network = Network::grown(13, 30, LinkModel::internet());
    *network.simulation.links_mut().model_mut() = LinkModel::internet().with_loss(1.0);
    let (key, token) = (key_of("greeting"), Token::new([7; 8]));
    let item = Versioned { version: 1, value: Some(Value::new(b"hello").unwrap()), life: 60 };
    let requests = [
        Request::Ping,
        Request::Store { key, token, item },
        Request::FindNode { target: key },
        Request::FindValue { key },
    ];
    let asked: Vec<_> = (5..)
        .zip(requests)
        .map(|(to, request)| {
            let to = network.simulation.address(to).unwrap();
            network.simulation.call(4, |node, now| node.request(now, to, None, request)).unwrap()
        })
        .collect();
    network.simulation.run_for(MINUTE);
    let mut ended: Vec<_> = network.simulation.events(4);
    ended.retain(|event| matches!(event, Event::Requested { request, .. } if asked.contains(request)));
    assert_eq!(ended.len(), 4);
    for event in ended {
        assert!(matches!(event, Event::Requested { result: Err(Failure::TimedOut), .. }), "{event:?}");
    }
}

#[test]
fn fs_e3_a_put_is_at_the_k_closest_and_a_get_leaves_a_copy_at_the_closest_that_lacked_it() {
    let mut network = Network::grown(3, 120, LinkModel::internet());
    let key = key_of("greeting");
    let put = network.put(5, "greeting", b"hello");
    assert_eq!(put.stored.accepted.len(), K);
    let closest = network.closest(&key, K + 1);
    assert!(network.holders(&key).is_subset(&closest));

    let (mut cached, mut found) = (0, 0);
    for _ in 0..40 {
        let reader = network.any_node();
        let before = network.holders(&key);
        let got = network.get(reader, "greeting");
        assert_eq!(got.value().unwrap().as_bytes(), b"hello");
        let at = |key: Id| network.simulation.nodes().find(|(_, node)| node.local() == key).unwrap().0;
        let mut answered = got.report.iter().flat_map(|report| &report.closest);
        let lacked = answered.find(|contact| !before.contains(&at(contact.key)));
        assert_eq!(got.cached_at.as_ref(), lacked, "the closest of those that answered and have nothing");
        network.run_for(Duration::from_secs(5));
        found += got.holders.len();
        if let Some(copy) = got.cached_at {
            let at = network.simulation.nodes().find(|(_, node)| node.local() == copy.key).unwrap().0;
            assert!(!before.contains(&at) && network.holders(&key).contains(&at));
            cached += 1;
        }
    }
    println!("{cached} copies after 40 gets, {found} of them from others");
    assert!(cached > 0);
}

/// Turns used since the start, by all who are up.
fn republished(network: &Network) -> u64 {
    network.simulation.nodes().map(|(_, node)| node.service().activity().republished).sum()
}

#[test]
fn fs_e4_holders_publish_hourly_again_and_again_and_one_of_them_is_enough() {
    let mut network = Network::grown(4, 60, LinkModel::internet());
    let key = key_of("greeting");
    network.put(5, "greeting", b"hello");
    network.simulation.crash(5);
    for hour in 1..=6 {
        // Half of them go, and others come who know nothing.
        let holders = network.holders(&key);
        for gone in holders.iter().take(K / 2) {
            network.replace(*gone);
        }
        let before = republished(&network);
        network.run_for(HOUR + 10 * MINUTE);
        let turns = republished(&network) - before;
        let copies = network.closest(&key, K).intersection(&network.holders(&key)).count();
        println!(
            "hour {hour}: {turns} turns of {} holders, {copies} copies among the {K} closest",
            holders.len()
        );
        assert!(
            (1..=3).contains(&turns),
            "who received it in the last hour skips its turn (paper, section 2.5)"
        );
        assert!(copies >= K - 1);
    }
}

#[test]
fn fs_e4_a_pair_expires_after_a_day_unless_its_publisher_renews_it() {
    let mut network = Network::grown(5, 12, LinkModel::internet());
    network.put(3, "kept", b"every day");
    network.put(4, "left", b"for a day");
    network.simulation.crash(4);
    network.run_for(23 * HOUR);
    assert_eq!(network.get(7, "left").value().unwrap().as_bytes(), b"for a day");
    network.run_for(2 * HOUR);
    assert!(network.holders(&key_of("left")).is_empty(), "no holder prolongs its life");
    for day in 2..=4 {
        network.run_for(24 * HOUR);
        assert!(network.get(7, "kept").value().is_some(), "day {day}");
    }
    let withdrawn = network.simulation.call(3, |node, _| node.service_mut().withdraw(&key_of("kept")));
    assert_eq!(withdrawn, Some(true));
    network.run_for(25 * HOUR);
    assert!(network.holders(&key_of("kept")).is_empty());
    assert_eq!(network.get(7, "kept").item, None);
}

#[test]
fn fs_e4_a_closer_newcomer_receives_the_pairs_it_should_hold() {
    let mut network = Network::grown(6, 50, LinkModel::internet());
    for n in 0..40 {
        network.put(n, &format!("value {n}"), b"something");
    }
    let newcomers = 50..60;
    network.grow(10);
    network.run_for(2 * MINUTE);
    let (mut due, mut received) = (0, 0);
    for key in (0..40).map(|n| key_of(format!("value {n}"))) {
        let (closest, holders) = (network.closest(&key, K), network.holders(&key));
        let mine: Vec<_> = closest.iter().filter(|index| newcomers.contains(*index)).collect();
        due += mine.len();
        received += mine.iter().filter(|index| holders.contains(*index)).count();
    }
    let turns = republished(&network);
    println!("newcomers have {received} of {due} pairs after two minutes, and {turns} turns were used");
    assert!(due > 50 && turns == 0);
    assert!(received * 100 >= due * 95, "the others come within the hour");
    network.run_for(HOUR + 10 * MINUTE);
    for key in (0..40).map(|n| key_of(format!("value {n}"))) {
        let missing = network.closest(&key, K).difference(&network.holders(&key)).count();
        assert!(missing <= 1, "{missing} of the closest lack {key}");
    }
}

/// Targets of the lookups of one node, from now on.
fn watch_lookups(network: &mut Network, index: NodeIndex) -> Arc<Mutex<Vec<Id>>> {
    let targets = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&targets);
    network.simulation.observe(move |_, step: &Step<'_, KeyValue>| {
        if let Step::Delivered { from, payload: Payload::Bytes(bytes), cause: Some(Cause::Lookup(_)), .. } =
            step
            && *from == index
            && let Ok(Message { body: Body::Request { request: Request::FindNode { target }, .. }, .. }) =
                Compact::decode(bytes)
        {
            log.lock().unwrap().push(target);
        }
    });
    targets
}

#[test]
fn fs_e4_a_bucket_idle_for_an_hour_is_refreshed() {
    let mut network = Network::grown(7, 60, LinkModel::internet());
    network.run_for(HOUR);
    let targets = watch_lookups(&mut network, 17);
    let local = network.simulation.node(17).unwrap().local();
    let far = |targets: &[Id]| targets.iter().filter(|target| local.common_prefix(target) == 0).count();
    network.run_for(HOUR);
    assert_eq!(far(&targets.lock().unwrap()), 0, "its contacts in the other half answer when asked");
    // Then nobody in the other half of the keyspace does.
    let halves: Vec<u32> =
        network.simulation.nodes().map(|(_, node)| u32::from(node.local().as_bytes()[0] >> 7)).collect();
    network.simulation.partition(|index| halves[index]);
    network.run_for(50 * MINUTE);
    assert_eq!(far(&targets.lock().unwrap()), 0, "not yet an hour");
    network.run_for(30 * MINUTE);
    assert!(far(&targets.lock().unwrap()) > 0);
}

#[test]
fn of_two_publishers_the_newest_put_wins_and_the_other_is_told() {
    let mut network = Network::grown(8, 40, LinkModel::internet());
    network.put(3, "greeting", b"hello");
    let second = network.put(4, "greeting", b"good evening");
    assert!(second.conflicts() == 0 && second.copies() >= K);
    assert_eq!(network.get_newest(9, "greeting").value().unwrap().as_bytes(), b"good evening");
    // The first publisher's next renewal comes too late, and is the last.
    network.run_for(24 * HOUR);
    let publishes =
        |network: &Network, index| network.simulation.node(index).unwrap().service().publications().count();
    assert_eq!((publishes(&network, 3), publishes(&network, 4)), (0, 1), "superseded, and withdrawn");
    network.run_for(10 * HOUR);
    assert_eq!(network.get_newest(9, "greeting").value().unwrap().as_bytes(), b"good evening");
}

#[test]
fn a_removed_value_is_gone_at_once_and_older_copies_do_not_bring_it_back() {
    let mut network = Network::grown(9, 35, LinkModel::internet());
    let key = key_of("greeting");
    network.put(3, "greeting", b"hello");
    let away = *network.holders(&key).iter().find(|index| **index != 3).unwrap();
    network.simulation.isolate(away, true);
    let removed = network.remove(3, "greeting");
    assert!(removed.copies() >= K - 1);
    let got = network.get_newest(20, "greeting");
    assert!(got.item.as_ref().is_some_and(|item| item.value.is_none()) && got.value().is_none());
    // Who was away still has it, and is told when it publishes it again.
    network.simulation.isolate(away, false);
    network.run_for(2 * HOUR);
    assert_eq!(network.get_newest(away, "greeting").value(), None);
    for reader in [5, 11, 30] {
        assert_eq!(network.get_newest(reader, "greeting").value(), None);
    }
    network.run_for(25 * HOUR);
    assert!(network.holders(&key).is_empty(), "and the word that it is gone expires, too");
    network.put(8, "greeting", b"hello again");
    assert_eq!(network.get(21, "greeting").value().unwrap().as_bytes(), b"hello again");
}

#[test]
fn a_get_for_the_newest_mends_what_is_outdated() {
    let mut network = Network::grown(10, 40, LinkModel::internet());
    let key = key_of("greeting");
    network.put(3, "greeting", b"hello");
    let away: Vec<_> = network.holders(&key).into_iter().filter(|index| *index != 3).take(8).collect();
    away.iter().for_each(|index| network.simulation.isolate(*index, true));
    network.put(3, "greeting", b"good evening");
    away.iter().for_each(|index| network.simulation.isolate(*index, false));
    let reader = (0..40).find(|index| !network.holders(&key).contains(index)).unwrap();
    assert_eq!(network.get_newest(reader, "greeting").value().unwrap().as_bytes(), b"good evening");
    network.run_for(10 * Duration::from_secs(1));
    let now = network.now();
    let outdated = network.simulation.nodes().filter_map(|(_, node)| node.service().pair(now, &key));
    let outdated = outdated.filter(|pair| pair.value.as_ref().unwrap().as_bytes() == b"hello").count();
    assert!(outdated <= 1, "{outdated} of {} are as they were", away.len());
}

/// The whole network is restarted with its databases, but under other keys: what nodes hold is not where it belongs.
#[test]
fn fs_e4_what_databases_have_kept_finds_its_way_to_where_it_belongs() {
    let mut network = Network::grown(11, 60, LinkModel::internet());
    let names: Vec<_> = (0..30).map(|n| format!("value {n}")).collect();
    for (at, name) in names.iter().enumerate() {
        network.put(at, name, name.as_bytes());
    }
    network.restart_with_stores();
    network.run_for(HOUR + 5 * MINUTE);
    for name in &names {
        let (closest, holders) = (network.closest(&key_of(name), K), network.holders(&key_of(name)));
        assert!(closest.difference(&holders).count() <= 1, "{name}");
    }
}

#[test]
fn what_is_withdrawn_before_its_turn_is_not_put_and_says_so() {
    let mut network =
        Network::empty(12, LinkModel::internet(), KvConfig { publishing: 0, ..KvConfig::default() });
    network.grow(1);
    let (first, second) = (network.begin_put(0, key_of("a"), b"1"), network.begin_put(0, key_of("a"), b"2"));
    network.run_for(MINUTE);
    assert!(first.try_recv().is_err() && second.try_recv().is_err(), "no turn came");
    let withdrawn = network.simulation.call(0, |node, _| node.service_mut().withdraw(&key_of("a")));
    assert_eq!(withdrawn, Some(true));
    assert_eq!(
        (network.wait(&first), network.wait(&second)),
        (Err(NotPut::Withdrawn), Err(NotPut::Withdrawn))
    );
}

/// One lookup runs at a time and another waits; whoever comes then is told, and his put is tried again.
#[test]
fn puts_and_gets_beyond_what_the_engine_takes_are_busy_and_a_put_is_tried_again() {
    let mut network = Network::grown(14, 30, LinkModel::internet());
    let mut config = KeyValue::config();
    (config.lookup.running, config.lookup.waiting) = (1, 1);
    let at = network.simulation.spawn(address_v4(900), |birth| {
        node(&birth, Arc::new(config), KvConfig { read_only: true, ..KvConfig::default() })
    });
    let router = network.simulation.address(0).unwrap();
    network.simulation.call(at, |node, now| node.bootstrap(now, &[router]));
    network.run_for(10 * MINUTE);

    let gets: Vec<_> =
        (0..3).map(|n| network.begin_get(at, key_of(format!("value {n}")), Wanted::Newest)).collect();
    let gets: Vec<_> = gets.iter().map(|get| network.wait(get)).collect();
    assert_eq!(gets.iter().filter(|get| get.is_err()).count(), 1, "{gets:?}");
    assert_eq!(gets[2], Err(LookupLimit { waiting: 1 }));

    let names: Vec<_> = (0..3).map(|n| format!("value {n}")).collect();
    let puts: Vec<_> = names.iter().map(|name| network.begin_put(at, key_of(name), b"hello")).collect();
    let puts: Vec<_> = puts.iter().map(|put| network.wait(put)).collect();
    let busy = |put: &Result<_, NotPut>| *put == Err(NotPut::Busy(LookupLimit { waiting: 1 }));
    assert_eq!(puts.iter().filter(|put| busy(put)).count(), 1, "{puts:?}");
    network.run_for(5 * MINUTE);
    for name in &names {
        assert_eq!(network.get(7, name).value().unwrap().as_bytes(), b"hello", "{name}");
    }
}
