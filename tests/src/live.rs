//! `Dht`s on a network in memory, as applications use them: under tokio's paused clock.

use std::num::NonZeroU16;
use std::time::Duration;

use bittorrent_profile::dht::{Builder, Port};
use bittorrent_profile::{Dht, InfoHash};
use transport_mem::{MemNetwork, address_v4};

/// What peers listen at.
pub const PORT: Port = Port::Number(NonZeroU16::new(51_413).unwrap());

/// A node's description, with everything random decided by its number.
pub fn describe(n: u32) -> Builder {
    let mut seed = [0x5a; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    Dht::builder().seed(seed)
}

/// The `n`th node.
///
/// # Panics
/// If its address is taken, or its description is none of a node.
#[allow(clippy::unwrap_used, reason = "a helper of tests may fail loudly")]
pub fn spawn(network: &MemNetwork, n: u32, describe: Builder) -> Dht {
    describe.spawn(network.bind(address_v4(n)).unwrap()).unwrap()
}

/// The node that all others join through: the first.
pub fn router() -> [String; 1] {
    [address_v4(0).to_string()]
}

/// `count` servers that joined through the first, and had time to agree on addresses, to take the ids that fit them, and to
/// be known by these: 40 minutes.
///
/// # Panics
/// If one does not join.
#[allow(clippy::unwrap_used, reason = "a helper of tests may fail loudly")]
pub async fn servers(network: &MemNetwork, count: u32) -> Vec<Dht> {
    let mut servers = vec![spawn(network, 0, describe(0).server(true))];
    for n in 1..count {
        let server = spawn(network, n, describe(n).server(true).bootstrap(router()));
        server.bootstrapped().await.unwrap();
        servers.push(server);
    }
    tokio::time::sleep(Duration::from_secs(40 * 60)).await;
    servers
}

/// A torrent.
pub fn hash(n: u8) -> InfoHash {
    InfoHash::new([n; 20])
}
