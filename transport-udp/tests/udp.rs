//! The transport over real sockets on loopback, with batches and without.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "these are tests")]

use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::pin;
use std::task::Poll;
use std::thread;
use std::time::Duration;

use kademlia_core::runtime::{Inbox, Outbox, Transport};
use tokio::net::UdpSocket;
use tokio::runtime::Handle;
use transport_udp::{MAX_DATAGRAM, UdpConfig, UdpTransport};

const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";
/// For a test that gives its port up for a moment: where possible, an address that no other test takes ports of.
const OWN: &str = if cfg!(target_os = "linux") { "127.0.0.51:0" } else { V4 };

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

/// Sorted, as datagrams may overtake each other even on loopback.
async fn receive(transport: &mut UdpTransport, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let (mut inbox, mut received) = (Inbox::default(), Vec::new());
    while received.len() < count {
        in_time(transport.recv(&mut inbox)).await.unwrap();
        received.extend(inbox.iter().map(|(from, datagram)| (from, datagram.to_vec())));
        inbox.clear();
    }
    received.sort();
    received
}

#[tokio::test]
async fn fs_c1_ipv4_and_ipv6_carry_datagrams_there_and_back() {
    for config in configs() {
        for loopback in loopbacks().await {
            let (mut alice, mut bob) =
                (config.bind(loopback).await.unwrap(), config.bind(loopback).await.unwrap());
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
        let port = addr(&both).port();
        let (v4, v6) = (([127, 0, 0, 1], port).into(), ([0, 0, 0, 0, 0, 0, 0, 1], port).into());
        let (mut alice, mut bob) = (config.bind(V4).await.unwrap(), config.bind(V6).await.unwrap());
        send(&mut both, [(addr(&bob), b"6".to_vec()), (addr(&alice), b"4".to_vec())]).await;
        assert_eq!(receive(&mut alice, 1).await, [(v4, b"4".to_vec())]);
        assert_eq!(receive(&mut bob, 1).await, [(v6, b"6".to_vec())]);

        send(&mut alice, [(v4, b"four".to_vec())]).await;
        send(&mut bob, [(v6, b"six".to_vec())]).await;
        assert_eq!(
            receive(&mut both, 2).await,
            [(addr(&alice), b"four".to_vec()), (addr(&bob), b"six".to_vec())]
        );
    }
}

/// Both wildcard addresses on one port: there is room for both only if the IPv6 socket carries IPv6 only.
/// A few attempts, as another process may have the port.
async fn dual(config: &UdpConfig) -> UdpTransport {
    for _ in 0..10 {
        let port = addr(&config.bind("0.0.0.0:0").await.unwrap()).port();
        let v4 = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
        let v6 = SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0);
        if let Ok(transport) = config.bind_dual(v4, v6).await {
            assert_eq!(transport.local_addrs().unwrap(), [v4.into(), SocketAddr::from(v6)]);
            return transport;
        }
    }
    panic!("both families on one port")
}

