//! Items (BEP 44) in networks that lose datagrams and nodes: several writers of one item, and items that are kept alive.
//! Whole nodes behind their front doors, over the in-memory network and in virtual time.

mod contest;
mod upkeep;

use bittorrent_profile::Dht;
use bittorrent_profile::dht::Builder;
use transport_mem::{MemNetwork, address_v4};

/// A node's description, with everything random decided by its number.
fn describe(seed: u64, n: u32) -> Builder {
    let mut bytes = [0x3c; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    bytes[8..12].copy_from_slice(&n.to_be_bytes());
    Dht::builder().seed(bytes)
}

/// The `n`th node, which joins through some of the first.
fn spawn(network: &MemNetwork, n: u32, describe: Builder) -> Dht {
    let routers = (0..4).filter(|router| *router != n).map(|router| address_v4(router).to_string());
    describe.bootstrap(routers).spawn(network.bind(address_v4(n)).unwrap()).unwrap()
}
