//! The checksums of the texts, computed here and not by the node's code.

use std::net::IpAddr;

use sha1::{Digest, Sha1};

/// SHA-1 of all parts, one after the other.
pub(crate) fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// The first 21 bits, the others 0, of the ids that fit `ip` and end with `last` (BEP 42).
pub(crate) fn crc_prefix(ip: IpAddr, last: u8) -> [u8; 3] {
    let masked = |octets: &[u8], mask: &[u8]| {
        let mut masked: Vec<u8> = octets.iter().zip(mask).map(|(octet, mask)| octet & mask).collect();
        masked[0] |= (last & 7) << 5;
        masked
    };
    let masked = match ip {
        IpAddr::V4(ip) => masked(&ip.octets(), &[0x03, 0x0f, 0x3f, 0xff]),
        IpAddr::V6(ip) => masked(&ip.octets(), &[0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff]),
    };
    let [first, second, third, _] = crc32c::crc32c(&masked).to_be_bytes();
    [first, second, third & 0xf8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bep42_42_1_published_and_derived_prefixes() {
        for (ip, last, prefix) in [
            ("124.31.75.21", 1, [0x5f, 0xbf, 0xbd & 0xf8]),
            ("21.75.31.124", 86, [0x5a, 0x3c, 0xe9 & 0xf8]),
            ("65.23.51.170", 22, [0xa5, 0xd4, 0x34 & 0xf8]),
            ("84.124.73.14", 65, [0x1b, 0x03, 0x21 & 0xf8]),
            ("43.213.53.83", 90, [0xe5, 0x6f, 0x69 & 0xf8]),
            ("2001:db8:85a3:8d3::1", 1, [0x81, 0x13, 0xd8]),
            ("2607:f8b0:4005:80a::200e", 2, [0xe3, 0x44, 0xd0]),
        ] {
            assert_eq!(crc_prefix(ip.parse().unwrap(), last), prefix, "{ip}");
        }
    }
}
