//! Living through a plan.

use std::collections::BTreeMap;
use std::time::Duration;

use kademlia_core::{Instant, Node, Protocol, Rng, Service, Snapshot};

use super::{Fault, FaultPlan};
use crate::churn::Churner;
use crate::simulation::{Birth, NodeIndex, Simulation};

/// A plan under way.
struct Ordeal<K> {
    rng: Rng,
    start: Instant,
    spared: NodeIndex,
    /// By time, and by their order in the plan where times are equal.
    faults: BTreeMap<(Duration, usize), Fault>,
    /// How many faults have got a number.
    numbered: usize,
    churner: Option<Churner<K>>,
    /// Those that crashed, as they were.
    remembered: BTreeMap<NodeIndex, Snapshot<K>>,
}

impl<P: Protocol, S: Service<P> + Send + 'static> Simulation<P, S> {
    /// Lives through a plan; nodes that start meanwhile are made by `make`. Afterwards links, cuts, cables, clocks and
    /// translators are as they should be, sleepers are awake, and the hostile are gone. Whoever is down stays down.
    pub fn endure(&mut self, plan: &FaultPlan, make: impl FnMut(Birth<P::Key>) -> Node<P, S>) {
        self.endure_with(plan, make, |_| {});
    }

    /// The same; `look` is shown the network before each fault and at the end of the plan.
    pub fn endure_with(
        &mut self,
        plan: &FaultPlan,
        mut make: impl FnMut(Birth<P::Key>) -> Node<P, S>,
        mut look: impl FnMut(&Self),
    ) {
        let before = std::mem::replace(self.links_mut().model_mut(), plan.model);
        let mut ordeal = Ordeal::begin(plan, self);
        while let Some(((at, _), fault)) = ordeal.faults.pop_first() {
            ordeal.run_until(self, ordeal.start + at.min(plan.length), &mut make);
            look(self);
            if at < plan.length {
                ordeal.inflict(self, fault, &mut make);
            }
        }
        ordeal.run_until(self, ordeal.start + plan.length, &mut make);
        look(self);
        *self.links_mut().model_mut() = before;
        ordeal.end(plan, self);
    }
}

impl<K: Copy> Ordeal<K> {
    fn begin<P, S>(plan: &FaultPlan, simulation: &mut Simulation<P, S>) -> Self
    where
        P: Protocol<Key = K>,
        S: Service<P> + Send + 'static,
    {
        let mut rng = Rng::from_seed(simulation.fork_rng());
        let mut order: Vec<_> = (plan.spared..simulation.len()).collect();
        for (nat, share) in &plan.nats {
            for index in draw(&mut rng, &mut order, *share) {
                simulation.set_nat(index, Some(*nat));
            }
        }
        for index in order.iter().filter(|_| plan.skew > 0) {
            let gains = i32::try_from(rng.below(plan.skew as usize + 1)).unwrap_or(i32::MAX);
            simulation.set_skew(*index, if rng.chance(0.5) { gains } else { -gains });
        }
        for (hostility, share) in &plan.hostile {
            for index in draw(&mut rng, &mut order, *share) {
                simulation.turn(index, |node, seed| hostility.take_over(node, seed, plan.model.mtu));
            }
        }
        let churner = plan.churn.map(|churn| Churner::new(churn, plan.spared, simulation));
        let faults = plan.faults.iter().enumerate().map(|(number, (at, fault))| ((*at, number), *fault));
        Ordeal {
            rng,
            start: simulation.now(),
            spared: plan.spared,
            faults: faults.collect(),
            numbered: plan.faults.len(),
            churner,
            remembered: BTreeMap::new(),
        }
    }

    fn run_until<P: Protocol<Key = K>, S: Service<P>>(
        &mut self,
        simulation: &mut Simulation<P, S>,
        until: Instant,
        make: impl FnMut(Birth<K>) -> Node<P, S>,
    ) {
        match &mut self.churner {
            Some(churner) => churner.run_until(simulation, until, make),
            None => simulation.run_until(until),
        }
    }

