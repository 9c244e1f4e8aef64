//! `kad get`, `kad put`, `kad keygen`: their flags.

use std::path::PathBuf;

use bittorrent_profile::item::{PublicKey, Salt};
use bittorrent_profile::link::TorrentLink;
use clap::Args;
use kademlia_core::Key;

use super::Join;

/// Read an item: a value that somebody put into the DHT (BEP 44)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad get e5f96f6f38320f0f33959cb4d3d656452117aadb             an immutable item, under its own hash
  kad get --key 77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548 --salt blog
  kad get 'magnet:?xs=urn:btpk:8543d3e6115f0f98c944077a4493dcd543e49c739fd998550a1f614ab36ed63e'
                                                               the torrent that this link means today (BEP 46)
  kad get e5f96f6f38320f0f33959cb4d3d656452117aadb --raw > value

A string is written as it is, anything else as a tree, with --raw as the bencode that it is. Of a mutable item the newest
version counts. Exits with 7 if there were answers, but none that was genuine.")]
pub(crate) struct Get {
    /// The item's target: 40 hexadecimal digits, or the magnet link of a torrent that changes
    #[arg(value_name = "TARGET|MAGNET", required_unless_present = "key")]
    pub(crate) target: Option<Target>,
    /// The owner's public key, for a mutable item: 64 hexadecimal digits
    #[arg(long, value_name = "PUBLIC", conflicts_with = "target")]
    pub(crate) key: Option<PublicKey>,
    /// Which of the owner's items
    #[arg(long, value_name = "TEXT", value_parser = salt, requires = "key", conflicts_with = "target")]
    pub(crate) salt: Option<Salt>,
    /// Write the value's bencode
    #[arg(long, conflicts_with = "json")]
    pub(crate) raw: bool,
    #[command(flatten)]
    pub(crate) join: Join,
}

/// Put a value into the DHT: under its hash, or under your key, so that you can change it (BEP 44)
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad put 'Hello World!'                                       under its own hash
  kad keygen me.key
  kad put --key me.key --salt blog 'first post'                under your key; again, with another text, changes it
  kad put --key me.key -f post.txt --keep                      …and keep it alive, until Ctrl-C
  date | kad put --key me.key --keep --keep-file ~/.kad.items -
  kad put --key me.key --seq 7 --cas 6 'only after version 6'

Nodes forget an item after two hours. Exits with 5 if fewer than --min took it, with 6 if somebody else was faster.")]
pub(crate) struct Put {
    /// The value, at most 996 bytes; `-` for stdin
    #[arg(value_name = "TEXT|-", required_unless_present = "file")]
    pub(crate) text: Option<String>,
    /// Read the value from this file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "text")]
    pub(crate) file: Option<PathBuf>,
    /// The value is bencode already, at most 1,000 bytes; otherwise it is put as a string
    #[arg(long)]
    pub(crate) bencode: bool,
    /// Put it under the public key that belongs to the secret one in this file
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Which of your items
    #[arg(long, value_name = "TEXT", value_parser = salt, requires = "key")]
    pub(crate) salt: Option<Salt>,
    /// The version: `auto` for the one after that which is there, whoever else changes it
    #[arg(long, value_name = "auto|N", value_parser = seq, default_value = "auto", requires = "key")]
    pub(crate) seq: Seq,
    /// Only in the place of this version
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..), requires = "key")]
    pub(crate) cas: Option<i64>,
    /// Put it again every hour, until Ctrl-C
    #[arg(long)]
    pub(crate) keep: bool,
    /// Keep what this file remembers too, and add this; a `kad run --keep-file` and others may have the same file
    #[arg(long, value_name = "FILE", requires = "keep")]
    pub(crate) keep_file: Option<PathBuf>,
    /// Fail if fewer nodes accept
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) min: usize,
    #[command(flatten)]
    pub(crate) join: Join,
}

/// Make a secret key, or import one, and show the public key that belongs to it
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  kad keygen me.key                                            only you can read the file; nothing is overwritten
  kad keygen me.key --import -                                 64 bytes, or 128 hexadecimal digits, from stdin
  kad keygen me.key --public                                   show the public key again")]
pub(crate) struct Keygen {
    /// The file for the key
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Take the expanded secret key (64 bytes, as libtorrent and BEP 44 have it) from this file, or `-` for stdin
    #[arg(long, value_name = "FILE|-")]
    pub(crate) import: Option<PathBuf>,
    /// The file is there: show its public key
    #[arg(long, conflicts_with = "import")]
    pub(crate) public: bool,
}

/// What to read, if not under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Hash(Key<20>),
    Link(TorrentLink),
}

impl std::str::FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("magnet:")) {
            return text
                .parse()
                .map(Target::Link)
                .map_err(|error: bittorrent_profile::link::NotATorrentLink| error.to_string());
        }
        text.parse()
            .map(Target::Hash)
            .map_err(|_| "expected 40 hexadecimal digits or a magnet link".to_owned())
    }
}

/// Which version to put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seq {
    Auto,
    Number(i64),
}

fn seq(text: &str) -> Result<Seq, String> {
    if text == "auto" {
        return Ok(Seq::Auto);
    }
    let number = text.parse().ok().filter(|number| *number >= 0);
    number.map(Seq::Number).ok_or_else(|| "expected `auto` or a number that is not negative".to_owned())
}

fn salt(text: &str) -> Result<Salt, String> {
    Salt::new(text.as_bytes()).ok_or_else(|| "longer than 64 bytes".to_owned())
}
