//! Peers met: remembered between runs, and counted (D7, D11).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use kademlia_core::{Contact, Key};
use serde::Serialize;

use crate::time::Timestamp;

/// A peer that answered a request of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeenPeer {
    /// Its key, and the address at which it answered last.
    pub contact: Contact<Key<32>>,
    /// When it answered first.
    pub first: Timestamp,
    /// When it answered last.
    pub last: Timestamp,
}

/// How many different peers have answered within a span of time up to now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Within the last hour.
    pub hour: usize,
    /// Within the last 24 hours.
    pub day: usize,
    /// Within the last seven days.
    pub week: usize,
}

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The peers that answered in the last seven days, up to a limit; the one not heard for the longest gives way.
#[derive(Debug)]
pub(crate) struct SeenPeers {
    limit: usize,
    peers: BTreeMap<Key<32>, SeenPeer>,
    order: BTreeSet<(Timestamp, Key<32>)>,
}

impl SeenPeers {
    pub(crate) fn new(limit: usize) -> Self {
        SeenPeers { limit, peers: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// A peer answered.
    pub(crate) fn met(&mut self, now: Timestamp, contact: Contact<Key<32>>) {
        let first = self.peers.get(&contact.key).map_or(now, |peer| peer.first);
        self.insert(SeenPeer { contact, first, last: now });
        self.forget(now.before(WEEK));
    }

    /// What an earlier run remembers. What is known from this one counts more.
    pub(crate) fn remember(&mut self, now: Timestamp, peers: impl IntoIterator<Item = SeenPeer>) {
        for peer in peers {
            let known = self.peers.get(&peer.contact.key).is_some_and(|known| known.last >= peer.last);
            // A clock that was ahead must not keep anybody for ever.
            if !known && peer.last <= now {
                self.insert(peer);
            }
        }
        self.forget(now.before(WEEK));
    }

    fn insert(&mut self, peer: SeenPeer) {
        let key = peer.contact.key;
        if let Some(before) = self.peers.insert(key, peer) {
            self.order.remove(&(before.last, key));
        }
        self.order.insert((peer.last, key));
    }

    /// Drops who was last heard before `until`, and who is too many.
    fn forget(&mut self, until: Timestamp) {
        while let Some((last, key)) = self.order.first().copied()
            && (last < until || self.peers.len() > self.limit)
        {
            self.order.pop_first();
            self.peers.remove(&key);
        }
    }

    /// All of them, those heard last first.
    pub(crate) fn latest(&self) -> impl Iterator<Item = &SeenPeer> {
        self.order.iter().rev().filter_map(|(_, key)| self.peers.get(key))
    }

    pub(crate) fn reach(&self, now: Timestamp) -> Reach {
        let within = |span| self.order.range((now.before(span), Key::new([0; 32]))..).count();
        Reach { hour: within(HOUR), day: within(DAY), week: within(WEEK) }
    }
}

#[cfg(test)]
mod tests {
    use core::net::SocketAddr;

    use super::*;

    fn at(hours: u64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000).after(HOUR * u32::try_from(hours).unwrap())
    }

    fn contact(n: u8) -> Contact<Key<32>> {
        Contact::new(Key::new([n; 32]), SocketAddr::from(([192, 0, 2, n], 1)))
    }

    #[test]
    fn fs_d11_reach_counts_peers_over_an_hour_a_day_and_a_week() {
        let mut peers = SeenPeers::new(10);
        for (hours, n) in [(0, 1), (24 * 6, 2), (24 * 6 + 23, 3), (24 * 6 + 23, 1)] {
            peers.met(at(hours), contact(n));
        }
        let now = at(24 * 7);
        assert_eq!(peers.reach(now), Reach { hour: 2, day: 3, week: 3 });
        assert_eq!(peers.latest().find(|peer| peer.contact == contact(1)).unwrap().first, at(0));
        peers.met(at(24 * 13 + 1), contact(4));
        assert_eq!(peers.latest().count(), 3, "one was not heard for a week");
    }

    #[test]
    fn fs_d11_the_peer_not_heard_for_the_longest_gives_way() {
        let mut peers = SeenPeers::new(2);
        for (hours, n) in [(0, 1), (1, 2), (2, 1), (3, 3)] {
            peers.met(at(hours), contact(n));
        }
        let kept: Vec<_> = peers.latest().map(|peer| peer.contact).collect();
        assert_eq!(kept, [contact(3), contact(1)]);
    }

    #[test]
    fn fs_d11_what_an_earlier_run_saw_counts_and_does_not_turn_back_time() {
        let mut before = SeenPeers::new(10);
        before.met(at(0), contact(1));
        before.met(at(1), contact(2));
        let remembered: Vec<_> = before.latest().copied().collect();
        let mut peers = SeenPeers::new(10);
        peers.met(at(2), Contact { addr: contact(9).addr, ..contact(1) });
        let ahead = SeenPeer { contact: contact(3), first: at(0), last: at(99) };
        peers.remember(at(2), remembered.into_iter().chain([ahead]));
        let kept: Vec<_> = peers.latest().map(|peer| (peer.contact.addr, peer.last)).collect();
        assert_eq!(kept, [(contact(9).addr, at(2)), (contact(2).addr, at(1))]);
    }
}
