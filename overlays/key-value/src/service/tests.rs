//! What a service does at once is bounded.

use std::net::SocketAddr;

use kademlia_core::{Failure, Key, LookupLimit};

use super::*;
use crate::pair::Value;

const HOUR: Duration = Duration::from_secs(3_600);

fn key(n: u8) -> Id {
    Key::new([n; 32])
}

fn contact(n: u8) -> Contact<Id> {
    Contact::new(key(n), SocketAddr::from(([20, n, 0, 1], 7_001)))
}

fn table(now: Instant, others: &[u8]) -> Table<Id> {
    let mut table = Table::new(key(0), 20, KeyValue::config().table);
    for other in others {
        table.answered(now, contact(*other), None);
    }
    table
}

/// A service that holds six pairs of somebody else's.
fn service(config: KvConfig) -> KvService {
    let mut service = KvService::in_memory(key(0), config, [1; 32], Instant::ZERO);
    for n in 1..=6 {
        let item = Versioned { version: 1, value: Some(Value::new(&[n]).unwrap()), life: 86_400 };
        let source = IpAddr::from([20, n, 0, 1]);
        service.keep(Instant::ZERO, key(n), item, source, 24 * HOUR).unwrap();
    }
    service
}

/// The tasks that it wants done now.
fn tasks(service: &mut KvService, now: Instant, table: &Table<Id>) -> VecDeque<(TaskId, Task<KeyValue>)> {
    std::iter::from_fn(|| service.poll_task(now, table)).collect()
}

/// Works through them, one at a time; gives back how many there were, and the most at once.
fn work_off(
    service: &mut KvService,
    now: Instant,
    table: &Table<Id>,
    outcome: impl Fn() -> Outcome<KeyValue>,
) -> (usize, usize) {
    let (mut running, mut all, mut most) = (VecDeque::new(), 0, 0);
    loop {
        running.extend(tasks(service, now, table));
        most = most.max(running.len());
        let Some((id, _)) = running.pop_front() else { return (all, most) };
        all += 1;
        service.handle_outcome(now, id, outcome(), table);
    }
}

#[test]
fn fs_e4_no_more_pairs_than_may_be_are_published_for_others_at_once() {
    let mut service = service(KvConfig { republishing: 2, ..KvConfig::default() });
    let (now, table) = (Instant::ZERO + 2 * HOUR, table(Instant::ZERO, &[]));
    assert!(service.poll_timeout().is_some_and(|due| due <= now));
    let first = tasks(&mut service, now, &table);
    assert_eq!(first.len(), 2, "of the six whose turn it is");
    assert!(service.poll_timeout().is_none_or(|due| due > now), "nothing is to be done until one has ended");
    for (id, _) in first {
        service.handle_outcome(now, id, Outcome::Limited(LookupLimit { waiting: 0 }), &table);
    }
    let limited = || Outcome::Limited(LookupLimit { waiting: 0 });
    assert_eq!(work_off(&mut service, now, &table, limited), (4, 2));
    assert_eq!(service.activity().republished, 6);
}

#[test]
fn fs_e4_no_more_newcomers_than_may_be_are_handed_pairs_at_once_and_no_more_wait() {
    let mut service = service(KvConfig { handing: 2, newcomers: 5, ..KvConfig::default() });
    let (now, others) = (Instant::from_secs(60), [101, 102, 103, 104, 105, 106, 107]);
    let table = table(now, &others);
    for other in others {
        service.contact_added(now, &contact(other), &table);
    }
    let silent = || Outcome::Requested(Err(Failure::TimedOut));
    assert_eq!(work_off(&mut service, now, &table, silent), (5, 2), "two find no place");
    assert!(service.poll_timeout().is_none_or(|due| due > now));
}
