//! How calls to the front door end where they cannot succeed: at a limit, on a node that has stopped, or because nobody
//! waits for them any more.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::time::Duration;

use bittorrent_profile::dht::{GetValueError, ResolveError};
use bittorrent_profile::item::{Item, RawValue, Salt, SecretKey};
use bittorrent_profile::link::TorrentLink;
use bittorrent_profile::{Dht, InfoHash, NodeId};
use kademlia_core::runtime::{Closed, RequestFailure};
use kademlia_core::{Config, Key};
use tests::live::{PORT, describe, hash, router, servers, spawn};
use tokio::time::{Instant, sleep};
use transport_mem::{LinkModel, MemNetwork, address_v4, address_v6};

fn network() -> MemNetwork {
    MemNetwork::new(LinkModel::internet(), 1)
}

/// A node in both networks, of whose routers none is there: what it looks for waits until the way in is given up.
fn lost(network: &MemNetwork) -> Dht {
    let transport = network.bind_dual(address_v4(1), address_v6(1)).unwrap();
    let routers = [address_v4(2), address_v6(2)].map(|addr| addr.to_string());
    describe(1).bootstrap(routers).spawn(transport).unwrap()
}

#[tokio::test(start_paused = true)]
async fn fs_c2_fs_c3_both_networks_are_tried_at_once() {
    let network = network();
    let (dht, start) = (lost(&network), Instant::now());
    let announced = dht.announce_once(hash(1), PORT).await.unwrap();
    let once = start.elapsed();
    assert_eq!(announced.chosen(), 0);
    assert!(once > Duration::from_secs(5) && once < Duration::from_secs(90), "{once:?}");
    assert_eq!(dht.find_node(NodeId::from(Key::new([2; 20]))).await.unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn fs_c4_fs_c8_whoever_waits_for_a_node_that_stops_learns_it_at_once() {
    let network = network();
    let servers = servers(&network, 10).await;
    let dht = &servers[3];
    let mut announcement = dht.announce(hash(1), PORT);
    let mut keeping = dht.keep(Item::from(RawValue::string("kept").unwrap())).unwrap();
    let mut topic = dht.subscribe(SecretKey::from_seed(&[7; 32]).public(), Salt::default());
    assert!(announcement.round().await.is_some() && keeping.round().await.is_some());
    dht.shutdown().await;

    let (closed, stopped) = (RequestFailure::Closed(Closed), Instant::now());
    assert!(announcement.round().await.is_none() && keeping.round().await.is_none());
    assert!(topic.next().await.is_none());
    assert!(dht.announce(hash(2), PORT).round().await.is_none());
    assert_eq!(dht.get_peers(hash(3)).finish().await.failure, Some(closed.clone()));
    let link = TorrentLink { key: SecretKey::from_seed(&[6; 32]).public(), salt: Salt::default() };
    assert_eq!(dht.resolve(&link).await, Err(ResolveError::Failed(closed.clone())));
    assert_eq!(dht.get_value::<String>(Key::new([7; 20])).await, Err(GetValueError::Failed(closed)));
    assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
}

#[tokio::test(start_paused = true)]
async fn fs_c2_one_search_beyond_the_limit_says_so_and_may_be_made_again_at_once() {
    let network = network();
    let dht = spawn(&network, 1, describe(1).bootstrap(router()));
    let numbered = |n: usize| {
        let mut bytes = [0; 20];
        bytes[..8].copy_from_slice(&n.to_be_bytes());
        InfoHash::new(bytes)
    };
    let room = Config::default().lookup.waiting;
    let searches: Vec<_> = (0..=room).map(|n| dht.get_peers(numbered(n))).collect();
    let mut failed = Vec::new();
    for (n, search) in searches.into_iter().enumerate() {
        failed.extend(search.finish().await.failure.map(|failure| (n, failure)));
    }
    let [(n, RequestFailure::Limit(_))] = failed[..] else { panic!("{failed:?}") };
    assert_eq!(dht.get_peers(numbered(n)).finish().await.failure, None);
}

#[tokio::test(start_paused = true)]
async fn fs_c4_p30_an_announcement_withdrawn_in_the_middle_of_its_first_round_is_kept_by_nobody() {
    let network = network();
    let servers = servers(&network, 30).await;
    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    client.bootstrapped().await.unwrap();
    let asked = async || client.state().await.unwrap().families[0].counters.asked;
    let before = asked().await;
    let announcement = client.announce(hash(1), PORT);
    sleep(Duration::from_millis(200)).await;
    assert!(asked().await > before, "on its way");
    announcement.withdraw();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(servers[3].get_peers(hash(1)).finish().await.peers, 0);
}
