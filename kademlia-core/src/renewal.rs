//! When what was published is published again.

use alloc::collections::{BTreeMap, BTreeSet};
use core::time::Duration;

use crate::lookup::Effort;
use crate::rng::Rng;
use crate::time::Instant;

/// How often things are published again, and how much that may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenewalConfig {
    /// From one publish of a thing to its next, an eighth sooner or later, unless the thing has an interval of its own
    /// ([`Renewals::set_interval`]).
    pub interval: Duration,
    /// Pause after a publish that nobody accepted; doubles each time, up to the interval.
    pub retry: Duration,
    /// Requests per second that all publishes together may take in the long run; 0 for no limit. Where all nodes of a
    /// network publish, each answers as many requests as it sends.
    pub budget: u32,
}

impl Default for RenewalConfig {
    /// Every 15 minutes, half of what Mainline's nodes remember; 20 requests a second: a thousand things in 20 minutes (T23).
    fn default() -> Self {
        RenewalConfig { interval: Duration::from_secs(15 * 60), retry: Duration::from_secs(60), budget: 20 }
    }
}

/// The schedule of everything that one node publishes and renews until it is withdrawn (C4, T23).
///
/// Things that were added together drift apart: each renewal is drawn from a quarter of the interval. Publishes start
/// one by one, each as late as the budget for those before it asks for; with more things than the budget pays for,
/// each is published with less [`Effort`], and only then more rarely. Does nothing by itself: the host asks
/// [`poll`](Self::poll) what to publish, and tells [`ended`](Self::ended) what came of it.
#[derive(Debug)]
pub struct Renewals<T> {
    config: RenewalConfig,
    items: BTreeMap<T, Item>,
    /// When each is due, a number drawn for it, and the thing.
    due: BTreeSet<(Due, T)>,
    /// The budget is spent until then.
    paid_until: Instant,
    /// Requests that a publish takes, by effort: a moving average.
    costs: [f64; EFFORTS.len()],
}

/// When a thing is due. What is due at the same moment is so in random order: clients keep their torrents sorted, and those
/// that restart together would all ask the same few nodes at a time (T23).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    at: Instant,
    turn: u32,
}

#[derive(Clone, Copy, Debug)]
struct Item {
    interval: Duration,
    /// When it is due, unless it is being published.
    due: Option<Due>,
    /// Publishes in a row that nobody accepted.
    failures: u32,
}

/// What there is to choose from, dearest first, and what each costs before it was measured.
const EFFORTS: [(Effort, f64); 3] = [(Effort::Hardened, 200.0), (Effort::Dense, 60.0), (Effort::Plain, 25.0)];
/// A host that polls no later than this after it should have is on time.
const LATE: Duration = Duration::from_secs(1);
/// Weight of the last measurement in the average.
const WEIGHT: f64 = 0.125;

impl<T: Copy + Ord> Renewals<T> {
    /// Nothing to publish yet.
    pub fn new(config: RenewalConfig) -> Self {
        Renewals {
            config,
            items: BTreeMap::new(),
            due: BTreeSet::new(),
            paid_until: Instant::ZERO,
            costs: EFFORTS.map(|(_, cost)| cost),
        }
    }

    /// Adds a thing, to be published as soon as the budget allows. One that is there already is published anew. Of many
    /// that are added at once each is as likely to be the first.
    pub fn insert(&mut self, now: Instant, item: T, rng: &mut Rng) {
        self.remove(&item);
        let due = Due { at: now, turn: rng.next_u32() };
        self.items.insert(item, Item { interval: self.config.interval, due: Some(due), failures: 0 });
        self.due.insert((due, item));
    }

    /// From now on a thing is published this often, an eighth sooner or later. When it is due next stays as it is: to be
    /// called before [`ended`](Self::ended).
    pub fn set_interval(&mut self, item: &T, interval: Duration) {
        if let Some(item) = self.items.get_mut(item) {
            item.interval = interval;
        }
    }

    /// Withdraws a thing.
    pub fn remove(&mut self, item: &T) {
        if let Some(Item { due: Some(due), .. }) = self.items.remove(item) {
            self.due.remove(&(due, *item));
        }
    }

