//! The metric laws at every width the project promises, the 8-bit space exhaustively.

use proptest::prelude::{ProptestConfig, TestCaseError, prop_assert, prop_assert_eq, proptest};

use super::*;
use alloc::format;
use alloc::string::ToString;

/// Distance the slow way: bit by bit, into a number.
fn brute_distance(a: u8, b: u8) -> u32 {
    (0..8).map(|bit| u32::from(((a >> bit) ^ (b >> bit)) & 1) << bit).sum()
}

#[test]
fn p9_the_8_bit_space_agrees_with_brute_force_exhaustively() {
    for target in 0..=255_u8 {
        for a in 0..=255_u8 {
            let (t, ka) = (Key::new([target]), Key::new([a]));
            assert_eq!(u32::from(t.distance(&ka).to_bytes()[0]), brute_distance(target, a));
            assert_eq!(t.common_prefix(&ka), (target ^ a).leading_zeros() as usize);
            for b in 0..=255_u8 {
                let expected = brute_distance(target, a).cmp(&brute_distance(target, b));
                assert_eq!(t.cmp_distance(&ka, &Key::new([b])), expected);
            }
        }
    }
}

/// P9 for one width: identity, symmetry, triangle inequality, unidirectionality, order and prefix.
fn metric_laws<const N: usize>(a: Key<N>, b: Key<N>, c: Key<N>) -> Result<(), TestCaseError> {
    prop_assert_eq!(a.distance(&b) == Key::ZERO, a == b);
    prop_assert_eq!(a.distance(&b), b.distance(&a));
    prop_assert_eq!(a.distance(&a.distance(&b)), b, "exactly one point at each distance");
    prop_assert_eq!(a.cmp_distance(&b, &c), a.distance(&b).cmp(&a.distance(&c)));
    prop_assert!(at_most_sum(&a.distance(&c).0, &a.distance(&b).0, &b.distance(&c).0));
    let shared = a.common_prefix(&b);
    let bit = |key: &Key<N>, at: usize| key.0[at / 8] >> (7 - at % 8) & 1;
    let brute = (0..Key::<N>::BITS).take_while(|at| bit(&a, *at) == bit(&b, *at)).count();
    prop_assert_eq!(shared, brute);
    Ok(())
}

/// Whether x <= y + z, as big-endian integers.
fn at_most_sum(x: &[u8], y: &[u8], z: &[u8]) -> bool {
    let mut carry = 0_u16;
    let mut sum = alloc::vec![0_u8; x.len()];
    for at in (0..x.len()).rev() {
        let digit = u16::from(y[at]) + u16::from(z[at]) + carry;
        sum[at] = (digit & 0xff) as u8;
        carry = digit >> 8;
    }
    carry > 0 || *x <= *sum
}

macro_rules! at_width {
    ($name:ident, $bytes:literal) => {
        proptest! {
            #![proptest_config(ProptestConfig::with_cases(10_000))]
            #[test]
            fn $name(a: [u8; $bytes], b: [u8; $bytes], c: [u8; $bytes], bits in 0..=8_usize * $bytes, seed: u64) {
                let (a, b, c) = (Key::new(a), Key::new(b), Key::new(c));
                metric_laws(a, b, c)?;
                let mut rng = Rng::from_number(seed);
                prop_assert!(a.random_within(bits, &mut rng).common_prefix(&a) >= bits);
                prop_assert_eq!(a.random_beside(bits, &mut rng).common_prefix(&a), bits);
                prop_assert_eq!(a.to_string().parse::<Key<$bytes>>(), Ok(a));
            }
        }
    };
}

at_width!(p9_metric_laws_at_8_bits, 1);
at_width!(p9_metric_laws_at_16_bits, 2);
at_width!(p9_metric_laws_at_160_bits, 20);
at_width!(p9_metric_laws_at_256_bits, 32);
at_width!(p9_metric_laws_at_512_bits, 64);

#[test]
fn text_that_is_not_a_key_is_refused() {
    assert_eq!("0g".parse::<Key<1>>(), Err(NotAKey { expected: 2 }));
    assert_eq!("000".parse::<Key<1>>(), Err(NotAKey { expected: 2 }));
    assert_eq!("é".parse::<Key<1>>(), Err(NotAKey { expected: 2 }));
    assert_eq!(format!("{:#}", Key::new([0xab; 20])), "abababab…");
}
