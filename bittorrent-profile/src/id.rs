//! The two things that 160 bits stand for, told apart by type where people handle them.

use core::fmt;
use core::str::FromStr;

use kademlia_core::{Key, NotAKey};

use crate::magnet::{self, strip};
use crate::torrent::{NotATorrent, Torrent};

/// A node's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(Key<20>);

/// A torrent's info hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(Key<20>);

macro_rules! key_newtype {
    ($name:ident) => {
        impl $name {
            /// Takes the 20 bytes as they are.
            pub const fn new(bytes: [u8; 20]) -> Self {
                $name(Key::new(bytes))
            }

            /// The 20 bytes.
            pub const fn to_bytes(self) -> [u8; 20] {
                self.0.to_bytes()
            }
        }

        impl From<Key<20>> for $name {
            fn from(key: Key<20>) -> Self {
                $name(key)
            }
        }

        impl From<$name> for Key<20> {
            fn from(name: $name) -> Key<20> {
                name.0
            }
        }

        /// 40 hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

key_newtype!(NodeId);
key_newtype!(InfoHash);

impl InfoHash {
    /// The info hash of a torrent file, given its bytes; [`Torrent`] reads more of it.
    ///
    /// # Errors
    /// [`NotATorrent`].
    pub fn from_torrent(file: &[u8]) -> Result<Self, NotATorrent> {
        Torrent::read(file).map(|torrent| torrent.info_hash())
    }
}

/// From 40 hexadecimal digits.
impl FromStr for NodeId {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        text.parse().map(NodeId)
    }
}

/// The text names no info hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnInfoHash {
    /// Neither 40 hexadecimal nor 32 base32 digits.
    #[error("expected 40 hexadecimal or 32 base32 digits")]
    Digits,
    /// A magnet link without a BitTorrent version 1 topic.
    #[error("the magnet link has no `xt=urn:btih:` parameter")]
    NoTopic,
}

/// From 40 hexadecimal digits, 32 base32 digits (RFC 4648, upper or lower case), or a magnet link that holds either
/// in a parameter `xt=urn:btih:` (BEP 9), which may be percent-encoded; the first such parameter counts.
impl FromStr for InfoHash {
    type Err = NotAnInfoHash;

    fn from_str(text: &str) -> Result<Self, NotAnInfoHash> {
        let Some(mut topics) = magnet::values(text, "xt") else { return digits(text) };
        let topic = topics.find_map(|topic| strip(&topic?, "urn:btih:").map(digits));
        topic.ok_or(NotAnInfoHash::NoTopic)?
    }
}

fn digits(text: &str) -> Result<InfoHash, NotAnInfoHash> {
    let key = if text.len() == 32 { base32(text) } else { text.parse().ok() };
    key.map(InfoHash).ok_or(NotAnInfoHash::Digits)
}

/// 32 digits of 5 bits are exactly 20 bytes.
fn base32(text: &str) -> Option<Key<20>> {
    let mut bytes = [0; 20];
    for (group, digits) in bytes.as_chunks_mut::<5>().0.iter_mut().zip(text.as_bytes().as_chunks::<8>().0) {
        let bits = digits.iter().try_fold(0_u64, |bits, digit| Some(bits << 5 | base32_digit(*digit)?))?;
        let [_, _, _, low @ ..] = bits.to_be_bytes();
        *group = low;
    }
    Some(Key::new(bytes))
}

fn base32_digit(digit: u8) -> Option<u64> {
    match digit.to_ascii_uppercase() {
        upper @ b'A'..=b'Z' => Some(u64::from(upper - b'A')),
        number @ b'2'..=b'7' => Some(u64::from(number - b'2') + 26),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";
    const BASE32: &str = "2JDU5BWJLMM3RPH5XEV4CLE5IRTHZ6RW";

    #[test]
    fn an_info_hash_reads_from_hex_base32_and_magnet_links() {
        let expected: InfoHash = HEX.parse().unwrap();
        assert_eq!(expected.to_string(), HEX);
        for text in [
            HEX.to_uppercase(),
            BASE32.to_owned(),
            BASE32.to_lowercase(),
            format!("magnet:?xt=urn:btih:{HEX}"),
            format!("MAGNET:?dn=a+name&xt=urn:btih:{BASE32}&tr=udp%3A%2F%2Ftracker"),
            format!("magnet:?xt.1=urn:btmh:1220ff&xt.2=URN:BTIH:{HEX}"),
            format!("magnet:?xt=urn%3Abtih%3a{HEX}"),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_names_no_info_hash_is_refused() {
        use NotAnInfoHash::{Digits, NoTopic};
        for (text, error) in [
            (String::new(), Digits),
            (HEX[1..].to_owned(), Digits),
            (HEX.replace('d', "g"), Digits),
            (BASE32.replace('2', "1"), Digits),
            ("é".repeat(16), Digits),
            ("é".repeat(20), Digits),
            ("magnet:?".to_owned(), NoTopic),
            ("magnet:?xt=urn:btmh:1220ff".to_owned(), NoTopic),
            (format!("magnet:?xtra=urn:btih:{HEX}"), NoTopic),
            (format!("magnet:?dn={HEX}"), NoTopic),
            ("magnet:?xt=urn:btih:00".to_owned(), Digits),
        ] {
            assert_eq!(text.parse::<InfoHash>(), Err(error), "{text}");
        }
    }

    #[test]
    fn fs_a2_an_id_is_twenty_raw_bytes() {
        let mut bytes = [0xff; 20];
        bytes[..4].copy_from_slice(&[0, 0x80, b':', b'e']);
        assert_eq!(NodeId::new(bytes).to_bytes(), bytes);
        assert_eq!(NodeId::new(bytes).to_string().parse(), Ok(NodeId::new(bytes)));
        assert_eq!(<Key<20>>::from(InfoHash::new(bytes)).to_bytes(), bytes);
    }
}
