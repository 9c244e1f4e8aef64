//! Who shares what: the records of the peer store.

use core::net::{IpAddr, SocketAddr};

use kademlia_core::{Key, MemoryStorage, Record};

use crate::scrape::Bits;

/// The peer store in memory: peers under info hashes. Its limits are [`kademlia_core::StorageLimits`], whose defaults are
/// T7's; a peer store for a network is made with [`MemoryStorage::new`].
pub type PeerStore = MemoryStorage<Key<20>, Peer>;

/// Someone who shares a torrent. A peer is not a node: it speaks BitTorrent, on a port of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    ip: IpAddr,
    port: u16,
    /// Whether the port tells it apart from other peers at the same address.
    shares_ip: bool,
    is_seed: bool,
    /// Where it stands in a scrape filter: hashed once, not for every scrape of a thousand peers.
    bits: Bits,
}

impl Peer {
    /// The one peer at its IP address: a later announcement from there changes its port. BEP 33 wants ⟨info hash, IP⟩
    /// unique, or one host could fill a list with its ports.
    pub const fn sole(addr: SocketAddr) -> Self {
        Peer { ip: addr.ip(), port: addr.port(), shares_ip: false, is_seed: false, bits: Bits::NONE }
    }

    /// One of several peers at its IP address, each with its port; for networks in which one host plays many.
    pub const fn one_of_many(addr: SocketAddr) -> Self {
        Peer { ip: addr.ip(), port: addr.port(), shares_ip: true, is_seed: false, bits: Bits::NONE }
    }

    /// The same, ready to be stored and counted (BEP 33).
    #[must_use]
    pub fn counted(mut self, is_seed: bool) -> Self {
        self.is_seed = is_seed;
        self.bits = Bits::of(self.ip);
        self
    }

    /// Whether it has all of the torrent (BEP 33).
    pub const fn is_seed(&self) -> bool {
        self.is_seed
    }

    pub(crate) const fn bits(&self) -> Bits {
        self.bits
    }

    /// Where it takes connections.
    pub const fn addr(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }
}

impl Record for Peer {
    /// IP, and port where that counts; in the order of addresses, so that a choice of peers is spread over networks.
    type Slot = (IpAddr, u16);

    fn slot(&self) -> (IpAddr, u16) {
        (self.ip, if self.shares_ip { self.port } else { 0 })
    }

    fn source(&self) -> IpAddr {
        self.ip
    }
}

#[cfg(test)]
mod tests;
