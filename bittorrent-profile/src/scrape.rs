//! Counting the swarm of a torrent (BEP 33): Bloom filters over IP addresses, which many nodes' answers add up to.

use core::fmt;
use core::net::IpAddr;

use sha1::{Digest, Sha1};

/// Bytes of a filter.
const BYTES: usize = 256;
/// Bits of a filter (BEP 33: m).
const BITS: u16 = 2_048;

/// A set of IP addresses of which can be told how many it has, about, and of which of them it has not.
#[derive(Clone, PartialEq, Eq)]
pub struct BloomFilter([u8; BYTES]);

/// The two bits that stand for one address; worked out once for a peer that is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bits([u16; 2]);

impl Bits {
    /// Of nobody yet.
    pub(crate) const NONE: Bits = Bits([0; 2]);

    /// Bits of the SHA-1 of the address alone, 4 or 16 bytes, never the port (33.3).
    pub(crate) fn of(ip: IpAddr) -> Self {
        let hash = match ip {
            IpAddr::V4(ip) => Sha1::digest(ip.octets()),
            IpAddr::V6(ip) => Sha1::digest(ip.octets()),
        };
        let [a, b, c, d, ..]: [u8; 20] = hash.into();
        Bits([u16::from_le_bytes([a, b]) % BITS, u16::from_le_bytes([c, d]) % BITS])
    }
}

impl BloomFilter {
    /// The empty set.
    pub const fn new() -> Self {
        BloomFilter([0; BYTES])
    }

    /// Takes the bytes as they came.
    pub const fn from_bytes(bytes: [u8; BYTES]) -> Self {
        BloomFilter(bytes)
    }

    /// The bytes as they go out.
    pub const fn as_bytes(&self) -> &[u8; BYTES] {
        &self.0
    }

    /// Adds an address.
    pub fn insert(&mut self, ip: IpAddr) {
        self.set(Bits::of(ip));
    }

    pub(crate) fn set(&mut self, bits: Bits) {
        for bit in bits.0 {
            if let Some(byte) = self.0.get_mut(usize::from(bit / 8)) {
                *byte |= 1 << (bit % 8);
            }
        }
    }

    /// Whether the address is in the set. `true` may be wrong, and is the more often the fuller the set; `false` is sure.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let is_set =
            |bit: &u16| self.0.get(usize::from(bit / 8)).is_some_and(|byte| byte >> (bit % 8) & 1 == 1);
        Bits::of(ip).0.iter().all(is_set)
    }

    /// Adds all that is in `other`.
    pub fn unite(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(byte, more)| *byte |= more);
    }

    /// About how many addresses are in the set, by how many bits are not (33.4, whose formula gives 0.5 for the empty
    /// set). A full one cannot be told from one of about 7,800.
    pub fn estimate(&self) -> f64 {
        let bits = f64::from(BITS);
        let zeros: u32 = self.0.iter().map(|byte| byte.count_zeros()).sum();
        let zeros = f64::from(zeros).clamp(1.0, bits - 1.0);
        (zeros / bits).ln() / (2.0 * (1.0 - 1.0 / bits).ln())
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }
}

impl Default for BloomFilter {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for BloomFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BloomFilter(about {:.0})", self.estimate())
    }
}

/// Who shares a torrent: those who have all of it, apart from those who do not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrape {
    /// `BFsd`.
    pub seeds: BloomFilter,
    /// `BFpe`.
    pub peers: BloomFilter,
}

impl Scrape {
    /// Adds what another node knows.
    pub fn unite(&mut self, other: &Self) {
        self.seeds.unite(&other.seeds);
        self.peers.unite(&other.peers);
    }

    /// Adds a peer that a node named without counting (33.6): as one that is no seed, unless it is known for one.
    pub fn add_unknown(&mut self, ip: IpAddr) {
        if !self.seeds.contains(ip) {
            self.peers.insert(ip);
        }
    }
}

#[cfg(test)]
mod tests;
