//! The lookup against a network that is only a table of who knows whom.

mod launches;
mod paths;

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::key::Key;
use crate::rng::Rng;

type Key2 = Key<2>;

const K: usize = 4;
const RULES: Rules =
    Rules { k: K, radius: 0, most: 0, bound: false, per_subnet: 0, per_wide_subnet: 0, healthy_first: false };
const BOUNDS: Bounds = Bounds {
    gait: Gait { rules: RULES, alpha: 3, repeats: true },
    candidates: 512,
    messages: 400,
    time: Duration::from_secs(20),
    stagger: Duration::ZERO,
};

fn vouched((contact, bound): (Contact<Key2>, bool)) -> Vouched<Key2> {
    Vouched { contact, bound, health: Health::Unknown }
}

fn contact(n: u16) -> Contact<Key2> {
    let [high, low] = n.to_be_bytes();
    Contact::new(Key::new([high, low]), SocketAddr::from(([1, 2, high, low], 6881)))
}

fn sorted(target: Key2, mut nodes: Vec<Contact<Key2>>) -> Vec<Contact<Key2>> {
    nodes.sort_by(|a, b| target.cmp_distance(&a.key, &b.key));
    nodes
}

/// What Kademlia's tables guarantee, and no more: of those that share exactly i bits, k at random, or all if they are fewer.
fn table_of(node: &Contact<Key2>, nodes: &[Contact<Key2>], rng: &mut Rng) -> Vec<Contact<Key2>> {
    let mut table = Vec::new();
    for shared in 0..Key2::BITS {
        let beside = |other: &&Contact<Key2>| other.key.common_prefix(&node.key) == shared;
        let mut bucket: Vec<_> = nodes.iter().filter(beside).copied().collect();
        while bucket.len() > K {
            bucket.swap_remove(rng.below(bucket.len()));
        }
        table.extend(bucket);
    }
    table
}

/// Runs a lookup in which every asked node is answered, stalled or failed in an order drawn from `rng`.
/// Nodes in `dead` fail. Each node names the k closest it knows.
struct Run {
    report: LookupReport<Key2>,
    asked: Vec<Contact<Key2>>,
    most_in_flight: usize,
}

fn run(nodes: &[Contact<Key2>], dead: &BTreeSet<SocketAddr>, target: Key2, rng: &mut Rng) -> Run {
    let mut lookup = Lookup::new(Instant::ZERO, target, 1, BOUNDS);
    let mut knows: BTreeMap<SocketAddr, Vec<Contact<Key2>>> = BTreeMap::new();
    for node in nodes {
        knows.insert(node.addr, table_of(node, nodes, rng));
    }
    for _ in 0..3 {
        lookup.seed([nodes[rng.below(nodes.len())].into()]);
    }
    let mut flying: Vec<(Contact<Key2>, bool)> = Vec::new();
    let mut asked = Vec::new();
    let mut most_in_flight = 0;
    loop {
        match lookup.next(Instant::ZERO, |_| true) {
            Next::Ask(contact, path) => {
                lookup.asked(Instant::ZERO, &contact, path);
                asked.push(contact);
                flying.push((contact, false));
            }
            Next::Done => break,
            Next::Wait => {
                let at = rng.below(flying.len());
                let (contact, stalled) = flying[at];
                if !stalled && rng.chance(0.2) {
                    flying[at].1 = true;
                    lookup.stalled(contact.addr);
                } else {
                    flying.swap_remove(at);
                    if dead.contains(&contact.addr) {
                        lookup.failed(contact.addr);
                    } else {
                        let closest = sorted(target, knows[&contact.addr].clone());
                        lookup.answer(contact.addr, closest.into_iter().take(K).map(Vouched::from));
                    }
                }
            }
        }
        most_in_flight = most_in_flight.max(flying.iter().filter(|(_, stalled)| !stalled).count());
    }
    Run { report: lookup.report(Instant::ZERO, K), asked, most_in_flight }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// For every network and every order of the answers: so neither another order (P28) nor one node more (P27) makes it worse.
    #[test]
    fn p24_p25_p26_p27_p28_the_result_is_the_true_closest_and_nobody_is_asked_twice(
        ids in proptest::collection::btree_set(any::<u16>(), 4..60), target: u16, seed: u64,
    ) {
        let nodes: Vec<_> = ids.into_iter().map(contact).collect();
        let target = contact(target).key;
        let run = run(&nodes, &BTreeSet::new(), target, &mut Rng::from_number(seed));
        let expected: Vec<_> = sorted(target, nodes).into_iter().take(K).collect();
        prop_assert_eq!(&run.report.closest, &expected);
        prop_assert!(run.report.complete);
        prop_assert!(run.most_in_flight <= BOUNDS.gait.alpha);
        let keys: BTreeSet<_> = run.asked.iter().map(|asked| asked.key).collect();
        prop_assert_eq!(keys.len(), run.asked.len());
    }

    #[test]
    fn fs_a6_the_dead_delay_but_never_hide_a_live_candidate(
        ids in proptest::collection::btree_set(any::<u16>(), 8..60), target: u16, seed: u64,
    ) {
        let nodes: Vec<_> = ids.into_iter().map(contact).collect();
        let target = contact(target).key;
        let mut rng = Rng::from_number(seed);
        let dead: BTreeSet<_> = nodes.iter().filter(|_| rng.chance(0.3)).map(|node| node.addr).collect();
        let run = run(&nodes, &dead, target, &mut rng);
        prop_assert!(run.report.closest.iter().all(|found| !dead.contains(&found.addr)), "P26: responders only");
        // Every live candidate named by anyone and nearer than the result's last is in the result.
        let last = run.report.closest.last().map(|last| last.key);
        if run.report.closest.len() == K {
            for node in run.asked.iter().filter(|node| !dead.contains(&node.addr)) {
                let nearer = last.is_some_and(|last| target.cmp_distance(&node.key, &last).is_lt());
                prop_assert!(!nearer || run.report.closest.contains(node));
            }
        }
    }
}

