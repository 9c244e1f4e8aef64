//! Torrent files, as far as a DHT cares: the info hash, and the nodes to join through.
//!
//! A torrent is bencode too, but many megabytes of it, where [`bencode`](crate::bencode) reads datagrams. Nothing is kept
//! of such a file but where the values of interest begin and end; the info hash is taken over the `info` dictionary's
//! bytes as they stand in the file (BEP 3).

mod scan;

use sha1::{Digest, Sha1};

use crate::id::InfoHash;
use scan::{Span, entries, items, root};

/// Longest file that is read, in bytes: a hundred times a large one.
pub const MAX_SIZE: usize = 64 << 20;
/// Most nodes taken from one file; more are ignored.
pub const MAX_NODES: usize = 64;
/// Longest name of a host (RFC 1035).
const MAX_HOST: usize = 253;

/// Why bytes are no torrent for this DHT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotATorrent {
    /// More than [`MAX_SIZE`] bytes.
    #[error("longer than a torrent file may be")]
    TooLong,
    /// Not a bencoded dictionary, or one nested too deeply.
    #[error("not a bencoded dictionary")]
    NotBencode,
    /// Without an `info` dictionary, or with two.
    #[error("no `info` dictionary, or more than one")]
    NoInfo,
    /// `info` describes no content: it has neither `pieces` nor a version that does without.
    #[error("the `info` dictionary has no `pieces`")]
    NoPieces,
    /// A torrent of version 2 alone (BEP 52), which has no info hash of 20 bytes. A hybrid has one.
    #[error("a torrent of version 2 alone has no version 1 info hash")]
    VersionTwo,
}

/// What a torrent file says to a DHT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torrent {
    info_hash: InfoHash,
    nodes: Vec<(String, u16)>,
}

impl Torrent {
    /// Reads a torrent file. What follows its dictionary is ignored. Takes time in proportion to the number of bytes, and
    /// memory for the nodes alone.
    ///
    /// # Errors
    /// [`NotATorrent`].
    pub fn read(file: &[u8]) -> Result<Self, NotATorrent> {
        if file.len() > MAX_SIZE {
            return Err(NotATorrent::TooLong);
        }
        let root = root(file).ok_or(NotATorrent::NotBencode)?;
        let mut info = None;
        let mut nodes = Vec::new();
        for (key, value) in entries(root).ok_or(NotATorrent::NotBencode)? {
            match key {
                // Twice would be two torrents, and which one is meant nobody knows.
                b"info" if info.is_some() => return Err(NotATorrent::NoInfo),
                b"info" => info = Some(value),
                b"nodes" => nodes = read_nodes(value),
                _ => {}
            }
        }
        let info = info.ok_or(NotATorrent::NoInfo)?;
        check_version(info)?;
        Ok(Torrent { info_hash: InfoHash::new(Sha1::digest(info.raw()).into()), nodes })
    }

    /// The SHA-1 of the `info` dictionary.
    pub const fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// Hosts and ports of nodes to join the DHT through (BEP 5), for torrents without a tracker; to be resolved and given
    /// to [`Dht::add_nodes`](crate::Dht::add_nodes) or [`Builder::bootstrap`](crate::dht::Builder::bootstrap). What is no host
    /// and port is left out.
    pub fn nodes(&self) -> &[(String, u16)] {
        &self.nodes
    }
}

fn check_version(info: Span<'_>) -> Result<(), NotATorrent> {
    let (mut has_pieces, mut version) = (false, None);
    for (key, value) in entries(info).ok_or(NotATorrent::NoInfo)? {
        match key {
            b"pieces" => has_pieces = true,
            b"meta version" => version = value.int(),
            _ => {}
        }
    }
    match (has_pieces, version) {
        (true, _) => Ok(()),
        (false, Some(2..)) => Err(NotATorrent::VersionTwo),
        (false, _) => Err(NotATorrent::NoPieces),
    }
}

/// `[[host, port], …]`
fn read_nodes(value: Span<'_>) -> Vec<(String, u16)> {
    let node = |pair: Span<'_>| {
        let mut parts = items(pair)?;
        let host = core::str::from_utf8(parts.next()?.bytes()?).ok()?;
        let port = u16::try_from(parts.next()?.int()?).ok().filter(|port| *port > 0)?;
        (!host.is_empty() && host.len() <= MAX_HOST).then(|| (host.to_owned(), port))
    };
    items(value).into_iter().flatten().filter_map(node).take(MAX_NODES).collect()
}

#[cfg(test)]
mod tests;
