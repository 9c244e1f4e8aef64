//! BEP 33, 44 and 51 beside foreign nodes: items both ways, scrapes and samples; and a network of twenty strangers.

use std::net::{IpAddr, SocketAddr};

use bittorrent_profile::dht::Port;
use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{Families, Request};
use bittorrent_profile::scrape::Scrape;
use bittorrent_profile::{Dht, InfoHash};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::client::{Client, Kind};
use crate::wire::{ask, response};
use crate::{
    DEADLINE, V4, V6, acquainted, everybody, found, hash, peer, port, reader, server, stored, strangers,
};

const SEED: [u8; 32] = [7; 32];

fn text(text: &str) -> RawValue {
    RawValue::string(text).unwrap()
}

fn version(salt: &str, seq: i64, value: &str) -> Item {
    let salt = Salt::new(salt.as_bytes()).unwrap();
    Item::Mutable(MutableItem::sign(&SecretKey::from_seed(&SEED), salt, seq, text(value)).into())
}

/// What a search of ours finds under the item's target.
async fn got(dht: &Dht, item: &Item) -> Option<(RawValue, Option<i64>)> {
    let search = match item {
        Item::Immutable(_) => dht.get(item.target()),
        Item::Mutable(item) => dht.get_mutable(item.key, item.salt),
    };
    let found = timeout(DEADLINE, search.finish()).await.expect("searches end").found?;
    Some((found.value().clone(), found.seq()))
}

/// Puts through ours, and tells who took it.
async fn put(dht: &Dht, item: Item) -> Vec<SocketAddr> {
    let stored = timeout(DEADLINE, dht.put(item)).await.expect("puts end").unwrap();
    assert!(stored.refused.is_empty(), "{stored:?}");
    let mut accepted: Vec<_> = stored.accepted.iter().map(|contact| contact.addr).collect();
    accepted.sort();
    accepted
}

