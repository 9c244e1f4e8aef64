//! What of a response goes into one datagram.

use kademlia_core::{Family, Key};

use crate::bencode::{int_size, string_size};
use crate::krpc::{Response, Version, compact};

/// Longest datagram ever made for a reply, in bytes: IPv6's least MTU without the headers (T9).
pub const MAX_DATAGRAM: usize = 1_232;
/// Longest reply made where there is a choice, in bytes (BEP 32, which asks every node to read this much): only an item's
/// value may need more.
pub const MAX_POLITE_DATAGRAM: usize = 1_024;
/// Most info hashes written into one sample (P45).
pub const MAX_SAMPLES: usize = 20;

/// The node lists and their keys, in the order in which they are written.
pub(super) const LISTS: [(Family, &str); 2] = [(Family::V4, "nodes"), (Family::V6, "nodes6")];

/// Which parts go in, and how much of them. The parts that answer always do; the others in the order of what the asker
/// would miss most (T9: `ip`, then `v`, then nodes are left out).
#[derive(Debug)]
pub(super) struct Fit {
    /// `k`, which whoever asks for an item knows.
    pub(super) key: bool,
    pub(super) token: bool,
    /// Contacts of each of [`LISTS`]; `None` for no list.
    pub(super) contacts: [Option<usize>; 2],
    pub(super) version: bool,
    pub(super) observed: bool,
    /// Bytes left.
    pub(super) room: usize,
}

impl Fit {
    /// For a reply of at most `limit` bytes that echoes a transaction id of `transaction` bytes.
    pub(super) fn of(
        response: &Response,
        transaction: usize,
        observed: Option<Family>,
        limit: usize,
    ) -> Self {
        let mut room = limit.saturating_sub(least(response, transaction));
        let mut take = |bytes: usize| {
            let rest = room.checked_sub(bytes);
            room = rest.unwrap_or(room);
            rest.is_some()
        };
        let has_key = response.item.as_ref().is_some_and(|item| item.key.is_some());
        let key = has_key && take(entry_size("k", 32));
        let token = response.token.is_some_and(|token| take(entry_size("token", token.as_bytes().len())));
        let contacts = LISTS.map(|(family, key)| {
            let size = compact::node_size(family);
            let most = response.nodes.lists().contains(family).then(|| response.nodes.of(family).count());
            most.and_then(|most| (0..=most).rev().find(|n| take(entry_size(key, n * size))))
        });
        let version = response.version.is_some_and(|version| take(entry_size("v", version.as_bytes().len())));
        let observed = observed.is_some_and(|family| take(entry_size("ip", compact::addr_size(family))));
        Fit { key, token, contacts, version, observed, room }
    }

    pub(super) fn version<'r>(&self, response: &'r Response) -> Option<&'r [u8]> {
        response.version.as_ref().filter(|_| self.version).map(Version::as_bytes)
    }
}

/// Bytes left in a reply of at most `limit` bytes to an address of `family`, beside the parts that `response` has and the
/// echo of a transaction id of `transaction` bytes.
pub fn bytes_left(response: &Response, family: Family, transaction: usize, limit: usize) -> usize {
    Fit::of(response, transaction, Some(family), limit).room
}

/// The longest that a reply with these parts may be.
pub(super) fn limit(response: &Response) -> usize {
    let has_value = response.item.as_ref().is_some_and(|item| item.value.is_some());
    if has_value { MAX_DATAGRAM } else { MAX_POLITE_DATAGRAM }
}

/// Bytes of a key and a string of `length` bytes.
pub(super) const fn entry_size(key: &str, length: usize) -> usize {
    string_size(key.len()) + string_size(length)
}

/// Bytes of a key and a number.
fn number_size(key: &str, number: i64) -> usize {
    string_size(key.len()) + int_size(number)
}

/// Bytes of the envelope and the parts that are never left out.
fn least(response: &Response, transaction: usize) -> usize {
    let envelope = "d1:rdee".len() + entry_size("t", transaction) + entry_size("y", 1);
    let scrape = response.scrape.as_ref().map_or(0, |_| 2 * entry_size("BFpe", 256));
    let item = response.item.as_ref().map_or(0, |item| {
        item.seq.map_or(0, |seq| number_size("seq", seq))
            + item.signature.map_or(0, |_| entry_size("sig", 64))
            + item.value.as_ref().map_or(0, |value| string_size(1) + value.as_bytes().len())
    });
    let samples = response.samples.as_ref().map_or(0, |samples| {
        number_size("interval", samples.seconds())
            + number_size("num", samples.num())
            + entry_size("samples", samples.listed().len() * size_of::<Key<20>>())
    });
    envelope + entry_size("id", size_of::<Key<20>>()) + scrape + item + samples
}
