//! Links to torrents that change (BEP 46): a public key, under which the DHT has the info hash of the day.

use core::fmt;
use core::str::FromStr;

use crate::bencode::DictWriter;
use crate::id::InfoHash;
use crate::item::{PublicKey, RawValue, Salt};
use crate::magnet::{self, hex_byte, strip};

/// `magnet:?xs=urn:btpk:<public key>[&s=<salt>]`, both in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TorrentLink {
    /// Whose torrent it is.
    pub key: PublicKey,
    /// Which of the owner's.
    pub salt: Salt,
}

/// The text is no link to a torrent that changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotATorrentLink {
    /// Not a magnet link.
    #[error("not a magnet link")]
    NotMagnet,
    /// A magnet link to something else.
    #[error("the magnet link has no `xs=urn:btpk:` parameter")]
    NoKey,
    /// The key is not 64 hexadecimal digits.
    #[error("expected 64 hexadecimal digits after `urn:btpk:`")]
    Key,
    /// The salt is not up to 128 hexadecimal digits.
    #[error("expected up to 128 hexadecimal digits after `s=`, two for each byte")]
    Salt,
}

impl fmt::Display for TorrentLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "magnet:?xs=urn:btpk:{}", self.key)?;
        if !self.salt.as_bytes().is_empty() {
            f.write_str("&s=")?;
            self.salt.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        }
        Ok(())
    }
}

/// Other parameters are ignored, and of `xs` and `s` the first counts. Values may be percent-encoded.
impl FromStr for TorrentLink {
    type Err = NotATorrentLink;

    fn from_str(text: &str) -> Result<Self, NotATorrentLink> {
        let values = |wanted| magnet::values(text, wanted).ok_or(NotATorrentLink::NotMagnet);
        let key = values("xs")?.find_map(|value| strip(&value?, "urn:btpk:").map(str::to_owned));
        let key = key.ok_or(NotATorrentLink::NoKey)?.parse().map_err(|_| NotATorrentLink::Key)?;
        let salt = match values("s")?.next() {
            None => Salt::default(),
            Some(digits) => digits.and_then(|digits| salt(&digits)).ok_or(NotATorrentLink::Salt)?,
        };
        Ok(TorrentLink { key, salt })
    }
}

fn salt(digits: &str) -> Option<Salt> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    Salt::new(&pairs.iter().map(hex_byte).collect::<Option<Vec<_>>>()?)
}

/// What is stored under the key: `{ih: info hash}` (46.1).
pub fn torrent_value(info_hash: InfoHash) -> RawValue {
    let mut raw = Vec::with_capacity(32);
    DictWriter::open(&mut raw).bytes("ih", &info_hash.to_bytes());
    RawValue::canonical(raw)
}

/// The info hash in such a value.
pub fn info_hash_in(value: &RawValue) -> Option<InfoHash> {
    value.with(|value| value.dict()?.get(b"ih")?.array().map(InfoHash::new)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::mutable_target;

    const KEY: &str = "8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e";

    #[test]
    fn bep46_46_2_links_are_read_and_written() {
        let plain: TorrentLink = format!("magnet:?xs=urn:btpk:{KEY}").parse().unwrap();
        let salted: TorrentLink = format!("magnet:?xs=urn:btpk:{KEY}&s=6e").parse().unwrap();
        let target = |link: &TorrentLink| mutable_target(&link.key, &link.salt).to_string();
        assert_eq!(target(&plain), "cc3f9d90b572172053626f9980ce261a850d050b");
        assert_eq!(target(&salted), "59ee7c2cb9b4f7eb1986ee2d18fd2fdb8a56554f");
        assert_eq!(plain.to_string(), format!("magnet:?xs=urn:btpk:{KEY}"));
        assert_eq!(salted.to_string(), format!("magnet:?xs=urn:btpk:{KEY}&s=6e"));
    }

    #[test]
    fn bep46_46_2_links_come_in_many_spellings() {
        let expected: TorrentLink = format!("magnet:?xs=urn:btpk:{KEY}&s=6e").parse().unwrap();
        for text in [
            format!("MAGNET:?dn=a+name&s=6E&XS=URN:BTPK:{}", KEY.to_uppercase()),
            format!("magnet:?xs=urn%3Abtpk%3a{KEY}&s=%36e&tr=udp%3A%2F%2Ftracker"),
            format!("magnet:?xs.1=http%3A%2F%2Fmirror&xs.2=urn:btpk:{KEY}&s=6e&s=00"),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bep46_46_2_what_is_no_link_is_refused() {
        use NotATorrentLink::{Key, NoKey, NotMagnet, Salt};
        for (text, error) in [
            (KEY.to_owned(), NotMagnet),
            ("magnet:?xt=urn:btih:00".to_owned(), NoKey),
            (format!("magnet:?xt=urn:btpk:{KEY}"), NoKey),
            (format!("magnet:?xs=urn:btpk:{}", &KEY[1..]), Key),
            (format!("magnet:?xs=urn:btpk:{KEY}&s=6"), Salt),
            (format!("magnet:?xs=urn:btpk:{KEY}&s=%6"), Salt),
            (format!("magnet:?xs=urn:btpk:{KEY}&s=%ff%ff"), Salt),
            (format!("magnet:?xs=urn:btpk:{KEY}&s=+6"), Salt),
            (format!("magnet:?xs=urn:btpk:{KEY}&s={}", "00".repeat(65)), Salt),
        ] {
            assert_eq!(text.parse::<TorrentLink>(), Err(error), "{text}");
        }
    }

    #[test]
    fn bep46_46_1_the_value_is_a_dictionary_with_the_info_hash() {
        let info_hash = InfoHash::new([7; 20]);
        let value = torrent_value(info_hash);
        assert_eq!(value.as_bytes(), [&b"d2:ih20:"[..], &[7; 20], b"e"].concat());
        assert_eq!(info_hash_in(&value), Some(info_hash));
        for other in
            [&b"d2:ih3:abce"[..], b"le", b"d2:ix20:aaaaaaaaaaaaaaaaaaaae", b"20:aaaaaaaaaaaaaaaaaaaa"]
        {
            assert_eq!(info_hash_in(&RawValue::new(other).unwrap()), None);
        }
    }
}
