//! Who is there: what a perfect lookup finds, for many lookups in a large network.

use std::ops::Range;

use kademlia_core::{Contact, Keyspace, Protocol, Service};

use super::{NodeIndex, Simulation, host_number};

/// All nodes that could be reached at one moment, in the order of their keys.
#[derive(Clone, Debug)]
pub struct Census<K> {
    sorted: Vec<(Contact<K>, u32)>,
}

impl<P: Protocol, S: Service<P>> Simulation<P, S> {
    /// Counts the live nodes, without those that sleep or are cut off.
    pub fn census(&self) -> Census<P::Key> {
        let hosts = self.hosts.iter().enumerate();
        let live = hosts.filter_map(|(index, host)| {
            Some((Contact::new(host.reachable()?.local(), host.addr), host_number(index)))
        });
        let mut sorted: Vec<_> = live.collect();
        sorted.sort_unstable();
        Census { sorted }
    }
}

impl<K: Keyspace> Census<K> {
    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The up to `n` nodes closest to `target`, nearest first, without `except`, which is the node that looks.
    /// Looks at a few more than `n` of them.
    pub fn closest(&self, target: &K, n: usize, except: Option<NodeIndex>) -> Vec<Contact<K>> {
        let mut found = Vec::new();
        self.gather(target, 0..self.len(), 0, n.saturating_add(1), &mut found);
        found.retain(|at| Some(self.sorted[*at].1 as NodeIndex) != except);
        found.iter().take(n).map(|at| self.sorted[*at].0).collect()
    }

    /// Appends the places of those in `range`, which share their first `depth` bits, nearest first, until enough are
    /// found. The half that agrees with the target in the next bit is nearer as a whole.
    fn gather(&self, target: &K, range: Range<usize>, depth: usize, enough: usize, found: &mut Vec<usize>) {
        if found.len() >= enough || range.is_empty() {
            return;
        }
        if range.len() == 1 || depth == K::BITS {
            found.extend(range);
            return;
        }
        let [zeros, ones] = self.halves(range, depth);
        let order = if is_zero(target, depth) { [zeros, ones] } else { [ones, zeros] };
        for half in order {
            self.gather(target, half, depth + 1, enough, found);
        }
    }

    /// The two parts of a range whose keys share their first `depth` bits, by the bit after those.
    pub(super) fn halves(&self, range: Range<usize>, depth: usize) -> [Range<usize>; 2] {
        let zeros = self.sorted[range.clone()].partition_point(|(contact, _)| is_zero(&contact.key, depth));
        let middle = range.start + zeros;
        [range.start..middle, middle..range.end]
    }

    pub(super) fn contact(&self, at: usize) -> Contact<K> {
        self.sorted[at].0
    }

    pub(super) fn host(&self, at: usize) -> u32 {
        self.sorted[at].1
    }
}

fn is_zero<K: Keyspace>(key: &K, bit: usize) -> bool {
    key.as_bytes().get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) == 0)
}
