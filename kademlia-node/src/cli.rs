//! The command line, and nothing but its grammar.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ColorChoice, Parser, Subcommand};

use crate::span;

mod conform;
mod inspect;
mod items;
mod kv;
mod overlay;
mod records;
mod sim;
mod torrent;

pub(crate) use conform::Conform;
pub(crate) use inspect::{Decode, Id, Sample};
pub(crate) use items::{Get, Keygen, Put, Seq, Target};
pub(crate) use kv::{Kv, KvCommand, KvDump, KvGet, KvPut, KvRemove, KvRun};
pub(crate) use overlay::OverlayJoin;
pub(crate) use records::{
    RecordKind, Records, RecordsCommand, RecordsFind, RecordsList, RecordsPing, RecordsProbe, RecordsPublish,
    RecordsResolve, RecordsRun, RecordsTarget, RecordsWithdraw,
};
pub(crate) use sim::Sim;
pub(crate) use torrent::Torrent;
use torrent::torrent;

/// A node of the BitTorrent Mainline DHT, and a look into that network from the command line.
///
/// Data goes to stdout; progress, remarks and logs go to stderr.
#[derive(Debug, Parser)]
#[command(name = "kad", version, max_term_width = 110, arg_required_else_help = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Examples:
  kad demo                                   watch a DHT work, without any network
  kad peers 'magnet:?xt=urn:btih:…'          who shares this torrent?
  kad sim --scenario lossy                   a thousand simulated nodes, 30 % of all datagrams lost each way
  kad run --state-file ~/.kad                run a node

Exit codes:
  0 done, found   1 nothing found, no answer, not all well, or any other failure   2 usage   3 cannot bind
  4 could not join   5 partly stored   6 conflict   7 bad data   130 interrupted";

/// What every command understands.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Write one JSON object a line; the last one has the type `summary`
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Write nothing but data and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
    /// When to use colours; NO_COLOR counts
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,
    /// What to log: error, warn, info, debug, trace, or directives like RUST_LOG, which counts otherwise
    #[arg(long, global = true, value_name = "LEVEL")]
    pub(crate) log: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(Run),
    Peers(Peers),
    Announce(Announce),
    Get(Get),
    Put(Put),
    Keygen(Keygen),
    Ping(Ping),
    Find(Find),
    Sample(Sample),
    Id(Id),
    Decode(Decode),
    Conform(Conform),
    Demo(Demo),
    Sim(Sim),
    Config(Config),
    Kv(Kv),
    Records(Records),
}

/// Run a node until Ctrl-C or SIGTERM
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad run                                                  join the public network
  kad run --state-file ~/.kad --public-ip 198.51.100.7     …and know the way back, with a BEP 42 id
  kad run --bind 0.0.0.0:6881 --bind '[::]:6881'           IPv4 and IPv6
  kad run --bind 127.0.0.1:6881                            the first node of a network on this machine
  kad run --bind 127.0.0.1:6882 --bootstrap 127.0.0.1:6881 its second
  kad run --limit inbound.per_ip=0                         answer everybody, however often they ask
  kad run --network lab --bind 10.0.0.1:6881               a network apart; others join with --bootstrap 10.0.0.1:6881

A node bound to a loopback or private address speaks to such addresses and counts nothing per IP address or subnet,
unless --limit or --config says so; one bound to a public or unspecified address never does.")]
pub(crate) struct Run {
    /// Address to bind, one of each family at most [default: 0.0.0.0:6881]
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Vec<SocketAddr>,
    /// Host to join through; repeatable [default: well-known routers]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) bootstrap: Vec<String>,
    /// Join through nobody but the nodes of the state file
    #[arg(long, conflicts_with = "bootstrap")]
    pub(crate) no_bootstrap: bool,
    /// File that remembers the id and good nodes
    #[arg(long, value_name = "FILE")]
    pub(crate) state_file: Option<PathBuf>,
    /// How often the files are saved, besides at the end
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "5m")]
    pub(crate) save_every: Duration,
    /// This host's public address, one of each family at most; the id is made to fit it (BEP 42)
    #[arg(long, value_name = "IP")]
    pub(crate) public_ip: Vec<IpAddr>,
    /// Keep nodes whose ids do not fit their addresses out of the table (BEP 42)
    #[arg(long)]
    pub(crate) strict_bep42: bool,
    /// Ask, but answer nobody (BEP 43)
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Keep the items of this file alive, one of those that `kad put --keep-file` writes, and what is added to it later
    #[arg(long, value_name = "FILE")]
    pub(crate) keep_file: Option<PathBuf>,
    /// Speak to the nodes of a network of this name instead of Mainline's; they all have to name it
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Configuration file (TOML) with keys that `kad config keys` lists
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Change one limit of the node, as `kad config keys` lists them; repeatable. 0 turns a rate limit off
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) limit: Vec<String>,
}

/// How a command that is over soon opens its sockets
#[derive(Debug, Args)]
pub(crate) struct Socket {
    /// Address to bind, one of each family at most [default: any port of every family that has a route, or of
    /// loopback if that is where the named hosts are]
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Vec<SocketAddr>,
    /// Speak to the nodes of a network of this name instead of Mainline's; they all have to name it
    #[arg(long, value_name = "NAME")]
    pub(crate) network: Option<String>,
    /// Configuration file (TOML) with keys that `kad config keys` lists
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

/// How a command that is over soon finds its way into the network
#[derive(Debug, Args)]
pub(crate) struct Join {
    #[command(flatten)]
    pub(crate) socket: Socket,
    /// Host to join through; repeatable [default: well-known routers]
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) bootstrap: Vec<String>,
    /// Longest time for joining, and longest time for what follows: a search, or storing once
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "30s")]
    pub(crate) timeout: Duration,
}