#[tokio::test]
async fn two_hundred_datagrams_reach_twenty_sockets() {
    for config in configs() {
        for loopback in loopbacks().await {
            let mut sender = config.bind(loopback).await.unwrap();
            let mut receivers = Vec::new();
            for _ in 0..20 {
                receivers.push(config.bind(loopback).await.unwrap());
            }
            let to: Vec<_> = receivers.iter().map(addr).collect();
            send(&mut sender, (0..200_u8).map(|number| (to[usize::from(number) % 20], vec![number; 100])))
                .await;
            for (first, receiver) in (0..).zip(&mut receivers) {
                let expected: Vec<_> =
                    (0..10).map(|turn| (addr(&sender), vec![first + 20 * turn; 100])).collect();
                assert_eq!(receive(receiver, 10).await, expected);
            }
            let counts = sender.counters().read();
            assert_eq!((counts.sent, counts.refused, counts.congested), (200, 0, 0));
        }
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_system_call_carries_many_datagrams() {
    let (mut alice, mut bob) = (UdpTransport::bind(V4).await.unwrap(), UdpTransport::bind(V4).await.unwrap());
    send(&mut alice, (0..200).map(|_| (addr(&bob), vec![1; 100]))).await;
    receive(&mut bob, 200).await;
    let (sent, received) = (alice.counters().read(), bob.counters().read());
    assert_eq!((sent.sent, sent.send_calls), (200, 4));
    assert!(received.received == 200 && received.receive_calls <= 100, "{received:?}");
}

#[tokio::test]
async fn t11_datagrams_over_the_limit_arrive_cut_and_counted() {
    for config in configs() {
        let (mut alice, mut bob) = (config.bind(V4).await.unwrap(), config.bind(V4).await.unwrap());
        let lengths = [1, MAX_DATAGRAM - 1, MAX_DATAGRAM, MAX_DATAGRAM + 1, MAX_DATAGRAM + 2, 65_507];
        send(&mut alice, lengths.map(|length| (addr(&bob), vec![7; length]))).await;
        let received: Vec<_> = receive(&mut bob, lengths.len()).await.iter().map(|(_, d)| d.len()).collect();
        assert_eq!(received, lengths.map(|length| length.min(MAX_DATAGRAM + 1)));
        assert_eq!(bob.counters().read().truncated, 3);
    }
}

#[tokio::test]
async fn t19_empty_datagrams_are_delivered() {
    for config in configs() {
        let (mut alice, mut bob) = (config.bind(V4).await.unwrap(), config.bind(V4).await.unwrap());
        send(&mut alice, [b"".as_slice(), b"", b"x"].map(|bytes| (addr(&bob), bytes.to_vec()))).await;
        let received: Vec<_> = receive(&mut bob, 3).await.into_iter().map(|(_, datagram)| datagram).collect();
        assert_eq!(received, [b"".as_slice(), b"", b"x"]);
    }
}

#[tokio::test]
async fn t19_a_refused_port_does_not_end_receiving() {
    for config in configs() {
        for loopback in loopbacks().await {
            let (mut alice, mut bob) =
                (config.bind(loopback).await.unwrap(), config.bind(loopback).await.unwrap());
            let closed = SocketAddr::new(addr(&bob).ip(), 1);
            for _ in 0..10 {
                send(&mut alice, [(closed, b"anyone?".to_vec()), (addr(&bob), b"bob?".to_vec())]).await;
                receive(&mut bob, 1).await;
                send(&mut bob, [(addr(&alice), b"here".to_vec())]).await;
                assert_eq!(receive(&mut alice, 1).await, [(addr(&bob), b"here".to_vec())]);
            }
        }
    }
}

#[tokio::test]
async fn t19_what_the_system_refuses_costs_only_itself() {
    for config in configs() {
        let (mut alice, mut bob) = (config.bind(V4).await.unwrap(), config.bind(V4).await.unwrap());
        let to = addr(&bob);
        let nowhere = SocketAddr::new(to.ip(), 0);
        let broadcast = SocketAddr::from(([255, 255, 255, 255], to.port()));
        let other_family = SocketAddr::from((Ipv6Addr::LOCALHOST, to.port()));
        let datagrams = [
            (nowhere, vec![0]),
            (to, vec![1]),
            (to, vec![0; 65_508]),
            (other_family, vec![0]),
            (to, vec![2]),
            (broadcast, vec![0]),
            (nowhere, vec![0]),
            (to, vec![3]),
        ];
        send(&mut alice, datagrams).await;
        assert_eq!(receive(&mut bob, 3).await, [1, 2, 3].map(|number| (addr(&alice), vec![number])));
        let counts = alice.counters().read();
        assert_eq!((counts.sent, counts.refused, counts.no_socket, counts.congested), (3, 4, 1, 0));
    }
}

#[tokio::test]
async fn a_dropped_recv_loses_nothing() {
    const BURSTS: u32 = 1_000;
    for config in configs() {
        let (mut alice, mut bob) = (config.bind(V4).await.unwrap(), config.bind(V4).await.unwrap());
        let (mut inbox, mut received, mut sent) = (Inbox::default(), Vec::new(), 0_u32);
        let mut dropped = 0;
        for burst in 0..BURSTS {
            let numbers = sent..sent + burst % 3;
            sent = numbers.end;
            send(&mut alice, numbers.map(|number| (addr(&bob), number.to_be_bytes().to_vec()))).await;
            if poll_once(bob.recv(&mut inbox)).await.is_pending() {
                dropped += 1;
                assert!(inbox.is_empty());
                tokio::task::yield_now().await;
            }
            received.extend(inbox.iter().map(|(_, datagram)| datagram.to_vec()));
            inbox.clear();
        }
        received.extend(receive(&mut bob, sent as usize - received.len()).await.into_iter().map(|(_, d)| d));
        received.sort();
        assert!(received.into_iter().eq((0..sent).map(|number| number.to_be_bytes().to_vec())));
        assert!(dropped >= BURSTS / 10, "{dropped} dropped");
    }
}

/// Polls the future once and drops it.
async fn poll_once<T>(future: impl Future<Output = T>) -> Poll<T> {
    let mut future = pin!(future);
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[tokio::test]
async fn p51_a_dropped_transport_frees_its_address_at_once_from_any_state() {
    for config in configs() {
        let mut sender = config.bind(V4).await.unwrap();
        let addr = addr(&config.bind(OWN).await.unwrap());
        for state in 0..100 {
            let mut transport = config.bind(addr).await.unwrap();
            let mut inbox = Inbox::default();
            match state % 3 {
                0 => {}
                1 => assert!(poll_once(transport.recv(&mut inbox)).await.is_pending()),
                _ => send(&mut sender, [(addr, b"never read".to_vec())]).await,
            }
        }
    }
}

#[tokio::test]
async fn a_receiver_that_does_not_read_holds_nobody_up() {
    for config in configs() {
        let config = config.receive_buffer(4_096).send_buffer(4_096);
        let (mut alice, bob) = (config.bind(V4).await.unwrap(), config.bind(V4).await.unwrap());
        for _ in 0..20 {
            send(&mut alice, (0..500).map(|_| (addr(&bob), vec![0; 1_200]))).await;
        }
        let counts = alice.counters().read();
        assert_eq!(counts.sent + counts.congested, 10_000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_transport_moves_from_thread_to_thread() {
    let mut transport: Box<dyn Transport> = Box::new(UdpTransport::bind(V4).await.unwrap());
    let to = transport.local_addrs().unwrap()[0];
    for turn in 0..10_u8 {
        let runtime = Handle::current();
        let there_and_back = async move {
            let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
            outbox.push(to, &[turn]);
            transport.send(&mut outbox).await.unwrap();
            in_time(transport.recv(&mut inbox)).await.unwrap();
            assert!(inbox.iter().eq([(to, [turn].as_slice())]));
            transport
        };
        transport = thread::spawn(move || runtime.block_on(there_and_back)).join().unwrap();
    }
}

#[tokio::test]
async fn binding_says_what_is_wrong() {
    let taken = UdpTransport::bind(V4).await.unwrap();
    let error = UdpTransport::bind(addr(&taken)).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    let error = UdpTransport::bind([].as_slice()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
}
