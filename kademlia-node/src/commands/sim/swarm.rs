//! `kad sim --swarm`: networks that live through random fault plans.

use std::time::Instant;

use kademlia_scenarios::Swarm;
use serde::Serialize;

use super::Desk;
use crate::cli;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::{Output, Tone};
use crate::span;

/// Nodes, unless told otherwise: what breaks a network breaks a small one.
const NODES: usize = 60;

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
    let swarm = Swarm { nodes: args.nodes().unwrap_or(NODES), length: args.length };
    let first = args.scenario().seed;
    let (started, mut failed) = (Instant::now(), 0);
    let mut desk = Desk { output, interrupt };
    for done in 0..args.seeds {
        let seed = first.saturating_add(done);
        let (twice, share) = (args.replay, done as f64 / args.seeds as f64);
        let line = desk
            .work(move |tell| {
                tell(format!("seed {seed}"), share);
                live_through(swarm, seed, twice)
            })
            .await?;
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

fn live_through(swarm: Swarm, seed: u64, twice: bool) -> SeedLine {
    let plan = swarm.plan(seed);
    let result = swarm.endure(seed, &plan);
    let differs = twice && swarm.endure(seed, &plan) != result;
    let flaw = match result {
        _ if differs => Some("the second run differs".to_owned()),
        Ok(_) => None,
        Err(flaw) => Some(flaw.to_string()),
    };
    let Swarm { nodes, length } = swarm;
    SeedLine {
        seed,
        trace: result.ok().map(|trace| format!("{trace:016x}")),
        smallest: result.is_err().then(|| swarm.shrink(seed, &plan).to_string()),
        flaw,
        plan: plan.to_string(),
        replay: format!(
            "kad sim --swarm --seeds 1 --seed {seed} --nodes {nodes} --length {}s --replay",
            length.as_secs_f64()
        ),
    }
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
