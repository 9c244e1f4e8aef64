//! What a node holds for others and does at once is bounded, and whoever meets a bound is told.

use kademlia_core::{Keyspace, StorageLimits};

use super::*;
use crate::service::{AskError, FindError, ResolveError};

const NOW: Instant = Instant::ZERO;

/// Where an operation has left its end.
type End<T> = Arc<std::sync::Mutex<Option<T>>>;

fn end<T: Send + 'static>() -> (End<T>, impl FnOnce(T) + Send + 'static) {
    let end = End::default();
    let told = Arc::clone(&end);
    (end, move |result| *told.lock().unwrap() = Some(result))
}

#[test]
fn more_operations_than_may_be_are_each_refused_as_busy() {
    let mut service = service(RecordsConfig { operations: 2, ..RecordsConfig::default() });
    let (target, to) = (Key::new([7; 32]), host(1));
    service.ping(to, |_| panic!("nobody has answered"));
    service.find(NOW, target, None, |_| panic!("nobody has answered"));
    assert_eq!(service.operations(), 2);
    let mut asks: Vec<Option<AskError>> = Vec::new();
    macro_rules! ask {
        ($method:ident, $($argument:expr),*) => {{
            let (end, done) = end();
            service.$method($($argument,)* done);
            asks.push(end.lock().unwrap().take().unwrap().err());
        }};
    }
    ask!(ping, to);
    ask!(ping_identity, to);
    ask!(find_node_at, to, target);
    ask!(find_value_at, to, target, None);
    ask!(store_at, to, endpoint("x").sign(&person(5), 1, WALL));
    ask!(probe, to, to);
    assert_eq!(asks, vec![Some(AskError::Busy); 6]);
    let (found, done) = end();
    service.find(NOW, target, None, done);
    let (all, done) = end();
    service.aggregate(NOW, target, None, done);
    let (closest, done) = end();
    service.closest(target, done);
    let (resolved, done) = end();
    service.resolve(NOW, person(5).public(), done);
    assert_eq!(found.lock().unwrap().take(), Some(Err(FindError::Busy)));
    assert_eq!(all.lock().unwrap().take(), Some(Err(FindError::Busy)));
    assert_eq!(closest.lock().unwrap().take(), Some(Err(FindError::Busy)));
    assert_eq!(resolved.lock().unwrap().take(), Some(Err(ResolveError::Busy)));
    assert_eq!(service.operations(), 2);
}

#[test]
fn an_operation_that_has_ended_makes_room_for_another() {
    let mut node = node(RecordsConfig { operations: 1, ..RecordsConfig::default() });
    let (first, done) = end();
    node.service_mut().ping(host(1), done);
    let mut now = NOW;
    while first.lock().unwrap().is_none() {
        now = node.poll_timeout().unwrap().max(now);
        node.handle_timeout(now);
        while node.poll_message().is_some() {}
    }
    let (second, done) = end();
    node.service_mut().ping(host(1), done);
    assert!(second.lock().unwrap().is_none(), "under way");
}

fn storing(limits: StorageLimits) -> TestNode {
    node(RecordsConfig { storage: limits, ..RecordsConfig::default() })
}

#[test]
fn fs_d2_one_key_has_so_many_records_and_no_more() {
    assert_eq!(RecordsConfig::default().storage.per_key, 1_000);
    let mut node = storing(StorageLimits { per_key: 3, ..StorageLimits::default() });
    let mut put = |draft: Draft, n: u8| put(&mut node, NOW, host(n.into()), &draft.sign(&person(n), 1, WALL));
    assert_eq!([1, 2, 3].map(|n| put(on_topic("t"), n)), [Ok(()); 3]);
    assert_eq!(put(on_topic("t"), 4), Err(Refusal::Full));
    assert_eq!(put(on_topic("another"), 4), Ok(()), "another key's are not counted");
    let newer = on_topic("t").sign(&person(2), 2, WALL);
    assert_eq!(super::put(&mut node, NOW, host(2), &newer), Ok(()), "a newer version needs no further room");
}

#[test]
fn fs_d2_the_bytes_are_bounded_and_the_farthest_key_gives_way() {
    let limits = StorageLimits { bytes: 16 << 10, per_source: 0, per_subnet: 0, ..StorageLimits::default() };
    let mut node = storing(limits);
    let own = node.local();
    let mut records: Vec<_> =
        (0..200).map(|n| endpoint(&"x".repeat(300)).sign(&person(n), 1, WALL)).collect();
    records.sort_by(|a, b| own.cmp_distance(&b.target(), &a.target()));
    // Ever nearer ones come, and find room.
    for (at, record) in (0..).zip(&records) {
        assert_eq!(put(&mut node, NOW, host(at), record), Ok(()));
        assert!(node.service().storage().bytes() <= limits.bytes);
    }
    let kept = node.service().storage().len();
    assert!((10..50).contains(&kept), "{kept}");
    let holds = |record: &SignedRecord| node.service().storage().has(NOW, &record.target());
    let (gone, nearest) = records.split_at(records.len() - kept);
    assert!(nearest.iter().all(holds) && !gone.iter().any(holds));
    assert_eq!(put(&mut node, NOW, host(300), &records[0]), Err(Refusal::Full), "it is the farthest of all");
}
