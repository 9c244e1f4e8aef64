//! The overlay keeps the laws of `transport_mem::kit`, as every overlay must.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kademlia_core::{Instant, Key, Node, Storage, StorageLimits};
use proptest::prelude::*;
use proptest::sample::select;
use transport_mem::Birth;
use transport_mem::kit::{Kit, Law};

use crate::codec::strategies::{a_request, a_response};
use crate::config::{RecordsConfig, engine_config};
use crate::identity::SecretKey;
use crate::message::{Request, Response};
use crate::protocol::SignedRecords;
use crate::record::Draft;
use crate::refusal::Refusal;
use crate::service::RecordsService;
use crate::time::{Clock, Timestamp};

const WALL: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Less than what all publishers together want to store.
const BYTES: usize = 8 << 10;

fn node(birth: Birth<Key<32>>) -> Node<SignedRecords, RecordsService> {
    let identity = SecretKey::from_seed(&birth.seed);
    let mut secrets = birth.seed;
    secrets.reverse();
    let clock = Clock::new(Instant::ZERO, WALL);
    let config = RecordsConfig::default();
    let config = RecordsConfig { storage: StorageLimits { bytes: BYTES, ..config.storage }, ..config };
    let service = RecordsService::new(identity, clock, config, secrets);
    service.into_node(engine_config(), birth.seed, birth.now)
}

fn person(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

/// Whatever can be asked; often for what somebody publishes.
fn requests() -> impl Strategy<Value = Request> {
    let target = select((0..40).map(|n| person(n).public().key()).collect::<Vec<_>>());
    let find = target.prop_map(|target| Request::Find { target, kind: None, after: None });
    prop_oneof![a_request(), find]
}

/// Whoever has a token stores what is published under the key.
fn store(request: &Request, response: &Response) -> Option<Request> {
    let Request::Find { target, .. } = request else { return None };
    let publisher = (0..40).map(person).find(|person| person.public().key() == *target)?;
    let record = Draft::endpoint("udp://192.0.2.1:7").ok()?.sign(&publisher, 1, WALL);
    Some(Request::Store { key: *target, record, token: response.token? })
}

#[test]
fn fs_kit_signed_records_keep_all_laws() {
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    let report = Kit::new(node)
        .requests(requests())
        .responses(a_response())
        .errors(Refusal::all().iter().map(|refusal| (refusal.code(), refusal.text())))
        .follow_up(store)
        .holds(
            move |service: &RecordsService| {
                seen.fetch_max(service.storage().bytes(), Ordering::Relaxed);
                service.storage().bytes()
            },
            BYTES,
        )
        .measure(|run| allocation_counter::measure(run).bytes_total)
        .check();
    println!("{report}");
    assert_eq!(report.seen.len(), Law::ALL.len());
    let most = most.load(Ordering::Relaxed);
    assert!(most > BYTES * 9 / 10, "the store was full: {most}");
}