/// Find the peers that share a torrent
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad peers d2474e86c95b19b8bcfdb92bc12c9d44667cfa36
  kad peers 'magnet:?xt=urn:btih:d2474e86c95b19b8bcfdb92bc12c9d44667cfa36' --limit 10
  kad peers d2474e86c95b19b8bcfdb92bc12c9d44667cfa36 --json --for 2m
  kad peers some.torrent --scrape                                     how many, instead of who
  kad peers d2474e86c95b19b8bcfdb92bc12c9d44667cfa36 --bootstrap 127.0.0.1:6881")]
pub(crate) struct Peers {
    /// Info hash (40 hexadecimal or 32 base32 digits), magnet link or torrent file
    #[arg(value_name = "INFOHASH|MAGNET|FILE", value_parser = torrent)]
    pub(crate) torrent: Torrent,
    /// Count seeds and other peers instead of listing them (BEP 33)
    #[arg(long, conflicts_with_all = ["limit", "period", "announce"])]
    pub(crate) scrape: bool,
    /// Stop after so many peers were found
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: Option<u32>,
    /// Search again and again for so long, instead of once
    #[arg(long = "for", value_name = "DURATION", value_parser = span::parse)]
    pub(crate) period: Option<Duration>,
    /// Afterwards announce once that this host shares the torrent, at this port; the exit code is that of the
    /// announcement
    #[arg(long, value_name = "PORT")]
    pub(crate) announce: Option<NonZeroU16>,
    #[command(flatten)]
    pub(crate) join: Join,
}

/// Announce that this host shares a torrent, and keep announcing
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad announce d2474e86c95b19b8bcfdb92bc12c9d44667cfa36 --port 51413
  kad announce d2474e86c95b19b8bcfdb92bc12c9d44667cfa36 --port 51413 --once
  kad announce d2474e86c95b19b8bcfdb92bc12c9d44667cfa36 --implied --bind 0.0.0.0:51413")]
pub(crate) struct Announce {
    /// Info hash (40 hexadecimal or 32 base32 digits), magnet link or torrent file
    #[arg(value_name = "INFOHASH|MAGNET|FILE", value_parser = torrent)]
    pub(crate) torrent: Torrent,
    /// The port where peers connect
    #[arg(long, value_name = "PORT", required_unless_present = "implied")]
    pub(crate) port: Option<NonZeroU16>,
    /// Peers connect to the UDP port that the announcement comes from
    #[arg(long, conflicts_with = "port")]
    pub(crate) implied: bool,
    /// This host has all of the torrent (BEP 33)
    #[arg(long)]
    pub(crate) seed: bool,
    /// Announce once instead of until Ctrl-C
    #[arg(long)]
    pub(crate) once: bool,
    /// Fail if fewer nodes accept
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min: usize,
    #[command(flatten)]
    pub(crate) join: Join,
}

/// Ask nodes for a sign of life
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad ping router.bittorrent.com:6881
  kad ping -c 1 127.0.0.1:6881 127.0.0.1:6882")]
pub(crate) struct Ping {
    /// Nodes to ask
    #[arg(required = true, value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) hosts: Vec<String>,
    /// How often to ask each; 0 for until Ctrl-C
    #[arg(short = 'c', long, value_name = "N", default_value_t = 4)]
    pub(crate) count: u32,
    /// Time from one ping to the next
    #[arg(short = 'i', long, value_name = "DURATION", value_parser = span::parse, default_value = "1s")]
    pub(crate) interval: Duration,
    /// How long to wait for an answer
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "2s")]
    pub(crate) timeout: Duration,
    #[command(flatten)]
    pub(crate) socket: Socket,
}

/// Find the nodes closest to an id
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad find 32f54e697351ff4aec29cdbaabf2fbe3467cc267
  kad find 'magnet:?xt=urn:btih:d2474e86c95b19b8bcfdb92bc12c9d44667cfa36' --json")]
pub(crate) struct Find {
    /// Node id, info hash, magnet link or torrent file
    #[arg(value_name = "ID|INFOHASH|MAGNET|FILE", value_parser = torrent)]
    pub(crate) target: Torrent,
    #[command(flatten)]
    pub(crate) join: Join,
}

/// Watch a network of real nodes on this machine: announce, look up, kill a third, look up again
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad demo
  kad demo --nodes 200 --seed 7

Needs no network: every node has a UDP socket on 127.0.0.1. Exits with 0 if whatever was announced was found.")]
pub(crate) struct Demo {
    /// Nodes to start
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(6..=500))]
    pub(crate) nodes: u16,
    /// Decides the ids, who announces what, who looks, and who is killed
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Show what can be configured
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad config keys                                      every key, its default, its unit, its meaning
  kad config keys --quiet | grep '^inbound'            how much is answered
  kad run --limit inbound.per_ip=16                    change one
  kad run --config kad.toml                            …or more: a TOML file with [inbound] and per_ip = 16")]
pub(crate) struct Config {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Clone, Copy, Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// List the keys of --config and of `kad run --limit`
    Keys,
}

/// Names are resolved later; that there is a port is seen now.
fn host_port(text: &str) -> Result<String, String> {
    let (host, port) = text.rsplit_once(':').ok_or("expected HOST:PORT")?;
    let unbracketed_v6 = host.contains(':') && !host.ends_with(']');
    match port.parse::<NonZeroU16>() {
        Ok(_) if !host.is_empty() && !unbracketed_v6 => Ok(text.to_owned()),
        _ => Err("expected HOST:PORT, an IPv6 address in brackets".to_owned()),
    }
}

#[cfg(test)]
mod tests;
