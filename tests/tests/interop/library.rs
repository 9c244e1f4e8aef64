//! Our library beside foreign nodes.

use std::net::IpAddr;

use bittorrent_profile::Dht;
use bittorrent_profile::dht::Port;
use tokio::time::timeout;

use crate::client::{Client, Kind};
use crate::{DEADLINE, V4, V6, everybody, found, hash, peer, port, reader, server, strangers};

/// What they announced a client of ours finds, and what it announced they find; and the nodes that took it are they.
async fn announce_and_find(kind: Kind, ip: IpAddr) {
    let (ours, router) = server(ip).await;
    let mut foreign = strangers(kind, &ours, router).await;

    assert!(foreign[0].announce(hash(3), 7003).await >= 1);
    let client = reader(router).await;
    assert_eq!(found(&client, hash(3)).await, [peer(ip, 7003)]);

    let announced = timeout(DEADLINE, client.announce_once(hash(4), Port::Number(port(7004)))).await;
    let announced = announced.expect("announcements end").unwrap();
    let mut accepted: Vec<_> = announced.accepted.iter().map(|contact| contact.addr).collect();
    accepted.sort();
    assert_eq!(accepted, everybody(router, &foreign), "{announced:?}");
    for foreign in &mut foreign {
        assert_eq!(foreign.get_peers(hash(4)).await, [peer(ip, 7004)]);
    }
    implied_port(&client, &mut foreign[0]).await;
}

/// The port that the announcement comes from (5.9).
async fn implied_port(client: &Dht, foreign: &mut Client) {
    let announced = timeout(DEADLINE, client.announce_once(hash(5), Port::Implied)).await;
    let announced = announced.expect("announcements end").unwrap();
    assert_eq!(announced.accepted.len(), 3, "{announced:?}");
    assert_eq!(foreign.get_peers(hash(5)).await, client.local_addrs());
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn our_library_and_libtorrent_find_what_the_other_announced() {
    announce_and_find(Kind::Libtorrent, V4).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep32_our_library_and_libtorrent_find_what_the_other_announced_over_ipv6() {
    announce_and_find(Kind::Libtorrent, V6).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn our_library_and_bittorrent_dht_find_what_the_other_announced() {
    announce_and_find(Kind::BittorrentDht, V4).await;
}
