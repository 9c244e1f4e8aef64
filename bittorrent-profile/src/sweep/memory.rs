//! What a walk remembers, in bounded memory: eight bytes of each, made with a secret, so that nobody chooses what is
//! taken for one another.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kademlia_core::Instant;
use siphasher::sip::SipHasher24;

use crate::id::InfoHash;

/// Makes eight bytes of anything.
#[derive(Clone, Copy, Debug)]
pub(super) struct Secret(pub(super) u64, pub(super) u64);

impl Secret {
    fn print(self, write: impl FnOnce(&mut SipHasher24)) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(self.0, self.1);
        write(&mut hasher);
        hasher.finish()
    }

    fn of_addr(self, addr: SocketAddr) -> u64 {
        self.print(|hasher| {
            match addr.ip() {
                IpAddr::V4(ip) => hasher.write(&ip.octets()),
                IpAddr::V6(ip) => hasher.write(&ip.octets()),
            }
            hasher.write(&addr.port().to_le_bytes());
        })
    }
}

/// Who was asked, and until when he must not be asked again. Two addresses that look the same cost one of them its question, never somebody a
/// second one.
#[derive(Debug)]
pub(super) struct Asked {
    secret: Secret,
    /// In seconds, rounded up.
    until: BTreeMap<u64, u32>,
    capacity: usize,
    /// At the limit nothing can be forgotten before.
    full_until: Instant,
}

impl Asked {
    pub(super) fn new(capacity: usize, secret: Secret) -> Self {
        Asked { secret, until: BTreeMap::new(), capacity: capacity.max(1), full_until: Instant::ZERO }
    }

    /// Also somebody who might be asked again by now, as long as there is room to remember him: once is enough.
    pub(super) fn contains(&self, addr: SocketAddr) -> bool {
        self.until.contains_key(&self.secret.of_addr(addr))
    }

    pub(super) fn insert(&mut self, now: Instant, addr: SocketAddr, pause: Duration) {
        // Both parts of a second count as a whole one.
        let until = now.as_secs().saturating_add(pause.as_secs()).saturating_add(2);
        self.until.insert(self.secret.of_addr(addr), u32::try_from(until).unwrap_or(u32::MAX));
    }

    /// Makes room for one more; where there is none, says when there will be.
    pub(super) fn make_room(&mut self, now: Instant) -> Result<(), Instant> {
        if self.until.len() < self.capacity {
            return Ok(());
        }
        if now < self.full_until {
            return Err(self.full_until);
        }
        self.until.retain(|_, until| u64::from(*until) > now.as_secs());
        if self.until.len() < self.capacity {
            return Ok(());
        }
        let first = self.until.values().min().copied().unwrap_or_default();
        self.full_until = Instant::from_secs(first.into());
        Err(self.full_until)
    }
}

/// Info hashes that were told. Of more than fit, those told longest ago are forgotten, and told again if they are heard
/// again: which nearly always is soon or never, since the nodes that hold one stand together.
#[derive(Debug)]
pub(super) struct Seen {
    secret: Secret,
    recent: BTreeSet<u64>,
    earlier: BTreeSet<u64>,
    capacity: usize,
}

impl Seen {
    pub(super) fn new(capacity: usize, secret: Secret) -> Self {
        Seen { secret, recent: BTreeSet::new(), earlier: BTreeSet::new(), capacity: capacity.max(2) }
    }

    /// Whether this is the first time.
    pub(super) fn insert(&mut self, info_hash: InfoHash) -> bool {
        let print = self.secret.print(|hasher| hasher.write(&info_hash.to_bytes()));
        if self.earlier.contains(&print) || !self.recent.insert(print) {
            return false;
        }
        if self.recent.len() >= self.capacity / 2 {
            self.earlier = std::mem::take(&mut self.recent);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = Secret(1, 2);

    fn addr(n: u16) -> SocketAddr {
        SocketAddr::from(([20, 0, 0, 1], n))
    }

    #[test]
    fn bep51_51_2_nobody_is_forgotten_before_his_time_and_at_the_limit_nobody_is_asked() {
        let mut asked = Asked::new(3, SECRET);
        let start = Instant::from_secs(10);
        for n in 1..=3 {
            assert_eq!(asked.make_room(start), Ok(()));
            asked.insert(start, addr(n), Duration::from_secs(100 * u64::from(n)));
        }
        assert_eq!(asked.make_room(start), Err(Instant::from_secs(112)));
        assert!(asked.contains(addr(1)) && !asked.contains(addr(4)));
        assert_eq!(asked.make_room(Instant::from_secs(111)), Err(Instant::from_secs(112)));
        assert_eq!(asked.make_room(Instant::from_secs(112)), Ok(()));
        assert!(!asked.contains(addr(1)) && asked.contains(addr(2)));
    }

    #[test]
    fn a_hash_is_told_once_and_long_after_perhaps_again() {
        let mut seen = Seen::new(8, SECRET);
        let hash = |n: u8| InfoHash::new([n; 20]);
        assert!(seen.insert(hash(0)) && !seen.insert(hash(0)));
        assert!((1..4).all(|n| seen.insert(hash(n))));
        assert!((0..4).all(|n| !seen.insert(hash(n))), "the last four at least");
        assert!((4..8).all(|n| seen.insert(hash(n))));
        assert!(seen.insert(hash(0)), "forgotten");
        assert!(seen.recent.len() + seen.earlier.len() <= 8);
    }
}
