//! How many nodes the network has, judged by how near the results of lookups lie to their targets.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::contact::Contact;
use crate::key::Keyspace;

/// An estimate of the number of nodes in the network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkSize {
    /// The best guess.
    pub nodes: f64,
    /// The true number lies above this and below `high` with a confidence of 95 %, from six lookups on.
    pub low: f64,
    /// See `low`.
    pub high: f64,
}

impl NetworkSize {
    /// The distance, as the first 64 bits of a key, within which `rank` nodes are to be expected around any target.
    #[allow(
        clippy::cast_possible_truncation,
        reason = "it saturates: a network smaller than the rank is all within"
    )]
    pub(crate) fn radius(&self, rank: usize) -> u64 {
        (rank as f64 / self.nodes * KEYS) as u64
    }
}

/// The number of points of the keyspace that are told apart here: 2⁶⁴.
const KEYS: f64 = 18_446_744_073_709_551_616.0;

/// Lookups remembered.
const SAMPLES: usize = 32;
/// Lookups without which nothing is said.
const ENOUGH: usize = 3;
/// Results that say too little to be counted.
const FEW: usize = 4;

/// Share of bound keys below which they say too little about all.
const SPARSE: f64 = 0.125;

/// What lookups have said so far.
///
/// Whoever crowds around one target moves one sample, and the median does not follow. Nodes that collude all over the
/// keyspace under forged keys move all of them; then the nodes whose keys are bound to their addresses tell more, of
/// which nobody can place more than a few.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    all: Samples,
    bound: Samples,
}

/// The sizes that the last lookups spoke for.
#[derive(Debug, Default)]
struct Samples(VecDeque<f32>);

impl Sizes {
    /// Takes in the result of a complete lookup for `k` nodes; gives back the size it speaks for. Fewer than `k` are
    /// all there are, but for ourselves.
    pub(crate) fn record<K: Keyspace>(
        &mut self,
        target: &K,
        closest: &[Contact<K>],
        k: usize,
    ) -> Option<f64> {
        let nodes = match closest.len() {
            found if found < k => found as f64 + 1.0,
            found if found < FEW => return None,
            _ => size(target, closest)?,
        };
        self.all.push(nodes);
        Some(nodes)
    }

    /// The same for the closest of those whose keys are bound.
    pub(crate) fn record_bound<K: Keyspace>(&mut self, target: &K, closest: &[Contact<K>]) {
        if let Some(nodes) = size(target, closest).filter(|_| closest.len() >= FEW) {
            self.bound.push(nodes);
        }
    }

    /// What all nodes say, or the bound ones, of which our table has this share, if they say clearly less.
    pub(crate) fn estimate(&self, bound_share: f64) -> Option<NetworkSize> {
        let all = self.all.median()?;
        let bound = self.bound.median().filter(|_| bound_share > SPARSE).map(|bound| NetworkSize {
            nodes: bound.nodes / bound_share,
            low: bound.low / bound_share,
            high: bound.high / bound_share,
        });
        Some(bound.filter(|bound| bound.high < all.low).unwrap_or(all))
    }

    pub(crate) fn memory(&self) -> usize {
        (self.all.0.capacity() + self.bound.0.capacity()) * size_of::<f32>()
    }
}

/// The size of a network in which these are the nodes closest to the target.
///
/// Of n keys drawn at random, the distance of the k-th nearest follows a gamma distribution, whose median is near
/// (k − 1/3) / n of the whole space.
fn size<K: Keyspace>(target: &K, closest: &[Contact<K>]) -> Option<f64> {
    let distance = (target.head() ^ closest.last()?.key.head()) as f64 + 1.0;
    Some((closest.len() as f64 - 1.0 / 3.0) * (KEYS / distance))
}

impl Samples {
    #[allow(clippy::cast_possible_truncation, reason = "seven digits are more than a sample is worth")]
    fn push(&mut self, nodes: f64) {
        if self.0.len() >= SAMPLES {
            self.0.pop_front();
        }
        self.0.push_back(nodes as f32);
    }

    /// The median, and the order statistics that enclose the true one (the sign test's interval).
    fn median(&self) -> Option<NetworkSize> {
        let n = self.0.len();
        if n < ENOUGH {
            return None;
        }
        let mut sorted: Vec<f32> = self.0.iter().copied().collect();
        sorted.sort_unstable_by(f32::total_cmp);
        // 0.98 √n on either side of the middle.
        let spread = (9_604 * n).isqrt().div_ceil(100);
        let at = |index: usize| sorted.get(index.min(n - 1)).map_or(0.0, |nodes| f64::from(*nodes));
        Some(NetworkSize {
            nodes: at(n / 2),
            low: at((n / 2).saturating_sub(spread)),
            high: at(n / 2 + spread),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;
    use crate::rng::Rng;

    type K = Key<20>;

    /// What lookups without a fault find in a network of `n` random keys.
    fn sizes_after(n: usize, lookups: usize, rng: &mut Rng) -> Sizes {
        let addr = core::net::SocketAddr::from(([8, 8, 8, 8], 1));
        let mut nodes: Vec<Contact<K>> = (0..n).map(|_| Contact::new(K::random(rng), addr)).collect();
        let mut sizes = Sizes::default();
        for _ in 0..lookups {
            let target = K::random(rng);
            nodes.sort_by(|a, b| target.cmp_distance(&a.key, &b.key));
            sizes.record(&target, &nodes[..8.min(n)], 8);
        }
        sizes
    }

    #[test]
    fn the_interval_holds_the_true_size_as_often_as_it_says() {
        let mut rng = Rng::from_number(1);
        for n in [100, 1_000] {
            let mut held = 0;
            for _ in 0..100 {
                let size = sizes_after(n, 32, &mut rng).estimate(0.0).unwrap();
                held += usize::from(size.low <= n as f64 && n as f64 <= size.high);
                assert!((0.5..2.0).contains(&(size.nodes / n as f64)), "{size:?}");
            }
            assert!(held >= 90, "{held} of 100");
        }
    }

    #[test]
    fn a_network_smaller_than_k_is_counted() {
        let size = sizes_after(5, 3, &mut Rng::from_number(2)).estimate(0.0).unwrap();
        assert_eq!((size.nodes, size.low, size.high), (6.0, 6.0, 6.0));
        assert_eq!(size.radius(20), u64::MAX);
    }

    #[test]
    fn t1_a_crowd_at_one_target_does_not_move_the_estimate() {
        let mut rng = Rng::from_number(3);
        let mut sizes = sizes_after(1_000, 10, &mut rng);
        let before = sizes.estimate(0.0).unwrap();
        let target = K::random(&mut rng);
        let addr = core::net::SocketAddr::from(([8, 8, 8, 8], 1));
        let crowd: Vec<_> = (0..8).map(|_| Contact::new(target.random_within(60, &mut rng), addr)).collect();
        assert!(sizes.record(&target, &crowd, 8).unwrap() > 1e12);
        let after = sizes.estimate(0.0).unwrap();
        assert!((0.5..2.0).contains(&(after.nodes / before.nodes)), "{before:?} {after:?}");
    }

    #[test]
    fn little_is_said_after_few_lookups_and_only_the_last_are_kept() {
        let mut rng = Rng::from_number(4);
        assert!(sizes_after(100, 2, &mut rng).estimate(0.0).is_none());
        assert!(sizes_after(100, 200, &mut rng).memory() <= 2 * SAMPLES * size_of::<f32>());
    }
}
