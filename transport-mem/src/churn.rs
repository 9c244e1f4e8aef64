//! Churn: nodes come and go, as they do where people switch their machines on and off.

use std::collections::BTreeMap;
use std::time::Duration;

use kademlia_core::{Instant, Node, Protocol, Rng, Service, Snapshot};

use crate::simulation::{Birth, NodeIndex, Simulation};
use crate::wheel::Wheel;

/// How nodes come and go. Those that leave crash without a farewell, and come back to the same address.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Churn {
    /// How long a node stays.
    pub session: Weibull,
    /// How long it is away.
    pub pause: Weibull,
    /// Chance to come back with the key and the contacts that it had; otherwise it has forgotten everything.
    pub keep_state: f64,
    /// Share of the nodes that never leave.
    pub stays: f64,
}

impl Churn {
    /// Sessions with this half-life and pauses as long, which leaves half of those that churn up at any time. Half of
    /// the nodes that come back remember. The shape is that of file-sharing networks: many short sessions and a few
    /// very long ones (Stutzbach and Rejaie, 2006, measured shapes of 0.34 to 0.59 in three torrents).
    pub const fn with_half_life(half_life: Duration) -> Self {
        let session = Weibull { median: half_life, shape: 0.5 };
        Churn { session, pause: session, keep_state: 0.5, stays: 0.0 }
    }
}

/// The Weibull distribution, given by its median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weibull {
    /// Half of the draws lie below.
    pub median: Duration,
    /// Below 1: the longer it has lasted, the longer it will last; at 1 it is exponential. Must be positive.
    pub shape: f64,
}

/// Nobody waits longer than this: a draw from the tail must not overflow the clock.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Weibull {
    /// The value that lies above this share of all draws; at most ten years.
    pub fn quantile(&self, share: f64) -> Duration {
        // `libm` computes the same bits on every machine, which the standard library does not promise.
        let stretch = libm::pow(-libm::log1p(-share) / std::f64::consts::LN_2, self.shape.recip());
        let seconds = self.median.as_secs_f64() * stretch;
        Duration::try_from_secs_f64(seconds).map_or(LONGEST, |time| time.min(LONGEST))
    }

    /// One draw.
    pub fn draw(&self, rng: &mut Rng) -> Duration {
        self.quantile(rng.unit())
    }
}

/// Makes the nodes of one simulation come and go. Has a schedule of its own, and moves the simulation along with it.
#[derive(Debug)]
pub struct Churner<K> {
    churn: Churn,
    rng: Rng,
    /// When each node that churns goes or comes next.
    schedule: Wheel<u32>,
    /// What those that are away will remember.
    remembered: BTreeMap<NodeIndex, Snapshot<K>>,
}

impl<K> Churner<K> {
    /// Draws from the simulation's seed who stays, and for how long the others. A node that is down has a pause before
    /// it. The first `spared` nodes stay too.
    pub fn new<P: Protocol<Key = K>, S: Service<P>>(
        churn: Churn,
        spared: NodeIndex,
        simulation: &mut Simulation<P, S>,
    ) -> Self {
        let rng = Rng::from_seed(simulation.fork_rng());
        let mut churner = Churner { churn, rng, schedule: Wheel::new(), remembered: BTreeMap::new() };
        for index in spared..simulation.len() {
            churner.admit(index, simulation);
        }
        churner
    }

    /// Lets a node take part that was spawned later. It may be drawn to stay, as all others.
    pub fn admit<P: Protocol<Key = K>, S: Service<P>>(
        &mut self,
        index: NodeIndex,
        simulation: &Simulation<P, S>,
    ) {
        if simulation.is_peer(index) || self.rng.chance(self.churn.stays) {
            return;
        }
        let span = if simulation.is_down(index) { self.churn.pause } else { self.churn.session };
        self.wait(index, simulation.now(), span);
    }

