//! `kad sim --swarm`: networks that live through random fault plans.

use std::time::Instant;

use anyhow::Context;
use kademlia_scenarios::Swarm;
use serde::Serialize;

use super::Desk;
use crate::cli;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{Output, Tone};
use crate::span;

/// What became of one seed.
#[derive(Serialize)]
struct SeedLine {
    seed: u64,
    plan: String,
    trace: Option<String>,
    flaw: Option<String>,
    smallest: Option<String>,
    replay: String,
}

#[derive(Serialize)]
struct Summary {
    seeds: u64,
    failed: u64,
    node_hours: f64,
    ms: f64,
}

pub(super) async fn run(args: &cli::Sim, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    let swarm = args.swarm_of();
    let first = args.scenario().seed;
    let (started, mut failed) = (Instant::now(), 0);
    let mut desk = Desk { output, interrupt };
    for done in 0..args.seeds {
        let seed = first.saturating_add(done);
        let (twice, share) = (args.replay, done as f64 / args.seeds as f64);
        let steps = args.shrunk.clone();
        let line = desk
            .work(move |tell| {
                tell(format!("seed {seed}"), share);
                live_through(swarm, seed, steps, twice)
            })
            .await?;
        let line = line.with_context(|| format!("the plan of seed {seed} was not shrunk like this"))?;
        failed += u64::from(line.flaw.is_some());
        output.data("seed", &line, written(&line, output))?;
    }
    let node_hours = swarm.node_hours() * args.seeds as f64;
    let summary = Summary { seeds: args.seeds, failed, node_hours, ms: span::as_millis(started.elapsed()) };
    let verdict = match failed {
        0 => output.paint(Tone::Good, "every lookup ended and every table recovered"),
        _ => output.paint(Tone::Bad, &format!("{failed} of {} seeds broke something", args.seeds)),
    };
    let took = span::seconds(started.elapsed());
    output.summary(&summary, format!("{verdict} · {node_hours:.0} node-hours in {took}"))?;
    Ok(if failed == 0 { Exit::Success } else { Exit::Nothing })
}

/// A plan that has been shrunk before is not shrunk again. `None` if it cannot have been, by these steps.
fn live_through(swarm: Swarm, seed: u64, mut steps: Vec<usize>, twice: bool) -> Option<SeedLine> {
    let plan = swarm.shrunk(seed, &steps)?;
    let result = swarm.endure(seed, &plan);
    let differs = twice && swarm.endure(seed, &plan) != result;
    let flaw = match result {
        _ if differs => Some("the second run differs".to_owned()),
        Ok(_) => None,
        Err(flaw) => Some(flaw.to_string()),
    };
    let mut smallest = None;
    if result.is_err() && steps.is_empty() {
        let shrunk = swarm.shrink(seed, &plan);
        (smallest, steps) = (Some(shrunk.plan.to_string()), shrunk.steps);
    }
    Some(SeedLine {
        seed,
        trace: result.ok().map(|trace| format!("{trace:016x}")),
        smallest,
        flaw,
        plan: plan.to_string(),
        replay: swarm.replay(seed, &steps),
    })
}

fn written(line: &SeedLine, output: &Output) -> String {
    let SeedLine { seed, plan, trace, flaw, smallest, replay } = line;
    let trace = trace.as_deref().unwrap_or_default();
    let Some(flaw) = flaw else {
        return format!("{} seed {seed:<6} {trace}  {plan}", output.paint(Tone::Good, "✔"));
    };
    let mut text = format!("{} seed {seed:<6} {flaw}\n  {plan}", output.paint(Tone::Bad, "✘"));
    if let Some(smallest) = smallest {
        text += &format!("\n  smallest: {smallest}");
    }
    text + &format!("\n  replay with: {replay}")
}
