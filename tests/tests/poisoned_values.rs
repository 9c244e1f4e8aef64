//! T14 through the front door: servers that answer with peers that are none.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail loudly")]

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use bittorrent_profile::dht::Port;
use bittorrent_profile::krpc::{Krpc, Request, Response};
use bittorrent_profile::{Dht, InfoHash, node_id};
use kademlia_core::runtime::{Inbox, Outbox, Transport};
use kademlia_core::{Body, Codec, Key, Keyspace, Message, Reach, Rng};
use transport_mem::{LinkModel, MemNetwork, address_v4};

/// Answers every query in form, and every search with a hundred peers that `peer` draws.
async fn lie(network: MemNetwork, addr: SocketAddr, peer: impl Fn(&mut Rng) -> SocketAddr + Send + 'static) {
    let mut transport = network.bind(addr).unwrap();
    let mut rng = Rng::from_number(addr.ip().is_ipv4().into());
    let key = node_id::fit(addr.ip(), &Key::random(&mut rng));
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    loop {
        inbox.clear();
        if transport.recv(&mut inbox).await.is_err() {
            return;
        }
        for (from, datagram) in inbox.iter() {
            let Ok(Message { transaction, body: Body::Request { request, .. }, .. }) = Krpc::decode(datagram)
            else {
                continue;
            };
            let mut response = Response::default();
            if matches!(request, Request::GetPeers { .. }) {
                response.values = (0..100).map(|_| peer(&mut rng)).collect();
            }
            let body = Body::Response { sender: key, response };
            let mut reply = Vec::new();
            Krpc::encode(&Message { transaction, observed: Some(from), body }, &mut reply);
            outbox.push(from, &reply);
        }
        let _ = transport.send(&mut outbox).await;
        outbox.clear();
    }
}

/// 27 servers, 3 liars whom all of them know, and a peer announced before; what a search for it gives.
async fn search_among_liars(peer: fn(&mut Rng) -> SocketAddr) -> Vec<SocketAddr> {
    let network = MemNetwork::new(LinkModel::internet(), 14);
    let router = [address_v4(0).to_string()];
    let describe = |n: u8| Dht::builder().seed([n; 32]).public_ip(address_v4(n.into()).ip());
    let spawn = |n: u8, builder: bittorrent_profile::dht::Builder| {
        builder.spawn(network.bind(address_v4(n.into())).unwrap()).unwrap()
    };
    let liars: Vec<_> = (200..203).map(address_v4).collect();
    for liar in &liars {
        tokio::spawn(lie(network.clone(), *liar, peer));
    }
    let mut servers = vec![spawn(0, describe(0).server(true))];
    for n in 1..27 {
        let server = spawn(n, describe(n).server(true).bootstrap(router.clone()));
        server.bootstrapped().await.unwrap();
        server.add_nodes(liars.clone()).await.unwrap();
        servers.push(server);
    }
    tokio::time::sleep(Duration::from_secs(600)).await;
    let info_hash = InfoHash::new([14; 20]);
    let port = Port::Number(NonZeroU16::new(51_413).unwrap());
    servers[7].announce_once(info_hash, port).await.unwrap();
    let client = spawn(100, describe(100).bootstrap(router));
    client.bootstrapped().await.unwrap();
    client.add_nodes(liars).await.unwrap();
    let mut peers = client.get_peers(info_hash);
    let mut found = Vec::new();
    while let Some(peer) = peers.next().await {
        found.push(peer.peer);
    }
    assert_eq!(peers.summary().peers, found.len());
    found
}

#[tokio::test(start_paused = true)]
async fn t14_peers_that_nobody_can_connect_to_are_left_out() {
    let found = search_among_liars(|rng| {
        let first = [0, 10, 127, 224, 255][rng.below(5)];
        let [b, c, d, e] = rng.next_u32().to_be_bytes();
        // Every other one would do, but for its port.
        if e % 2 == 0 { SocketAddr::from(([8, 8, c, d], 0)) } else { SocketAddr::from(([first, b, c, d], 1)) }
    })
    .await;
    assert_eq!(found, [SocketAddr::new(address_v4(7).ip(), 51_413)]);
}

#[tokio::test(start_paused = true)]
async fn t14_a_search_collects_at_most_a_thousand_peers_and_the_true_one_among_them() {
    let found = search_among_liars(|rng| {
        let [b, c, d, _] = rng.next_u32().to_be_bytes();
        SocketAddr::from(([8, b, c, d], 1_024))
    })
    .await;
    assert!(found.len() > 1 && found.len() <= 1_000, "{}", found.len());
    assert!(found.contains(&SocketAddr::new(address_v4(7).ip(), 51_413)));
    assert!(found.iter().all(|peer| Reach::Global.admits(*peer)));
}
