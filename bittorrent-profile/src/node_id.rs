//! Node ids bound to IP addresses (BEP 42): a node may choose few of its id's leading bits, so that standing close to
//! a given key takes many addresses.

use core::net::IpAddr;

use kademlia_core::{Key, Keyspace, Rng};

/// The bits of an IPv4 address that count.
const MASK_V4: [u8; 4] = [0x03, 0x0f, 0x3f, 0xff];
/// The bits of an IPv6 address's upper half that count; the lower half is the host's to choose.
const MASK_V6: [u8; 8] = [0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff];
/// The last byte's bits that go into the checksum: BEP 42 leaves an address eight ids.
const RAND_BITS: u8 = 0x07;

/// An id for a node at `ip`: its first 21 bits follow from the address and three bits of its last byte; all else is random.
pub fn derive(ip: IpAddr, rng: &mut Rng) -> Key<20> {
    fit(ip, &Key::random(rng))
}

/// `id` made to fit `ip`: its first 21 bits replaced by those that follow from the address and the id's last byte.
pub fn fit(ip: IpAddr, id: &Key<20>) -> Key<20> {
    let mut id = id.to_bytes();
    let [first, second, third, ..] = checksum(ip, id[19]).to_be_bytes();
    id[0] = first;
    id[1] = second;
    id[2] = (third & 0xf8) | (id[2] & 0x07);
    Key::new(id)
}

/// Whether `id` is one that a node at `ip` may have. Every id is, where `ip` is [exempt](is_exempt).
pub fn verify(ip: IpAddr, id: &Key<20>) -> bool {
    let id = id.to_bytes();
    let [first, second, third, ..] = checksum(ip, id[19]).to_be_bytes();
    is_exempt(ip) || (id[0] == first && id[1] == second && (id[2] ^ third) & 0xf8 == 0)
}

/// Whether `ip` is of a local network, where ids are not bound: the ranges of BEP 42, loopback, and for IPv6, of which
/// it says nothing, loopback, link-local and unique local addresses.
pub fn is_exempt(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_private() || ip.is_link_local() || ip.is_loopback(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unique_local(),
    }
}

/// CRC-32C of the address's counting bits, with three bits of `rand` on top: 4 bytes for IPv4, 8 for IPv6. The BEP's
/// prose speaks of 8 bytes for both; its code and its vectors do not.
fn checksum(ip: IpAddr, rand: u8) -> u32 {
    let top = (rand & RAND_BITS) << 5;
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let mut octets = masked(ip.octets(), MASK_V4);
            octets[0] |= top;
            crc32c::crc32c(&octets)
        }
        IpAddr::V6(ip) => {
            let [a, b, c, d, e, f, g, h, ..] = ip.octets();
            let mut octets = masked([a, b, c, d, e, f, g, h], MASK_V6);
            octets[0] |= top;
            crc32c::crc32c(&octets)
        }
    }
}

fn masked<const N: usize>(octets: [u8; N], mask: [u8; N]) -> [u8; N] {
    core::array::from_fn(|at| octets[at] & mask[at])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, prop_assert_ne, proptest};

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn bep42_42_1_checksum_vectors() {
        assert_eq!(crc32c::crc32c(b"123456789"), 0xe306_9283);
        for (address, rand, crc) in [
            ("124.31.75.21", 1, 0x5fbf_bdb2),
            ("21.75.31.124", 86, 0x5a3c_e9b0),
            ("65.23.51.170", 22, 0xa5d4_344a),
            ("84.124.73.14", 65, 0x1b03_217b),
            ("43.213.53.83", 90, 0xe56f_6972),
            ("2001:db8:85a3:8d3::1", 1, 0x8113_ddef),
            ("2a02:2e0:3fe:1001::1", 6, 0x7e29_a378),
            ("2607:f8b0:4005:80a::200e", 2, 0xe344_d104),
            ("fd00::1", 0, 0xc514_cfad),
        ] {
            assert_eq!(checksum(ip(address), rand), crc, "{address}");
        }
    }

    #[test]
    fn bep42_42_2_published_ids_verify_and_their_neighbours_do_not() {
        for (address, id) in [
            ("124.31.75.21", "5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401"),
            ("21.75.31.124", "5a3ce9c14e7a08645677bbd1cfe7d8f956d53256"),
            ("65.23.51.170", "a5d43220bc8f112a3d426c84764f8c2a1150e616"),
            ("84.124.73.14", "1b0321dd1bb1fe518101ceef99462b947a01ff41"),
            ("43.213.53.83", "e56f6cbf5b7c4be0237986d5243b87aa6d51305a"),
        ] {
            let key: Key<20> = id.parse().unwrap();
            assert!(verify(ip(address), &key), "{address}");
            assert!(!verify(ip("8.8.8.8"), &key), "{address}");
            for bit in 0..21 {
                let mut other = key.to_bytes();
                other[bit / 8] ^= 0x80 >> (bit % 8);
                assert!(!verify(ip(address), &Key::new(other)), "{address}, bit {bit}");
            }
            for bit in (21..152).chain(152..157) {
                let mut other = key.to_bytes();
                other[bit / 8] ^= 0x80 >> (bit % 8);
                assert!(verify(ip(address), &Key::new(other)), "{address}, bit {bit}");
            }
        }
    }

    #[test]
    fn bep42_42_2_ipv6_prefixes() {
        for (address, rand, prefix) in [
            ("2001:db8:85a3:8d3::1", 1, [0x81, 0x13, 0xd8]),
            ("2a02:2e0:3fe:1001::1", 6, [0x7e, 0x29, 0xa0]),
            ("2607:f8b0:4005:80a::200e", 2, [0xe3, 0x44, 0xd0]),
        ] {
            let mut id = [0; 20];
            id[..3].copy_from_slice(&prefix);
            id[19] = rand;
            assert!(verify(ip(address), &Key::new(id)), "{address}");
            id[19] ^= 0x01;
            assert!(!verify(ip(address), &Key::new(id)), "{address}: the last byte is part of it");
        }
    }

    #[test]
    fn bep42_42_3_local_networks_are_exempt_to_their_edges() {
        let any = Key::new([0; 20]);
        for (address, exempt) in [
            ("9.255.255.255", false),
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("126.255.255.255", false),
            ("127.0.0.1", true),
            ("128.0.0.0", false),
            ("169.253.255.255", false),
            ("169.254.0.0", true),
            ("169.255.0.0", false),
            ("172.15.255.255", false),
            ("172.16.0.0", true),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("192.167.255.255", false),
            ("192.168.0.0", true),
            ("192.169.0.0", false),
            ("::1", true),
            ("::2", false),
            ("fe80::1", true),
            ("fec0::1", false),
            ("fc00::1", true),
            ("fd00::1", true),
            ("fe00::1", false),
            ("::ffff:10.0.0.1", true),
            ("::ffff:8.8.8.8", false),
        ] {
            assert_eq!(is_exempt(ip(address)), exempt, "{address}");
            assert_eq!(verify(ip(address), &any), exempt, "{address}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn bep42_42_2_a_derived_id_verifies_and_21_bits_are_what_it_costs(ip: IpAddr, seed: u64) {
            let id = derive(ip, &mut Rng::from_number(seed));
            prop_assert!(verify(ip, &id));
            prop_assert_ne!(id, derive(ip, &mut Rng::from_number(seed.wrapping_add(1))));
            let mut other = id.to_bytes();
            other[2] ^= 0x08;
            prop_assert_eq!(verify(ip, &Key::new(other)), is_exempt(ip));
        }
    }
}
