//! Compact addresses and contacts: network order, IP then port, after the id if there is one (BEP 5, BEP 32).
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::net::{IpAddr, SocketAddr};

use kademlia_core::{Contact, Family, Key};

/// Bytes of an IPv4 address and port.
pub const ADDR_V4: usize = 6;
/// Bytes of an IPv6 address and port.
pub const ADDR_V6: usize = 18;
/// Bytes of an id with an IPv4 address and port.
pub const NODE_V4: usize = 26;
/// Bytes of an id with an IPv6 address and port.
pub const NODE_V6: usize = 38;

/// The address names no host or no port, so there is nothing to write; never `0.0.0.0:0` instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no address to send to")]
pub struct Unencodable(pub SocketAddr);

/// Bytes of one compact address of a family.
pub const fn addr_size(family: Family) -> usize {
    match family {
        Family::V4 => ADDR_V4,
        Family::V6 => ADDR_V6,
    }
}

/// Bytes of one compact contact of a family.
pub const fn node_size(family: Family) -> usize {
    match family {
        Family::V4 => NODE_V4,
        Family::V6 => NODE_V6,
    }
}

/// Whether the address has a compact form: a port, and an IP that is not the unspecified one.
pub fn is_encodable(addr: SocketAddr) -> bool {
    addr.port() != 0 && !addr.ip().is_unspecified()
}

/// A compact address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompactAddr {
    /// IPv4 address and port.
    V4([u8; ADDR_V4]),
    /// IPv6 address and port.
    V6([u8; ADDR_V6]),
}

impl CompactAddr {
    /// The bytes.
    #[inline]
    pub const fn as_bytes(&self) -> &[u8] {
        match self {
            CompactAddr::V4(bytes) => bytes,
            CompactAddr::V6(bytes) => bytes,
        }
    }
}

impl TryFrom<SocketAddr> for CompactAddr {
    type Error = Unencodable;

    fn try_from(addr: SocketAddr) -> Result<Self, Unencodable> {
        if !is_encodable(addr) {
            return Err(Unencodable(addr));
        }
        let [high, low] = addr.port().to_be_bytes();
        Ok(match addr.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                CompactAddr::V4([a, b, c, d, high, low])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = ip.octets();
                CompactAddr::V6([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, high, low])
            }
        })
    }
}

/// Reads an address of 6 or 18 bytes; `None` for other lengths, port 0 and the unspecified IP.
pub fn addr(bytes: &[u8]) -> Option<SocketAddr> {
    let addr = match bytes.len() {
        ADDR_V4 => addr_v4(bytes.try_into().ok()?),
        ADDR_V6 => addr_v6(bytes.try_into().ok()?),
        _ => return None,
    };
    is_encodable(addr).then_some(addr)
}

/// Reads a string of contacts. `None` if its length is no multiple of an entry's, since then no boundary in it can be
/// trusted (P37). Entries that nothing could be sent to are left out.
pub fn nodes(bytes: &[u8], family: Family) -> Option<impl Iterator<Item = Contact<Key<20>>>> {
    let (v4, v6) = match family {
        Family::V4 => (whole_chunks::<NODE_V4>(bytes)?, &[][..]),
        Family::V6 => (&[][..], whole_chunks::<NODE_V6>(bytes)?),
    };
    let contacts = v4.iter().filter_map(node_v4).chain(v6.iter().filter_map(node_v6));
    Some(contacts.filter(|contact| is_encodable(contact.addr)))
}

fn whole_chunks<const N: usize>(bytes: &[u8]) -> Option<&[[u8; N]]> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then_some(chunks)
}

fn node_v4(entry: &[u8; NODE_V4]) -> Option<Contact<Key<20>>> {
    let (id, addr) = entry.split_first_chunk()?;
    Some(Contact::new(Key::new(*id), addr_v4(addr.try_into().ok()?)))
}

fn node_v6(entry: &[u8; NODE_V6]) -> Option<Contact<Key<20>>> {
    let (id, addr) = entry.split_first_chunk()?;
    Some(Contact::new(Key::new(*id), addr_v6(addr.try_into().ok()?)))
}

fn addr_v4([a, b, c, d, high, low]: [u8; ADDR_V4]) -> SocketAddr {
    SocketAddr::from(([a, b, c, d], u16::from_be_bytes([high, low])))
}

fn addr_v6(bytes: [u8; ADDR_V6]) -> SocketAddr {
    let [ip @ .., high, low] = bytes;
    SocketAddr::from((ip, u16::from_be_bytes([high, low])))
}
