//! Large answers to strangers.

use core::hash::Hasher;
use core::net::IpAddr;
use core::time::Duration;

use kademlia_core::{Instant, Rng};
use siphasher::sip::SipHasher24;

/// Bytes of large answers in one second, whoever asked (T9).
const PER_SECOND: usize = 64_000;
/// Addresses that share a slot share its ration; the slot is chosen with a secret.
const SLOTS: usize = 1_024;

/// An answer that is many times as long as its question — an item's value, a scrape's filters — goes to an address that
/// has proved nothing only this often: who asks in another's name has little of it (T9).
#[derive(Debug)]
pub(crate) struct Ration {
    /// To one address in a second, and at once after a pause; 0 for no limit.
    per_address: u32,
    secret: (u64, u64),
    second: u64,
    in_second: usize,
    /// When each slot will have its full burst again; none before the first large answer.
    full_at: Vec<Instant>,
}

impl Ration {
    pub(crate) fn new(per_address: u32, rng: &mut Rng) -> Self {
        let secret = (rng.next_u64(), rng.next_u64());
        Ration { per_address, secret, second: 0, in_second: 0, full_at: Vec::new() }
    }

    /// Takes one answer of about `bytes` for `ip`, if there is one left.
    pub(crate) fn take(&mut self, now: Instant, ip: IpAddr, bytes: usize) -> bool {
        let Some(pause) = Duration::from_secs(1).checked_div(self.per_address) else { return true };
        if self.second != now.as_secs() {
            self.second = now.as_secs();
            self.in_second = 0;
        }
        if self.in_second + bytes > PER_SECOND {
            return false;
        }
        let slot = self.slot(ip);
        if self.full_at.is_empty() {
            self.full_at = vec![Instant::ZERO; SLOTS];
        }
        let Some(full_at) = self.full_at.get_mut(slot) else { return false };
        let used = (*full_at).max(now);
        if used.since(now) + pause > Duration::from_secs(1) {
            return false;
        }
        *full_at = used + pause;
        self.in_second += bytes;
        true
    }

    fn slot(&self, ip: IpAddr) -> usize {
        let mut hasher = SipHasher24::new_with_keys(self.secret.0, self.secret.1);
        match ip {
            IpAddr::V4(ip) => hasher.write(&ip.octets()),
            // One host has a /64 of its own.
            IpAddr::V6(ip) => hasher.write(&ip.octets()[..8]),
        }
        usize::try_from(hasher.finish() % SLOTS as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t9_one_address_gets_four_large_answers_a_second_and_all_together_64_kilobytes() {
        let mut ration = Ration::new(4, &mut Rng::from_number(1));
        let victim: IpAddr = "8.8.8.8".parse().unwrap();
        let mut given = 0;
        for step in 0..10_000 {
            let now = Instant::from_secs(100) + Duration::from_millis(step);
            given += u32::from(ration.take(now, victim, 1_000));
        }
        assert!((40..=44).contains(&given), "{given} in ten seconds");
        let now = Instant::from_secs(200);
        let strangers = (0..1_000_u32).map(|n| IpAddr::from(n.to_be_bytes()));
        let all: usize = strangers.filter(|ip| ration.take(now, *ip, 1_000)).count();
        assert!(all <= 64 && all > 50, "{all} in one second");
    }
}
