//! Addresses for simulated nodes: globally routable, and spread so that no rule on diversity stands in the way.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Mainline's customary port, for all of them.
const PORT: u16 = 6881;

/// First octets below 224 in which some range is not globally routable (RFC 6890).
const SPECIAL: [u8; 8] = [10, 100, 127, 169, 172, 192, 198, 203];

/// How many of the first octets 1 to 223 remain.
const ROUTABLE: u32 = 223 - 8;

/// The `n`th IPv4 address. The first 55,040 lie in distinct /16s, the first 14,090,240 in distinct /24s.
pub fn address_v4(n: u32) -> SocketAddr {
    let [.., mut first] = (n % ROUTABLE + 1).to_be_bytes();
    for special in SPECIAL {
        first += u8::from(first >= special);
    }
    let [_, fourth, third, second] = (n / ROUTABLE).to_be_bytes();
    // The last octet varies from subnet to subnet: ids bound to addresses (BEP 42) depend on all four.
    let [spread, ..] = (n % (ROUTABLE << 16)).wrapping_mul(0x9e37_79b1).to_be_bytes();
    SocketAddr::from((Ipv4Addr::new(first, second, third, fourth.wrapping_add(spread)), PORT))
}

/// The `n`th IPv6 address. The first 201,326,592 lie in distinct /32s.
pub fn address_v6(n: u32) -> SocketAddr {
    /// 2400::/16 to 2fff::/16 are routable throughout.
    const FIRST: u32 = 0x2400;
    const WIDTH: u32 = 0xc00;
    let network = u128::from(FIRST + n % WIDTH) << 16 | u128::from(n / WIDTH);
    SocketAddr::from((Ipv6Addr::from_bits(network << 96 | 1), PORT))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kademlia_core::{Reach, subnet, wide_subnet};

    use super::*;

    #[test]
    fn every_address_is_routable_and_in_a_network_of_its_own() {
        let (mut wide, mut narrow) = (BTreeSet::new(), BTreeSet::new());
        for n in 0..100_000 {
            let (v4, v6) = (address_v4(n), address_v6(n));
            assert!(Reach::Global.admits(v4) && Reach::Global.admits(v6), "{v4} {v6}");
            assert!(narrow.insert(subnet(v4.ip())), "{v4}");
            assert!(n >= 55_040 || wide.insert(wide_subnet(v4.ip())), "{v4}");
            assert!(wide.insert(wide_subnet(v6.ip())), "{v6}");
        }
        for n in [14_090_239, 14_090_240, u32::MAX] {
            assert!(Reach::Global.admits(address_v4(n)), "{}", address_v4(n));
        }
    }
}
