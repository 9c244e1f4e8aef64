//! Ids for several nodes of one host: far apart, lest its failure tears a hole into the keyspace (45.1).

use std::net::IpAddr;

use kademlia_core::{Key, Keyspace, Rng};

use crate::node_id;

/// Ids drawn for an address, of which the one farthest from all others is taken.
const DRAWN: usize = 16;

/// `base`, incremented `index` times in reverse bit order: any two of the first 2ⁿ differ in their first n bits.
pub(super) fn spread(base: &Key<20>, index: u32) -> Key<20> {
    let mut id = base.to_bytes();
    for (byte, flipped) in id.iter_mut().zip(index.reverse_bits().to_be_bytes()) {
        *byte ^= flipped;
    }
    Key::new(id)
}

/// An id that fits the address (BEP 42), as far as may be from those that are taken.
pub(super) fn derive(ip: IpAddr, taken: &[Key<20>], rng: &mut Rng) -> Key<20> {
    let drawn = (1..DRAWN).map(|_| node_id::derive(ip, rng)).collect::<Vec<_>>();
    let first = node_id::derive(ip, rng);
    drawn
        .into_iter()
        .fold(first, |best, id| if nearness(&id, taken) < nearness(&best, taken) { id } else { best })
}

/// Whether the id is as far from those that are taken as one of so many can be expected to be.
pub(super) fn is_far(id: &Key<20>, taken: &[Key<20>], count: u32) -> bool {
    let bits = u32::BITS - count.leading_zeros();
    nearness(id, taken) <= bits as usize + 4
}

/// Leading bits shared with the nearest of those that are taken.
fn nearness(id: &Key<20>, taken: &[Key<20>]) -> usize {
    taken.iter().map(|other| id.common_prefix(other)).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bep45_45_1_ids_differ_in_their_high_bits() {
        let mut rng = Rng::from_number(1);
        let base = Key::random(&mut rng);
        let ids: Vec<_> = (0..256).map(|index| spread(&base, index)).collect();
        assert_eq!(ids[0], base);
        for bits in 1..=8_usize {
            let first = &ids[..1 << bits];
            for (at, id) in first.iter().enumerate() {
                assert!(
                    nearness(id, &first[..at]) < bits,
                    "any two of {} differ in {bits} bits",
                    first.len()
                );
            }
        }
    }

    #[test]
    fn bep45_45_1_ids_that_fit_addresses_are_far_apart_too() {
        let mut rng = Rng::from_number(2);
        let mut taken = Vec::new();
        for n in 0..32_u8 {
            let ip = IpAddr::from([20, 1, n, 1]);
            let id = derive(ip, &taken, &mut rng);
            assert!(node_id::verify(ip, &id));
            assert!(is_far(&id, &taken, n.into()), "{n}");
            taken.push(id);
        }
    }
}
