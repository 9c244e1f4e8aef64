//! The vertical eclipse: somebody who owns several subnets crowds around one key.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bittorrent_profile::{Mainline, node_id};
use kademlia_core::{Body, Contact, Instant, Key, Keyspace, Message, Rng};
use transport_mem::{Outgoing, Peer, address_v4};

use super::{CHOICES, reply, with_choice};

/// A node placed next to one key by somebody who owns several subnets.
#[derive(Debug)]
pub(crate) struct Crowd {
    at: usize,
    all: Arc<[Contact<Key<20>>]>,
    next: usize,
}

impl Crowd {
    /// The member at this place among all.
    pub(crate) fn new(at: usize, all: &Arc<[Contact<Key<20>>]>) -> Self {
        Crowd { at, all: Arc::clone(all), next: at }
    }
}

impl Peer<Mainline> for Crowd {
    fn receive(
        &mut self,
        _: Instant,
        _: SocketAddr,
        from: SocketAddr,
        message: &Message<Mainline>,
        out: &mut Vec<Outgoing<Mainline>>,
    ) {
        let Body::Request { request, .. } = &message.body else { return };
        // By turns, so that few replies name all.
        let named: Vec<_> =
            (1..=8.min(self.all.len())).map(|n| self.all[(self.next + n) % self.all.len()]).collect();
        self.next = (self.next + 8) % self.all.len();
        out.push(reply(message, from, self.all[self.at].key, request, &named));
    }
}

/// /24s from which on an attacker uses some of them against ids that are bound to addresses.
const MANY: usize = 32;

/// The subnets that an attacker owns, beyond those in which anybody else is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Estate {
    /// The number of the first free address, and so of the first free /24.
    next: u32,
}

impl Estate {
    /// Beyond the first so many addresses.
    pub(crate) fn beyond(addresses: usize) -> Self {
        Estate { next: u32::try_from(addresses).unwrap_or(u32::MAX) }
    }

    /// A node in each of so many /24s, next to `target`. Whoever owns many puts every other one under the nearest id
    /// that fits one of its /24's addresses, where lookups for such ids find it too.
    pub(crate) fn settle(
        &mut self,
        target: &Key<20>,
        subnets: usize,
        rng: &mut Rng,
    ) -> Vec<Contact<Key<20>>> {
        let mut all: Vec<_> = (0..subnets)
            .map(|n| {
                let addr = address_v4(self.next);
                self.next = self.next.saturating_add(1);
                let bound = (subnets >= MANY && n % 2 == 0).then(|| nearest_bound(target, addr)).flatten();
                bound.unwrap_or_else(|| Contact::new(beside(target, rng), addr))
            })
            .collect();
        all.sort_by_key(|contact| contact.addr);
        all
    }
}

/// An id so near to the target that nobody honest is nearer.
fn beside(target: &Key<20>, rng: &mut Rng) -> Key<20> {
    let mut id = target.to_bytes();
    rng.fill(&mut id[12..16]);
    Key::new(id)
}

/// The nearest of all ids that the addresses of one /24 may have, at its address.
fn nearest_bound(target: &Key<20>, subnet: SocketAddr) -> Option<Contact<Key<20>>> {
    let IpAddr::V4(ip) = subnet.ip() else { return None };
    let [a, b, c, _] = ip.octets();
    let addresses = (1..255).map(|host| SocketAddr::from(([a, b, c, host], subnet.port())));
    let all = addresses.flat_map(|addr| {
        CHOICES.map(move |choice| Contact::new(node_id::fit(addr.ip(), &with_choice(target, choice)), addr))
    });
    all.min_by(|a, b| target.cmp_distance(&a.key, &b.key))
}
