//! The oracle: tables as a network grown long ago would have them, without a message.

use std::ops::Range;
use std::time::Duration;

use kademlia_core::{Contact, Keyspace, Protocol, Rng, Service};

use super::{Census, Simulation};

/// How many different ages the contacts of one table have.
const AGES: usize = 8;

impl<P: Protocol, S: Service<P>> Simulation<P, S> {
    /// Gives every live node the table that it would have in a network grown long ago, and the belief to have joined:
    /// of those that share exactly i leading bits with its key, for every i, `per_bucket` drawn at random, or all
    /// where there are no more, and so all its close neighbours. With [`Config::k`](kademlia_core::Config::k) its
    /// buckets are full. Hosts that sleep or are cut off neither get contacts nor become some.
    ///
    /// Contacts are as if they had last answered at times spread over the past
    /// [`keepalive`](kademlia_core::TableConfig::keepalive), as far as the present reaches back and the node is old:
    /// spawn the nodes, let that time pass, which is quick where nobody knows anybody, then fill. Otherwise all tables
    /// of the network fall due for their checks in the same minute.
    ///
    /// O(n log n): one sort, and one walk through the tree of prefixes that it implies.
    pub fn fill_tables(&mut self, per_bucket: usize) {
        let census = self.census();
        self.fill_below(&census, 0..census.len(), per_bucket, &mut Vec::new());
    }

    /// Fills the tables of the nodes in `range`. They share as many bits as there are ranges `aside`, which left
    /// them one by one on the way here.
    fn fill_below(
        &mut self,
        census: &Census<P::Key>,
        range: Range<usize>,
        per_bucket: usize,
        aside: &mut Vec<Range<usize>>,
    ) {
        let depth = aside.len();
        if range.len() <= 1 || depth == P::Key::BITS {
            for at in range {
                let drawn = aside.iter().flat_map(|range| draw(range.clone(), per_bucket, &mut self.rng));
                let drawn: Vec<_> = drawn.map(|at| census.contact(at)).collect();
                self.fill_one(census.host(at), &drawn);
            }
            return;
        }
        let [zeros, ones] = census.halves(range, depth);
        for (own, other) in [(zeros.clone(), ones.clone()), (ones, zeros)] {
            aside.push(other);
            self.fill_below(census, own, per_bucket, aside);
            aside.pop();
        }
    }

    /// The contacts enter the table in [`AGES`] groups, the oldest first. Where the steps between the ages lie differs
    /// from node to node.
    fn fill_one(&mut self, number: u32, drawn: &[Contact<P::Key>]) {
        let phase = self.rng.unit();
        let mut groups: [Vec<Contact<P::Key>>; AGES] = Default::default();
        for contact in drawn {
            groups[self.rng.below(AGES)].push(*contact);
        }
        let host = &mut self.hosts[number as usize];
        let Some(keepalive) = host.resident.node().map(|node| node.config().table.keepalive) else {
            return;
        };
        for (steps, group) in groups.iter().enumerate().rev() {
            let age: Duration = keepalive.mul_f64((steps as f64 + phase) / AGES as f64);
            let then = host.read_clock(self.now - age);
            if let Some(node) = host.resident.node_mut() {
                node.preload(then, group);
            }
        }
        self.drain(number);
    }
}

/// Up to `count` different numbers of a range, by Floyd's method: as many draws as there are numbers wanted.
fn draw(range: Range<usize>, count: usize, rng: &mut Rng) -> Vec<usize> {
    let mut drawn = Vec::with_capacity(count.min(range.len()));
    for last in range.end - count.min(range.len())..range.end {
        let at = if range.len() <= count { last } else { range.start + rng.below(last - range.start + 1) };
        drawn.push(if drawn.contains(&at) { last } else { at });
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_different_within_the_range_and_evenly_spread() {
        let mut rng = Rng::from_number(1);
        let mut times = [0; 10];
        for _ in 0..10_000 {
            let drawn = draw(5..15, 3, &mut rng);
            assert!(drawn.len() == 3 && drawn[0] != drawn[1] && drawn[0] != drawn[2] && drawn[1] != drawn[2]);
            drawn.iter().for_each(|at| times[at - 5] += 1);
        }
        assert!(times.iter().all(|times| (2_800..3_200).contains(times)), "{times:?}");
        assert_eq!(draw(5..8, 3, &mut rng), [5, 6, 7]);
        assert_eq!(draw(5..7, 8, &mut rng), [5, 6]);
        assert!(draw(5..5, 8, &mut rng).is_empty() && draw(5..8, 0, &mut rng).is_empty());
    }
}
