//! Smaller plans that still fail.

use std::time::Duration;

use crate::faults::FaultPlan;
use crate::link::{Latency, LinkModel};

/// How often [`shrink`] tries at most.
pub const TRIES: usize = 300;

/// A plan made smaller, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Shrunk {
    /// What is left.
    pub plan: FaultPlan,
    /// What was taken away, in order: with these [`retrace`] comes from the plan drawn to what is left of it.
    pub steps: Vec<usize>,
}

/// The smallest plan found that still fails, if `plan` does: shorter, with fewer faults, less switched on, and what is
/// on weaker. Greedy: whatever still fails is kept, until nothing more can be taken away, or after [`TRIES`] runs.
pub fn shrink(plan: &FaultPlan, mut fails: impl FnMut(&FaultPlan) -> bool) -> Shrunk {
    let mut shrunk = Shrunk { plan: plan.clone(), steps: Vec::new() };
    let (mut place, mut progress) = (0, false);
    for _ in 0..TRIES {
        let Some(smaller) = nth_smaller(&shrunk.plan, place).or_else(|| {
            // Taking away one thing may allow to take away another, tried before.
            place = 0;
            std::mem::take(&mut progress).then(|| nth_smaller(&shrunk.plan, 0)).flatten()
        }) else {
            break;
        };
        if fails(&smaller) {
            (shrunk.plan, progress) = (smaller, true);
            shrunk.steps.push(place);
        } else {
            place += 1;
        }
    }
    shrunk
}

/// Takes from a plan what [`shrink`] took, by its [`steps`](Shrunk::steps): a line can carry them where a plan is too
/// long for one. `None` if they are not those of this plan.
pub fn retrace(plan: &FaultPlan, steps: &[usize]) -> Option<FaultPlan> {
    steps.iter().try_fold(plan.clone(), |plan, place| nth_smaller(&plan, *place))
}

/// The candidates in order: what takes away most comes first.
fn nth_smaller(plan: &FaultPlan, place: usize) -> Option<FaultPlan> {
    let changed = |change: &dyn Fn(&mut FaultPlan)| {
        let mut smaller = plan.clone();
        change(&mut smaller);
        (smaller != *plan).then_some(smaller)
    };
    let without_hostile = |n| {
        changed(&|plan| {
            plan.hostile.remove(n);
        })
    };
    let without_nat = |n| {
        changed(&|plan| {
            plan.nats.remove(n);
        })
    };
    let off = OFF.iter().filter_map(|change| changed(change));
    let hostile = (0..plan.hostile.len()).filter_map(without_hostile);
    let nats = (0..plan.nats.len()).filter_map(without_nat);
    let weaker = HALF.iter().filter_map(|change| changed(change));
    off.chain(hostile).chain(nats).chain(without_faults(plan)).chain(weaker).nth(place)
}

/// The plan without each half of its faults, each quarter, and so on down to single ones.
fn without_faults(plan: &FaultPlan) -> impl Iterator<Item = FaultPlan> {
    let count = plan.faults.len();
    let sizes = std::iter::successors(Some(count / 2), |size| Some(size / 2)).take_while(|size| *size > 0);
    let sizes = sizes.chain((count == 1).then_some(1));
    sizes.flat_map(move |size| {
        (0..count).step_by(size).map(move |first| {
            let mut smaller = plan.clone();
            smaller.faults.drain(first..(first + size).min(count));
            smaller
        })
    })
}

type Change = fn(&mut FaultPlan);

/// Half the time comes first: it makes all further runs shorter.
const OFF: [Change; 15] = [
    |plan| {
        if plan.length > Duration::from_secs(1) {
            plan.length /= 2;
            plan.faults.retain(|(at, _)| *at < plan.length);
        }
    },
    |plan| plan.faults.clear(),
    |plan| plan.hostile.clear(),
    |plan| plan.churn = None,
    |plan| plan.nats.clear(),
    |plan| plan.skew = 0,
    |plan| plan.model.loss = 0.0,
    |plan| plan.model.bursts = None,
    |plan| plan.model.duplicate = 0.0,
    |plan| plan.model.reorder = 0.0,
    |plan| plan.model.corrupt = 0.0,
    |plan| plan.model.oneway = 0.0,
    |plan| plan.model.mtu = LinkModel::internet().mtu,
    |plan| plan.model.jitter = 0.0,
    |plan| plan.model.latency = Latency::Constant(Duration::from_millis(20)),
];

const HALF: [Change; 9] = [
    |plan| plan.model.loss = half(plan.model.loss),
    |plan| {
        if let Some(bursts) = &mut plan.model.bursts {
            bursts.share = half(bursts.share);
        }
    },
    |plan| plan.model.duplicate = half(plan.model.duplicate),
    |plan| plan.model.reorder = half(plan.model.reorder),
    |plan| plan.model.corrupt = half(plan.model.corrupt),
    |plan| plan.model.oneway = half(plan.model.oneway),
    |plan| plan.hostile.iter_mut().for_each(|(_, share)| *share = half(*share)),
    |plan| plan.nats.iter_mut().for_each(|(_, share)| *share = half(*share)),
    |plan| {
        if let Some(churn) = &mut plan.churn {
            churn.stays = 1.0 - half(1.0 - churn.stays);
        }
    },
];

/// Below this, a strength is not worth halving: it is on or off.
const FAINT: f64 = 0.005;

fn half(strength: f64) -> f64 {
    if strength > FAINT { strength / 2.0 } else { strength }
}
