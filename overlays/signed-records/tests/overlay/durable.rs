//! Records that survive: ten nodes over UDP, restarted with their databases.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, SystemTime};

use kademlia_core::{Instant, Key};
use signed_records::{Draft, Records, RecordsConfig, SecretKey, StoredRecord, Topic};
use storage_redb::RedbStorage;
use tokio::time::timeout;
use transport_udp::UdpTransport;

use crate::bed::person;

type Disk = RedbStorage<Key<32>, StoredRecord>;

const PATIENCE: Duration = Duration::from_secs(30);
const NODES: u8 = 10;

async fn start(n: u8, dir: &Path, through: Option<SocketAddr>) -> Records<Disk> {
    let identity = SecretKey::from_seed(&[100 + n; 32]);
    let limits = RecordsConfig::default().private_network().storage;
    let path = dir.join(format!("{n}.redb"));
    let disk =
        RedbStorage::open(path, limits, identity.public().key(), Instant::ZERO, SystemTime::now()).unwrap();
    let transport = UdpTransport::bind("127.0.0.1:0").await.unwrap();
    let builder = Records::builder().identity(identity).storage(disk);
    let records = builder.bootstrap(through.map(|addr| addr.to_string())).spawn(transport).unwrap();
    if through.is_some() {
        timeout(PATIENCE, records.bootstrapped()).await.unwrap().unwrap();
    }
    records
}

async fn network(dir: &Path) -> Vec<Records<Disk>> {
    let mut nodes = vec![start(0, dir, None).await];
    for n in 1..NODES {
        nodes.push(start(n, dir, Some(nodes[0].local_addr())).await);
    }
    nodes
}

#[tokio::test]
async fn fs_d5_ten_nodes_are_restarted_with_their_databases_and_what_was_published_is_still_there() {
    let dir = tempfile::tempdir().unwrap();
    let topic = Topic::new("weather").unwrap();
    let nodes = network(dir.path()).await;
    let drafts = [Draft::endpoint("udp://192.0.2.1:7"), Draft::topic(topic.clone(), "rain")];
    for draft in drafts {
        let publishing = nodes[2].publish(person(1), draft.unwrap()).await.unwrap();
        let replicas = timeout(PATIENCE, publishing.replicated()).await.unwrap().unwrap();
        assert_eq!(replicas.accepted.len(), usize::from(NODES) - 1);
    }
    let before = nodes[7].resolve(person(1).public()).await.unwrap();
    for node in &nodes {
        node.close().await;
    }
    drop(nodes);
    // Nobody publishes any more; what is there comes from the disks, and not from the publisher's own alone.
    std::fs::remove_file(dir.path().join("2.redb")).unwrap();
    let nodes = network(dir.path()).await;
    let after = nodes[7].resolve(person(1).public()).await.unwrap();
    assert_eq!(after, before);
    let found = nodes[2].find(topic.key(), None).await.unwrap();
    assert_eq!(found.records[0].payload(), Some(&b"rain"[..]));
    let status = nodes[4].status().await.unwrap();
    assert_eq!((status.keys, status.records), (2, 2));
}
