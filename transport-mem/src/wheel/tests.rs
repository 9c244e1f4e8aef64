use proptest::prelude::*;

use super::*;

/// The obvious queue: sorted when asked.
#[derive(Default)]
struct Naive(Vec<(u64, usize)>);

impl Naive {
    fn pop(&mut self, until: u64) -> Option<(u64, usize)> {
        let next = (0..self.0.len()).min_by_key(|&i| self.0[i])?;
        (self.0[next].0 <= until).then(|| self.0.remove(next))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Schedule(u64),
    Cancel(usize),
    Run(u64),
}

/// Spans from none to beyond the highest level, equal ones often.
fn span() -> impl Strategy<Value = u64> {
    prop_oneof![0..4_u64, 0..100_000_u64, (0..64_u32).prop_map(|bit| 1 << bit), any::<u64>()]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => span().prop_map(Step::Schedule),
        1 => any::<usize>().prop_map(Step::Cancel),
        2 => span().prop_map(Step::Run),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn pops_what_a_sorted_list_pops(steps in steps()) {
        let (mut wheel, mut naive, mut ids) = (Wheel::new(), Naive::default(), Vec::new());
        let mut now = 0_u64;
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Schedule(delay) => {
                    let at = now.saturating_add(delay);
                    ids.push((wheel.schedule(Instant::from_micros(at), number), number));
                    naive.0.push((at, number));
                }
                Step::Cancel(which) if !naive.0.is_empty() => {
                    let (_, number) = naive.0.remove(which % naive.0.len());
                    let (id, _) = ids[ids.iter().position(|&(_, of)| of == number).unwrap()];
                    wheel.cancel(id);
                }
                Step::Cancel(_) => {}
                Step::Run(delay) => {
                    now = now.saturating_add(delay);
                    loop {
                        let popped = wheel.pop(Instant::from_micros(now));
                        prop_assert_eq!(popped.map(|(at, value)| (at.as_micros(), value)), naive.pop(now));
                        if popped.is_none() {
                            break;
                        }
                    }
                }
            }
            prop_assert_eq!(wheel.len(), naive.0.len());
        }
        while let Some((at, value)) = wheel.pop(Instant::NEVER) {
            prop_assert_eq!(Some((at.as_micros(), value)), naive.pop(u64::MAX));
        }
        prop_assert!(naive.0.is_empty());
    }
}

#[test]
fn an_event_for_the_past_comes_next() {
    let mut wheel = Wheel::new();
    wheel.schedule(Instant::from_secs(2), 'a');
    assert_eq!(wheel.pop(Instant::from_secs(1)), None);
    assert_eq!(wheel.pop(Instant::from_secs(2)), Some((Instant::from_secs(2), 'a')));
    wheel.schedule(Instant::from_secs(3), 'c');
    wheel.schedule(Instant::from_secs(1), 'b');
    assert_eq!(wheel.pop(Instant::NEVER), Some((Instant::from_secs(2), 'b')));
    assert_eq!(wheel.pop(Instant::NEVER), Some((Instant::from_secs(3), 'c')));
}

#[test]
fn places_are_used_again() {
    let mut wheel = Wheel::new();
    for second in 0..1_000 {
        let id = wheel.schedule(Instant::from_secs(second + 900), ());
        wheel.schedule(Instant::from_secs(second), ());
        wheel.cancel(id);
        wheel.pop(Instant::from_secs(second));
    }
    assert_eq!(wheel.len(), 0);
    assert_eq!(wheel.events.len(), 2);
}
