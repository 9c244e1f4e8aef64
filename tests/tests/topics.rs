//! BEP 50 through the front door: subscribers find each other in the main DHT, over the in-memory network.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::Mainline;
use bittorrent_profile::dht::{PublishError, Subscription};
use bittorrent_profile::item::{MutableItem, PublicKey, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{Krpc, Request, encode_in_topic, topic_of};
use kademlia_core::runtime::{Inbox, Outbox, Transport};
use kademlia_core::{Body, Codec, Key, Message, TransactionId};
use tests::live::{describe, router, servers, spawn};
use tokio::time::{Instant, timeout};
use transport_mem::{LinkModel, MemNetwork, MemTransport, address_v4};

fn owner() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn key() -> PublicKey {
    owner().public()
}

fn salt() -> Salt {
    Salt::new(b"news").unwrap()
}

fn value(n: i64) -> RawValue {
    RawValue::string(format!("version {n}")).unwrap()
}

async fn next(subscription: &mut Subscription) -> Option<i64> {
    let next = timeout(Duration::from_secs(100), subscription.next());
    next.await.ok().flatten().map(|item| item.seq)
}

#[tokio::test(start_paused = true)]
async fn bep50_50_4_subscribers_find_each_other_in_the_main_dht_and_get_every_version_once() {
    let network = MemNetwork::new(LinkModel::internet().with_loss(0.05), 1);
    let servers = servers(&network, 40).await;
    let mut subscriptions: Vec<_> = servers.iter().take(30).map(|dht| dht.subscribe(key(), salt())).collect();
    // A library that answers nobody in the main DHT answers here.
    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    subscriptions.push(client.subscribe(key(), salt()));
    tokio::time::sleep(Duration::from_secs(10 * 60)).await;
    for subscription in &subscriptions {
        let neighbours = subscription.neighbours().await.unwrap();
        assert!(neighbours >= 5, "{neighbours}");
    }
    for (seq, publisher) in (1..=4).zip([1, 2, 3, 30]) {
        let start = Instant::now();
        assert_eq!(subscriptions[publisher].publish(&owner(), value(seq)).await, Ok(seq));
        let mut last = Duration::ZERO;
        for subscription in &mut subscriptions {
            assert_eq!(next(subscription).await, Some(seq));
            last = last.max(start.elapsed());
        }
        println!("version {seq}: the last of {} has it after {last:?}", subscriptions.len());
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let late = spawn(&network, 101, describe(101).bootstrap(router()));
    let mut late = late.subscribe(key(), salt());
    let start = Instant::now();
    assert_eq!(next(&mut late).await, Some(4), "the latest, and only that");
    println!("late joiner, from nothing: {:?}", start.elapsed());
    assert_eq!(late.latest().unwrap().value, value(4));
    assert_eq!(late.publish(&owner(), value(5)).await, Ok(5));
    assert_eq!(next(&mut late).await, Some(5));
    assert_eq!(next(&mut subscriptions[9]).await, Some(5));
}

#[tokio::test(start_paused = true)]
async fn bep50_50_3_who_may_publish_what() {
    let network = MemNetwork::new(LinkModel::internet(), 2);
    let servers = servers(&network, 10).await;
    let alone = servers[1].subscribe(key(), salt());
    assert_eq!(
        alone.publish(&SecretKey::from_seed(&[8; 32]), value(1)).await,
        Err(PublishError::NotTheOwner)
    );
    assert_eq!(alone.publish(&owner(), value(1)).await, Ok(1), "nobody is there, and so it is the first");
    let sign = |salt, seq| MutableItem::sign(&owner(), salt, seq, value(seq));
    assert_eq!(alone.offer(sign(salt(), 1)).await, Err(PublishError::NotNewer));
    assert_eq!(alone.offer(sign(Salt::default(), 9)).await, Err(PublishError::NotNewer), "another topic");
    assert_eq!(alone.offer(sign(salt(), i64::MAX)).await, Ok(()));
    assert_eq!(alone.publish(&owner(), value(2)).await, Err(PublishError::NoNumber));
}

/// A host that speaks for itself.
struct Stranger(MemTransport);

impl Stranger {
    /// The answer to one request, if there is one.
    async fn ask(&mut self, to: SocketAddr, topic: Option<Key<20>>) -> Option<Vec<u8>> {
        let body = Body::Request { sender: Key::new([9; 20]), read_only: true, request: Request::Ping };
        let message = Message::<Mainline> { transaction: TransactionId::from(1), observed: None, body };
        let mut bytes = Vec::new();
        match topic {
            Some(topic) => encode_in_topic(&message, &topic, &mut bytes),
            None => Krpc::encode(&message, &mut bytes),
        }
        let (mut outbox, mut inbox) = (Outbox::default(), Inbox::default());
        outbox.push(to, &bytes);
        self.0.send(&mut outbox).await.unwrap();
        timeout(Duration::from_secs(5), self.0.recv(&mut inbox)).await.ok()?.unwrap();
        inbox.iter().next().map(|(_, datagram)| datagram.to_vec())
    }
}

#[tokio::test(start_paused = true)]
async fn bep50_50_2_one_socket_carries_mainline_and_topics_and_unknown_topics_meet_silence() {
    let network = MemNetwork::new(LinkModel::internet(), 3);
    let servers = servers(&network, 10).await;
    let mut stranger = Stranger(network.bind(address_v4(200)).unwrap());
    let (first, second) = (servers[3].subscribe(key(), salt()), servers[3].subscribe(key(), salt()));
    let other = servers[3].subscribe(key(), Salt::default());
    let (topic, at) = (first.topic().target(), address_v4(3));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(topic_of(&stranger.ask(at, None).await.unwrap()), None);
    for topic in [topic, other.topic().target()] {
        let reply = stranger.ask(at, Some(topic)).await.unwrap();
        assert_eq!(topic_of(&reply), Some(topic));
        // The same id everywhere (50.4).
        let Body::Response { sender, .. } = Krpc::decode(&reply).unwrap().body else { panic!("an answer") };
        assert_eq!(sender, Key::from(servers[3].state().await.unwrap().families[0].id));
    }
    assert_eq!(stranger.ask(at, Some(Key::new([5; 20]))).await, None);
    assert_eq!(stranger.ask(address_v4(4), Some(topic)).await, None);
    drop(first);
    assert!(stranger.ask(at, Some(topic)).await.is_some(), "another subscription is left");
    drop(second);
    assert_eq!(stranger.ask(at, Some(topic)).await, None, "the last one gone, so is the node");
    let mut again = servers[3].subscribe(key(), salt());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(stranger.ask(at, Some(topic)).await.is_some(), "and may come back");
    servers[3].shutdown().await;
    assert_eq!(again.next().await, None, "ends with the node");
    assert!(again.publish(&owner(), value(1)).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn p20_whoever_is_blocked_is_blocked_in_topics_too() {
    let network = MemNetwork::new(LinkModel::internet(), 4);
    let servers = servers(&network, 10).await;
    let mut stranger = Stranger(network.bind(address_v4(200)).unwrap());
    let (ip, at) = (address_v4(200).ip(), address_v4(3));
    let subscription = servers[3].subscribe(key(), salt());
    let topic = Some(subscription.topic().target());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(stranger.ask(at, topic).await.is_some());
    servers[3].block(ip).await.unwrap();
    assert_eq!(stranger.ask(at, topic).await, None);
    let later = servers[3].subscribe(key(), Salt::default());
    tokio::time::sleep(Duration::from_secs(60)).await;
    let other = Some(later.topic().target());
    assert_eq!(stranger.ask(at, other).await, None, "a topic of later, too");
    servers[3].unblock(ip).await.unwrap();
    assert!(stranger.ask(at, topic).await.is_some() && stranger.ask(at, other).await.is_some());
}
