//! Whole drivers on `MemTransport`, under tokio's paused clock.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod overlay;

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::runtime::{Driver, DriverConfig, Handle};
use kademlia_core::{Config, Contact, DualStack, Family, Key, Keyspace, LookupOptions, Node, Rng};
use overlay::{Request, Tiny};
use tokio::time::Instant;
use transport_mem::{LinkModel, MemNetwork, address_v4};

type Door = Handle<Tiny<20>, Tiny<20>>;

/// A node on the network, its driver running.
fn spawn(network: &MemNetwork, key: Key<20>, addr: SocketAddr, seed: [u8; 32]) -> Door {
    let (driver, handle) = Driver::new(network.bind(addr).unwrap(), DriverConfig::default(), |now| {
        DualStack::new(Some(Node::new(Tiny, key, Config::default(), seed, now)), None)
    });
    tokio::spawn(driver.run());
    handle
}

async fn find(from: &Door, target: Key<20>) -> Vec<Contact<Key<20>>> {
    let search = from.lookup(Family::V4, target, Request::FindNode(target), LookupOptions::default()).await;
    search.unwrap().finish().await.unwrap().closest
}

/// Joins `count` drivers one after the other, and runs a lookup from each; gives back who found what.
async fn run(
    network: &MemNetwork,
    count: u32,
    seed: u64,
) -> Vec<(Vec<Contact<Key<20>>>, Vec<Contact<Key<20>>>)> {
    let mut rng = Rng::from_number(seed);
    let contacts: Vec<_> = (0..count).map(|n| Contact::new(Key::random(&mut rng), address_v4(n))).collect();
    let mut doors = Vec::new();
    for contact in &contacts {
        let door = spawn(network, contact.key, contact.addr, rng.fork());
        if !doors.is_empty() {
            door.bootstrap(vec![address_v4(0)]).await.unwrap();
            door.bootstrapped().await.unwrap();
        }
        doors.push(door);
    }
    tokio::time::sleep(Duration::from_secs(60)).await;
    let mut results = Vec::new();
    for (door, own) in doors.iter().zip(&contacts) {
        let target = Key::random(&mut rng);
        let mut truth: Vec<_> = contacts.iter().copied().filter(|contact| contact != own).collect();
        truth.sort_by(|a, b| target.cmp_distance(&a.key, &b.key));
        truth.truncate(8);
        results.push((find(door, target).await, truth));
    }
    results
}

#[tokio::test(start_paused = true)]
async fn p25_lookups_through_drivers_are_exact_and_take_no_time() {
    let started = Instant::now();
    let network = MemNetwork::new(LinkModel::internet(), 1);
    for (found, truth) in run(&network, 40, 1).await {
        assert_eq!(found, truth);
    }
    assert!(started.elapsed() > Duration::from_secs(60), "but a lot of virtual time");
}

#[test]
fn p1_drivers_on_the_same_seed_send_the_same_datagrams() {
    let trace = |seed| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let network = MemNetwork::new(LinkModel::internet().with_loss(0.05), seed);
        runtime.block_on(run(&network, 15, seed));
        network.trace_hash()
    };
    assert_eq!(trace(1), trace(1));
    assert_ne!(trace(1), trace(2));
}
