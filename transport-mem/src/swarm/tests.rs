use std::collections::BTreeSet;

use super::*;

type Feature = fn(&FaultPlan) -> bool;

const LENGTH: Duration = Duration::from_secs(600);

fn plans() -> impl Iterator<Item = FaultPlan> {
    (0..200).map(|seed| draw(seed, LENGTH))
}

#[test]
fn a_seed_names_one_plan() {
    assert_eq!(draw(7, LENGTH), draw(7, LENGTH));
    let lines: BTreeSet<_> = plans().map(|plan| plan.to_string()).collect();
    assert_eq!(lines.len(), 200);
    assert!(lines.iter().all(|line| line.lines().count() == 1));
}

#[test]
fn everything_is_on_in_some_plans_and_off_in_others() {
    let features: [(&str, Feature); 21] = [
        ("loss", |plan| plan.model.loss > 0.0),
        ("bursts", |plan| plan.model.bursts.is_some()),
        ("duplicates", |plan| plan.model.duplicate > 0.0),
        ("reordering", |plan| plan.model.reorder > 0.0),
        ("corruption", |plan| plan.model.corrupt > 0.0),
        ("oneway", |plan| plan.model.oneway > 0.0),
        ("MTU", |plan| plan.model.mtu < LinkModel::internet().mtu),
        ("heavy tail", |plan| matches!(plan.model.latency, Latency::HeavyTailed { .. })),
        ("churn", |plan| plan.churn.is_some()),
        ("skew", |plan| plan.skew > 0),
        ("NAT", |plan| !plan.nats.is_empty()),
        ("silent", |plan| plan.hostile.iter().any(|(kind, _)| *kind == Hostility::Silent)),
        ("replaying", |plan| plan.hostile.iter().any(|(kind, _)| *kind == Hostility::Replaying)),
        ("crash", |plan| has(plan, |fault| matches!(fault, Fault::Crash(_)))),
        ("restart", |plan| has(plan, |fault| matches!(fault, Fault::Restart(_)))),
        ("recover", |plan| has(plan, |fault| matches!(fault, Fault::Recover(_)))),
        ("partition", |plan| has(plan, |fault| matches!(fault, Fault::Partition(2..)))),
        ("swizzle", |plan| has(plan, |fault| matches!(fault, Fault::SwizzleClog { .. }))),
        ("suspend", |plan| has(plan, |fault| matches!(fault, Fault::Suspend(_)))),
        ("jump", |plan| has(plan, |fault| matches!(fault, Fault::ClockJump(..)))),
        ("rebind", |plan| has(plan, |fault| matches!(fault, Fault::Rebind(_)))),
    ];
    for (name, is_on) in features {
        let on = plans().filter(is_on).count();
        assert!((10..=190).contains(&on), "{name} in {on} of 200 plans");
    }
}

fn has(plan: &FaultPlan, is: fn(&Fault) -> bool) -> bool {
    plan.faults.iter().any(|(_, fault)| is(fault))
}

#[test]
fn shrinking_keeps_what_matters_and_nothing_else() {
    let matters =
        |plan: &FaultPlan| plan.model.loss > 0.05 && has(plan, |fault| matches!(fault, Fault::Crash(_)));
    let mut shrunk = 0;
    for plan in plans().filter(matters) {
        let mut tries = 0;
        let small = shrink(&plan, |plan| {
            tries += 1;
            matters(plan)
        });
        assert!(tries <= TRIES);
        assert_eq!(retrace(&plan, &small.steps).as_ref(), Some(&small.plan), "a few numbers say it all");
        let small = small.plan;
        assert!((0.05..=0.1).contains(&small.model.loss), "{small}");
        assert!(matches!(small.faults[..], [(_, Fault::Crash(_))]), "{small}");
        let rest = FaultPlan {
            model: LinkModel { loss: 0.0, ..small.model },
            faults: Vec::new(),
            spared: 0,
            ..small.clone()
        };
        let quiet = LinkModel {
            latency: Latency::Constant(Duration::from_millis(20)),
            jitter: 0.0,
            hold: small.model.hold,
            ..LinkModel::internet()
        };
        assert_eq!(rest, FaultPlan { model: quiet, ..FaultPlan::quiet(small.length) });
        shrunk += 1;
    }
    assert!(shrunk > 10, "{shrunk}");
}

#[test]
fn what_always_fails_shrinks_to_nothing_and_what_never_does_is_left_alone() {
    let plan = draw(3, LENGTH);
    assert_eq!(shrink(&plan, |_| false), Shrunk { plan: plan.clone(), steps: Vec::new() });
    assert_eq!(retrace(&plan, &[1_000]), None);
    let nothing = shrink(&plan, |_| true).plan;
    assert!(nothing.length <= Duration::from_secs(1) && nothing.faults.is_empty());
    assert_eq!(nothing.to_string(), format!("{:?}: latency 20.0ms, 1 spared", nothing.length));
}
