//! In which order, and when, a lookup launches its requests.

use super::*;

/// Asks as long as it may, and gives back whom.
fn launch(lookup: &mut Lookup<Key2>, now: Instant) -> Vec<Contact<Key2>> {
    let mut asked = Vec::new();
    while let Next::Ask(next, path) = lookup.next(now, |_| true) {
        lookup.asked(now, &next, path);
        asked.push(next);
    }
    asked
}

fn millis(millis: u64) -> Instant {
    Instant::from_micros(millis * 1_000)
}

#[test]
fn fs_d3_an_answer_within_the_pause_saves_the_next_launch() {
    let bounds = Bounds { stagger: Duration::from_millis(200), ..BOUNDS };
    let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 1, bounds);
    lookup.seed((1..9).map(|n| contact(n).into()));
    assert_eq!(launch(&mut lookup, Instant::ZERO), [contact(1)]);
    assert_eq!(lookup.launch_at(), Some(millis(200)));
    assert_eq!(launch(&mut lookup, millis(199)), []);
    assert_eq!(launch(&mut lookup, millis(200)), [contact(2)], "no answer: the next is launched");
    // An answer ends the pause, and so does a failure.
    lookup.answer(contact(1).addr, []);
    assert_eq!(launch(&mut lookup, millis(210)), [contact(3)]);
    lookup.failed(contact(2).addr);
    assert_eq!(launch(&mut lookup, millis(220)), [contact(4)]);
    // With α in flight no pause ends in a launch, and nobody need come back for it.
    assert_eq!(launch(&mut lookup, millis(420)), [contact(5)]);
    assert_eq!((launch(&mut lookup, millis(1_000)), lookup.launch_at()), (Vec::new(), None));
}

#[test]
fn fs_d3_healthy_peers_first_and_bad_ones_as_the_last_resort() {
    let bounds = Bounds {
        gait: Gait { rules: Rules { healthy_first: true, ..RULES }, alpha: 1, repeats: true },
        ..BOUNDS
    };
    let healths = [Health::Bad, Health::Unknown, Health::Good, Health::Unknown, Health::Good, Health::Good];
    let seeds =
        || (1..).zip(healths).map(|(n, health)| Vouched { contact: contact(n), bound: false, health });
    let order = |fails: &[u16]| {
        let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 1, bounds);
        lookup.seed(seeds());
        let mut order = Vec::new();
        while let Next::Ask(next, path) = lookup.next(Instant::ZERO, |_| true) {
            lookup.asked(Instant::ZERO, &next, path);
            order.push(next);
            if fails.iter().any(|n| contact(*n) == next) {
                lookup.failed(next.addr);
            } else {
                lookup.answer(next.addr, []);
            }
        }
        order
    };
    // Four are wanted: of the nearest five that are not bad, the good ones first.
    assert_eq!(order(&[]), [3, 5, 2, 4].map(contact));
    // Where too few are left, the bad one is asked after all.
    assert_eq!(order(&[2, 3, 4]), [3, 5, 6, 2, 4, 1].map(contact));
}

#[test]
fn a_lookup_that_is_over_wakes_nobody_for_a_launch() {
    let bounds = Bounds { stagger: Duration::from_secs(15), messages: 2, ..BOUNDS };
    let begin = || {
        let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 1, bounds);
        lookup.seed((1..9).map(|n| contact(n).into()));
        assert_eq!(launch(&mut lookup, Instant::ZERO), [contact(1)]);
        assert_eq!(lookup.launch_at(), Some(millis(15_000)));
        lookup
    };
    let mut late = begin();
    assert_eq!(late.next(Instant::from_secs(20), |_| true), Next::Done);
    assert_eq!(late.launch_at(), None, "its time is over");
    let mut spent = begin();
    assert!(spent.ask_again(contact(1).addr));
    assert_eq!((spent.next(millis(2_000), |_| true), spent.launch_at()), (Next::Wait, None));
}

#[test]
fn the_last_messages_are_not_sent_in_vain() {
    let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 1, Bounds { messages: 3, ..BOUNDS });
    lookup.seed((1..9).map(|n| contact(n).into()));
    assert_eq!(launch(&mut lookup, Instant::ZERO), [1, 2, 3].map(contact));
    for n in 1..=3 {
        assert_eq!(lookup.next(Instant::ZERO, |_| true), Next::Wait);
        lookup.answer(contact(n).addr, [contact(9 + n).into()]);
    }
    assert_eq!(lookup.next(Instant::ZERO, |_| true), Next::Done);
    let report = lookup.report(Instant::ZERO, K);
    assert_eq!((report.answered, report.messages, report.complete), (3, 3, false));
}

#[test]
fn t17_an_address_without_room_keeps_nobody_else_waiting() {
    let mut lookup = Lookup::new(Instant::ZERO, contact(0).key, 2, BOUNDS);
    lookup.seed((1..9).map(|n| contact(n).into()));
    let busy = |ip| ip != contact(1).addr.ip();
    let mut asked = Vec::new();
    while let Next::Ask(next, path) = lookup.next(Instant::ZERO, busy) {
        lookup.asked(Instant::ZERO, &next, path);
        lookup.answer(next.addr, []);
        asked.push(next);
    }
    assert_eq!(asked, [3, 5, 7, 2, 4, 6, 8].map(contact));
    assert_eq!(lookup.next(Instant::ZERO, busy), Next::Wait, "its turn comes");
    assert_eq!(launch(&mut lookup, Instant::ZERO), [contact(1)]);
}
