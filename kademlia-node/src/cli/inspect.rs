//! `kad sample`, `kad id`, `kad decode`: their flags.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bittorrent_profile::NodeId;
use clap::Args;

use super::torrent::target;
use super::{Join, host_port};
use crate::span;

/// Collect info hashes: from one node, or from the whole network
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad sample 127.0.0.1:6881                               what does this node hold?
  kad sample --for 10m                                    walk through the keyspace for ten minutes
  kad sample --rate 20/s --out hashes.ndjson              …or to its end, which takes days
  kad sample --rounds 2 --bootstrap 127.0.0.1:6881        ask those again, hours later, who hold more than they told

A node says when it may be asked again, and is not asked before (BEP 51).")]
pub(crate) struct Sample {
    /// The node; without it, walk through the keyspace
    #[arg(value_name = "HOST:PORT", value_parser = host_port)]
    pub(crate) host: Option<String>,
    /// Which nodes the node should name
    #[arg(long, value_name = "ID", value_parser = target, requires = "host")]
    pub(crate) target: Option<NodeId>,
    /// Requests per second, in each of the networks of IPv4 and IPv6
    #[arg(long, value_name = "N/s", value_parser = per_second, default_value = "10/s", conflicts_with = "host")]
    pub(crate) rate: u32,
    /// How often to ask a node that holds more than it tells at once
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rounds: u32,
    /// Stop after so many info hashes were found
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "host")]
    pub(crate) limit: Option<u64>,
    /// Stop after so long
    #[arg(long = "for", value_name = "DURATION", value_parser = span::parse, conflicts_with = "host")]
    pub(crate) period: Option<Duration>,
    /// Write the info hashes to this file, one JSON object a line, instead of to stdout; what it held is replaced
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) join: Join,
}

/// Check whether a node id fits an IP address, or make one that does (BEP 42)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad id 124.31.75.21                                             make an id
  kad id 124.31.75.21 5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401    does it fit?

Exits with 1 if it does not.")]
pub(crate) struct Id {
    /// The node's public address
    #[arg(value_name = "IP")]
    pub(crate) ip: IpAddr,
    /// The id to check
    #[arg(value_name = "ID")]
    pub(crate) id: Option<NodeId>,
}

/// Show what a datagram says, and what this node's decoder thinks of it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad decode 64313a6164323a696432303a6162636465666768696a3031323334353637383965313a71343a70696e67313a74323a6161313a79313a7165
  kad decode --file packet.bin
  tshark -r dump.pcap -Y 'udp.port == 6881' -T fields -e data | head -1 | kad decode
  base64 < packet.bin | kad decode --json

Exits with 7 if the datagram is no message, or one that would be refused.")]
pub(crate) struct Decode {
    /// The datagram in hexadecimal or base64; without it and --file, stdin is read
    #[arg(value_name = "HEX|BASE64", conflicts_with = "file")]
    pub(crate) text: Option<String>,
    /// Read this file: the datagram itself, or hexadecimal or base64; - for stdin
    #[arg(long, short, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// `10/s` or `10`.
fn per_second(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix("/s").unwrap_or(text).parse().ok();
    number.filter(|rate| (1..=1_000).contains(rate)).ok_or("expected 1/s to 1000/s".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_per_second() {
        assert_eq!((per_second("10/s"), per_second("7")), (Ok(10), Ok(7)));
        for text in ["0/s", "1001", "10/m", "-1", "/s", ""] {
            assert!(per_second(text).is_err(), "{text}");
        }
    }
}
