use alloc::format;

use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};

use super::*;
use crate::rng::Rng;

const SECRET: [u8; 16] = *b"0123456789abcdef";

fn tokens() -> Tokens {
    Tokens::new(&SECRET)
}

fn after(start: Instant, secs: u64) -> Instant {
    start + Duration::from_secs(secs)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p39_a_token_is_good_for_five_minutes_and_dead_after_ten(
        phase in 0..1_000_000_000_000_u64,
        young in 0..=300_u64,
        old in 600..1_000_000_u64,
        ip in any::<IpAddr>(),
        target in any::<[u8; 20]>(),
    ) {
        let (tokens, issued) = (tokens(), Instant::from_micros(phase));
        let token = tokens.issue(issued, ip, &target);
        prop_assert!(tokens.verify(after(issued, young), ip, &target, &token));
        prop_assert!(!tokens.verify(after(issued, old), ip, &target, &token));
    }

    #[test]
    fn p39_t6_a_token_is_bound_to_family_ip_target_and_secret(
        ip in any::<IpAddr>(), other_ip in any::<IpAddr>(), target in any::<[u8; 20]>(), bit in 0..160_usize, token_bit in 0..64_usize, secret in any::<[u8; 16]>(),
    ) {
        let (tokens, now) = (tokens(), Instant::from_secs(1_000));
        let mut other_target = target;
        other_target[bit / 8] ^= 1 << (bit % 8);
        let token = tokens.issue(now, ip, &target);
        prop_assert!(ip == other_ip || !tokens.verify(now, other_ip, &target, &token));
        prop_assert!(!tokens.verify(now, ip, &other_target, &token));
        prop_assert!(secret == SECRET || !Tokens::new(&secret).verify(now, ip, &target, &token));
        let mut forged = token;
        forged[token_bit / 8] ^= 1 << (token_bit % 8);
        prop_assert!(!tokens.verify(now, ip, &target, &forged));
        for length in 0..8 {
            prop_assert!(!tokens.verify(now, ip, &target, &token[..length]));
        }
        prop_assert!(!tokens.verify(now, ip, &target, &[token.as_slice(), &[0]].concat()));
    }

    /// Were the MAC linear, as CRC or XOR constructions are, the tokens of a, b and c would give that of a ⊕ b ⊕ c.
    #[test]
    fn p40_tokens_of_related_inputs_are_in_no_affine_relation(a: u32, b: u32, c: u32, target: [u8; 20]) {
        let (tokens, now) = (tokens(), Instant::ZERO);
        let token = |ip: u32| {
            let issued = tokens.issue(now, core::net::Ipv4Addr::from_bits(ip).into(), &target);
            u64::from_be_bytes(issued)
        };
        let distinct = a != b && b != c && a != c;
        prop_assert!(!distinct || token(a) ^ token(b) ^ token(c) != token(a ^ b ^ c));
        prop_assert!(!distinct || token(a).wrapping_add(token(b)).wrapping_sub(token(c)) != token(a ^ b ^ c));
    }
}

#[test]
fn p40_t6_ten_million_random_tokens_are_all_refused() {
    let (tokens, now, ip) = (tokens(), Instant::from_secs(1_000), IpAddr::from([192, 0, 2, 1]));
    let (target, mut rng) = ([7; 20], Rng::from_number(1));
    for _ in 0..10_000_000 {
        assert!(!tokens.verify(now, ip, &target, &rng.next_u64().to_be_bytes()));
    }
}

#[test]
fn p39_every_rotation_phase() {
    let (tokens, ip, target) = (tokens(), IpAddr::from([192, 0, 2, 1]), [7; 20]);
    for phase in 0..600 {
        let issued = after(Instant::ZERO, phase);
        let token = tokens.issue(issued, ip, &target);
        let good =
            (0..=1_300).filter(|age| tokens.verify(after(issued, *age), ip, &target, &token)).count() as u64;
        assert!(tokens.verify(after(issued, 300), ip, &target, &token), "phase {phase}");
        assert!((301..=600).contains(&good), "phase {phase}: good for {good} s");
    }
}

/// BEP 5's implementation note is a memory of old secrets; this is the same promise without one.
#[test]
fn bep5_5_10_fs_a11_the_epoch_rotates_every_five_minutes_and_the_one_before_counts() {
    let (tokens, ip, target) = (tokens(), IpAddr::from([192, 0, 2, 1]), [7; 20]);
    let at = |secs| tokens.issue(Instant::from_secs(secs), ip, &target);
    assert_eq!(at(0), at(299));
    assert_ne!(at(299), at(300));
    assert!(tokens.verify(Instant::from_secs(599), ip, &target, &at(0)));
    assert!(!tokens.verify(Instant::from_secs(600), ip, &target, &at(0)));
    assert!(!tokens.verify(Instant::ZERO, ip, &target, &at(300)), "nothing is good before its time");
}

#[test]
fn t6_the_secret_is_not_in_the_debug_output() {
    assert_eq!(format!("{:?}", tokens()), "Tokens(..)");
}