    /// Number of things.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is nothing to publish.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The next thing to publish now, and how; to be called until `None`.
    pub fn poll(&mut self, now: Instant) -> Option<(T, Effort)> {
        let &(due, item) = self.due.first()?;
        if due.at > now || self.paid_until > now {
            return None;
        }
        self.due.remove(&(due, item));
        if let Some(item) = self.items.get_mut(&item) {
            item.due = None;
        }
        let (effort, cost) = self.affordable();
        if self.config.budget != 0 {
            // Whoever polls somewhat late loses nothing by it.
            let since = if now.since(self.paid_until) > LATE { now } else { self.paid_until };
            self.paid_until = since + Duration::from_secs(1).mul_f64(cost / f64::from(self.config.budget));
        }
        Some((item, effort))
    }

    /// When to [`poll`](Self::poll).
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| due.at.max(self.paid_until))
    }

    /// A publish with this effort ended after so many requests; somebody `accepted` it, or nobody.
    pub fn ended(
        &mut self,
        now: Instant,
        item: T,
        effort: Effort,
        requests: usize,
        accepted: bool,
        rng: &mut Rng,
    ) {
        let at = EFFORTS.iter().position(|(known, _)| *known == effort);
        if let Some(cost) = at.and_then(|at| self.costs.get_mut(at)) {
            *cost += (requests as f64 - *cost) * WEIGHT;
        }
        // Withdrawn, or added anew, meanwhile.
        let Some(known) = self.items.get_mut(&item).filter(|known| known.due.is_none()) else { return };
        known.failures = if accepted { 0 } else { known.failures.saturating_add(1) };
        let doublings = known.failures.saturating_sub(1).min(16);
        let retry = self.config.retry.saturating_mul(1 << doublings).min(known.interval);
        let at = now + rng.jittered(if accepted { known.interval } else { retry });
        let due = Due { at, turn: rng.next_u32() };
        known.due = Some(due);
        self.due.insert((due, item));
    }

    /// The greatest effort with which everything can be published once an interval, and its cost.
    fn affordable(&self) -> (Effort, f64) {
        let per_second: f64 = self.items.values().map(|item| item.interval.as_secs_f64().recip()).sum();
        let share = f64::from(self.config.budget) / per_second;
        let known = || EFFORTS.iter().map(|(effort, _)| *effort).zip(self.costs);
        let fits = known().find(|(_, cost)| self.config.budget == 0 || *cost <= share);
        fits.or_else(|| known().next_back()).unwrap_or((Effort::Plain, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    /// Publishes for `time`; every publish takes a second and `cost(effort)` requests. Gives back when each started.
    fn publish(
        renewals: &mut Renewals<u32>,
        time: Duration,
        cost: impl Fn(Effort) -> usize,
        accepted: bool,
    ) -> Vec<(Instant, u32, Effort)> {
        let mut rng = Rng::from_number(1);
        let (mut now, mut starts, mut running) =
            (Instant::ZERO, Vec::new(), Vec::<(Instant, u32, Effort)>::new());
        while now <= Instant::ZERO + time {
            while let Some((item, effort)) = renewals.poll(now) {
                starts.push((now, item, effort));
                running.push((now + Duration::from_secs(1), item, effort));
            }
            running.retain(|(end, item, effort)| {
                if *end <= now {
                    renewals.ended(now, *item, *effort, cost(*effort), accepted, &mut rng);
                }
                *end > now
            });
            let next = running.iter().map(|(end, _, _)| *end).chain(renewals.poll_timeout()).min();
            now = next.unwrap_or(Instant::NEVER).max(now + Duration::from_micros(1));
        }
        starts
    }

    fn with(count: u32, budget: u32) -> Renewals<u32> {
        let mut renewals = Renewals::new(RenewalConfig { budget, ..RenewalConfig::default() });
        let mut rng = Rng::from_number(2);
        (0..count).for_each(|item| renewals.insert(Instant::ZERO, item, &mut rng));
        renewals
    }

    #[test]
    fn fs_c4_few_things_are_published_at_once_with_all_effort_and_renewed_in_time() {
        let mut renewals = with(3, 25);
        let starts = publish(&mut renewals, Duration::from_secs(3_600), |_| 150, true);
        assert!(starts.iter().all(|(_, _, effort)| *effort == Effort::Hardened));
        assert!(starts.iter().filter(|(at, _, _)| at.as_secs() < 20).count() == 3);
        for item in 0..3 {
            let times: Vec<_> =
                starts.iter().filter(|(_, other, _)| *other == item).map(|(at, _, _)| at.as_secs()).collect();
            assert!((4..=5).contains(&times.len()), "{times:?}");
            assert!(times.windows(2).all(|pair| (780..=1_040).contains(&(pair[1] - pair[0]))), "{times:?}");
        }
    }

    #[test]
    fn t23_a_thousand_things_after_a_restart_stay_within_the_budget() {
        let mut renewals = with(1_000, 20);
        let starts = publish(&mut renewals, Duration::from_secs(3_600), |_| 22, true);
        let first_round: Vec<_> = starts.iter().filter(|(at, _, _)| at.as_secs() <= 20 * 60).collect();
        let mut published: Vec<_> = first_round.iter().map(|(_, item, _)| *item).collect();
        published.sort_unstable();
        published.dedup();
        assert_eq!(published.len(), 1_000, "all within 20 minutes");
        assert!(starts.iter().all(|(_, _, effort)| *effort == Effort::Plain), "the budget pays for no more");
        for window in starts.windows(100) {
            let span = window[99].0.since(window[0].0).as_secs_f64();
            assert!(99.0 * 22.0 / span.max(1.0) <= 50.0, "over the budget at {:?}", window[0].0);
        }
    }

    #[test]
    fn t23_a_host_that_polls_a_little_late_publishes_as_much() {
        let mut renewals = with(1_000, 20);
        let mut rng = Rng::from_number(3);
        let mut published = |from: u64, until: u64| {
            let mut count = 0;
            for quarter in from * 4..until * 4 {
                let now = Instant::from_micros(quarter * 250_000 + 1);
                while let Some((item, effort)) = renewals.poll(now) {
                    renewals.ended(now, item, effort, 21, true, &mut rng);
                    count += 1;
                }
            }
            count
        };
        assert!((92..=96).contains(&published(0, 100)), "20 requests a second, 21 each");
        assert!(published(200, 210) <= 11, "nor is anything saved up");
    }

    #[test]
    fn t23_those_who_begin_together_do_not_keep_step() {
        let first = |seed| {
            let (mut renewals, mut rng) = (Renewals::new(RenewalConfig::default()), Rng::from_number(seed));
            (0..1_000_u32).for_each(|item| renewals.insert(Instant::ZERO, item, &mut rng));
            renewals.poll(Instant::ZERO).map(|(item, _)| item).unwrap()
        };
        let firsts: BTreeSet<_> = (0..100).map(|seed| first(seed) / 100).collect();
        assert_eq!(firsts.len(), 10, "in every tenth of the keys somebody begins: {firsts:?}");
    }

    #[test]
    fn t23_a_publish_that_nobody_accepts_is_tried_ever_more_rarely() {
        let mut renewals = with(1, 0);
        let starts = publish(&mut renewals, Duration::from_secs(7_200), |_| 10, false);
        let pauses: Vec<_> = starts.windows(2).map(|pair| pair[1].0.since(pair[0].0).as_secs()).collect();
        assert!(pauses[0] < 70 && pauses[2] > 200, "{pauses:?}");
        assert!(pauses.iter().all(|pause| *pause <= 1_040), "{pauses:?}");
    }

    #[test]
    fn bep44_44_9_a_thing_may_have_an_interval_of_its_own() {
        let mut renewals = with(2, 0);
        renewals.set_interval(&1, Duration::from_secs(3_600));
        let starts = publish(&mut renewals, Duration::from_secs(6 * 3_600), |_| 10, true);
        let count = |wanted| starts.iter().filter(|(_, item, _)| *item == wanted).count();
        assert!(
            (22..=28).contains(&count(0)) && (6..=8).contains(&count(1)),
            "{} and {}",
            count(0),
            count(1)
        );
        // 25 things every 15 minutes leave each 5 requests; every hour, 20.
        let effort_of = |interval| {
            let mut renewals = with(25, 1);
            (0..25).for_each(|item| renewals.set_interval(&item, Duration::from_secs(interval)));
            renewals.poll(Instant::ZERO).unwrap().1
        };
        assert_eq!(effort_of(900), Effort::Plain);
        assert_eq!(effort_of(3_600), Effort::Dense);
    }

    #[test]
    fn what_is_withdrawn_is_not_published_again() {
        let mut renewals = with(2, 0);
        let mut rng = Rng::from_number(1);
        let (first, effort) = renewals.poll(Instant::ZERO).unwrap();
        renewals.remove(&first);
        renewals.ended(Instant::ZERO, first, effort, 1, true, &mut rng);
        assert_eq!(renewals.len(), 1);
        let (second, _) = renewals.poll(Instant::ZERO).unwrap();
        assert_ne!(first, second);
        renewals.remove(&second);
        assert!(renewals.is_empty() && renewals.poll_timeout().is_none());
    }
}