/// What they put a client of ours gets, and what it put they get, and every node takes it.
async fn put_and_get(kind: Kind, ip: IpAddr) {
    let (ours, router) = server(ip).await;
    let mut foreign = strangers(kind, &ours, router).await;
    let everybody = everybody(router, &foreign);
    let client = reader(router).await;

    let theirs = Item::Immutable(text("from them"));
    assert!(foreign[0].put("from them", None, "", 0).await >= 1);
    assert_eq!(got(&client, &theirs).await, Some((text("from them"), None)));
    let own = Item::Immutable(text("from us"));
    assert_eq!(put(&client, own.clone()).await, everybody);
    assert_eq!(foreign[1].get(&own).await, Some(("from us".to_owned(), None)));

    for salt in ["", "a salt"] {
        let theirs = version(salt, 1, "first");
        assert!(foreign[0].put("first", Some(SEED), salt, 1).await >= 1);
        let (value, seq) = got(&client, &theirs).await.expect("found");
        assert_eq!(value, text("first"));
        let next = version(salt, seq.unwrap() + 1, "second");
        assert_eq!(put(&client, next.clone()).await, everybody, "a newer version of theirs");
        let (value, again) = foreign[1].get(&next).await.expect("found");
        assert_eq!((value.as_str(), again), ("second", next.seq()));
    }
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep44_our_items_and_libtorrent_s() {
    put_and_get(Kind::Libtorrent, V4).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep44_our_items_and_libtorrent_s_over_ipv6() {
    put_and_get(Kind::Libtorrent, V6).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep44_our_items_and_bittorrent_dht_s() {
    put_and_get(Kind::BittorrentDht, V4).await;
}

/// libtorrent samples us, we sample libtorrent, and each has what the other says.
async fn sample_each_other(ip: IpAddr) {
    let (ours, router) = server(ip).await;
    let mut foreign = Client::start(Kind::Libtorrent, router).await;
    acquainted(&ours, &[&foreign]).await;
    let client = reader(router).await;
    let announced = timeout(DEADLINE, client.announce_once(hash(9), Port::Number(port(7009)))).await;
    let announced = announced.expect("announcements end").unwrap();
    assert_eq!(announced.accepted.len(), 2, "{announced:?}");

    // A session asks only in a family of which it knows an address of its own, and on ::1 it learns none: it sends nothing.
    if ip.is_ipv4() {
        let (samples, num) = foreign.sample(router).await;
        assert_eq!((samples, num), (vec![hash(9).to_string()], 1));
    }
    let sampled = client.sample(foreign.addr, foreign.id.into()).await.unwrap();
    let samples = sampled.samples.expect("libtorrent samples");
    assert_eq!((samples.info_hashes, samples.num), (vec![hash(9)], 1));
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep51_our_samples_and_libtorrent_s() {
    sample_each_other(V4).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep51_libtorrent_s_samples_over_ipv6() {
    sample_each_other(V6).await;
}

/// Ours and libtorrent's filters add up to one count.
async fn count_together(ip: IpAddr) {
    let (ours, router) = server(ip).await;
    let mut foreign = Client::start(Kind::Libtorrent, router).await;
    acquainted(&ours, &[&foreign]).await;
    let client = reader(router).await;
    // Ours are a seed of one torrent and a downloader of another, and libtorrent's own filters say so.
    let seeding = timeout(DEADLINE, client.announce_once(hash(10), Port::Number(port(7010)).seeding())).await;
    let seeding = seeding.expect("announcements end").unwrap();
    assert_eq!(seeding.accepted.len(), 2, "{seeding:?}");
    let loading = timeout(DEADLINE, client.announce_once(hash(11), Port::Number(port(7011)))).await;
    assert_eq!(loading.expect("announcements end").unwrap().accepted.len(), 2);
    for (info_hash, is_seed) in [(hash(10), true), (hash(11), false)] {
        let filters = filters(foreign.addr, info_hash).await.expect("libtorrent counts");
        assert_eq!((filters.seeds.contains(ip), filters.peers.contains(ip)), (is_seed, !is_seed));
        let scraped = timeout(DEADLINE, client.scrape(info_hash)).await.expect("scrapes end").unwrap();
        assert_eq!(scraped.counting, 2, "both nodes count: {scraped:?}");
        assert_eq!((scraped.seeds() > 0.9, scraped.peers() > 0.9), (is_seed, !is_seed), "{scraped:?}");
    }
    // And theirs is one for our server, which is the only other node.
    assert!(foreign.announce_seed(hash(12), 7012).await >= 1);
    let counted = filters(router, hash(12)).await.expect("ours counts");
    assert!(counted.seeds.contains(ip) && counted.peers.is_empty(), "33.1: `seed`");
}

/// What one node says that it counts.
async fn filters(node: SocketAddr, info_hash: InfoHash) -> Option<Scrape> {
    let socket = UdpSocket::bind((node.ip(), 0)).await.unwrap();
    let request = Request::GetPeers { info_hash, noseed: false, scrape: true, want: Families::NONE };
    let (_, response) = response(ask(&socket, node, b"bf", request).await);
    response.scrape.map(|scrape| *scrape)
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep33_our_filters_and_libtorrent_s() {
    count_together(V4).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep33_our_filters_and_libtorrent_s_over_ipv6() {
    count_together(V6).await;
}

/// Twenty libtorrent sessions, and one of ours that comes late: it finds what is there, is found, and is made use of.
#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn a_late_node_of_ours_is_a_full_member_of_a_network_of_twenty_libtorrent_sessions() {
    let mut sessions = vec![Client::alone(Kind::Libtorrent).await];
    let router = sessions[0].addr;
    for _ in 1..20 {
        let mut next = Client::start(Kind::Libtorrent, router).await;
        // A session that answers a stranger does not keep him: left alone, these would never form a network.
        next.meet(sessions.iter().map(|stranger| stranger.addr)).await;
        sessions.push(next);
    }
    assert!(sessions[3].announce(hash(11), 7011).await >= 1);
    assert!(sessions[4].put("old", None, "", 0).await >= 1);

    let ours = crate::server_through(router).await;
    timeout(DEADLINE, ours.bootstrapped()).await.expect("it joins").unwrap();
    assert_eq!(found(&ours, hash(11)).await, [peer(V4, 7011)], "what was there before");
    assert_eq!(got(&ours, &Item::Immutable(text("old"))).await, Some((text("old"), None)));

    let announced = timeout(DEADLINE, ours.announce_once(hash(12), Port::Number(port(7012)))).await;
    let announced = announced.expect("announcements end").unwrap();
    assert!(announced.accepted.len() >= 8, "{announced:?}");
    assert_eq!(sessions[17].get_peers(hash(12)).await, [peer(V4, 7012)]);
    let new = Item::Immutable(text("new"));
    assert!(put(&ours, new.clone()).await.len() >= 8);
    assert_eq!(sessions[18].get(&new).await, Some(("new".to_owned(), None)));

    // With twenty-one nodes each is among the eight nearest to more than every third key.
    let mut kept = 0;
    for n in 13..33 {
        assert!(sessions[usize::from(n) % 20].announce(hash(n), 7000 + u16::from(n)).await >= 1);
        kept += usize::from(!stored(&ours, hash(n)).await.is_empty());
    }
    assert!(kept >= 1, "others store at our node");
}
