//! `kad kv`: its flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{OverlayJoin, host_port};

/// A key-value network: values under names
///
/// A network of its own, apart from Mainline: the Kademlia paper with 256-bit keys. Anybody may put under any name; nodes
/// forget a value a day after it was last put.
#[derive(Debug, Args)]
#[command(after_help = "\
Two terminals:
  kad kv run --bind 127.0.0.1:7001
  kad kv put --bootstrap 127.0.0.1:7001 greeting hello
  kad kv get --bootstrap 127.0.0.1:7001 greeting")]
pub(crate) struct Kv {
    #[command(subcommand)]
    pub(crate) command: KvCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KvCommand {
    Run(KvRun),
    Put(KvPut),
    Get(KvGet),
    Remove(KvRemove),
    Dump(KvDump),
}

/// Run a node until Ctrl-C or SIGTERM
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad kv run --bind 127.0.0.1:7001                               the first node of a network on this machine
  kad kv run --bind 127.0.0.1:7002 --bootstrap 127.0.0.1:7001    its second
  kad kv run --store pairs.redb                                  …that has its pairs and its key after a restart")]
pub(crate) struct KvRun {
    /// Address to bind
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:7001")]
    pub(crate) bind: SocketAddr,
    /// Host to join through; repeatable [default: none, the first node of a network]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) bootstrap: Vec<String>,
    /// Keep pairs in this database, and the node's key beside it, in FILE.key
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// At the end, write there what the node knew: as PlantUML if the name ends in .puml, otherwise as JSON
    #[arg(long, value_name = "FILE")]
    pub(crate) dump: Option<PathBuf>,
}

/// Put a value under a name, in the place of any that is there
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad kv put --bootstrap 127.0.0.1:7001 greeting hello
  kad kv put --bootstrap 127.0.0.1:7001 notes -f notes.txt --keep     …and publish it daily, until Ctrl-C
  date | kad kv put --bootstrap 127.0.0.1:7001 now -

Exits with 5 if fewer than --min nodes took it, with 6 if they have a newer one, with 7 if the value is too long.")]
pub(crate) struct KvPut {
    /// The name
    pub(crate) name: String,
    /// The value, at most 1,000 bytes; `-` for stdin
    #[arg(value_name = "TEXT|-", required_unless_present = "file")]
    pub(crate) text: Option<String>,
    /// Read the value from this file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "text")]
    pub(crate) file: Option<PathBuf>,
    /// The version, in milliseconds since 1970 [default: the present]
    #[arg(long, value_name = "MILLIS")]
    pub(crate) version: Option<u64>,
    /// Publish it daily, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Fail if fewer nodes accept
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min: usize,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}

/// Get the value under a name
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad kv get --bootstrap 127.0.0.1:7001 greeting
  kad kv get --bootstrap 127.0.0.1:7001 notes --newest > notes.txt

Exits with 1 if there is none.")]
pub(crate) struct KvGet {
    /// The name
    pub(crate) name: String,
    /// Ask everybody close to the name's key, instead of taking the first value found
    #[arg(long)]
    pub(crate) newest: bool,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}

/// Remove the value under a name, whoever put it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad kv remove --bootstrap 127.0.0.1:7001 greeting")]
pub(crate) struct KvRemove {
    /// The name
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}

/// Show what a node knows, or what a lookup finds, as JSON or for PlantUML
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad kv dump --bootstrap 127.0.0.1:7001                              the table of a node that has just joined
  kad kv dump --bootstrap 127.0.0.1:7001 greeting --plantuml          who is close to a value, drawn")]
pub(crate) struct KvDump {
    /// Look this name up, and show the lookup
    pub(crate) name: Option<String>,
    /// Draw it
    #[arg(long, conflicts_with = "json")]
    pub(crate) plantuml: bool,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}
