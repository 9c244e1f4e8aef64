//! The commands, one module each, and what they have in common.

mod announce;
mod config;
mod conform;
mod decode;
mod demo;
mod find;
mod get;
mod id;
mod keygen;
mod kv;
mod peers;
mod ping;
mod put;
mod records;
mod run;
mod sample;
mod sim;

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::NodeId;
use kademlia_core::{Contact, Key};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::prelude::*;

use crate::cli::{Cli, Command, Global, KvCommand, RecordsCommand};
use crate::exit::{Exit, Failure, verdict};
use crate::interrupt::Interrupt;
use crate::output::{Output, complain, wants_color};
use crate::span;

/// How long the process waits at its end for name resolution and for reads of stdin, which nothing can interrupt.
const LINGER: Duration = Duration::from_millis(100);

/// Runs the command, reports its error if there is one, and says how to exit.
pub(crate) fn execute(cli: &Cli) -> Exit {
    let output = Output::new(cli.global.json, cli.global.quiet, cli.global.color);
    match run_to_end(cli, &output) {
        Ok(exit) => exit,
        Err(error) => {
            output.clear();
            let (exit, text) = verdict(&error);
            if let Some(text) = text {
                complain(text);
            }
            exit
        }
    }
}

fn run_to_end(cli: &Cli, output: &Output) -> anyhow::Result<Exit> {
    start_log(&cli.global, is_node(&cli.command))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let interrupt = Interrupt::listen()?;
        match &cli.command {
            Command::Run(args) => run::run(args, output, interrupt).await,
            Command::Peers(args) => peers::run(args, output, interrupt).await,
            Command::Announce(args) => announce::run(args, output, interrupt).await,
            Command::Get(args) => get::run(args, output, interrupt).await,
            Command::Put(args) => put::run(args, output, interrupt).await,
            Command::Keygen(args) => keygen::run(args, output, interrupt).await,
            Command::Ping(args) => ping::run(args, output, interrupt).await,
            Command::Find(args) => find::run(args, output, interrupt).await,
            Command::Sample(args) => sample::run(args, output, interrupt).await,
            Command::Id(args) => id::run(args, output),
            Command::Decode(args) => decode::run(args, output, interrupt).await,
            Command::Conform(args) => conform::run(args, output, interrupt).await,
            Command::Demo(args) => demo::run(args, output, interrupt).await,
            Command::Sim(args) => sim::run(args, output, interrupt).await,
            Command::Config(args) => config::run(args, output),
            Command::Kv(args) => kv::run(args, output, interrupt).await,
            Command::Records(args) => records::run(args, output, interrupt).await,
        }
    });
    runtime.shutdown_timeout(LINGER);
    result
}

/// Whether the command is a node in the foreground, whose life cycle is worth a line.
fn is_node(command: &Command) -> bool {
    match command {
        Command::Run(_) => true,
        Command::Kv(args) => matches!(args.command, KvCommand::Run(_)),
        Command::Records(args) => matches!(args.command, RecordsCommand::Run(_)),
        _ => false,
    }
}

/// `--log`, or else `RUST_LOG`, or else life-cycle messages of a node and warnings of anything else.
fn start_log(global: &Global, is_node: bool) -> Result<(), Failure> {
    let filter = match (&global.log, std::env::var("RUST_LOG")) {
        (Some(directives), _) => directives.clone(),
        (None, Ok(directives)) if !directives.is_empty() => directives,
        _ if is_node && !global.quiet => "info".to_owned(),
        _ => "warn".to_owned(),
    };
    let filter: Targets = filter
        .parse()
        .map_err(|error| Failure::usage(format!("cannot log `{filter}`: {error}")).hint("try --log debug"))?;
    let ansi = io::stderr().is_terminal() && wants_color();
    let lines = layer().with_writer(io::stderr).with_ansi(ansi).with_target(false);
    tracing_subscriber::registry().with(filter).with(lines).init();
    Ok(())
}

/// A node in the foreground, for programs.
#[derive(Serialize)]
struct NodeLine<'a> {
    id: &'a str,
    addr: SocketAddr,
}

/// Who a node in the foreground is, and where.
fn introduce(nodes: &[(String, SocketAddr)], output: &Output) -> io::Result<()> {
    let told: Vec<_> = nodes.iter().map(|(id, addr)| format!("node {id} on {addr}")).collect();
    output.note(format!("kad {}: {}", env!("CARGO_PKG_VERSION"), told.join(", ")));
    if output.is_json() {
        for (id, addr) in nodes {
            output.data("node", &NodeLine { id, addr: *addr }, "")?;
        }
    }
    Ok(())
}

/// The end of a node in the foreground, as its user wants it.
fn conclude_run(began: Instant, output: &Output) -> anyhow::Result<Exit> {
    #[derive(Serialize)]
    struct Summary {
        ms: f64,
    }
    let ran = began.elapsed();
    output.summary(&Summary { ms: span::as_millis(ran) }, format!("ran for {}", span::seconds(ran)))?;
    Ok(Exit::Success)
}

/// Waits until the node behind these events has ended, which nobody but its user should make it do.
async fn end_of<E>(mut events: mpsc::Receiver<E>) -> Failure {
    while events.recv().await.is_some() {}
    has_ended()
}

fn has_ended() -> Failure {
    Failure::new(Exit::Nothing, "the node has stopped")
        .hint("what it said last may tell why; please report it")
}

/// `id@address`, the way contacts are written.
fn written(contact: &Contact<Key<20>>) -> String {
    format!("{}@{}", NodeId::from(contact.key), contact.addr)
}

/// The middle one, the lower of the two where there are two.
fn median<T: Ord + Copy>(values: &mut [T]) -> Option<T> {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median(&mut [5, 1, 3]), Some(3));
        assert_eq!(median(&mut [4, 1, 3, 2]), Some(2));
        assert_eq!(median::<u8>(&mut []), None);
    }
}
