use std::net::SocketAddr;

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::item::{MutableItem, SecretKey};

fn owner() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn value(text: &str) -> RawValue {
    RawValue::string(text).unwrap()
}

fn version(seq: i64, text: &str) -> Item {
    MutableItem::sign(&owner(), Salt::default(), seq, value(text)).into()
}

/// The `n`th of the nodes around the target, nearest first.
fn node(survey: &Survey, n: u8) -> Contact<Key<20>> {
    let mut bytes = survey.sought.target().to_bytes();
    bytes[1] ^= n;
    Contact::new(Key::new(bytes), SocketAddr::from(([20, 0, 0, n], 1)))
}

fn mutable() -> Survey {
    Survey::new(Sought::Mutable(owner().public(), Salt::default()))
}

impl Survey {
    /// The `n`th node has this version, or nothing.
    fn told(&mut self, n: u8, item: Option<&Item>) -> bool {
        let parts = item.map(|item| ItemParts::of(item, self.known_seq()));
        self.hear(node(self, n), true, parts.as_ref())
    }
}

#[test]
fn bep44_44_3_the_highest_number_counts_and_each_improvement_is_news() {
    let mut survey = mutable();
    let news = [(1, 3), (2, 2), (3, 3), (4, 5), (5, 4), (6, 5)]
        .map(|(n, seq)| survey.told(n, Some(&version(seq, "x"))));
    assert_eq!(news, [true, false, false, true, false, false]);
    assert!(!survey.told(7, None));
    assert_eq!(survey.newest(), Some(&version(5, "x")));
    assert_eq!((survey.holders(), survey.outdated(), survey.answered()), (2, 4, 7));
    assert!(!survey.is_forked() && survey.invalid() == 0);
}

#[test]
fn bep44_44_3_what_is_not_the_owners_is_counted_and_ignored() {
    let mut survey = mutable();
    let thief = SecretKey::from_seed(&[8; 32]);
    let stolen = MutableItem::sign(&thief, Salt::default(), 9, value("x"));
    let forged = MutableItem { key: owner().public(), ..stolen.clone() };
    assert!(!survey.told(1, Some(&stolen.into())));
    assert!(!survey.told(2, Some(&forged.clone().into())));
    assert!(!survey.told(3, Some(&forged.into())), "the same again");
    assert!(!survey.told(4, Some(&value("immutable").into())));
    assert_eq!((survey.newest(), survey.invalid()), (None, 4));
    assert_eq!(survey.checks, 3, "what was refuted once is not verified again");
}

#[test]
fn bep44_44_3_an_immutable_item_has_its_hash() {
    let mut survey = Survey::new(Sought::of(&value("x").into()));
    assert!(!survey.told(1, Some(&value("y").into())));
    assert!(survey.told(2, Some(&value("x").into())));
    assert!(!survey.told(3, Some(&value("x").into())));
    assert_eq!((survey.newest(), survey.holders(), survey.invalid()), (Some(&value("x").into()), 2, 1));
    assert_eq!(survey.checks, 2, "equal bytes have equal hashes");
    assert_eq!(survey.outdated(), 0);
}

#[test]
fn bep44_44_3_signatures_verified_for_one_item_are_bounded() {
    let mut survey = mutable();
    let honest = version(3, "x");
    survey.told(1, Some(&honest));
    for n in 0..1_000 {
        let parts = ItemParts { seq: Some(100 + n), ..ItemParts::of(&honest, None) };
        survey.hear(node(&survey, 2), true, Some(&parts));
    }
    assert_eq!((survey.checks, survey.invalid()), (MOST_CHECKS, 1_000));
    assert!(survey.refuted.len() <= MOST_CHECKS);
    assert_eq!(survey.newest(), Some(&honest));
    assert!(!survey.told(3, Some(&honest)));
    assert_eq!(survey.holders(), 2, "what is known already counts without");
}

#[test]
fn bep44_44_8_who_has_our_version_need_not_prove_it() {
    let mut survey = Survey::beyond(&version(5, "x"));
    assert_eq!((survey.known_seq(), survey.holders()), (Some(5), 0));
    survey.told(1, Some(&version(5, "x")));
    survey.told(2, Some(&version(4, "x")));
    let claim = ItemParts { seq: Some(6), ..ItemParts::default() };
    assert!(!survey.hear(node(&survey, 3), true, Some(&claim)), "but a newer one");
    assert_eq!((survey.holders(), survey.outdated()), (1, 1));
    assert!(survey.told(4, Some(&version(7, "y"))));
    assert_eq!((survey.newest(), survey.outdated()), (Some(&version(7, "y")), 2));
}

