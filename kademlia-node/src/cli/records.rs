//! `kad records`: its flags.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use signed_records::{Kind, PublicKey, Topic};

use super::{OverlayJoin, host_port};
use crate::span;

/// Signed records: who is reached where, who takes part in what, and where to leave a message
///
/// A network of its own, apart from Mainline: records signed with Ed25519, found under their publisher's public key or
/// under a topic's name.
#[derive(Debug, Args)]
#[command(after_help = "\
Two terminals:
  kad records run --bind 127.0.0.1:7101
  kad keygen me.key
  kad records publish endpoint --key me.key --bootstrap 127.0.0.1:7101 'udp://192.0.2.1:7000'
  kad records resolve $(kad keygen me.key --public) --bootstrap 127.0.0.1:7101")]
pub(crate) struct Records {
    #[command(subcommand)]
    pub(crate) command: RecordsCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RecordsCommand {
    Run(RecordsRun),
    Publish(RecordsPublish),
    Resolve(RecordsResolve),
    Find(RecordsFind),
    List(RecordsList),
    Withdraw(RecordsWithdraw),
    Ping(RecordsPing),
    Probe(RecordsProbe),
}

/// Run a node until Ctrl-C or SIGTERM
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad records run --bind 127.0.0.1:7101                               the first node of a network on this machine
  kad records run --bind 127.0.0.1:7102 --bootstrap 127.0.0.1:7101    its second
  kad records run --key node.key --store records.redb --peers seen    …that is the same after a restart
  kad records run --debug 127.0.0.1:7180                              look at http://127.0.0.1:7180/ or /status.json")]
pub(crate) struct RecordsRun {
    /// Address to bind
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:7101")]
    pub(crate) bind: SocketAddr,
    /// Host to join through; repeatable
    #[arg(long, value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) bootstrap: Vec<String>,
    /// File with the node's secret key, as `kad keygen` makes it [default: a new key each time]
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Keep records in this database
    #[arg(long, value_name = "FILE")]
    pub(crate) store: Option<PathBuf>,
    /// File that remembers the peers seen
    #[arg(long, value_name = "FILE")]
    pub(crate) peers: Option<PathBuf>,
    /// How often that file is saved, besides at the end
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "5m")]
    pub(crate) save_every: Duration,
    /// Show the node's state as a page at this address, which has to be a loopback one
    #[arg(long, value_name = "ADDR")]
    pub(crate) debug: Option<SocketAddr>,
}

/// Publish a record under your key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad records publish endpoint --key me.key --bootstrap 127.0.0.1:7101 'udp://192.0.2.1:7000'
  kad records publish topic --topic weather --key me.key --bootstrap 127.0.0.1:7101 'station 7'
  kad records publish mailbox --key me.key --bootstrap 127.0.0.1:7101 --keep --ttl 10m -

Nodes forget a record after its time to live. Exits with 5 if fewer than --min took it, with 6 if there is a newer one.")]
pub(crate) struct RecordsPublish {
    /// Its type
    pub(crate) kind: RecordKind,
    /// What it says, at most 512 bytes; `-` for stdin
    #[arg(value_name = "TEXT|-")]
    pub(crate) text: String,
    /// The topic's name
    #[arg(long, value_name = "NAME", value_parser = topic, required_if_eq("kind", "topic"))]
    pub(crate) topic: Option<Topic>,
    /// File with your secret key, as `kad keygen` makes it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// For how long it holds
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "1h")]
    pub(crate) ttl: Duration,
    /// Renew it until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Fail if fewer nodes accept
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min: usize,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}

/// Find out where somebody is reached
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad records resolve 3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c --bootstrap 127.0.0.1:7101

Exits with 1 if there is no endpoint.")]
pub(crate) struct RecordsResolve {
    /// The publisher's public key: 64 hexadecimal digits
    #[arg(value_name = "PUBLIC")]
    pub(crate) publisher: PublicKey,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}

/// What to look for
#[derive(Debug, Args)]
pub(crate) struct RecordsTarget {
    /// The publisher's public key: 64 hexadecimal digits
    #[arg(value_name = "PUBLIC", required_unless_present = "topic")]
    pub(crate) publisher: Option<PublicKey>,
    /// The name of a topic
    #[arg(long, value_name = "NAME", value_parser = topic, conflicts_with = "publisher")]
    pub(crate) topic: Option<Topic>,
    /// Records of this type only
    #[arg(long, value_name = "KIND")]
    pub(crate) kind: Option<RecordKind>,
}

/// Find one record, as soon as anybody has it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad records find --topic weather --bootstrap 127.0.0.1:7101")]
pub(crate) struct RecordsFind {
    #[command(flatten)]
    pub(crate) target: RecordsTarget,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}

/// List all records under a key, the newest of each publisher
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad records list --topic weather --bootstrap 127.0.0.1:7101")]
pub(crate) struct RecordsList {
    #[command(flatten)]
    pub(crate) target: RecordsTarget,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}

/// Withdraw everything under your key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad records withdraw --key me.key --bootstrap 127.0.0.1:7101
  kad records withdraw --key me.key --topic weather --bootstrap 127.0.0.1:7101

A topic has to be named, for nothing leads from a key to the topics it takes part in. A `kad records publish --keep` that
still runs publishes its record again.")]
pub(crate) struct RecordsWithdraw {
    /// File with your secret key
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Leave this topic, too; repeatable
    #[arg(long, value_name = "NAME", value_parser = topic)]
    pub(crate) topic: Vec<Topic>,
    #[command(flatten)]
    pub(crate) join: OverlayJoin,
}

/// Ask nodes to prove who they are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad records ping 127.0.0.1:7101")]
pub(crate) struct RecordsPing {
    /// Nodes to ask
    #[arg(required = true, value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) hosts: Vec<String>,
    /// Address to bind
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Option<SocketAddr>,
    /// Longest time for each of them
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "10s")]
    pub(crate) timeout: Duration,
}

/// Ask a node whether it reaches this host
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad records probe 127.0.0.1:7101 --bind 127.0.0.1:7105
  kad records probe peer.example:7101 --bind 0.0.0.0:7101 --claim 198.51.100.7:7101

A translator that lets in only those who were written to lets the node in that was asked. Exits with 1 if no echo came.")]
pub(crate) struct RecordsProbe {
    /// The node to ask
    #[arg(value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) host: String,
    /// Address to bind
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Option<SocketAddr>,
    /// Where the echo is to go: another port of this host, as the node sees it [default: where the node sees this one]
    #[arg(long, value_name = "ADDR")]
    pub(crate) claim: Option<SocketAddr>,
    /// Longest time for all of it
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "30s")]
    pub(crate) timeout: Duration,
}

/// A type of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordKind {
    /// Where somebody is reached
    Endpoint,
    /// That somebody takes part in a topic
    Topic,
    /// Where messages for somebody may be left
    Mailbox,
}

impl From<RecordKind> for Kind {
    fn from(kind: RecordKind) -> Self {
        match kind {
            RecordKind::Endpoint => Kind::Endpoint,
            RecordKind::Topic => Kind::Topic,
            RecordKind::Mailbox => Kind::Mailbox,
        }
    }
}

fn topic(name: &str) -> Result<Topic, String> {
    Topic::new(name).ok_or_else(|| "expected 1 to 64 bytes".to_owned())
}
