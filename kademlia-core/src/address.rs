//! Addresses: their compact form, the subnets they count against, and which of them may be spoken to at all.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The two address families. Mainline keeps one network for each (BEP 32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub const fn of(addr: &SocketAddr) -> Self {
        match addr {
            SocketAddr::V4(_) => Family::V4,
            SocketAddr::V6(_) => Family::V6,
        }
    }
}

/// A socket address in 19 bytes instead of `SocketAddr`'s 32: what a routing table entry holds.
/// IPv6 flow labels and scope ids are not kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum CompactAddr {
    V4([u8; 4], [u8; 2]),
    V6([u8; 16], [u8; 2]),
}

impl CompactAddr {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        let port = addr.port().to_be_bytes();
        match addr.ip() {
            IpAddr::V4(ip) => CompactAddr::V4(ip.octets(), port),
            IpAddr::V6(ip) => CompactAddr::V6(ip.octets(), port),
        }
    }

    pub(crate) fn get(self) -> SocketAddr {
        match self {
            CompactAddr::V4(ip, port) => SocketAddr::from((ip, u16::from_be_bytes(port))),
            CompactAddr::V6(ip, port) => SocketAddr::from((ip, u16::from_be_bytes(port))),
        }
    }
}

impl fmt::Debug for CompactAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

/// The network an address is counted against where one holder of many addresses must not count many times:
/// the /24 of an IPv4 address, the /64 of an IPv6 address.
pub fn subnet(ip: IpAddr) -> IpAddr {
    masked(ip, 24, 64)
}

/// The wider network for rarer, more important counts: the /16 of an IPv4 address, the /32 of an IPv6 address.
pub fn wide_subnet(ip: IpAddr) -> IpAddr {
    masked(ip, 16, 32)
}

pub(crate) fn masked(ip: IpAddr, v4_bits: u32, v6_bits: u32) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32 - v4_bits).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask))
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128 - v6_bits).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask))
        }
    }
}

/// Which addresses a node speaks to and passes on (T13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Globally routable unicast addresses only: a node on the Internet.
    #[default]
    Global,
    /// Also private, link-local and loopback addresses: a node that is itself bound to one of these.
    Private,
}

impl Reach {
    /// The reach of a node bound to `addr`: [`Private`](Reach::Private) only if that address is itself not global
    /// and not the unspecified one.
    pub fn of_bound(addr: SocketAddr) -> Self {
        if addr.ip().is_unspecified() || is_global(addr.ip()) { Reach::Global } else { Reach::Private }
    }

    /// Whether a datagram may be sent to `addr`. Port 0, multicast, broadcast and the unspecified address never qualify.
    pub fn admits(self, addr: SocketAddr) -> bool {
        if addr.port() == 0 {
            return false;
        }
        match self {
            Reach::Global => is_global(addr.ip()),
            Reach::Private => is_unicast(addr.ip()),
        }
    }
}

fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !(ip.octets()[0] == 0 || ip.octets()[0] >= 224),
        IpAddr::V6(ip) => !(ip.is_unspecified() || ip.is_multicast() || ip.to_ipv4_mapped().is_some()),
    }
}

/// The ranges that T13 lists, from the IANA special-purpose registries.
fn is_global(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_unicast(IpAddr::V4(ip)) && !SPECIAL_V4.iter().any(|range| range.contains(ip)),
        IpAddr::V6(ip) => {
            let [first, second, ..] = ip.segments();
            let unicast = first & 0xe000 == 0x2000;
            let teredo = first == 0x2001 && second == 0;
            let six_to_four = first == 0x2002;
            let documentation = (first == 0x2001 && second == 0xdb8) || (first == 0x3fff && second < 0x1000);
            unicast && !(teredo || six_to_four || documentation)
        }
    }
}

struct RangeV4 {
    network: Ipv4Addr,
    bits: u32,
}

impl RangeV4 {
    const fn new(a: u8, b: u8, c: u8, bits: u32) -> Self {
        RangeV4 { network: Ipv4Addr::new(a, b, c, 0), bits }
    }

    const fn contains(&self, ip: Ipv4Addr) -> bool {
        let shift = 32 - self.bits;
        ip.to_bits() >> shift == self.network.to_bits() >> shift
    }
}