#[test]
fn bep44_44_6_of_two_values_under_one_number_the_one_near_the_target_counts() {
    let mut survey = mutable();
    let (near, far) = (version(3, "a"), version(3, "b"));
    for n in 0..30 {
        survey.told(n, Some(if n < 5 { &near } else { &far }));
    }
    assert_eq!(survey.newest(), Some(&near));
    assert!(survey.is_forked() && !survey.is_settled(), "five of eight are not enough");
    assert_eq!((survey.holders(), survey.outdated()), (5, 0));
}

#[test]
fn three_in_four_of_the_nearest_settle_a_version() {
    for (have, settled) in [(5, false), (6, true), (8, true)] {
        let mut survey = mutable();
        for n in 0..20 {
            survey.told(n, (n < have || n >= 8).then_some(&version(1, "x")));
        }
        assert_eq!(survey.is_settled(), settled, "{have} of 8");
    }
    assert!(!mutable().is_settled(), "nobody is no majority");
}

#[test]
fn bep44_44_9_copies_suffice_if_more_than_eight_have_it_and_all_of_the_nearest() {
    for (lacking, copies, enough) in
        [(None, 9, true), (None, 8, false), (Some(7), 12, false), (Some(8), 12, true)]
    {
        let mut survey = Survey::beyond(&version(2, "x"));
        for n in 0..copies {
            survey.told(n, (Some(n) != lacking).then_some(&version(2, "x")));
        }
        assert_eq!(survey.has_copies_enough(), enough, "{lacking:?} of {copies}");
    }
}

#[test]
fn bep44_44_9_only_holders_of_the_newest_version_and_eligible_nodes_count() {
    let mut survey = Survey::beyond(&version(2, "x"));
    for n in 0..12 {
        survey.told(n, Some(&version(if n == 3 { 1 } else { 2 }, "x")));
    }
    assert!(!survey.has_copies_enough(), "one of the nearest has an older one");
    let mut survey = Survey::beyond(&version(2, "x"));
    for n in 0..12 {
        let parts = ItemParts { seq: Some(2), ..ItemParts::default() };
        survey.hear(node(&survey, n), n != 3, (n != 3).then_some(&parts));
    }
    assert!(survey.has_copies_enough(), "who gives no token cannot be asked to keep it");
}

#[test]
fn bep32_32_1_each_network_has_its_own_nearest() {
    let mut survey = Survey::beyond(&version(2, "x"));
    let parts = ItemParts { seq: Some(2), ..ItemParts::default() };
    for n in 0..12 {
        survey.hear(node(&survey, n), true, Some(&parts));
    }
    assert!(survey.has_copies_enough());
    for n in 0..12 {
        let v6 = SocketAddr::from(([0x2a00, 0, 0, 0, 0, 0, 0, n.into()], 1));
        survey.hear(Contact::new(node(&survey, n).key, v6), true, (n > 4).then_some(&parts));
    }
    assert!(!survey.has_copies_enough() && !survey.is_settled());
}

proptest! {
    /// The same answers lead to the same version in whatever order they come.
    #[test]
    fn bep44_44_6_the_order_of_the_answers_does_not_matter(
        mut answers in proptest::collection::vec((0..40_u8, 1..3_i64, "[ab]"), 1..40),
    ) {
        answers.sort();
        answers.dedup_by_key(|(n, _, _)| *n);
        let read = |answers: &[(u8, i64, String)]| {
            let mut survey = mutable();
            for (n, seq, text) in answers {
                survey.told(*n, Some(&version(*seq, text)));
            }
            survey
        };
        let forward = read(&answers);
        answers.reverse();
        let backward = read(&answers);
        prop_assert_eq!(forward.newest(), backward.newest());
        prop_assert_eq!(forward.is_settled(), backward.is_settled());
        prop_assert!(forward.holders() > 0);
        prop_assert_eq!(forward.holders() + forward.outdated() <= answers.len(), true);
    }
}
