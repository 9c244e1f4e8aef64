//! The transport over real sockets on loopback, with batches and without.

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use kademlia_core::runtime::{Inbox, Outbox, Transport};
use tokio::net::UdpSocket;
use transport_udp::{MAX_DATAGRAM, UdpConfig, UdpTransport};

const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

/// With batches and, as on systems without them, one call a datagram.
fn configs() -> [UdpConfig; 2] {
    [UdpConfig::default(), UdpConfig::default().batched(false)]
}

/// Loopback addresses to bind to; a machine may be without IPv6.
async fn loopbacks() -> Vec<&'static str> {
    if UdpSocket::bind(V6).await.is_ok() { vec![V4, V6] } else { vec![V4] }
}

fn addr(transport: &UdpTransport) -> SocketAddr {
    transport.local_addrs().unwrap()[0]
}

/// Only a failed test meets the limit.
async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("in time")
}

async fn send(transport: &mut UdpTransport, datagrams: impl IntoIterator<Item = (SocketAddr, Vec<u8>)>) {
    let mut outbox = Outbox::default();
    for (to, datagram) in datagrams {
        outbox.push(to, &datagram);
    }
    in_time(transport.send(&mut outbox)).await.unwrap();
    assert!(outbox.is_empty());
}

async fn receive(transport: &mut UdpTransport, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let (mut inbox, mut received) = (Inbox::default(), Vec::new());
    while received.len() < count {
        in_time(transport.recv(&mut inbox)).await.unwrap();
        received.extend(inbox.iter().map(|(from, datagram)| (from, datagram.to_vec())));
        inbox.clear();
    }
    received
}

#[tokio::test]
async fn fs_c1_ipv4_and_ipv6_carry_datagrams_there_and_back() {
    for config in configs() {
        for loopback in loopbacks().await {
            let (mut alice, mut bob) = (config.bind(loopback).await.unwrap(), config.bind(loopback).await.unwrap());
            send(&mut alice, [(addr(&bob), b"there".to_vec())]).await;
            let received = receive(&mut bob, 1).await;
            assert_eq!(received, [(addr(&alice), b"there".to_vec())]);
            send(&mut bob, [(received[0].0, b"and back".to_vec())]).await;
            assert_eq!(receive(&mut alice, 1).await, [(addr(&bob), b"and back".to_vec())]);
        }
    }
}

#[tokio::test]
async fn fs_c1_one_transport_serves_both_families_on_one_port() {
    if !loopbacks().await.contains(&V6) {
        return;
    }
    for config in configs() {
        let mut both = dual(&config).await;
        let addrs = both.local_addrs().unwrap();
        assert_eq!(addrs.len(), 2);
        assert_eq!(addrs[0].port(), addrs[1].port());

        let (mut alice, mut bob) = (config.bind(V4).await.unwrap(), config.bind(V6).await.unwrap());
        send(&mut both, [(addr(&bob), b"6".to_vec()), (addr(&alice), b"4".to_vec())]).await;
        assert_eq!(receive(&mut alice, 1).await, [(addrs[0], b"4".to_vec())]);
        assert_eq!(receive(&mut bob, 1).await, [(addrs[1], b"6".to_vec())]);

        send(&mut alice, [(addrs[0], b"four".to_vec())]).await;
        send(&mut bob, [(addrs[1], b"six".to_vec())]).await;
        let received: BTreeSet<_> = receive(&mut both, 2).await.into_iter().collect();
        let expected = [(addr(&alice), b"four".to_vec()), (addr(&bob), b"six".to_vec())];
        assert_eq!(received, expected.into_iter().collect());
    }
}

/// Both wildcard addresses on one port, which only an IPv6 socket without IPv4 leaves room for.
async fn dual(config: &UdpConfig) -> UdpTransport {
    loop {
        let port = addr(&config.bind(V4).await.unwrap()).port();
        let v4 = SocketAddrV4::new([127, 0, 0, 1].into(), port);
        let v6 = SocketAddrV6::new(1_u128.into(), port, 0, 0);
        match config.bind_dual(v4, v6).await {
            Ok(transport) => return transport,
            // Another process took the port meanwhile.
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AddrInUse),
        }
    }
}

#[tokio::test]
async fn fs_c1_an_ipv6_socket_leaves_the_ipv4_port_free() {
    if !loopbacks().await.contains(&V6) {
        return;
    }
    let v6 = UdpTransport::bind("[::]:0").await.unwrap();
    let port = addr(&v6).port();
    match UdpTransport::bind(("0.0.0.0", port)).await {
        Ok(v4) => assert_eq!(addr(&v4).port(), port),
        // Only a process that already had the port may stand in the way, not our own socket.
        Err(_) => assert!(std::net::UdpSocket::bind(("0.0.0.0", port)).is_err() && drop_and_try(v6, port)),
    }
}

fn drop_and_try(v6: UdpTransport, port: u16) -> bool {
    drop(v6);
    std::net::UdpSocket::bind(("0.0.0.0", port)).is_err()
}
