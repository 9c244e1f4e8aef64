//! Write tokens (BEP 5): proof that whoever announces has lately received our answer at the address it announces.
//!
//! A token is a keyed MAC over what it is for and a five-minute epoch (T6), so nothing is remembered per asker, and a new
//! epoch is a new key as far as anyone without the secret can tell. Tokens bind the IP, not the port: NATs change ports
//! between two datagrams (B11).

use core::fmt;
use core::hash::Hasher;
use core::net::IpAddr;
use core::time::Duration;

use kademlia_core::{Instant, Key};
use siphasher::sip::SipHasher24;
use subtle::ConstantTimeEq;

use crate::krpc::Token;

/// How long one epoch lasts (BEP 5: the secret changes every five minutes). Tokens of this one and the one before are
/// good, so each is for at least one epoch and less than two.
pub const EPOCH: Duration = Duration::from_secs(5 * 60);

/// Makes and checks write tokens.
#[derive(Clone)]
pub struct Tokens {
    /// Already keyed; cloned for every MAC.
    keyed: SipHasher24,
}

impl Tokens {
    /// The secret has to come from the operating system's random source, and is to be another at each start (A11).
    pub fn new(secret: &[u8; 16]) -> Self {
        Tokens { keyed: SipHasher24::new_with_key(secret) }
    }

    /// A token that lets a peer at `ip` announce itself under `target`.
    pub fn issue(&self, now: Instant, ip: IpAddr, target: &Key<20>) -> Token {
        Token::from_array(self.tag(epoch(now), ip, target))
    }

    /// Whether `token` was issued to `ip` for `target` in this epoch or the one before. Takes the same time whichever
    /// byte is wrong.
    pub fn verify(&self, now: Instant, ip: IpAddr, target: &Key<20>, token: &Token) -> bool {
        let current = epoch(now);
        let matches = |epoch| self.tag(epoch, ip, target).ct_eq(token.as_bytes());
        let before = current.checked_sub(1).map_or(0.into(), matches);
        (matches(current) | before).into()
    }

    fn tag(&self, epoch: u64, ip: IpAddr, target: &Key<20>) -> [u8; 8] {
        let mut mac = self.keyed;
        // Every field before the target has a fixed length once the family is known: no two inputs run together.
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
        mac.write(target.as_ref());
        mac.finish().to_be_bytes()
    }
}

fn epoch(now: Instant) -> u64 {
    now.as_secs() / EPOCH.as_secs()
}

/// Says nothing of the secret.
impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tokens(..)")
    }
}

#[cfg(test)]
mod tests;
