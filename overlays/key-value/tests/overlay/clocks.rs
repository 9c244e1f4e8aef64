//! Clocks that are wrong, and set right: the machine slept, or started in another age.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Failure, Instant, Storage};
use key_value::kv::StoreError;
use key_value::{ErrorCode, Id, Kv, KvConfig, Pair, Wall, key_of};
use storage_redb::RedbStorage;
use tokio::time::sleep;
use transport_mem::{LinkModel, MemNetwork, NodeIndex};

use crate::network::{HOUR, MINUTE, Network};

const TODAY: u64 = 1_700_000_000_000;

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap()
}

/// Tells a node what time it is by the others' clocks, and by how much its own is ahead.
fn set(network: &mut Network, at: NodeIndex, ahead: Duration) {
    network.simulation.call(at, |node, now| {
        node.service_mut().set_wall(now, Wall::at_zero(TODAY + millis(ahead)));
    });
}

#[test]
fn a_node_that_slept_takes_and_finds_and_puts_again_once_its_calendar_is_set() {
    let mut network = Network::grown(1, 12, LinkModel::internet());
    let late = 7;
    (0..12).for_each(|at| set(&mut network, at, if at == late { Duration::ZERO } else { 12 * HOUR }));
    let holds = |network: &Network, name| network.holders(&key_of(name)).contains(&late);
    network.put(3, "greeting", b"hello");
    assert!(!holds(&network, "greeting"), "from the future");
    assert_eq!(network.get(late, "greeting").item, None, "nor is it believed");
    assert!(network.put(late, "greeting", b"good evening").is_superseded());

    set(&mut network, late, 12 * HOUR);
    network.put(3, "another", b"hello");
    assert!(holds(&network, "another"));
    assert_eq!(network.get_newest(late, "greeting").value().unwrap().as_bytes(), b"hello");
    let put = network.put(late, "greeting", b"good evening");
    assert_eq!((put.conflicts(), put.copies()), (0, 12));
    assert_eq!(network.get_newest(3, "greeting").value().unwrap().as_bytes(), b"good evening");
}

#[test]
fn what_a_node_holds_gets_older_while_it_sleeps_and_no_younger_when_its_clock_goes_back() {
    let mut network = Network::grown(2, 12, LinkModel::internet());
    network.put(3, "greeting", b"hello");
    let (key, at) = (key_of("greeting"), 7);
    let life = |network: &Network| {
        let (now, service) = (network.now(), network.simulation.node(at).unwrap().service());
        service.pair(now, &key).map(|pair| pair.versioned(service.calendar().millis(now)).life / 3_600)
    };
    let mut advance = |hours: u32| {
        let wall = Wall::at_zero(millis(hours * HOUR));
        network.simulation.call(at, |node, now| node.service_mut().set_wall(now, wall));
        life(&network)
    };
    assert_eq!([0, 20, 10].map(&mut advance), [Some(23), Some(3), Some(3)]);
    assert_eq!(
        [24, 0].map(&mut advance),
        [None, None],
        "expired, though the engine's clock says nothing of it"
    );
    let store = network.simulation.node(at).unwrap().service().store();
    assert!(store.has(network.now(), &key));
    network.simulation.crash(3);
    assert_eq!(network.get(at, "greeting").value().unwrap().as_bytes(), b"hello", "from the others");
}

/// Hours that a clock has missed.
type Missed = Arc<AtomicU32>;

/// Shows the year 2015, less what it has missed.
fn clock(missed: &Missed) -> impl Fn() -> SystemTime + Clone + Send + Sync + 'static {
    let (missed, start) = (Arc::clone(missed), tokio::time::Instant::now());
    move || UNIX_EPOCH + 400_000 * HOUR + start.elapsed() - HOUR * missed.load(Ordering::Relaxed)
}

fn node(network: &MemNetwork, host: u8, missed: &Missed, through: Option<SocketAddr>) -> Kv {
    let transport = network.bind(SocketAddr::from(([20, 0, host, 1], 7_001))).unwrap();
    let builder = Kv::builder().seed([host; 32]).wall_clock(clock(missed));
    builder.bootstrap(through.map(|addr| addr.to_string())).spawn(transport).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_by_twelve_hours_is_followed_within_a_minute() {
    let network = MemNetwork::new(LinkModel::perfect(), 1);
    let (right, missed) = (Missed::default(), Missed::new(AtomicU32::new(12)));
    let first = node(&network, 1, &right, None);
    let second = node(&network, 2, &missed, Some(first.local_addr()));
    second.bootstrapped().await.unwrap();
    first.put("greeting", b"hello").await.unwrap();
    assert_eq!(second.get("greeting").await.unwrap(), None, "from the future");
    let store = first.store(second.local_addr(), key_of("another"), b"hello", None).await;
    let Err(StoreError::Failed(RequestFailure::Failed(Failure::Refused { code, .. }))) = store else {
        panic!()
    };
    assert_eq!(code, i64::from(ErrorCode::FromFuture));

    missed.store(0, Ordering::Relaxed);
    sleep(MINUTE + Duration::from_secs(1)).await;
    assert_eq!(second.get("greeting").await.unwrap().unwrap(), b"hello");
    first.store(second.local_addr(), key_of("another"), b"hello", None).await.unwrap();
    assert_eq!(second.put("greeting", b"good evening").await.unwrap().copies(), 2);
    assert_eq!(first.get_newest("greeting").await.unwrap().unwrap(), b"good evening");
}

#[tokio::test(start_paused = true)]
async fn what_is_put_after_a_sleep_is_in_the_database_as_long_as_it_lives() {
    let (dir, missed) = (tempfile::tempdir().unwrap(), Missed::new(AtomicU32::new(30)));
    let (path, key, clock) = (dir.path().join("pairs.redb"), key_of("node"), clock(&missed));
    let open = |wall| -> RedbStorage<Id, Pair> {
        RedbStorage::open(&path, KvConfig::default().storage, key, Instant::ZERO, wall).unwrap()
    };
    let network = MemNetwork::new(LinkModel::perfect(), 1);
    let transport = network.bind(SocketAddr::from(([20, 0, 0, 1], 7_001))).unwrap();
    let builder = Kv::builder().key(key).seed([1; 32]).storage(open(clock())).wall_clock(clock.clone());
    let kv = builder.spawn(transport).unwrap();
    // The machine sleeps for thirty hours, and the engine's clock does not notice.
    missed.store(0, Ordering::Relaxed);
    sleep(MINUTE + Duration::from_secs(1)).await;
    assert_eq!(kv.put("greeting", b"hello").await.unwrap().copies(), 1);
    kv.shutdown().await;
    drop(kv);
    assert_eq!(open(clock() + 23 * HOUR).len(), 1);
    assert_eq!(open(clock() + 24 * HOUR).len(), 0);
}
