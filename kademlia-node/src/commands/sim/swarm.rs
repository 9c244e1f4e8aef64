//! `kad sim --swarm`: networks that live through random fault plans.

use std::time::Instant;

use kademlia_scenarios::{Flaw, Swarm};
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
    ok: bool,
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
    for (done, seed) in (first..).take(usize::try_from(args.seeds).unwrap_or(usize::MAX)).enumerate() {
        let replay = args.replay;
        let line = desk
            .work(move |tell| {
                tell(format!("seed {seed}"), done as f64 / args_seeds(args.seeds));
                live_through(&swarm, seed, replay)
            })
            .await?;
        failed += u64::from(!line.ok);
        let text = written(&line, output);
        output.data("seed", &line, text)?;
    }
    let summary = Summary {
        seeds: args.seeds,
        failed,
        node_hours: swarm.node_hours() * args.seeds as f64,
        ms: span::as_millis(started.elapsed()),
    };
    let (tone, text) = match failed {
        0 => (Tone::Good, "every lookup ended and every table recovered".to_owned()),
        failed => (Tone::Bad, format!("{failed} of {} seeds broke something", args.seeds)),
    };
    let hours = summary.node_hours;
    let text = format!("{} · {hours:.0} node-hours in {}", output.paint(tone, &text), span::seconds(started.elapsed()));
    output.summary(&summary, text)?;
    Ok(if failed == 0 { Exit::Success } else { Exit::Nothing })
}
