//! `MemTransport` under tokio's paused clock.
#![cfg(feature = "runtime")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::runtime::{Inbox, Outbox, Transport};
use tokio::time::{Instant, timeout};
use transport_mem::{LinkModel, MemNetwork, MemTransport, address_v4, address_v6};

async fn send(from: &mut MemTransport, to: SocketAddr, datagram: &[u8]) {
    let mut outbox = Outbox::default();
    outbox.push(to, datagram);
    from.send(&mut outbox).await.unwrap();
    assert!(outbox.is_empty());
}

/// Everything that arrives within a minute, and when.
async fn drain(transport: &mut MemTransport) -> Vec<(Duration, SocketAddr, Vec<u8>)> {
    let start = Instant::now();
    let mut seen = Vec::new();
    let mut inbox = Inbox::default();
    while timeout(Duration::from_secs(60), transport.recv(&mut inbox)).await.is_ok() {
        assert!(!inbox.is_empty());
        seen.extend(inbox.iter().map(|(from, bytes)| (start.elapsed(), from, bytes.to_vec())));
        inbox.clear();
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn datagrams_arrive_in_order_after_the_latency() {
    let network = MemNetwork::new(LinkModel::perfect(), 1);
    let [a, b] = [0, 1].map(address_v4);
    let (mut alice, mut bob) = (network.bind(a).unwrap(), network.bind(b).unwrap());
    send(&mut alice, b, b"one").await;
    send(&mut alice, b, b"two").await;
    send(&mut alice, address_v4(9), b"to nobody").await;
    let late = Duration::from_millis(20);
    let seen = drain(&mut bob).await;
    assert_eq!(
        seen.iter().map(|(_, from, bytes)| (*from, &bytes[..])).collect::<Vec<_>>(),
        [(a, &b"one"[..]), (a, b"two")]
    );
    assert!(seen.iter().all(|(at, ..)| *at >= late && *at <= late + Duration::from_millis(1)), "{seen:?}");
    assert_eq!(drain(&mut alice).await, []);
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_recv_loses_nothing_and_a_nearer_datagram_overtakes() {
    let model = LinkModel { reorder: 0.5, hold: Duration::from_secs(10), ..LinkModel::perfect() };
    let network = MemNetwork::new(model, 5);
    let [a, b] = [0, 1].map(address_v4);
    let (mut alice, mut bob) = (network.bind(a).unwrap(), network.bind(b).unwrap());
    for n in 0..100 {
        send(&mut alice, b, &[n]).await;
        let mut inbox = Inbox::default();
        let abandoned = timeout(Duration::from_millis(5), bob.recv(&mut inbox)).await;
        assert!(abandoned.is_err() || !inbox.is_empty());
        if abandoned.is_ok() {
            // Seen already: send it once more, so that the count below is simple.
            for (_, datagram) in inbox.iter() {
                send(&mut alice, b, datagram).await;
            }
        }
    }
    let order: Vec<u8> = drain(&mut bob).await.into_iter().map(|(_, _, bytes)| bytes[0]).collect();
    assert!(!order.is_sorted(), "some were overtaken");
    let mut all = order;
    all.sort_unstable();
    assert_eq!(all, (0..100).collect::<Vec<u8>>());
}

#[tokio::test(start_paused = true)]
async fn a_partition_cuts_and_a_dropped_transport_frees_its_addresses() {
    let network = MemNetwork::new(LinkModel::perfect(), 1);
    let [a, b] = [0, 1].map(address_v4);
    let (mut alice, mut bob) = (network.bind(a).unwrap(), network.bind(b).unwrap());
    assert_eq!(network.bind(a).unwrap_err().kind(), ErrorKind::AddrInUse);
    network.with_links(|links| links.partition([(a, 1)]));
    send(&mut alice, b, b"lost").await;
    network.with_links(transport_mem::Links::heal);
    send(&mut alice, b, b"found").await;
    assert_eq!(drain(&mut bob).await.len(), 1);
    drop(bob);
    let mut bob = network.bind_dual(b, address_v6(1)).unwrap();
    assert_eq!(network.bind_dual(address_v4(7), address_v4(8)).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(bob.local_addrs().unwrap(), [b, address_v6(1)]);
    send(&mut alice, address_v6(1), b"no such family here").await;
    send(&mut alice, b, b"again").await;
    assert_eq!(drain(&mut bob).await.len(), 1);
}

#[test]
fn p1_the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let model = LinkModel { duplicate: 0.1, corrupt: 0.1, ..LinkModel::internet().with_loss(0.2) };
            let network = MemNetwork::new(model, seed);
            let mut hub = network.bind(address_v4(0)).unwrap();
            for n in 1..=20 {
                let mut leaf = network.bind(address_v4(n)).unwrap();
                tokio::spawn(async move {
                    for round in 0..20 {
                        send(&mut leaf, address_v4(0), &[round; 8]).await;
                        tokio::task::yield_now().await;
                    }
                });
            }
            drain(&mut hub).await
        })
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