    /// Lets the simulation run up to `until`, and nodes come and go meanwhile, new ones made by `make`.
    /// To be called without gaps: what was due meanwhile happens at once.
    pub fn run_until<P: Protocol<Key = K>, S: Service<P>>(
        &mut self,
        simulation: &mut Simulation<P, S>,
        until: Instant,
        mut make: impl FnMut(Birth<K>) -> Node<P, S>,
    ) {
        while let Some((at, index)) = self.schedule.pop(until) {
            simulation.run_until(at);
            self.turn(simulation, index as NodeIndex, &mut make);
        }
        simulation.run_until(until);
    }

    /// Whoever is up goes, and whoever is down comes: others may have interfered in the meantime.
    fn turn<P: Protocol<Key = K>, S: Service<P>>(
        &mut self,
        simulation: &mut Simulation<P, S>,
        index: NodeIndex,
        make: &mut impl FnMut(Birth<K>) -> Node<P, S>,
    ) {
        if simulation.is_peer(index) {
            return;
        }
        let now = simulation.now();
        let remembered = self.remembered.remove(&index);
        if simulation.is_down(index) {
            match remembered {
                Some(snapshot) => simulation.rejoin_with(index, &snapshot, make),
                None => simulation.rejoin(index, make),
            }
            self.wait(index, now, self.churn.session);
        } else {
            if let Some(node) = simulation.crash(index)
                && self.rng.chance(self.churn.keep_state)
            {
                // As of the last time that it saw by its own clock, which may be another than ours.
                self.remembered.insert(index, node.snapshot(Instant::ZERO));
            }
            self.wait(index, now, self.churn.pause);
        }
    }

    fn wait(&mut self, index: NodeIndex, now: Instant, span: Weibull) {
        let Ok(number) = u32::try_from(index) else {
            return;
        };
        // Time passes even if the distribution says otherwise: at least a millisecond, or nothing else would happen.
        let span = span.draw(&mut self.rng).max(Duration::from_millis(1));
        self.schedule.schedule(now + span, number);
    }
}

impl<P: Protocol, S: Service<P>> Simulation<P, S> {
    /// Lets nodes come and go for `time`, new ones made by `make`. Whoever is down at the end stays down.
    /// For more than one stretch of the same churn, keep a [`Churner`].
    pub fn churn_for(
        &mut self,
        time: Duration,
        churn: &Churn,
        make: &mut impl FnMut(Birth<P::Key>) -> Node<P, S>,
    ) {
        let until = self.now() + time;
        Churner::new(*churn, 0, self).run_until(self, until, make);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_all_draws_lie_below_the_median_and_the_shape_makes_the_tail() {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        for shape in [0.4, 0.5, 1.0, 2.0] {
            let weibull = Weibull { median: minutes(30), shape };
            let mut rng = Rng::from_number(1);
            let below = (0..10_000).filter(|_| weibull.draw(&mut rng) < minutes(30)).count();
            assert!((4_850..=5_150).contains(&below), "{below} of 10,000 with shape {shape}");
            assert_eq!(weibull.quantile(0.0), Duration::ZERO);
            assert_eq!(weibull.quantile(1.0), LONGEST);
        }
        // At shape 1, three quarters are gone after two half-lives; at 0.5, it takes four.
        let quartile = |shape| Weibull { median: minutes(10), shape }.quantile(0.75).as_secs_f64();
        assert!((quartile(1.0) - 1_200.0).abs() < 1e-6);
        assert!((quartile(0.5) - 2_400.0).abs() < 1e-6);
    }

    #[test]
    fn draws_are_the_same_on_every_machine() {
        let mut rng = Rng::from_number(7);
        let weibull = Weibull { median: Duration::from_secs(600), shape: 0.5 };
        let draws: Vec<_> = (0..3).map(|_| weibull.draw(&mut rng).as_nanos()).collect();
        assert_eq!(draws, RECORDED);
    }

    /// What the above gave when it was written.
    const RECORDED: [u128; 3] = [36_830_574_572, 42_238_770_481, 1_853_657_877_766];
}
