//! Network address translators: whose datagrams get in, and under which port a host goes out.
//!
//! The four kinds are those of RFC 3489, section 5; RFC 4787 calls what they do mapping and filtering. A translator
//! keeps the port of its host's address for the three cone kinds, and serves one host.

use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use kademlia_core::Instant;

use crate::link::AddressMap;

/// The translator in front of a host. Datagrams go out freely; they come in only in the wake of those that went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Who may answer, and where.
    pub kind: NatKind,
    /// How long an outgoing datagram holds the door open; incoming ones do not.
    pub mapping: Duration,
}

/// Whom a translator lets in, after its host has sent a datagram to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NatKind {
    /// Everybody.
    FullCone,
    /// That one's IP address, from any port.
    AddressRestricted,
    /// That one's IP address and port.
    PortRestricted,
    /// That one's IP address and port, and only at the port that was opened for it: every destination sees another.
    Symmetric,
}

impl NatKind {
    /// All of them.
    pub const ALL: [NatKind; 4] =
        [NatKind::FullCone, NatKind::AddressRestricted, NatKind::PortRestricted, NatKind::Symmetric];
}

impl Nat {
    /// With the 30 s that many devices keep a UDP mapping for (RFC 4787, REQ-5, asks for 2 minutes at least).
    pub const fn new(kind: NatKind) -> Self {
        Nat { kind, mapping: Duration::from_secs(30) }
    }
}

/// Whose an address of the network is, by the host's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// A host's own.
    Host(u32),
    /// A port that a host's translator gave out.
    Port(u32),
}

impl Place {
    pub(crate) fn host(self) -> u32 {
        match self {
            Place::Host(host) | Place::Port(host) => host,
        }
    }
}

/// Mappings of one translator; a new one takes the place of that which was used least recently.
pub(crate) const MAPPINGS: usize = 256;

/// Ports below are not given out.
const FIRST_PORT: u16 = 1_024;

/// A translator and what it remembers.
#[derive(Debug)]
pub(crate) struct Translator {
    nat: Nat,
    external: SocketAddr,
    /// Number of the host, under which the ports of a symmetric one are entered among the network's addresses.
    host: u32,
    mappings: Vec<Mapping>,
    last_port: u16,
}

#[derive(Clone, Copy, Debug)]
struct Mapping {
    /// As much of the destination's address as the kind tells apart.
    remote: SocketAddr,
    port: u16,
    /// When a datagram last went out.
    used: Instant,
}

impl Translator {
    pub(crate) fn new(nat: Nat, external: SocketAddr, host: u32) -> Self {
        Translator { nat, external, host, mappings: Vec::new(), last_port: external.port() }
    }

    pub(crate) fn nat(&self) -> Nat {
        self.nat
    }

    /// A datagram goes out to `to`; gives back the address that it goes under.
    pub(crate) fn outgoing(
        &mut self,
        now: Instant,
        to: SocketAddr,
        addresses: &mut AddressMap<Place>,
    ) -> SocketAddr {
        let remote = self.told_apart(to);
        if let Some(at) = self.mappings.iter().position(|mapping| mapping.remote == remote) {
            if self.is_open(now, &self.mappings[at]) {
                self.mappings[at].used = now;
                return self.seen_at(self.mappings[at].port);
            }
            let expired = self.mappings.swap_remove(at);
            self.close(expired, addresses);
        }
        self.make_room(now, addresses);
        let port = self.open_port(addresses);
        self.mappings.push(Mapping { remote, port, used: now });
        self.seen_at(port)
    }

    /// Whether a datagram that `from` sent to `to`, an address of this translator, reaches the host.
    pub(crate) fn admits(&self, now: Instant, from: SocketAddr, to: SocketAddr) -> bool {
        let remote = self.told_apart(from);
        self.mappings.iter().any(|mapping| {
            mapping.remote == remote && mapping.port == to.port() && self.is_open(now, mapping)
        })
    }

    /// Forgets everything, and withdraws its ports.
    pub(crate) fn clear(&mut self, addresses: &mut AddressMap<Place>) {
        for mapping in std::mem::take(&mut self.mappings) {
            self.close(mapping, addresses);
        }
    }

    fn is_open(&self, now: Instant, mapping: &Mapping) -> bool {
        now.since(mapping.used) < self.nat.mapping
    }

    fn seen_at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.external.ip(), port)
    }

    fn told_apart(&self, remote: SocketAddr) -> SocketAddr {
        match self.nat.kind {
            NatKind::FullCone => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
            NatKind::AddressRestricted => SocketAddr::new(remote.ip(), 0),
            NatKind::PortRestricted | NatKind::Symmetric => remote,
        }
    }

    /// Looks for expired mappings only where the list would grow: that is seldom, and keeps it short.
    fn make_room(&mut self, now: Instant, addresses: &mut AddressMap<Place>) {
        if self.mappings.len() < self.mappings.capacity() && self.mappings.len() < MAPPINGS {
            return;
        }
        let (open, expired): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.mappings).into_iter().partition(|mapping| self.is_open(now, mapping));
        self.mappings = open;
        for mapping in expired {
            self.close(mapping, addresses);
        }
        let oldest = self.mappings.iter().enumerate().min_by_key(|(_, mapping)| mapping.used);
        if let Some((oldest, _)) = oldest.filter(|_| self.mappings.len() >= MAPPINGS) {
            let oldest = self.mappings.swap_remove(oldest);
            self.close(oldest, addresses);
        }
    }

    /// The port of a new mapping: the next free one where each has its own.
    fn open_port(&mut self, addresses: &mut AddressMap<Place>) -> u16 {
        if self.nat.kind != NatKind::Symmetric {
            return self.external.port();
        }
        // Where all are taken, which takes many hosts behind one address, replies get lost.
        for _ in FIRST_PORT..u16::MAX {
            self.last_port = self.last_port.wrapping_add(1).max(FIRST_PORT);
            if let Entry::Vacant(free) = addresses.entry(self.seen_at(self.last_port)) {
                free.insert(Place::Port(self.host));
                break;
            }
        }
        self.last_port
    }

    fn close(&self, mapping: Mapping, addresses: &mut AddressMap<Place>) {
        let addr = self.seen_at(mapping.port);
        if addresses.get(&addr) == Some(&Place::Port(self.host)) {
            addresses.remove(&addr);
        }
    }
}

#[cfg(test)]
mod tests;
