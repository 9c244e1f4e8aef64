//! Other people's DHT nodes beside ours on 127.0.0.1, libtorrent and bittorrent-dht, and on ::1 libtorrent alone, for the
//! other knows IPv4 only. They are driven over the JSON lines that `tests/interop/README.md` describes. Whoever is foreign
//! is bootstrapped from a node of ours and from nobody else.
//!
//! libtorrent is made for the public network, where many nodes at one address are an attack; here only the port tells
//! nodes apart. So `tests/interop/libtorrent_node.py` changes these of its settings:
//! - `dht_restrict_routing_ips` off, or its routing table takes one node for each IP address;
//! - `dht_restrict_search_ips` off, or one search asks one node for each IP address;
//! - `dht_ignore_dark_internet` off, so that messages from networks nobody should use are taken;
//! - `dht_enforce_node_id` and `dht_prefer_verified_node_ids` off: on loopback no id follows from the address (BEP 42);
//! - `dht_block_ratelimit` and `dht_upload_rate_limit` high, or the one address that all nodes share is blocked for
//!   minutes, and a busy node falls silent.
//!
//! Run by name: `tests/interop/setup.sh DIR`, then `INTEROP_DIR=DIR cargo test -p tests --test interop -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod binary;
mod client;
mod conform;
mod foreign;
mod items;
mod library;
mod wire;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use bittorrent_profile::{Dht, InfoHash};
use kademlia_core::Key;
use tokio::time::timeout;
use transport_udp::UdpTransport;

use client::{Client, Kind};

/// This machine, for itself only.
const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// Longer than anything here takes: what is not there by then never comes.
const DEADLINE: Duration = Duration::from_secs(60);

fn peer(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

fn port(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).unwrap()
}

fn hash(first: u8) -> InfoHash {
    InfoHash::new([first.wrapping_mul(31); 20])
}

/// Two foreign nodes that join through `router`, which has then verified them.
async fn strangers(kind: Kind, ours: &Dht, router: SocketAddr) -> [Client; 2] {
    let strangers = [Client::start(kind, router).await, Client::start(kind, router).await];
    acquainted(ours, &strangers.each_ref()).await;
    strangers
}

/// Our own node and theirs, sorted.
fn everybody(router: SocketAddr, foreign: &[Client]) -> Vec<SocketAddr> {
    let mut everybody: Vec<_> = foreign.iter().map(|client| client.addr).chain([router]).collect();
    everybody.sort();
    everybody
}

/// The node of ours that everybody else joins through, and its address.
async fn server(ip: IpAddr) -> (Dht, SocketAddr) {
    let transport = UdpTransport::bind((ip, 0)).await.unwrap();
    let dht = Dht::builder().server(true).spawn(transport).unwrap();
    let addr = dht.local_addrs()[0];
    (dht, addr)
}

/// A node of ours that joins through another.
async fn server_through(router: SocketAddr) -> Dht {
    let transport = UdpTransport::bind((router.ip(), 0)).await.unwrap();
    Dht::builder().server(true).bootstrap([router.to_string()]).spawn(transport).unwrap()
}

/// A client of ours that answers nobody.
async fn reader(router: SocketAddr) -> Dht {
    let transport = UdpTransport::bind((router.ip(), 0)).await.unwrap();
    Dht::builder().bootstrap([router.to_string()]).spawn(transport).unwrap()
}

/// What our node would tell others of: those that answered it.
async fn known(dht: &Dht) -> Vec<(SocketAddr, Key<20>)> {
    let mut snapshots = dht.snapshots().await.unwrap();
    let contacts = snapshots.remove(0).1.contacts;
    contacts.into_iter().map(|contact| (contact.addr, contact.key)).collect()
}

/// Waits until our node has verified everybody: only then it names them to others.
async fn acquainted(dht: &Dht, clients: &[&Client]) {
    let all_known = async {
        while !known_to(dht, clients).await {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, all_known).await.expect("our node pings who asks it, and keeps who answers");
}

async fn known_to(dht: &Dht, clients: &[&Client]) -> bool {
    let known = known(dht).await;
    clients.iter().all(|client| known.contains(&(client.addr, client.id)))
}

/// The peers that our node itself stores under `info_hash`.
async fn stored(dht: &Dht, info_hash: InfoHash) -> Vec<SocketAddr> {
    use kademlia_core::{Rng, Storage};
    let read = dht.handle().with(move |shell, now| {
        let mut peers = Vec::new();
        let (_, node) = shell.stack.nodes().next()?;
        let mut rng = Rng::from_number(1);
        node.service().peers().read(now, &info_hash.into(), usize::MAX, &mut rng, &mut peers);
        Some(peers.iter().map(bittorrent_profile::Peer::addr).collect())
    });
    read.await.unwrap().unwrap()
}

/// The peers that one search of ours finds.
async fn found(dht: &Dht, info_hash: InfoHash) -> Vec<SocketAddr> {
    let search = async {
        let mut peers = dht.get_peers(info_hash);
        let mut found = Vec::new();
        while let Some(next) = peers.next().await {
            found.push(next.peer);
        }
        found.sort();
        found
    };
    timeout(DEADLINE, search).await.expect("searches end")
}
