//! `kad sample`: the info hashes that nodes hold (BEP 51).

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use bittorrent_profile::dht::{Collected, Sweep};
use bittorrent_profile::sweep::{Progress, SweepConfig};
use bittorrent_profile::{InfoHash, NodeId};
use kademlia_core::runtime::Transport;
use kademlia_core::{Contact, Family, Key};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};

use super::written;
use crate::cli;
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

/// From one look at the progress to the next.
const TICK: Duration = Duration::from_millis(250);
/// Requests in flight for each that is sent in a second: dead nodes are waited for that many seconds.
const PATIENCE: usize = 4;

#[derive(Serialize)]
struct HashLine {
    info_hash: String,
    from: String,
}

/// One node's answer.
#[derive(Serialize)]
struct NodeSummary {
    hashes: usize,
    /// Whether the node knows the method.
    supported: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    num: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval_s: Option<u64>,
    nodes: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
}

/// A walk's end.
#[derive(Serialize)]
struct WalkSummary {
    hashes: u64,
    requests: u64,
    answered: u64,
    sampled: u64,
    failed: u64,
    lookups: u64,
    /// Nodes that hold more than they told.
    waiting: usize,
    /// The share of each keyspace that is done.
    coverage: Vec<Coverage>,
    ms: f64,
}

#[derive(Serialize)]
struct Coverage {
    family: &'static str,
    share: f64,
}

pub(crate) async fn run(args: &cli::Sample, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    let mut writer = Writer::open(args, output)?;
    let exit = match &args.host {
        Some(host) => one(host, args, &mut writer, interrupt).await,
        None => walk(args, &mut writer, interrupt).await,
    }?;
    Ok(exit)
}

/// Where the info hashes go. A file keeps what an earlier run wrote until there is something to take its place.
struct Writer<'a> {
    output: &'a Output,
    file: Option<BufWriter<File>>,
}

impl<'a> Writer<'a> {
    fn open(args: &cli::Sample, output: &'a Output) -> Result<Self, Failure> {
        // Opened now, for one that cannot be written is not worth joining for.
        let open = |path| OpenOptions::new().append(true).create(true).open(path).map(BufWriter::new);
        let file = args.out.as_deref().map(open).transpose();
        let file =
            file.map_err(|error| Failure::usage(format!("cannot write to the file of --out: {error}")))?;
        Ok(Writer { output, file })
    }

    /// Takes away what an earlier run wrote. Pipes and devices hold nothing to take away.
    fn start(&mut self) -> io::Result<()> {
        match &self.file {
            Some(file) if file.get_ref().metadata()?.is_file() => file.get_ref().set_len(0),
            _ => Ok(()),
        }
    }

    fn write(&mut self, info_hash: InfoHash, from: &Contact<Key<20>>) -> anyhow::Result<()> {
        let line = HashLine { info_hash: info_hash.to_string(), from: written(from) };
        match &mut self.file {
            Some(file) => {
                serde_json::to_writer(&mut *file, &line)?;
                writeln!(file)?;
            }
            None => self.output.data("hash", &line, info_hash)?,
        }
        Ok(())
    }

    /// Whatever was found is kept, however the command ends.
    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(self.file.as_mut().map_or(Ok(()), Write::flush)?)
    }
}

/// Asks one node.
async fn one(
    host: &str,
    args: &cli::Sample,
    writer: &mut Writer<'_>,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let wait = args.join.timeout;
    let hosts = [host.to_owned()];
    let addrs = tokio::select! {
        addrs = join::resolve(&hosts, Instant::now() + wait) => addrs,
        () = interrupt.wait() => return Err(join::stopped().into()),
    };
    let none = || Failure::new(Exit::Nothing, format!("no address found for {host}"));
    if addrs.is_empty() {
        return Err(none().into());
    }
    let socket = &args.join.socket;
    let settings = Settings::load(socket.config.as_deref(), &[])?;
    let transport = join::bind_for(socket, &addrs, &settings).await?;
    let addr = join::choose(&transport.local_addrs()?, &addrs).ok_or_else(none)?;
    let dht = join::in_network(settings.builder(), socket.network.as_deref()).spawn(transport)?;
    let target = args.target.unwrap_or(NodeId::new([0; 20]));
    let sampled = tokio::select! {
        sampled = timeout(wait, dht.sample(addr, target)) => sampled,
        () = interrupt.wait() => return Err(join::stopped().into()),
    };
    let sampled = sampled.map_err(|_| Failure::new(Exit::Nothing, "no answer in time"))??;
    let samples = sampled.samples.as_ref();
    let hashes = samples.map_or(&[][..], |samples| &samples.info_hashes);
    writer.start()?;
    for info_hash in hashes {
        writer.write(*info_hash, &sampled.from)?;
    }
    writer.flush()?;
    let summary = NodeSummary {
        hashes: hashes.len(),
        supported: samples.is_some(),
        num: samples.map(|samples| samples.num),
        interval_s: samples.map(|samples| samples.interval.as_secs()),
        nodes: sampled.nodes.iter().map(written).collect(),
        ms: sampled.round_trip.map(span::as_millis),
    };
    let text = match samples {
        Some(samples) => format!(
            "{} of the {} info hashes that {} holds · to be asked again in {} · names {} nodes",
            hashes.len(),
            samples.num,
            written(&sampled.from),
            span::seconds(samples.interval),
            sampled.nodes.len()
        ),
        None => format!("{} does not know sample_infohashes", written(&sampled.from)),
    };
    writer.output.summary(&summary, text)?;
    Ok(if hashes.is_empty() { Exit::Nothing } else { Exit::Success })
}