    fn inflict<P: Protocol<Key = K>, S: Service<P>>(
        &mut self,
        simulation: &mut Simulation<P, S>,
        fault: Fault,
        make: &mut impl FnMut(Birth<K>) -> Node<P, S>,
    ) {
        let Some(count) = simulation.len().checked_sub(self.spared).filter(|count| *count > 0) else {
            return;
        };
        let spared = self.spared;
        let host = |node: NodeIndex| spared + node % count;
        match fault {
            Fault::Crash(node) if !simulation.is_peer(host(node)) => self.crash(simulation, host(node)),
            Fault::Restart(node) | Fault::Recover(node) if simulation.is_down(host(node)) => {
                let remembered = self.remembered.remove(&host(node));
                match remembered.filter(|_| matches!(fault, Fault::Recover(_))) {
                    Some(snapshot) => simulation.rejoin_with(host(node), &snapshot, make),
                    None => simulation.rejoin(host(node), make),
                }
            }
            Fault::Crash(_) | Fault::Restart(_) | Fault::Recover(_) => {}
            Fault::Partition(parts) if parts > 1 => {
                simulation.partition(|node| u32::try_from(node % parts as usize).unwrap_or(0));
            }
            Fault::Partition(_) | Fault::Heal => simulation.heal(),
            Fault::Isolate(node) => simulation.isolate(host(node), true),
            Fault::Reconnect(node) => simulation.isolate(host(node), false),
            Fault::SwizzleClog { nodes, pace } => {
                self.swizzle(simulation.now().since(self.start), count, nodes, pace);
            }
            Fault::Suspend(node) => simulation.suspend(host(node)),
            Fault::Resume(node) => simulation.resume(host(node)),
            Fault::ClockJump(node, jump) => simulation.jump_clock(host(node), jump),
            Fault::Rebind(node) => simulation.rebind(host(node)),
        }
    }

    fn crash<P: Protocol<Key = K>, S: Service<P>>(
        &mut self,
        simulation: &mut Simulation<P, S>,
        index: NodeIndex,
    ) {
        if let Some(node) = simulation.crash(index) {
            // As of the last time that it saw by its own clock, which may be another than ours.
            self.remembered.insert(index, node.snapshot(Instant::ZERO));
        }
    }

    /// Puts its single steps into the plan.
    fn swizzle(&mut self, now: Duration, count: usize, nodes: usize, pace: Duration) {
        let mut drawn: Vec<_> = (0..count).collect();
        let mut at = now;
        for fault in [Fault::Isolate, Fault::Reconnect] {
            drawn = draw_some(&mut self.rng, &mut drawn, nodes);
            for node in &drawn {
                self.faults.insert((at, self.numbered), fault(*node));
                self.numbered += 1;
                at += pace;
            }
        }
    }

    fn end<P: Protocol<Key = K>, S: Service<P>>(self, plan: &FaultPlan, simulation: &mut Simulation<P, S>) {
        simulation.heal();
        for index in self.spared..simulation.len() {
            simulation.isolate(index, false);
            simulation.resume(index);
            if !plan.nats.is_empty() {
                simulation.set_nat(index, None);
            }
            if plan.skew > 0 {
                simulation.set_skew(index, 0);
            }
            if !plan.hostile.is_empty() && simulation.is_peer(index) {
                simulation.crash(index);
            }
        }
    }
}

/// Draws each with this chance, in an order of their own.
fn draw(rng: &mut Rng, all: &mut [NodeIndex], share: f64) -> Vec<NodeIndex> {
    let wanted = all.iter().filter(|_| rng.chance(share)).count();
    draw_some(rng, all, wanted)
}

fn draw_some(rng: &mut Rng, all: &mut [NodeIndex], wanted: usize) -> Vec<NodeIndex> {
    for place in 0..wanted.min(all.len()) {
        let other = place + rng.below(all.len() - place);
        all.swap(place, other);
    }
    all.iter().take(wanted).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swizzle_clog_cuts_one_by_one_and_mends_in_another_order() {
        let mut ordeal = Ordeal::<()> {
            rng: Rng::from_number(1),
            start: Instant::ZERO,
            spared: 0,
            faults: BTreeMap::new(),
            numbered: 0,
            churner: None,
            remembered: BTreeMap::new(),
        };
        ordeal.swizzle(Duration::from_secs(100), 20, 9, Duration::from_secs(2));
        let (mut cut, mut mended) = (Vec::new(), Vec::new());
        for (step, (&(at, _), fault)) in (0_u32..).zip(&ordeal.faults) {
            assert_eq!(at, Duration::from_secs(100) + step * Duration::from_secs(2));
            match fault {
                Fault::Isolate(node) if step < 9 => cut.push(*node),
                Fault::Reconnect(node) if step >= 9 => mended.push(*node),
                other => panic!("{other:?} at step {step}"),
            }
        }
        assert_ne!(cut, mended);
        cut.sort_unstable();
        mended.sort_unstable();
        assert_eq!(cut, mended);
        cut.dedup();
        assert_eq!(cut.len(), 9);
    }
}
