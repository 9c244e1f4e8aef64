//! `kad conform`: its flags.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::Args;
use mainline_conformance::Group;

use super::host_port;
use crate::span;

/// Ask a node whether it does what the BEPs say, one line for each requirement
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad conform 127.0.0.1:6881 --rate 200              a node of one's own, in seconds
  kad conform router.bittorrent.com:6881             somebody else's, in a minute or two
  kad conform 127.0.0.1:6881 --bep 44 --bep 51       two BEPs only
  kad conform 127.0.0.1:6881 --bep T --verbose       how it bears abuse, with all that was sent and came back
  kad conform 127.0.0.1:6881 --json | jq 'select(.verdict == \"fail\")'

Needs nothing of the node but its answers. Stores a few peers and values there under random hashes.
Exits with 0 if everything was judged and no MUST failed, with 1 otherwise, and if the node does not answer at all.")]
pub(crate) struct Conform {
    /// The node
    #[arg(value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) host: String,
    /// Judge this BEP only; C is for conventions, T for what keeps a node from being misused; repeatable [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) bep: Vec<Group>,
    /// Longest time for all of it
    #[arg(long, value_name = "DURATION", value_parser = span::parse, default_value = "5m")]
    pub(crate) timeout: Duration,
    /// Datagrams in a second; libtorrent blocks who sends it more than 5
    #[arg(long, value_name = "N", default_value = "4")]
    pub(crate) rate: NonZeroU32,
    /// Decides all hashes, keys and values [default: random]
    #[arg(long, value_name = "N")]
    pub(crate) seed: Option<u64>,
    /// Show what was sent and what came back, for what passed too
    #[arg(long, short)]
    pub(crate) verbose: bool,
}
