//! Several paths, in a network in which anybody names anybody: P24, P29.

use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use super::*;

/// What the test knows of one path.
#[derive(Default)]
struct Told {
    /// Its starting points, and whoever its nodes named.
    contacts: BTreeSet<Contact<Key2>>,
    in_flight: usize,
    answered: BTreeSet<Contact<Key2>>,
}

/// Anybody, at times at another's address.
fn anybody(hosts: u16, rng: &mut Rng) -> Contact<Key2> {
    let mut draw = || 1 + u16::try_from(rng.below(hosts.into())).unwrap();
    let honest = contact(draw());
    let other = contact(draw());
    if rng.chance(0.1) { Contact::new(honest.key, other.addr) } else { honest }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p24_p29_a_path_asks_only_whom_its_own_nodes_named_and_nobody_is_asked_twice(
        hosts in 1..200_u16, target: u16, seed: u64, paths in 1..9_usize, k in 1..5_usize,
        bound: bool, late: bool, messages in 1..400_usize,
    ) {
        let mut rng = Rng::from_number(seed);
        let rules = Rules { k, bound, radius: u64::MAX >> 4, most: 2 * k, per_subnet: 1, per_wide_subnet: 4, healthy_first: false };
        let gait = Gait { rules, ..BOUNDS.gait };
        let bounds = Bounds { gait, messages, ..BOUNDS };
        let begun = if late { 1 } else { paths };
        let mut lookup = Lookup::new(Instant::ZERO, contact(target).key, begun, bounds);
        let mut told: Vec<Told> = (0..begun).map(|_| Told::default()).collect();
        let starting_points: Vec<_> = (0..20).map(|_| anybody(hosts, &mut rng)).collect();
        lookup.seed(starting_points.iter().map(|start| vouched((*start, rng.chance(0.5)))));
        for (at, start) in starting_points.iter().enumerate() {
            told[at % begun].contacts.insert(*start);
        }
        let mut flying: Vec<(Contact<Key2>, usize, bool)> = Vec::new();
        let mut asked: Vec<Contact<Key2>> = Vec::new();
        let mut reinforced = !late;
        loop {
            match lookup.next(Instant::ZERO, |_| true) {
                Next::Ask(next, path) => {
                    prop_assert!(told[path].contacts.contains(&next), "P29: {next:?} by path {path}");
                    prop_assert!(asked.iter().all(|before| before.addr != next.addr), "P24: {next:?}");
                    let answered = told.iter().any(|told| told.answered.iter().any(|one| one.key == next.key));
                    let awaited = flying.iter().any(|(one, ..)| one.key == next.key);
                    prop_assert!(!answered && !awaited, "P24: {next:?}");
                    prop_assert_eq!(lookup.repeats(path), path < begun);
                    lookup.asked(Instant::ZERO, &next, path);
                    told[path].in_flight += 1;
                    prop_assert!(told[path].in_flight <= gait.alpha);
                    asked.push(next);
                    flying.push((next, path, false));
                }
                Next::Done => break,
                Next::Wait => {
                    let at = rng.below(flying.len());
                    let (from, path, stalled) = flying[at];
                    if !stalled && rng.chance(0.2) {
                        flying[at].2 = true;
                        told[path].in_flight -= 1;
                        lookup.stalled(from.addr);
                        continue;
                    }
                    flying.swap_remove(at);
                    told[path].in_flight -= usize::from(!stalled);
                    if rng.chance(0.2) {
                        lookup.failed(from.addr);
                        continue;
                    }
                    let named: Vec<_> = (0..rng.below(9)).map(|_| anybody(hosts, &mut rng)).collect();
                    told[path].contacts.extend(&named);
                    told[path].answered.insert(from);
                    lookup.answer(from.addr, named.into_iter().map(|one| vouched((one, rng.chance(0.5)))));
                    if !reinforced {
                        reinforced = true;
                        let further: Vec<_> = (0..20).map(|_| anybody(hosts, &mut rng)).collect();
                        told.resize_with(paths, Told::default);
                        for (at, start) in further.iter().enumerate().filter(|_| paths > 1) {
                            told[1 + at % (paths - 1)].contacts.insert(*start);
                        }
                        lookup.reinforce(paths - 1, gait, further.into_iter().map(Vouched::from));
                    }
                }
            }
        }
        let holders = lookup.holders(|_| true);
        for holder in &holders {
            prop_assert!(told.iter().any(|told| told.answered.contains(holder)), "P29: {holder:?}");
        }
        for told in &told {
            let of_path = holders.iter().filter(|holder| told.answered.contains(*holder)).count();
            prop_assert!(of_path <= 2 * k + k * usize::from(bound), "P29: {of_path} of one path");
        }
        prop_assert!(lookup.report(Instant::ZERO, K).messages <= bounds.messages, "P23");
    }
}

#[test]
fn p23_companions_leave_half_of_the_messages_to_whom_they_accompany() {
    let hosts = |numbers: core::ops::Range<u16>| numbers.map(|n| Vouched::from(contact(n)));
    let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 1, Bounds { messages: 20, ..BOUNDS });
    lookup.seed(hosts(1..3));
    lookup.reinforce(2, Gait { alpha: 100, ..BOUNDS.gait }, hosts(100..200));
    let mut asked = [0; 3];
    let mut ask_all = |lookup: &mut Lookup<Key2>, answer: &dyn Fn(usize) -> bool| {
        while let Next::Ask(next, path) = lookup.next(Instant::ZERO, |_| true) {
            lookup.asked(Instant::ZERO, &next, path);
            asked[path] += 1;
            if answer(path) {
                lookup.answer(next.addr, []);
            } else if path > 0 {
                lookup.failed(next.addr);
            }
        }
        asked
    };
    let [own, companions @ ..] = ask_all(&mut lookup, &|_| false);
    assert_eq!((own, companions.iter().sum::<usize>()), (2, 10), "the first path waits");
    lookup.answer(contact(1).addr, hosts(3..5));
    let [own, companions @ ..] = ask_all(&mut lookup, &|_| false);
    assert_eq!((own, companions.iter().sum::<usize>()), (4, 10), "it goes on and they do not");
    for n in 2..5 {
        lookup.answer(contact(n).addr, []);
    }
    let [own, companions @ ..] = ask_all(&mut lookup, &|_| true);
    assert_eq!((own, companions.iter().sum::<usize>()), (4, 16), "and have what is left once it is done");
    assert_eq!(lookup.report(Instant::ZERO, K).messages, 20);
}
