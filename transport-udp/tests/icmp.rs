//! T19: what ICMP says of a datagram reaches whoever sent it, and costs nobody else anything.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "these are tests")]

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::runtime::{Inbox, Outbox, Transport};
use tokio::net::UdpSocket;
use transport_udp::{UdpConfig, UdpTransport};

/// Loopback addresses, with a port at which nobody listens; a machine may be without IPv6.
async fn closed() -> Vec<SocketAddr> {
    let mut closed: Vec<SocketAddr> = vec!["127.0.0.1:1".parse().unwrap()];
    if UdpSocket::bind("[::1]:0").await.is_ok() {
        closed.push("[::1]:1".parse().unwrap());
    }
    closed
}

async fn bind(near: SocketAddr) -> UdpTransport {
    UdpTransport::bind(SocketAddr::new(near.ip(), 0)).await.unwrap()
}

async fn send(transport: &mut UdpTransport, datagrams: impl IntoIterator<Item = (SocketAddr, &[u8])>) {
    let mut outbox = Outbox::default();
    for (to, datagram) in datagrams {
        outbox.push(to, datagram);
    }
    transport.send(&mut outbox).await.unwrap();
}

/// Only a failed test meets the limit. That nothing fails is half of what is tested here.
async fn receive(transport: &mut UdpTransport, inbox: &mut Inbox) {
    inbox.clear();
    tokio::time::timeout(Duration::from_secs(30), transport.recv(inbox)).await.expect("in time").unwrap();
}

#[tokio::test]
async fn t19_a_closed_port_is_reported_by_its_address() {
    for closed in closed().await {
        let mut transport = bind(closed).await;
        let mut inbox = Inbox::default();
        for port in 1..5 {
            let to = SocketAddr::new(closed.ip(), port);
            send(&mut transport, [(to, b"anyone?".as_slice())]).await;
            receive(&mut transport, &mut inbox).await;
            assert_eq!(inbox.refused(), [to]);
            assert_eq!(inbox.iter().len(), 0);
        }
        assert_eq!(transport.counters().read().unreachable, 4);
    }
}

#[tokio::test]
async fn t19_a_transport_of_both_families_hears_of_both() {
    let [v4, v6] = closed().await[..] else { return };
    let (SocketAddr::V4(any_v4), SocketAddr::V6(any_v6)) =
        (SocketAddr::new(v4.ip(), 0), SocketAddr::new(v6.ip(), 0))
    else {
        unreachable!("one of each family")
    };
    let mut transport = UdpTransport::bind_dual(any_v4, any_v6).await.unwrap();
    let (mut inbox, mut refused) = (Inbox::default(), Vec::new());
    send(&mut transport, [(v6, b"6".as_slice()), (v4, b"4")]).await;
    while refused.len() < 2 {
        receive(&mut transport, &mut inbox).await;
        refused.extend_from_slice(inbox.refused());
    }
    refused.sort();
    assert_eq!(refused, [v4, v6]);
}

#[tokio::test]
async fn t19_refused_datagrams_cost_the_others_nothing() {
    const ROUNDS: u64 = 200;
    for closed in closed().await {
        let (mut alice, mut bob) = (bind(closed).await, bind(closed).await);
        let (to, back) = (bob.local_addrs().unwrap()[0], alice.local_addrs().unwrap()[0]);
        let (mut inbox, mut received, mut refused) = (Inbox::default(), 0, 0);
        for _ in 0..ROUNDS {
            // On loopback the error is there before the next datagram of the batch is sent.
            let nobody = (closed, b"anyone?".as_slice());
            send(&mut alice, [nobody, nobody, (to, b"bob?"), nobody, (to, b"bob!"), nobody]).await;
            send(&mut bob, [(back, b"here".as_slice())]).await;
        }
        while received < ROUNDS {
            receive(&mut alice, &mut inbox).await;
            received += inbox.iter().len() as u64;
            refused += inbox.refused().len();
            assert!(inbox.refused().iter().all(|addr| *addr == closed));
        }
        let (sent, told) = (alice.counters().read(), refused as u64);
        assert_eq!((sent.sent, sent.refused, sent.congested), (6 * ROUNDS, 0, 0));
        assert!(told > 0 && told <= 4 * ROUNDS, "{told}");
        received = 0;
        while received < 2 * ROUNDS {
            receive(&mut bob, &mut inbox).await;
            received += inbox.iter().len() as u64;
        }
    }
}

/// A datagram that is too long is refused by the system itself: that says nothing of the address.
#[tokio::test]
async fn t19_what_the_system_refuses_is_not_unreachable() {
    for closed in closed().await {
        let mut transport = bind(closed).await;
        let own = transport.local_addrs().unwrap()[0];
        let mut inbox = Inbox::default();
        let too_long = vec![0; 65_528];
        send(&mut transport, [(own, too_long.as_slice()), (own, b"short")]).await;
        receive(&mut transport, &mut inbox).await;
        assert_eq!((inbox.iter().len(), inbox.refused().len()), (1, 0));
        assert_eq!(transport.counters().read().refused, 1);
    }
}

#[tokio::test]
async fn without_batches_nothing_is_told_and_nothing_lost() {
    let closed: SocketAddr = "127.0.0.1:1".parse().unwrap();
    let mut alice = UdpConfig::default().batched(false).bind("127.0.0.1:0").await.unwrap();
    let own = alice.local_addrs().unwrap()[0];
    let mut inbox = Inbox::default();
    send(&mut alice, [(closed, b"anyone?".as_slice()), (own, b"me")]).await;
    receive(&mut alice, &mut inbox).await;
    assert_eq!((inbox.iter().len(), inbox.refused().len()), (1, 0));
}
