//! P9: XOR over keys of the overlay's width is a metric, and the engine's shortcuts agree with it.

use std::cmp::Ordering;

use kademlia_core::{Keyspace, Protocol, Service};
use proptest::prelude::*;

use super::{Kit, Law, Proof};
use crate::strategies;

/// What is examined: the engine's own functions, or others to see that a wrong one is found.
struct Metric<K> {
    distance: fn(&K, &K) -> K,
    cmp_distance: fn(&K, &K, &K) -> Ordering,
    common_prefix: fn(&K, &K) -> usize,
}

pub(super) fn prove<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    kit.try_cases(Law::Metric, kit.cases, &triple::<P::Key>(), |[a, b, c]| holds(&Metric::ENGINE, a, b, c))
}

impl<K: Keyspace> Metric<K> {
    const ENGINE: Self =
        Metric { distance: K::distance, cmp_distance: K::cmp_distance, common_prefix: K::common_prefix };
}

/// Three keys, near each other as often as not.
fn triple<K: Keyspace>() -> impl Strategy<Value = [K; 3]> {
    strategies::key().prop_flat_map(|a: K| {
        let other = || prop_oneof![strategies::key(), strategies::key_beside(a)];
        (other(), other()).prop_map(move |(b, c)| [a, b, c])
    })
}

fn holds<K: Keyspace>(metric: &Metric<K>, a: &K, b: &K, c: &K) -> Result<(), String> {
    let rule = |holds: bool, rule: &str| if holds { Ok(()) } else { Err(rule.to_string()) };
    let d = metric.distance;
    rule(d(a, a) == K::ZERO, "d(a, a) = 0")?;
    rule((d(a, b) == K::ZERO) == (a == b), "d(a, b) = 0 only for a = b")?;
    rule(d(a, b) == d(b, a), "d(a, b) = d(b, a)")?;
    rule(!exceeds(&d(a, c), &d(a, b), &d(b, c)), "d(a, c) ≤ d(a, b) + d(b, c)")?;
    rule(d(a, &d(a, b)) == *b, "for every a and distance, one b")?;
    let order = d(a, b).as_bytes().cmp(d(a, c).as_bytes());
    rule((metric.cmp_distance)(a, b, c) == order, "cmp_distance orders as distances do")?;
    let bits = |key: &K| {
        key.as_bytes().iter().flat_map(|byte| (0..8).map(move |bit| byte << bit & 0x80)).collect::<Vec<_>>()
    };
    let shared = bits(a).into_iter().zip(bits(b)).take_while(|(a, b)| a == b).count();
    rule((metric.common_prefix)(a, b) == shared, "common_prefix counts equal leading bits")?;
    rule(K::from_slice(a.as_bytes()) == Some(*a), "a key is its bytes")
}

/// Whether `sum < a + b`'s contrary holds: `c > a + b`, as numbers.
fn exceeds<K: Keyspace>(c: &K, a: &K, b: &K) -> bool {
    let mut sum = vec![0_u8];
    let mut carry = 0;
    for (a, b) in a.as_bytes().iter().zip(b.as_bytes()).rev() {
        let [high, low] = (u16::from(*a) + u16::from(*b) + carry).to_be_bytes();
        carry = u16::from(high);
        sum.insert(1, low);
    }
    sum[0] = carry.to_le_bytes()[0];
    [&[0], c.as_bytes()].concat() > sum
}

#[cfg(test)]
mod tests {
    use kademlia_core::Key;

    use super::*;

    type K = Key<2>;

    const RIGHT: Metric<K> = Metric::ENGINE;

    fn broken(metric: &Metric<K>, keys: [[u8; 2]; 3]) -> String {
        let [a, b, c] = keys.map(Key::new);
        holds(metric, &a, &b, &c).err().unwrap_or_default()
    }

    #[test]
    fn p9_every_rule_can_fail() {
        let keys = [[0x12, 0x34], [0x12, 0x74], [0xff, 0]];
        assert_eq!(broken(&RIGHT, keys), "");
        assert_eq!(broken(&Metric { distance: |_, _| Key::new([1, 1]), ..RIGHT }, keys), "d(a, a) = 0");
        assert_eq!(broken(&Metric { distance: |_, _| K::ZERO, ..RIGHT }, keys), "d(a, b) = 0 only for a = b");
        let difference = |a: &K, b: &K| {
            let number = |key: &K| u16::from_be_bytes(key.to_bytes());
            Key::new(number(a).wrapping_sub(number(b)).to_be_bytes())
        };
        assert_eq!(broken(&Metric { distance: difference, ..RIGHT }, keys), "d(a, b) = d(b, a)");
        let squared = |a: &K, b: &K| {
            let [high, low] = a.distance(b).to_bytes();
            Key::new((u16::from(low) * u16::from(low) + u16::from(high)).to_be_bytes())
        };
        let rule = broken(&Metric { distance: squared, ..RIGHT }, [[0, 0], [0, 1], [0, 3]]);
        assert_eq!(rule, "d(a, c) ≤ d(a, b) + d(b, c)");
        let halved = |a: &K, b: &K| {
            let number = u16::from_be_bytes(a.distance(b).to_bytes());
            Key::new(number.div_ceil(2).to_be_bytes())
        };
        assert_eq!(broken(&Metric { distance: halved, ..RIGHT }, keys), "for every a and distance, one b");
        let rule = broken(&Metric { cmp_distance: |_, b, c| b.cmp(c), ..RIGHT }, [[8, 0], [1, 0], [9, 0]]);
        assert_eq!(rule, "cmp_distance orders as distances do");
        let rule = broken(&Metric { common_prefix: |_, _| 3, ..RIGHT }, keys);
        assert_eq!(rule, "common_prefix counts equal leading bits");
    }
}
