//! Foreign nodes find each other through ours.

use crate::client::{Client, Kind};
use crate::{V4, acquainted, hash, peer, server, stored};

/// One announces, and the other finds it: with the announcer's help, and without it when it has gone.
async fn find_each_other(kinds: [Kind; 2]) {
    let (ours, router) = server(V4).await;
    let [mut first, mut second] =
        [Client::start(kinds[0], router).await, Client::start(kinds[1], router).await];
    acquainted(&ours, &[&first, &second]).await;

    assert!(first.announce(hash(1), 7001).await >= 1, "our node accepts");
    assert!(second.announce(hash(2), 7002).await >= 1, "our node accepts");
    assert_eq!(stored(&ours, hash(1)).await, [peer(V4, 7001)]);
    assert_eq!(stored(&ours, hash(2)).await, [peer(V4, 7002)]);
    assert_eq!(second.get_peers(hash(1)).await, [peer(V4, 7001)]);
    assert_eq!(first.get_peers(hash(2)).await, [peer(V4, 7002)]);

    // A third has nobody left to ask but ours.
    drop((first, second));
    let mut third = Client::start(kinds[0], router).await;
    assert_eq!(third.get_one_peer(hash(1)).await, [peer(V4, 7001)]);
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn two_libtorrent_sessions_find_each_other_through_our_node() {
    find_each_other([Kind::Libtorrent, Kind::Libtorrent]).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn two_bittorrent_dht_nodes_find_each_other_through_our_node() {
    find_each_other([Kind::BittorrentDht, Kind::BittorrentDht]).await;
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn libtorrent_and_bittorrent_dht_find_each_other_through_our_node() {
    find_each_other([Kind::Libtorrent, Kind::BittorrentDht]).await;
    find_each_other([Kind::BittorrentDht, Kind::Libtorrent]).await;
}
