//! Nodes over UDP on loopback.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kademlia_core::runtime::{Closed, RequestFailure};
use kademlia_core::{Failure, Instant, Keyspace, Rng};
use key_value::kv::{GetError, PutError, SpawnError, StoreError};
use key_value::{ErrorCode, Id, K, Kv, KvConfig, MAX_VALUE, Pair, Response, Wanted, key_of};
use storage_redb::RedbStorage;
use transport_udp::UdpTransport;

/// Waits for the rest of a group of nodes to know each other.
const SETTLE: Duration = Duration::from_secs(10);

async fn bind() -> UdpTransport {
    UdpTransport::bind("127.0.0.1:0").await.unwrap()
}

/// Nodes that joined one after the other, through the first.
async fn nodes(count: usize) -> Vec<Kv> {
    nodes_with(count, K).await
}

/// The same, with `k` holders to a value.
async fn nodes_with(count: usize, k: usize) -> Vec<Kv> {
    let mut nodes: Vec<Kv> = Vec::new();
    for _ in 0..count {
        let first = nodes.first().map(|node| node.local_addr().to_string());
        let builder = Kv::builder().configure(move |config| config.k = k);
        let node = builder.bootstrap(first).spawn(bind().await).unwrap();
        if !nodes.is_empty() {
            tokio::time::timeout(SETTLE, node.bootstrapped()).await.unwrap().unwrap();
        }
        nodes.push(node);
    }
    nodes
}

/// Of those who hold nothing, the first.
async fn without_pairs(nodes: &[Kv]) -> &Kv {
    for node in nodes {
        if node.dump().await.unwrap().pairs.is_empty() {
            return node;
        }
    }
    panic!("everybody holds something");
}

#[tokio::test]
async fn fs_e6_ten_nodes_put_on_one_get_on_another() {
    let nodes = nodes_with(10, 4).await;
    let key = key_of("greeting");
    // Versions of our own: all this may take less than a millisecond, and of two puts in one the greater value wins.
    let put = nodes[2].put_version(key, b"hello", Some(1)).await.unwrap();
    assert_eq!(put.stored.accepted.len(), 4);
    // So it has to ask.
    let reader = without_pairs(&nodes).await;
    let got = reader.lookup_value(key, Wanted::First).await.unwrap();
    assert_eq!(got.value().unwrap().as_bytes(), b"hello");
    let took = |holder: &Id| put.stored.accepted.iter().any(|contact| contact.key == *holder);
    // The writer keeps it, too, where it is one of the closest itself.
    let (holder, wrote) = (got.holders[0].key, put.here.map(|_| nodes[2].key()));
    assert!(took(&holder) || wrote == Some(holder), "{got:?} after {put:?}");
    assert!(got.report.unwrap().answered >= 1);
    assert_eq!(reader.get("nothing").await.unwrap(), None);
    nodes[5].put_version(key, b"good evening", Some(2)).await.unwrap();
    for node in &nodes {
        assert_eq!(node.get_newest("greeting").await.unwrap().unwrap(), b"good evening");
    }
    nodes[0].remove("greeting").await.unwrap();
    for node in &nodes {
        assert_eq!(node.get_newest("greeting").await.unwrap(), None);
    }
}

#[tokio::test]
async fn fs_e6_where_ten_nodes_are_all_there_are_each_holds_a_value() {
    let nodes = nodes(10).await;
    assert_eq!(nodes[2].put("greeting", b"hello").await.unwrap().copies(), 10);
    assert_eq!(nodes[0].remove("greeting").await.unwrap().copies(), 10);
    assert_eq!(nodes[8].get_newest("greeting").await.unwrap(), None);
    // A client that answers nobody, and keeps nothing.
    let router = nodes[4].local_addr().to_string();
    let client = Kv::builder().bootstrap([router]).read_only(true).spawn(bind().await).unwrap();
    let put = client.put("by a client", b"hello").await.unwrap();
    assert_eq!((put.here, put.copies()), (None, 10));
    assert_eq!(nodes[8].get("by a client").await.unwrap().unwrap(), b"hello");
}

#[tokio::test]
async fn fs_e7_the_four_requests_and_both_lookups_are_public() {
    let nodes = nodes(5).await;
    let (own, other) = (&nodes[0], &nodes[3]);
    let (addr, key) = (other.local_addr(), key_of("greeting"));
    assert_eq!(own.ping(addr).await.unwrap().key, other.key());

    let Response::Nodes { contacts, .. } = own.find_node(addr, key).await.unwrap() else { panic!() };
    assert!((1..5).contains(&contacts.len()));
    assert!(matches!(own.find_value(addr, key).await.unwrap(), Response::Nodes { .. }));

    own.store(addr, key, b"hello", Some(7)).await.unwrap();
    let found = own.find_value(addr, key).await.unwrap();
    let item = found.item().unwrap();
    assert_eq!((item.version, item.value.as_ref().unwrap().as_bytes()), (7, &b"hello"[..]));
    let refused = own.store(addr, key, b"older", Some(6)).await.unwrap_err();
    let StoreError::Failed(RequestFailure::Failed(Failure::Refused { code, text })) = refused else {
        panic!()
    };
    assert_eq!((code, text.as_str()), (ErrorCode::Outdated.into(), "there is a newer version"));

    let report = own.lookup_node(other.key()).await.unwrap();
    assert_eq!((report.closest[0].key, report.closest.len()), (other.key(), 4));
    let got = own.lookup_value(key, Wanted::Newest).await.unwrap();
    assert_eq!(got.holders[0].key, other.key());
    assert!(got.cached_at.is_some() && got.report.unwrap().answered == 4);
}

