//! `kad sim`: whole networks in virtual time.

mod chart;
mod figures;
mod ring;
mod svg;
mod swarm;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use kademlia_scenarios::{AttackTable, Observed, Outcome, Phase, Scenario};
use serde::Serialize;
use tokio::sync::watch;

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join::stopped;
use crate::output::Output;
use crate::span;

/// The network and the trials of the attack table, unless told otherwise.
const TABLE: (usize, usize) = (10_000, 200);

pub(crate) async fn run(args: &cli::Sim, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    if args.swarm {
        return swarm::run(args, output, interrupt).await;
    }
    let mut desk = Desk { output, interrupt };
    if args.attack_table {
        return desk.tabulate(args).await;
    }
    let scenario = args.scenario();
    let started = Instant::now();
    let outcome = desk.live_through(&scenario).await?;
    let took = started.elapsed();
    output.clear();
    figures::write(&outcome, output)?;
    if (args.replay || args.svg.is_some() || args.plantuml.is_some())
        && let Some(observed) = desk.again(&scenario, &outcome).await?
    {
        if let Some(file) = &args.svg {
            draw(file, &svg::draw(&scenario, &observed), &observed, output)?;
        }
        if let Some(file) = &args.plantuml {
            draw(file, &observed.transcript.plantuml(), &observed, output)?;
        }
        if args.replay {
            tell(&observed, output)?;
        }
    }
    figures::summary(&scenario, &outcome, took, output)?;
    Ok(if outcome.is_complete() { Exit::Success } else { Exit::Nothing })
}

/// Where simulations are run: on a thread of their own, while progress is shown and Ctrl-C listened to.
struct Desk<'a> {
    output: &'a Output,
    interrupt: Interrupt,
}

/// How far a simulation is: the phase, and how much of it is done.
type Tell<'a> = &'a mut dyn FnMut(String, f64);

impl Desk<'_> {
    async fn live_through(&mut self, scenario: &Scenario) -> anyhow::Result<Outcome> {
        let scenario = scenario.clone();
        self.work(move |tell| scenario.run_with(&mut phases(tell))).await
    }

    /// Runs it a second time, watches a search that failed, or the first of all, and compares.
    async fn again(&mut self, scenario: &Scenario, first: &Outcome) -> anyhow::Result<Option<Observed>> {
        let trial = first.lost.first().copied().unwrap_or(0);
        let scenario = scenario.clone();
        let (second, observed) = self.work(move |tell| scenario.observe(trial, &mut phases(tell))).await?;
        self.output.clear();
        let (first, second) = (first.trace, second.trace);
        if first != second {
            let message = format!("the second run differs: trace {first:016x}, then {second:016x}");
            return Err(Failure::new(Exit::Nothing, message).into());
        }
        self.output.note(format!("ran twice, the same both times: trace {first:016x}"));
        Ok(observed)
    }

    async fn tabulate(&mut self, args: &cli::Sim) -> anyhow::Result<Exit> {
        let seed = args.scenario().seed;
        let (nodes, trials) = (args.nodes().unwrap_or(TABLE.0), args.trials().unwrap_or(TABLE.1));
        let work = move |tell: Tell<'_>| {
            AttackTable::run(seed, nodes, trials, &mut |done, of| {
                tell(format!("{done} of {of} networks"), done as f64 / of as f64);
            })
        };
        let started = Instant::now();
        let page = self.work(work).await?.to_string();
        let took = started.elapsed();
        self.output.clear();
        self.output.data("page", &Page { markdown: &page }, page.trim_end())?;
        let summary = PageSummary { seed, nodes, trials, ms: span::as_millis(took) };
        self.output.summary(&summary, format!("seed {seed} · {}", span::seconds(took)))?;
        Ok(Exit::Success)
    }

    async fn work<T: Send + 'static>(
        &mut self,
        job: impl FnOnce(Tell<'_>) -> T + Send + 'static,
    ) -> anyhow::Result<T> {
        let (sender, mut told) = watch::channel((String::new(), 0.0));
        let mut job = tokio::task::spawn_blocking(move || {
            job(&mut |stage, share| {
                sender.send_replace((stage, share));
            })
        });
        loop {
            tokio::select! {
                done = &mut job => return Ok(done?),
                () = self.interrupt.wait() => return Err(stopped().into()),
                Ok(()) = told.changed() => {
                    let (stage, share) = told.borrow_and_update().clone();
                    self.output.progress(&stage, Some((per_mille(share), 1_000)), "");
                }
            }
        }
    }
}

fn phases(tell: Tell<'_>) -> impl FnMut(Phase, f64) {
    move |phase, share| tell(phase.to_string(), share)
}

#[allow(clippy::cast_possible_truncation, reason = "a share")]
fn per_mille(share: f64) -> usize {
    (share.clamp(0.0, 1.0) * 1_000.0) as usize
}

#[derive(Serialize)]
struct Page<'a> {
    markdown: &'a str,
}

#[derive(Serialize)]
struct PageSummary {
    seed: u64,
    nodes: usize,
    trials: usize,
    ms: f64,
}

#[derive(Serialize)]
struct StepLine<'a> {
    text: &'a str,
}

fn draw(file: &Path, drawing: &str, observed: &Observed, output: &Output) -> anyhow::Result<()> {
    fs::write(file, drawing).with_context(|| format!("cannot write {}", file.display()))?;
    output.note(format!("search {} is drawn in {}", observed.trial, file.display()));
    Ok(())
}

/// The search, step by step.
fn tell(observed: &Observed, output: &Output) -> anyhow::Result<()> {
    output.note(format!("search {}, step by step:", observed.trial));
    for text in observed.transcript.to_string().lines() {
        output.data("step", &StepLine { text }, text)?;
    }
    Ok(())
}

/// The greatest memory that this process had so far, in bytes, where the system tells.
fn peak_memory() -> Option<usize> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<usize>().ok()? * 1_024)
}

/// So many a second.
#[allow(clippy::cast_possible_truncation, reason = "saturates")]
fn rate(count: u64, took: Duration) -> u64 {
    (count as f64 / took.as_secs_f64().max(1e-9)) as u64
}