/// Walks through the keyspace.
async fn walk(args: &cli::Sample, writer: &mut Writer<'_>, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    let dht = join::client(&args.join, &[], writer.output, &mut interrupt).await?;
    writer.start()?;
    let started = Instant::now();
    let deadline = args.period.map(|period| started + period);
    let outstanding = args.rate as usize * PATIENCE;
    let config = SweepConfig { rate: args.rate, rounds: args.rounds, outstanding, ..SweepConfig::default() };
    let mut sweep = dht.sweep(config);
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut hashes = 0;
    while args.limit.is_none_or(|limit| hashes < limit) {
        tokio::select! {
            collected = sweep.next() => match collected {
                Some(Collected { info_hash, from }) => {
                    hashes += 1;
                    writer.write(info_hash, &from)?;
                }
                None => break,
            },
            _ = tick.tick() => show(&sweep, hashes, writer.output),
            () = interrupt.wait() => break,
            () = sleep_until(deadline.unwrap_or(started)), if deadline.is_some() => break,
        }
    }
    writer.flush()?;
    conclude(&sweep, hashes, started.elapsed(), writer.output)
}

/// What was done in all networks together. As much is done as in the one that has come least far.
fn total(progress: &[(Family, Progress)]) -> Progress {
    let none = Progress { coverage: 1.0, ..Progress::default() };
    progress.iter().fold(none, |sum, (_, one)| Progress {
        coverage: sum.coverage.min(one.coverage),
        requests: sum.requests + one.requests,
        answered: sum.answered + one.answered,
        sampled: sum.sampled + one.sampled,
        failed: sum.failed + one.failed,
        lookups: sum.lookups + one.lookups,
        hashes: sum.hashes + one.hashes,
        heard: sum.heard + one.heard,
        waiting: sum.waiting + one.waiting,
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a thousand")]
fn show(sweep: &Sweep, hashes: u64, output: &Output) {
    let Progress { coverage, requests, answered, .. } = total(&sweep.progress());
    let message = format!("{hashes} hashes · {requests} asked · {answered} answered · {}", percent(coverage));
    output.progress("walking", Some(((coverage * 1_000.0) as usize, 1_000)), message);
}

fn percent(share: f64) -> String {
    format!("{:.4} %", share * 100.0)
}

fn conclude(sweep: &Sweep, hashes: u64, took: Duration, output: &Output) -> anyhow::Result<Exit> {
    let Progress { requests, answered, sampled, failed, lookups, waiting, .. } = total(&sweep.progress());
    let name = |family| if family == Family::V4 { "v4" } else { "v6" };
    let coverage: Vec<_> = sweep
        .progress()
        .into_iter()
        .map(|(family, progress)| Coverage { family: name(family), share: progress.coverage })
        .collect();
    let shares: Vec<_> =
        coverage.iter().map(|done| format!("{} of {}", percent(done.share), done.family)).collect();
    let text = format!(
        "{hashes} info hashes in {} · {requests} asked, {answered} answered, {sampled} sampled · {} done · {waiting} hold more",
        span::seconds(took),
        shares.join(", "),
    );
    let ms = span::as_millis(took);
    let summary = WalkSummary { hashes, requests, answered, sampled, failed, lookups, waiting, coverage, ms };
    output.summary(&summary, text)?;
    Ok(if hashes > 0 { Exit::Success } else { Exit::Nothing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_has_come_as_far_as_in_the_slower_network() {
        let network =
            |family, coverage, requests| (family, Progress { coverage, requests, ..Progress::default() });
        let sum = total(&[network(Family::V4, 0.25, 90), network(Family::V6, 1.0, 1)]);
        assert_eq!((sum.coverage, sum.requests), (0.25, 91));
    }
}