#[tokio::test]
async fn fs_e5_a_running_node_is_dumped() {
    let nodes = nodes(4).await;
    nodes[1].put("greeting", b"hello").await.unwrap();
    let dump = nodes[2].dump().await.unwrap();
    let known: usize = dump.buckets.iter().map(|bucket| bucket.nodes.len()).sum();
    assert_eq!((dump.key, dump.pairs.len(), known), (nodes[2].key(), 1, 3));
    assert!(dump.to_json().contains(&nodes[1].key().to_string()));
    assert!(dump.to_plantuml().contains(&nodes[1].local_addr().to_string()));
}

#[tokio::test]
async fn every_error_says_what_it_is() {
    let kv = Kv::builder().spawn(bind().await).unwrap();
    let error = kv.put("long", [7; MAX_VALUE + 1]).await.unwrap_err();
    assert_eq!(error.to_string(), "the value has 1001 bytes, and may have 1,000");
    assert!(matches!(
        kv.store(kv.local_addr(), key_of("long"), [7; MAX_VALUE + 1], None).await,
        Err(StoreError::TooLong(_))
    ));
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    assert_eq!(kv.ping(nobody).await, Err(RequestFailure::Failed(Failure::TimedOut)));

    let small =
        Kv::builder().configure_service(|config| config.publications = 1).spawn(bind().await).unwrap();
    small.put("one", b"1").await.unwrap();
    assert!(matches!(small.put("two", b"2").await, Err(PutError::NotPut(_))));
    assert_eq!(small.put("one", b"again").await.unwrap().copies(), 1);
    assert_eq!(small.withdraw("one").await, Ok(true));
    assert!(small.put("two", b"2").await.is_ok());

    kv.shutdown().await;
    kv.shutdown().await;
    assert!(matches!(kv.put("greeting", b"hello").await, Err(PutError::Closed(Closed))));
    assert!(matches!(kv.get("greeting").await, Err(GetError::Closed(Closed))));
    let dual = transport_udp::UdpConfig::default()
        .bind_dual("127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap())
        .await
        .unwrap();
    assert!(matches!(Kv::builder().spawn(dual), Err(SpawnError::Addresses(2))));
}

#[tokio::test]
async fn over_ipv6_too() {
    let bind = || UdpTransport::bind("[::1]:0");
    let first = Kv::builder().spawn(bind().await.unwrap()).unwrap();
    let router = first.local_addr().to_string();
    let second = Kv::builder().bootstrap([router]).spawn(bind().await.unwrap()).unwrap();
    first.put("greeting", b"hello").await.unwrap();
    assert_eq!(second.get("greeting").await.unwrap().unwrap(), b"hello");
}

fn open(dir: &Path, n: usize, key: Id) -> RedbStorage<Id, Pair> {
    let (path, limits) = (dir.join(format!("{n}.redb")), KvConfig::default().private_network().storage);
    RedbStorage::open(path, limits, key, Instant::ZERO, SystemTime::now()).unwrap()
}

/// Ten nodes, each with its database, under these keys; the first of all knows nobody.
async fn with_databases(dir: &Path, keys: &[Id]) -> Vec<Kv<RedbStorage<Id, Pair>>> {
    let mut nodes: Vec<Kv<RedbStorage<Id, Pair>>> = Vec::new();
    for (n, key) in keys.iter().enumerate() {
        let first = nodes.first().map(|node| node.local_addr().to_string());
        let builder = Kv::builder().key(*key).bootstrap(first).storage(open(dir, n, *key));
        let node = builder.spawn(bind().await).unwrap();
        if !nodes.is_empty() {
            tokio::time::timeout(SETTLE, node.bootstrapped()).await.unwrap().unwrap();
        }
        nodes.push(node);
    }
    nodes
}

#[tokio::test]
async fn fs_e6_ten_nodes_are_restarted_with_their_databases_and_the_value_is_still_there() {
    let (dir, mut rng) = (tempfile::tempdir().unwrap(), Rng::from_number(1));
    let keys: Vec<_> = (0..10).map(|_| Id::random(&mut rng)).collect();
    let nodes = with_databases(dir.path(), &keys).await;
    assert_eq!(nodes[2].put("greeting", b"hello").await.unwrap().copies(), 10);
    for node in &nodes {
        node.shutdown().await;
    }
    drop(nodes);
    // Under other keys, and the writer does not come back.
    let keys: Vec<_> = (0..10).map(|_| Id::random(&mut rng)).collect();
    std::fs::remove_file(dir.path().join("2.redb")).unwrap();
    let nodes = with_databases(dir.path(), &keys).await;
    assert_eq!(nodes[2].get("greeting").await.unwrap().unwrap(), b"hello");
    let pair = &nodes[8].dump().await.unwrap().pairs[0];
    assert!((86_300..=86_400).contains(&pair.life), "it is not prolonged: {}", pair.life);
    assert_eq!(pair.bytes, Some(5));
    assert!(pair.turn <= 3_600 + 3_600 / 8, "within the hour, or an hour after another handed it over");
}
