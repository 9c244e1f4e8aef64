//! D2: what is kept, and how much.

use kademlia_core::{MemoryStorage, StorageLimits};

use super::*;
use crate::record::{Kind, Slot, StoredRecord, Subject};

const NOW: Instant = Instant::ZERO;

#[test]
fn fs_d2_equal_and_older_versions_are_stale_and_the_newest_is_given_out() {
    let mut node = node(RecordsConfig::default());
    let version = |sequence, text| endpoint(text).sign(&person(5), sequence, WALL);
    let mut put = |sequence, text| put(&mut node, NOW, host(1), &version(sequence, text));
    assert_eq!(put(7, "seven"), Ok(()));
    assert_eq!(put(7, "seven"), Err(Refusal::Stale), "the same again");
    assert_eq!(put(7, "another seven"), Err(Refusal::Stale));
    assert_eq!(put(6, "six"), Err(Refusal::Stale));
    assert_eq!(put(8, "eight"), Ok(()));
    let target = person(5).public().key();
    let found = ask(&mut node, NOW, host(2), Request::Find { target, kind: None, after: None });
    assert_eq!(found.unwrap().unwrap().records, [version(8, "eight")]);
    let slot = Slot { publisher: person(5).public(), subject: Subject::Endpoint };
    assert_eq!(node.service_mut().get(NOW, &slot), Some(version(8, "eight")));
}

#[test]
fn fs_d2_all_records_are_given_filtered_by_type_and_listed() {
    let mut node = node(RecordsConfig::default());
    let (one, two) = (person(5), person(6));
    let mailbox = Draft::mailbox("box").unwrap();
    let records = [
        endpoint("a").sign(&one, 1, WALL),
        mailbox.sign(&one, 1, WALL),
        on_topic("t").sign(&one, 1, WALL),
        on_topic("t").sign(&two, 1, WALL),
    ];
    for record in &records {
        assert_eq!(put(&mut node, NOW, host(1), record), Ok(()));
    }
    let mut kinds = |target, kind| {
        let held = node.service_mut().held(NOW, &target, kind);
        held.iter().map(|record| record.subject.kind()).collect::<Vec<_>>()
    };
    let (own, topic) = (one.public().key(), Topic::new("t").unwrap().key());
    assert_eq!(kinds(own, None), [Kind::Endpoint, Kind::Mailbox]);
    assert_eq!(kinds(own, Some(Kind::Mailbox)), [Kind::Mailbox]);
    assert_eq!(kinds(own, Some(Kind::Topic)), []);
    assert_eq!(kinds(topic, None), [Kind::Topic, Kind::Topic]);
    let mut listed = node.service_mut().list(NOW, 100);
    assert_eq!(listed.len(), 4);
    listed.retain(|(key, record)| record.target() == *key && records.contains(record));
    assert_eq!(listed.len(), 4);
    assert_eq!(node.service_mut().list(NOW, 3).len(), 3);
}

#[test]
fn fs_d2_a_list_that_does_not_fit_one_reply_is_read_on() {
    let mut node = node(RecordsConfig::default());
    for n in 10..40 {
        assert_eq!(put(&mut node, NOW, host(n.into()), &on_topic("t").sign(&person(n), 1, WALL)), Ok(()));
    }
    let (target, mut after, mut found) = (Topic::new("t").unwrap().key(), None, Vec::new());
    loop {
        let request = Request::Find { target, kind: Some(Kind::Topic), after };
        let body = ask(&mut node, NOW, host(1), request).unwrap().unwrap();
        found.extend(body.records.iter().map(|record| record.publisher));
        if !body.more {
            break;
        }
        after = found.last().copied();
    }
    assert_eq!(found.len(), 30);
    assert!(found.is_sorted());
}

#[test]
fn fs_d2_there_is_room_for_a_hundred_thousand_keys_and_then_a_clear_error() {
    let config = RecordsConfig::default();
    assert_eq!(config.keys, 100_000);
    let mut storage = MemoryStorage::new(StorageLimits { per_source: 0, per_subnet: 0, ..config.storage });
    let record = endpoint("average length of an endpoint").sign(&person(5), 1, WALL);
    let mut rng = Rng::from_number(1);
    let expires = Instant::from_secs(60);
    for _ in 0..config.keys {
        let mut publisher = [0; 32];
        rng.fill(&mut publisher);
        let record = SignedRecord { publisher: PublicKey::new(publisher), ..record.clone() };
        let stored = StoredRecord { record, source: host(1).ip() };
        storage.insert(NOW, Key::new(publisher), stored, expires).unwrap();
    }
    let identity = SecretKey::from_seed(&[1; 32]);
    let service = RecordsService::with_storage(identity, clock(), config, storage, [2; 32]);
    let mut node = service.into_node(engine_config(), [3; 32], NOW);
    assert_eq!(node.service().storage().keys(), 100_000, "no key has given way");
    assert_eq!(put(&mut node, NOW, host(1), &record), Err(Refusal::Full));
    // Once they have expired there is room again.
    let later = Instant::from_secs(61);
    while !node.service().storage().is_empty() {
        let due = node.poll_timeout().unwrap().max(later);
        node.handle_timeout(due + Duration::from_secs(1));
    }
    assert_eq!(put(&mut node, Instant::from_secs(300), host(1), &record), Ok(()));
}

#[test]
fn fs_d2_another_record_under_a_known_key_needs_no_further_key() {
    let mut node = node(RecordsConfig { keys: 2, ..RecordsConfig::default() });
    let mut put = |draft: Draft, n| put(&mut node, NOW, host(1), &draft.sign(&person(n), 1, WALL));
    assert_eq!(put(endpoint("x"), 5), Ok(()));
    assert_eq!(put(endpoint("x"), 6), Ok(()));
    assert_eq!(put(endpoint("x"), 7), Err(Refusal::Full));
    assert_eq!(put(Draft::mailbox("x").unwrap(), 6), Ok(()));
}

#[test]
fn one_source_holds_no_more_than_its_share() {
    let mut node = node(RecordsConfig::default());
    let mut put = |from, n| put(&mut node, NOW, from, &endpoint("x").sign(&person(n), 1, WALL));
    for n in 0..64 {
        assert_eq!(put(host(1), n), Ok(()));
    }
    assert_eq!(put(host(1), 64), Err(Refusal::Full));
    assert_eq!(put(host(2), 64), Ok(()));
}

#[test]
fn fs_d1_nothing_is_given_out_after_it_expired_whatever_the_engines_clock_says() {
    let mut node = node(RecordsConfig::default());
    let record = endpoint("x").lasting(Duration::from_secs(100)).sign(&person(5), 1, WALL);
    assert_eq!(put(&mut node, NOW, host(1), &record), Ok(()));
    let mut held = |clock, second| {
        let now = Instant::from_secs(second);
        node.service_mut().set_clock(now, clock);
        node.service_mut().held(now, &record.target(), None).len()
    };
    assert_eq!([held(clock(), 99), held(clock(), 100)], [1, 0]);
    // The machine slept for a minute and a half, and the engine did not notice.
    let after_sleep = Clock::new(Instant::from_secs(10), WALL.after(Duration::from_secs(100)));
    assert_eq!(held(after_sleep, 10), 0);
}