#[test]
fn fs_b10_messages_time_and_candidates_are_bounded() {
    let bounds = Bounds { messages: 5, candidates: 4, ..BOUNDS };
    let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 1, bounds);
    for n in 1..100 {
        lookup.seed([contact(100 - n).into()]);
    }
    let mut asked = Vec::new();
    loop {
        match lookup.next(Instant::ZERO, |_| true) {
            Next::Ask(contact, path) => {
                lookup.asked(Instant::ZERO, &contact, path);
                lookup.failed(contact.addr);
                asked.push(contact);
            }
            Next::Wait => unreachable!("nothing is in flight"),
            Next::Done => break,
        }
    }
    // The four nearest are kept, the farther ones gave way.
    assert_eq!(asked, [1, 2, 3, 4].map(contact));

    let mut endless = Lookup::new(Instant::ZERO, contact(0).key, 1, Bounds { messages: 5, ..BOUNDS });
    for n in 1..100 {
        endless.seed([contact(n).into()]);
    }
    while let Next::Ask(contact, path) = endless.next(Instant::ZERO, |_| true) {
        endless.asked(Instant::ZERO, &contact, path);
        endless.failed(contact.addr);
    }
    assert_eq!(endless.report(Instant::ZERO, K).messages, 5);
    assert!(!endless.report(Instant::ZERO, K).complete);

    let mut slow = Lookup::new(Instant::ZERO, contact(0).key, 1, BOUNDS);
    slow.seed([contact(1).into()]);
    assert!(matches!(slow.next(Instant::ZERO, |_| true), Next::Ask(..)));
    assert_eq!(slow.next(Instant::from_secs(20), |_| true), Next::Done);
}

#[test]
fn a_wrong_address_for_a_key_does_not_hide_the_right_one() {
    let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 1, BOUNDS);
    let right = contact(1);
    let wrong = Contact::new(right.key, SocketAddr::from(([1, 1, 1, 1], 1)));
    lookup.seed([wrong.into(), right.into()]);
    assert_eq!(lookup.next(Instant::ZERO, |_| true), Next::Ask(wrong, 0));
    lookup.asked(Instant::ZERO, &wrong, 0);
    lookup.failed(wrong.addr);
    assert_eq!(lookup.next(Instant::ZERO, |_| true), Next::Ask(right, 0));
}

#[test]
fn a6_those_who_must_not_be_asked_keep_no_place() {
    let mut candidates = Candidates::new(contact(0).key, 3);
    for n in [1, 2, 4] {
        candidates.insert(contact(n).into(), 1);
    }
    candidates.refuse(&contact(1));
    candidates.refuse(&contact(4));
    candidates.insert(contact(3).into(), 1);
    candidates.insert(contact(5).into(), 1);
    let mut asked = Vec::new();
    while let Choice::Fresh(next) = candidates.next(RULES, |_| Claim::Free) {
        candidates.ask(&next);
        asked.push(next);
    }
    assert_eq!(asked, [2, 3, 5].map(contact));
}

#[test]
fn a_reinforced_lookup_has_places_for_k_however_few_candidates_it_may_have() {
    let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 1, Bounds { candidates: 1, ..BOUNDS });
    lookup.seed([contact(9).into()]);
    lookup.asked(Instant::ZERO, &contact(9), 0);
    lookup.answer(contact(9).addr, []);
    lookup.reinforce(3, BOUNDS.gait, []);
    lookup.seed([contact(1).into()]);
    assert_eq!(lookup.next(Instant::ZERO, |_| true), Next::Ask(contact(1), 0));
}
