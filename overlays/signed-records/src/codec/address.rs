//! Addresses and contacts: IP and port as they are, 6 or 18 bytes (D8).

use core::net::{IpAddr, SocketAddr};

use kademlia_core::{Contact, Key};

/// Appends an address.
pub(super) fn write(addr: SocketAddr, out: &mut Vec<u8>) {
    match addr.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&addr.port().to_be_bytes());
}

/// Reads an address of 6 or 18 bytes.
pub(super) fn read(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk()?;
    let ip = match ip.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(ip).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(ip).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}

/// Reads contacts of `N` bytes each, at most `most`; none at all if the length is no multiple of that.
pub(super) fn read_contacts<const N: usize>(bytes: &[u8], most: usize) -> Option<Vec<Contact<Key<32>>>> {
    let (contacts, []) = bytes.as_chunks::<N>() else { return None };
    let contact = |bytes: &[u8; N]| {
        let (key, addr) = bytes.split_first_chunk()?;
        Some(Contact::new(Key::new(*key), read(addr)?))
    };
    contacts.iter().take(most).map(contact).collect()
}
