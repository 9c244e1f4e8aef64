//! Write tokens: proof that whoever stores has lately received our answer at the address it stores from.

use core::fmt;
use core::hash::Hasher;
use core::net::IpAddr;
use core::time::Duration;

use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;

use crate::time::Instant;

/// Makes and checks write tokens, for services that take records from others (BEP 5 invented them).
///
/// A token is a keyed MAC over an address, what it is for, and a five-minute epoch (T6), so nothing is remembered per
/// asker, and a new epoch is a new key as far as anyone without the secret can tell. Tokens bind the IP, not the port: NATs
/// change ports between two datagrams (B11).
#[derive(Clone)]
pub struct Tokens {
    /// Already keyed; copied for every MAC.
    keyed: SipHasher24,
}

impl Tokens {
    /// How long one epoch lasts (BEP 5: the secret changes every five minutes). Tokens of this one and the one before are
    /// good, so each is for at least one epoch and less than two.
    pub const EPOCH: Duration = Duration::from_secs(5 * 60);

    /// The secret has to come from the operating system's random source, and is to be another at each start (A11).
    pub fn new(secret: &[u8; 16]) -> Self {
        Tokens { keyed: SipHasher24::new_with_key(secret) }
    }

    /// A token for whoever is at `ip`. `scope` says what it allows, perhaps the key that is stored under; empty for everything.
    pub fn issue(&self, now: Instant, ip: IpAddr, scope: &[u8]) -> [u8; 8] {
        self.tag(epoch(now), ip, scope)
    }

    /// Whether `token` was issued to `ip` for `scope` in this epoch or the one before. Takes the same time whichever byte
    /// is wrong.
    pub fn verify(&self, now: Instant, ip: IpAddr, scope: &[u8], token: &[u8]) -> bool {
        let current = epoch(now);
        let matches = |epoch| self.tag(epoch, ip, scope).ct_eq(token);
        let before = current.checked_sub(1).map_or(0.into(), matches);
        (matches(current) | before).into()
    }

    fn tag(&self, epoch: u64, ip: IpAddr, scope: &[u8]) -> [u8; 8] {
        let mut mac = self.keyed;
        // Every field before the scope has a fixed length once the family is known: no two inputs run together.
        match ip {
            IpAddr::V4(ip) => {
                mac.write(&[4]);
                mac.write(&ip.octets());
            }
            IpAddr::V6(ip) => {
                mac.write(&[6]);
                mac.write(&ip.octets());
            }
        }
        mac.write(&epoch.to_be_bytes());
        mac.write(scope);
        mac.finish().to_be_bytes()
    }
}

fn epoch(now: Instant) -> u64 {
    now.as_secs() / Tokens::EPOCH.as_secs()
}

/// Says nothing of the secret.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

#[cfg(test)]
mod tests;