/// Not globally routable, beyond 0/8 and 224/3 (RFC 6890 and its updates).
const SPECIAL_V4: [RangeV4; 12] = [
    RangeV4::new(10, 0, 0, 8),
    RangeV4::new(100, 64, 0, 10),
    RangeV4::new(127, 0, 0, 8),
    RangeV4::new(169, 254, 0, 16),
    RangeV4::new(172, 16, 0, 12),
    RangeV4::new(192, 0, 0, 24),
    RangeV4::new(192, 0, 2, 24),
    RangeV4::new(192, 168, 0, 16),
    RangeV4::new(198, 18, 0, 15),
    RangeV4::new(198, 51, 100, 24),
    RangeV4::new(203, 0, 113, 24),
    RangeV4::new(192, 88, 99, 24),
];

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    fn admits(reach: Reach, ip: &str) -> bool {
        reach.admits(SocketAddr::new(ip.parse().unwrap(), 6881))
    }

    #[test]
    fn t13_every_range_edge_and_one_beyond() {
        let ranges = [
            ("0.0.0.0", "0.255.255.255"),
            ("10.0.0.0", "10.255.255.255"),
            ("100.64.0.0", "100.127.255.255"),
            ("127.0.0.0", "127.255.255.255"),
            ("169.254.0.0", "169.254.255.255"),
            ("172.16.0.0", "172.31.255.255"),
            ("192.0.0.0", "192.0.0.255"),
            ("192.0.2.0", "192.0.2.255"),
            ("192.88.99.0", "192.88.99.255"),
            ("192.168.0.0", "192.168.255.255"),
            ("198.18.0.0", "198.19.255.255"),
            ("198.51.100.0", "198.51.100.255"),
            ("203.0.113.0", "203.0.113.255"),
            ("224.0.0.0", "255.255.255.255"),
        ];
        for (first, last) in ranges {
            let (low, high): (Ipv4Addr, Ipv4Addr) = (first.parse().unwrap(), last.parse().unwrap());
            assert!(!admits(Reach::Global, first), "{first}");
            assert!(!admits(Reach::Global, last), "{last}");
            for beyond in [low.to_bits().checked_sub(1), high.to_bits().checked_add(1)].into_iter().flatten()
            {
                assert!(admits(Reach::Global, &Ipv4Addr::from_bits(beyond).to_string()), "beside {first}");
            }
        }
        for (ip, global) in [
            ("1fff:ffff::1", false),
            ("2000::1", true),
            ("2001::1", false),
            ("2001:1::1", true),
            ("2001:db8::1", false),
            ("2001:db9::1", true),
            ("2002::1", false),
            ("2003::1", true),
            ("3fff::1", false),
            ("3fff:1000::1", true),
            ("4000::1", false),
            ("::ffff:8.8.8.8", false),
            ("::8.8.8.8", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("::1", false),
        ] {
            assert_eq!(admits(Reach::Global, ip), global, "{ip}");
        }
    }

    #[test]
    fn t13_every_edge_of_the_ranges_of_ipv6_and_one_beyond() {
        // Refused within what is admitted, by first address and length of the prefix.
        for (first, bits) in [("2001::", 32), ("2001:db8::", 32), ("2002::", 16), ("3fff::", 20)] {
            let low = first.parse::<Ipv6Addr>().unwrap().to_bits();
            let high = low | (u128::MAX >> bits);
            for (ip, global) in [(low - 1, true), (low, false), (high, false), (high + 1, true)] {
                // Right after Teredo comes what is left of 2001::/16, right before it the end of 2000::/16.
                assert_eq!(
                    admits(Reach::Global, &Ipv6Addr::from_bits(ip).to_string()),
                    global,
                    "{first}/{bits}"
                );
            }
        }
        // Admitted within all: 2000::/3.
        for (ip, global) in [
            ((0x2000 << 112) - 1, false),
            (0x2000 << 112, true),
            ((0x4000 << 112) - 1, true),
            (0x4000 << 112, false),
        ] {
            assert_eq!(admits(Reach::Global, &Ipv6Addr::from_bits(ip).to_string()), global, "{ip:x}");
        }
        for addr in ["8.8.8.8:0", "[2a00::1]:0"] {
            assert!(!Reach::Global.admits(addr.parse().unwrap()), "port 0");
        }
    }

    #[test]
    fn private_reach_still_refuses_what_is_no_host() {
        for ip in ["10.0.0.1", "127.0.0.1", "192.168.1.1", "::1", "fe80::1", "fd00::1", "8.8.8.8"] {
            assert!(admits(Reach::Private, ip), "{ip}");
        }
        for ip in ["0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "::ffff:127.0.0.1"] {
            assert!(!admits(Reach::Private, ip), "{ip}");
        }
        assert!(!Reach::Private.admits(SocketAddr::from(([127, 0, 0, 1], 0))), "port 0");
    }

    #[test]
    fn only_a_private_bind_address_widens_the_reach() {
        let reach = |addr: &str| Reach::of_bound(addr.parse().unwrap());
        assert_eq!(reach("127.0.0.1:1"), Reach::Private);
        assert_eq!(reach("10.1.2.3:1"), Reach::Private);
        assert_eq!(reach("[::1]:1"), Reach::Private);
        assert_eq!(reach("0.0.0.0:1"), Reach::Global);
        assert_eq!(reach("[::]:1"), Reach::Global);
        assert_eq!(reach("8.8.8.8:1"), Reach::Global);
    }

    #[test]
    fn compact_form_keeps_ip_and_port() {
        for addr in ["1.2.3.4:5", "[2001:db8::1]:65535"] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(CompactAddr::new(addr).get(), addr);
        }
        assert_eq!(size_of::<CompactAddr>(), 19);
    }

    #[test]
    fn subnets_are_24_64_and_16_32() {
        assert_eq!(subnet("1.2.3.4".parse().unwrap()).to_string(), "1.2.3.0");
        assert_eq!(wide_subnet("1.2.3.4".parse().unwrap()).to_string(), "1.2.0.0");
        assert_eq!(subnet("1:2:3:4:5::6".parse().unwrap()).to_string(), "1:2:3:4::");
        assert_eq!(wide_subnet("1:2:3:4:5::6".parse().unwrap()).to_string(), "1:2::");
    }
}
