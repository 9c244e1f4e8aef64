//! Nodes that wait to be asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::{Instant, Key, Keyspace};

use super::frontier::Frontier;

/// Nodes that are known and not yet asked; of more, the one farthest ahead is forgotten, to be heard of again.
const MOST_FRESH: usize = 8_192;
/// Those of them that stand behind the frontier; more are ignored.
const MOST_BEHIND: usize = 2_048;
/// Nodes that hold more than they told; more are not asked again.
const MOST_AGAIN: usize = 1 << 18;

/// Nodes that nobody has asked yet, in the order of their keys.
#[derive(Debug, Default)]
pub(super) struct Fresh {
    nodes: BTreeMap<Key<20>, SocketAddr>,
    /// How many of them stand behind the frontier.
    behind: usize,
}

impl Fresh {
    pub(super) fn insert(&mut self, key: Key<20>, addr: SocketAddr, frontier: &Frontier) {
        let is_behind = frontier.is_past(&key);
        // Who is known by one address is not looked for at another.
        if self.nodes.contains_key(&key) || (is_behind && self.behind >= MOST_BEHIND) {
            return;
        }
        self.nodes.insert(key, addr);
        self.behind += usize::from(is_behind);
        if self.nodes.len() > MOST_FRESH
            && let Some((last, _)) = self.nodes.pop_last()
        {
            self.behind -= usize::from(frontier.is_past(&last));
        }
    }

    /// The frontier has moved on.
    pub(super) fn pass(&mut self, frontier: &Frontier) {
        self.behind = match frontier.at() {
            Some(at) => self.nodes.range(..at).count(),
            None => self.nodes.len(),
        };
    }

    pub(super) const fn behind(&self) -> usize {
        self.behind
    }

    pub(super) fn first(&self) -> Option<Key<20>> {
        self.nodes.keys().next().copied()
    }

    pub(super) fn take_first(&mut self, frontier: &Frontier) -> Option<(Key<20>, SocketAddr)> {
        let (key, addr) = self.nodes.pop_first()?;
        self.behind -= usize::from(frontier.is_past(&key));
        Some((key, addr))
    }

    /// One of those that share the most bits with `point`: the one before it or the one after.
    pub(super) fn take_nearest(
        &mut self,
        point: &Key<20>,
        frontier: &Frontier,
    ) -> Option<(Key<20>, SocketAddr)> {
        let before = self.nodes.range(..point).next_back().map(|(key, _)| *key);
        let after = self.nodes.range(point..).next().map(|(key, _)| *key);
        let key = before.into_iter().chain(after).max_by_key(|key| key.common_prefix(point))?;
        let addr = self.nodes.remove(&key)?;
        self.behind -= usize::from(frontier.is_past(&key));
        Some((key, addr))
    }
}

/// Nodes that hold more than they told, by when they may be asked again.
#[derive(Debug, Default)]
pub(super) struct Again(BTreeMap<(Instant, SocketAddr), (Key<20>, u32)>);

impl Again {
    pub(super) fn insert(&mut self, due: Instant, addr: SocketAddr, key: Key<20>, round: u32) {
        if self.0.len() < MOST_AGAIN {
            // Its clock may be a little slow.
            self.0.insert((due + Duration::from_secs(2), addr), (key, round));
        }
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Option<(SocketAddr, Key<20>, u32)> {
        let first = self.0.first_entry().filter(|first| first.key().0 <= now)?;
        let ((_, addr), (key, round)) = first.remove_entry();
        Some((addr, key, round))
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.0.keys().next().map(|(due, _)| *due)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
