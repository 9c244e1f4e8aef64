//! Which addresses to bind, and which not (45.2).

use std::net::{IpAddr, SocketAddr};

use kademlia_core::subnet;

/// Something about the addresses that a [`MultiDht`](super::MultiDht) is bound to that is better changed. Everything works
/// all the same, but less well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Advice {
    /// A reply may leave from another address than was asked. Bind the address itself.
    #[error("{0} is no address: bind the one that others see")]
    Unspecified(SocketAddr),
    /// Others limit what they give to one address, and keep one node of it. Use one port.
    #[error("{0} and {1} have one IP address: use one port of it")]
    SameIp(SocketAddr, SocketAddr),
    /// Others take a /64 for one host. Use one address in each.
    #[error("{0} and {1} are in one /64: use one address of it")]
    SamePrefix(SocketAddr, SocketAddr),
}

/// What is to be said about nodes at these addresses. A second node is mentioned once, with the first that it is too near.
pub(super) fn advise(addrs: &[SocketAddr]) -> Vec<Advice> {
    let mut advice = Vec::new();
    for (at, addr) in addrs.iter().enumerate() {
        let mut before = addrs.iter().take(at);
        if addr.ip().is_unspecified() {
            advice.push(Advice::Unspecified(*addr));
        } else if let Some(other) = before.clone().find(|other| other.ip() == addr.ip()) {
            advice.push(Advice::SameIp(*other, *addr));
        } else if let IpAddr::V6(_) = addr.ip()
            && let Some(other) = before.find(|other| subnet(other.ip()) == subnet(addr.ip()))
        {
            advice.push(Advice::SamePrefix(*other, *addr));
        }
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bep45_45_2_one_port_an_address_one_address_a_prefix_and_none_unspecified() {
        let addrs = [
            "192.0.2.1:6881",
            "192.0.2.2:6881",
            "192.0.2.1:6882",
            "0.0.0.0:6881",
            "[2001:db8:1::1]:6881",
            "[2001:db8:1:0:1::1]:6881",
            "[2001:db8:1:1::1]:6881",
            "[::]:6881",
        ]
        .map(|addr| addr.parse::<SocketAddr>().unwrap());
        assert_eq!(
            advise(&addrs),
            [
                Advice::SameIp(addrs[0], addrs[2]),
                Advice::Unspecified(addrs[3]),
                Advice::SamePrefix(addrs[4], addrs[5]),
                Advice::Unspecified(addrs[7]),
            ]
        );
        assert_eq!(advise(&addrs[..2]), [], "two neighbours of IPv4 are two hosts");
    }
}
