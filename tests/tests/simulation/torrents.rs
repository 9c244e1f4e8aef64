//! Peers that are announced, and searches for them.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use kademlia_core::Key;
use tests::Network;

const PORT: NonZeroU16 = NonZeroU16::new(51_413).unwrap();
/// No lookup takes longer.
const SEARCH: Duration = Duration::from_secs(21);

/// A torrent, and the one peer that shares it.
pub(crate) type Torrent = (Key<20>, SocketAddr);

/// So many torrents, each announced by a node at random a minute ago.
pub(crate) fn announce(network: &mut Network, count: usize) -> Vec<Torrent> {
    let mut announced = Vec::with_capacity(count);
    for _ in 0..count {
        let (from, info_hash) = (network.any_node(), network.any_key());
        network.announce(from, info_hash, PORT);
        let mut peer = network.simulation.address(from).unwrap();
        peer.set_port(PORT.get());
        announced.push((info_hash, peer));
    }
    network.run_for(Duration::from_secs(60));
    announced
}

/// Searches for each torrent from ten nodes; gives back how many searches there were, and how many found the peer.
pub(crate) fn find(network: &mut Network, torrents: &[Torrent]) -> (usize, usize) {
    let (mut searches, mut found) = (0, 0);
    // All torrents at once and not one after the other: in half an hour their peers expire.
    for _ in 0..10 {
        let mut started = Vec::new();
        for (info_hash, peer) in torrents {
            let from = network.any_node();
            started.push((peer, network.get_peers(from, *info_hash)));
        }
        network.run_for(SEARCH);
        for (peer, id) in started {
            searches += 1;
            found += usize::from(network.answers(id).iter().any(|answer| answer.values.contains(peer)));
            assert!(network.ended(id).is_some(), "a lookup has not ended");
        }
    }
    (searches, found)
}
