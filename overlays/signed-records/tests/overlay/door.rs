//! The asynchronous front door: over sockets on loopback, and over the network in memory.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::Health;
use signed_records::{
    AskError, Decision, Draft, FindError, Kind, PublishError, Records, Refusal, ResolveError, SecretKey,
    SpawnError, Topic,
};
use tokio::time::timeout;
use transport_udp::UdpTransport;

use crate::bed::{EPOCH, person, seconds};

/// Only a failed test waits so long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A node on loopback, joined through another.
async fn node(seed: u8, through: Option<SocketAddr>) -> Records {
    let transport = UdpTransport::bind("127.0.0.1:0").await.unwrap();
    let builder = Records::builder().seed([seed; 32]).bootstrap(through.map(|addr| addr.to_string()));
    builder.spawn(transport).unwrap()
}

async fn network(size: u8) -> Vec<Records> {
    let first = node(1, None).await;
    let mut nodes = vec![first.clone()];
    for seed in 2..=size {
        let node = node(seed, Some(first.local_addr())).await;
        timeout(PATIENCE, node.bootstrapped()).await.unwrap().unwrap();
        nodes.push(node);
    }
    nodes
}

#[tokio::test]
async fn fs_d5_ten_nodes_publish_on_one_and_resolve_on_another() {
    let nodes = network(10).await;
    let me = person(1);
    let publishing =
        nodes[3].publish(me.clone(), Draft::endpoint("udp://192.0.2.1:7").unwrap()).await.unwrap();
    let replicas = timeout(PATIENCE, publishing.replicated()).await.unwrap().unwrap();
    assert_eq!((replicas.accepted.len(), replicas.refused.len()), (9, 0), "{replicas:?}");
    let found = nodes[8].resolve(me.public()).await.unwrap();
    assert_eq!(found.payload(), Some(&b"udp://192.0.2.1:7"[..]));
    let topic = Topic::new("weather").unwrap();
    for (n, node) in (0..).zip(&nodes) {
        let draft = Draft::topic(topic.clone(), format!("station {n}")).unwrap();
        let publishing = node.publish(person(n + 10), draft).await.unwrap();
        publishing.replicated().await.unwrap();
    }
    let all = nodes[5].aggregate(topic.key(), Some(Kind::Topic)).await.unwrap();
    assert_eq!(all.records.len(), 10);
    assert_eq!(nodes[3].withdraw(me.public()).await, Ok(1));
    let gone = async {
        while nodes[8].resolve(me.public()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.unwrap();
    assert_eq!(nodes[8].resolve(me.public()).await, Err(ResolveError::NoRecords));
}

#[tokio::test]
async fn fs_d6_peers_are_asked_directly_through_the_door() {
    let nodes = network(3).await;
    let (me, to) = (person(1), nodes[0].local_addr());
    assert_eq!(nodes[1].health(to).await, Ok(Health::Good));
    let pong = nodes[1].ping(to).await.unwrap();
    assert_eq!((pong.contact.key, pong.contact.addr), (nodes[0].identity().key(), to));
    assert_eq!(nodes[1].ping_identity(to).await, Ok(nodes[0].identity()));
    assert_eq!(nodes[1].find_node_at(to, me.public().key()).await.unwrap().len(), 1, "the third");
    // The system's clock is read: a record of another age is refused.
    let record = Draft::endpoint("x").unwrap().sign(&me, 1, EPOCH.before(seconds(10 * 365 * 86_400)));
    assert_eq!(nodes[1].store_at(to, record).await, Err(AskError::Refused(Refusal::Expired)));
    assert_eq!(nodes[1].find_value_at(to, me.public().key(), None).await, Ok(vec![]));
    assert_eq!(nodes[1].probe(to, nodes[1].local_addr()).await, Ok(true));
    assert_eq!(nodes[1].is_hairpin(to).await, Ok(true), "both are on one host");
    assert!(nodes[1].closest(me.public().key()).await.unwrap().closest.len() >= 2);
    let status = nodes[1].status().await.unwrap();
    assert_eq!((status.reach.hour, status.bootstrapped), (2, true));
    assert!(!nodes[1].candidates().await.unwrap().is_empty() && nodes[1].seen().await.unwrap().len() == 2);
}

#[tokio::test]
async fn fs_d12_close_stops_everything_waits_and_can_be_called_twice() {
    let nodes = network(3).await;
    let node = nodes[2].clone();
    let addr = node.local_addr();
    // Nobody answers there: this would take its time.
    let waiting = tokio::spawn({
        let node = node.clone();
        async move { node.ping("127.0.0.1:9".parse().unwrap()).await }
    });
    tokio::task::yield_now().await;
    timeout(PATIENCE, async {
        // Three at once, and one more.
        let other = node.clone();
        tokio::join!(node.close(), node.close(), other.close());
        node.close().await;
    })
    .await
    .unwrap();
    assert!(waiting.await.unwrap().is_err());
    // The socket is free again.
    UdpTransport::bind(addr).await.unwrap();
    assert_eq!(node.ping(addr).await, Err(AskError::Closed));
    assert_eq!(node.find(person(1).public().key(), None).await, Err(FindError::Closed));
    assert_eq!(node.resolve(person(1).public()).await, Err(ResolveError::Closed));
    let published = node.publish(person(1), Draft::endpoint("x").unwrap()).await;
    assert_eq!(published.unwrap_err(), PublishError::Closed);
    assert!(node.status().await.is_err() && node.bootstrapped().await.is_err());
}

#[tokio::test]
async fn fs_d12_when_the_last_handle_is_gone_the_node_stops() {
    let node = node(1, None).await;
    let addr = node.local_addr();
    drop(node.clone());
    assert!(node.status().await.is_ok());
    drop(node);
    timeout(PATIENCE, async {
        while UdpTransport::bind(addr).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn fs_d1_a_policy_decides_who_may_publish() {
    let transport = UdpTransport::bind("127.0.0.1:0").await.unwrap();
    let member = person(1).public();
    let policy = move |_: &_, record: &signed_records::SignedRecord, _| {
        if record.publisher == member { Decision::Allow } else { Decision::Deny }
    };
    let heard: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let ears = Arc::clone(&heard);
    let closed = Records::builder()
        .policy(policy)
        .on_observed(move |reporter, _| ears.lock().unwrap().push(reporter))
        .spawn(transport)
        .unwrap();
    let open = node(2, Some(closed.local_addr())).await;
    timeout(PATIENCE, open.bootstrapped()).await.unwrap().unwrap();
    for (n, accepted) in [(1, 1), (2, 0)] {
        let publishing = open.publish(person(n), Draft::endpoint("x").unwrap()).await.unwrap();
        let replicas = publishing.replicated().await.unwrap();
        assert_eq!(replicas.accepted.len(), accepted);
        assert!(replicas.refused.iter().all(|(_, refusal)| *refusal == Some(Refusal::Denied)));
    }
    assert!(closed.resolve(person(1).public()).await.is_ok());
    assert_eq!(closed.resolve(person(2).public()).await, Err(ResolveError::NoRecords), "nor is it believed");
    let own = closed.publish(person(2), Draft::endpoint("x").unwrap()).await;
    assert_eq!(own.unwrap_err(), PublishError::Denied);
    assert_eq!(heard.lock().unwrap().first(), Some(&open.local_addr()), "who answers says how it sees us");
}

#[tokio::test]
async fn a_node_has_one_socket() {
    let transport = UdpTransport::bind_dual("127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()).await;
    // Where there is no IPv6 there is nothing to be tried.
    let Ok(transport) = transport else { return };
    let spawned = Records::builder().identity(SecretKey::from_seed(&[1; 32])).spawn(transport);
    assert!(matches!(spawned, Err(SpawnError::Addresses)));
}

#[tokio::test]
async fn an_ipv6_network_works_alike() {
    let Ok(transport) = UdpTransport::bind("[::1]:0").await else { return };
    let first = Records::builder().seed([1; 32]).spawn(transport).unwrap();
    let transport = UdpTransport::bind("[::1]:0").await.unwrap();
    let through = [first.local_addr().to_string()];
    let second = Records::builder().seed([2; 32]).bootstrap(through).spawn(transport).unwrap();
    let publishing = second.publish(person(1), Draft::endpoint("x").unwrap()).await.unwrap();
    assert_eq!(timeout(PATIENCE, publishing.replicated()).await.unwrap().unwrap().accepted.len(), 1);
    assert!(first.resolve(person(1).public()).await.is_ok());
}
