//! How long an answer may be, for what was asked (T9).

use kademlia_core::{Family, Key, MAX_TRANSACTION_ID, ServeContext};

use crate::bencode::string_size;
use crate::krpc::{Families, MAX_POLITE_DATAGRAM, Response, bytes_left, compact};
use crate::mainline::Mainline;

/// Bytes on the wire that a stranger gets for one that he sent (T9).
const AMPLIFICATION: usize = 5;

const ID: usize = size_of::<Key<20>>();

/// Bytes of the shortest query of each kind, with a transaction id of one byte; `want` comes on top.
const GET_PEERS: usize = AROUND + entry("info_hash", ID) + "1:q9:get_peers".len();
const SAMPLE: usize = AROUND + entry("target", ID) + "1:q17:sample_infohashes".len();
const AROUND: usize = "d1:ad".len() + entry("id", ID) + "e".len() + "1:t1:a1:y1:qe".len();

/// Bytes of a key of less than ten and a string of ten to a hundred.
const fn entry(key: &str, length: usize) -> usize {
    "n:".len() + key.len() + "nn:".len() + length
}

/// The longest answer beside what every datagram has to keep to: for a node that we know there is no other limit, and a
/// stranger gets at most [`AMPLIFICATION`] times the shortest query that asks for so much, but for the large answers
/// that are rationed.
fn limit(response: &Response, query: usize, want: Families, cx: &ServeContext<'_, Mainline>) -> usize {
    if cx.is_known() || response.scrape.is_some() {
        return MAX_POLITE_DATAGRAM;
    }
    let headers = match cx.family() {
        Family::V4 => 20 + 8,
        Family::V6 => 40 + 8,
    };
    let wanted = if want.is_empty() { 0 } else { "4:wantle".len() + want.iter().count() * "2:n4".len() };
    AMPLIFICATION * (headers + query + wanted) - headers
}

/// Bytes left for a list. Every byte more in the transaction id is one more on both sides.
fn left(response: &Response, query: usize, want: Families, cx: &ServeContext<'_, Mainline>) -> usize {
    let left = |transaction, limit| bytes_left(response, cx.family(), transaction, limit);
    left(MAX_TRANSACTION_ID, MAX_POLITE_DATAGRAM).min(left(1, limit(response, query, want, cx)))
}

/// How many peers go into an answer to `get_peers` beside its other parts.
pub(super) fn peers_that_fit(response: &Response, want: Families, cx: &ServeContext<'_, Mainline>) -> usize {
    let left = left(response, GET_PEERS, want, cx).saturating_sub("6:valuesle".len());
    left / string_size(compact::addr_size(cx.family()))
}

/// How many info hashes go into an answer to `sample_infohashes` that has an empty list so far.
pub(super) fn samples_that_fit(
    response: &Response,
    want: Families,
    cx: &ServeContext<'_, Mainline>,
) -> usize {
    // The list's length takes up to two digits more than that of the empty one.
    left(response, SAMPLE, want, cx).saturating_sub(2) / ID
}
