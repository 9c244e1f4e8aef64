//! Messages → bytes: canonical, and never longer than a datagram may be.

use core::net::SocketAddr;

use kademlia_core::{Body, Family, Key, MAX_TRANSACTION_ID, Message, TransactionId};

use crate::bencode::{DictWriter, ListWriter, string_size, write_header};
use crate::krpc::compact::{self, CompactAddr};
use crate::krpc::decode::MAX_ERROR_TEXT;
use crate::krpc::request::ArgumentsWriter;
use crate::krpc::{Nodes, Response, VERSION, Version};
use crate::mainline::Mainline;

/// Longest datagram ever made, in bytes: IPv6's least MTU without the headers (T9).
pub const MAX_DATAGRAM: usize = 1_232;
/// Longest datagram made where there is a choice, in bytes (BEP 32, which asks every node to read this much).
pub const MAX_POLITE_DATAGRAM: usize = 1_024;

pub(super) fn encode(message: &Message<Mainline>, out: &mut Vec<u8>) {
    let start = out.len();
    let transaction = message.transaction;
    match &message.body {
        Body::Request { sender, read_only, request } => {
            let mut envelope = DictWriter::open(out);
            {
                let mut dict = envelope.dict("a");
                let mut arguments = ArgumentsWriter::new(&mut dict, *sender);
                request.write(&mut arguments);
                arguments.finish();
            }
            envelope.bytes("q", request.method().as_bytes());
            if *read_only {
                envelope.int("ro", 1);
            }
            close(envelope, &Tail { transaction, version: Some(&VERSION), kind: b"q" });
        }
        Body::Response { sender, response } => {
            let mut envelope = DictWriter::open(out);
            write_observed(&mut envelope, message.observed);
            let tail = Tail { transaction, version: version(response), kind: b"r" };
            write_response(&mut envelope, *sender, response, start + MAX_POLITE_DATAGRAM - tail.size());
            close(envelope, &tail);
        }
        Body::Error { code, text } => {
            let mut envelope = DictWriter::open(out);
            write_error(envelope.entry("e"), *code, text);
            write_observed(&mut envelope, message.observed);
            close(envelope, &Tail { transaction, version: Some(&VERSION), kind: b"e" });
        }
    }
    debug_assert!(out.len() - start <= MAX_POLITE_DATAGRAM, "every part is bounded");
}

/// What a list of peers takes beside its items.
const VALUES_FRAME: usize = "6:valuesle".len();

/// Bytes of a key and a string of `length` bytes.
const fn entry_size(key: &str, length: usize) -> usize {
    string_size(key.len()) + string_size(length)
}

fn version(response: &Response) -> Option<&[u8]> {
    response.version.as_ref().map(Version::as_bytes)
}

/// The envelope's keys after the body.
struct Tail<'a> {
    transaction: TransactionId,
    version: Option<&'a [u8]>,
    kind: &'static [u8],
}

impl Tail<'_> {
    /// The bytes that [`close`] will append.
    fn size(&self) -> usize {
        let version = self.version.map_or(0, |version| entry_size("v", version.len()));
        entry_size("t", self.transaction.as_bytes().len())
            + version
            + entry_size("y", self.kind.len())
            + "e".len()
    }
}

fn close(mut envelope: DictWriter<'_>, tail: &Tail<'_>) {
    envelope.bytes("t", tail.transaction.as_bytes());
    if let Some(version) = tail.version {
        envelope.bytes("v", version);
    }
    envelope.bytes("y", tail.kind);
}

/// `ip`: the address that the reply goes to (BEP 42).
fn write_observed(envelope: &mut DictWriter<'_>, observed: Option<SocketAddr>) {
    if let Some(compact) = observed.and_then(|addr| CompactAddr::try_from(addr).ok()) {
        envelope.bytes("ip", compact.as_bytes());
    }
}

/// Writes `r` so that it ends before `limit`: all but `values` is bounded well below, and of those as many as fit.
fn write_response(envelope: &mut DictWriter<'_>, sender: Key<20>, response: &Response, limit: usize) {
    let mut parts = envelope.dict("r");
    parts.bytes("id", sender.as_ref());
    for (family, key) in [(Family::V4, "nodes"), (Family::V6, "nodes6")] {
        if response.nodes.lists().contains(family) {
            write_nodes(parts.entry(key), &response.nodes, family);
        }
    }
    if let Some(token) = &response.token {
        parts.bytes("token", token.as_bytes());
    }
    let room = limit.saturating_sub(parts.position() + VALUES_FRAME + "e".len());
    let mut values = fitting(&response.values, room).peekable();
    if values.peek().is_some() {
        let mut list = parts.list("values");
        values.for_each(|peer| list.bytes(peer.as_bytes()));
    }
}

/// The first of the peers that fit into `room` bytes as a list's items.
fn fitting(values: &[SocketAddr], room: usize) -> impl Iterator<Item = CompactAddr> {
    let compact = values.iter().filter_map(|peer| CompactAddr::try_from(*peer).ok());
    compact.scan(room, |room, peer| {
        *room = room.checked_sub(string_size(peer.as_bytes().len()))?;
        Some(peer)
    })
}

fn write_nodes(out: &mut Vec<u8>, nodes: &Nodes, family: Family) {
    let sendable = nodes.of(family).filter(|contact| compact::is_encodable(contact.addr));
    write_header(out, sendable.clone().count() * compact::node_size(family));
    for contact in sendable {
        if let Ok(addr) = CompactAddr::try_from(contact.addr) {
            out.extend_from_slice(&contact.key.to_bytes());
            // Two arms for two lengths, so that each is a few moves and no call.
            match addr {
                CompactAddr::V4(bytes) => out.extend_from_slice(&bytes),
                CompactAddr::V6(bytes) => out.extend_from_slice(&bytes),
            }
        }
    }
}

fn write_error(out: &mut Vec<u8>, code: i64, text: &str) {
    let mut end = text.len().min(MAX_ERROR_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut list = ListWriter::open(out);
    list.int(code);
    list.bytes(&text.as_bytes()[..end]);
}

/// How many peers of `family` fit beside the other parts of `response`, whatever the asker's transaction id.
pub fn values_that_fit(response: &Response, family: Family) -> usize {
    let longest = TransactionId::new(&[0; MAX_TRANSACTION_ID]);
    let tail =
        longest.map_or(0, |transaction| Tail { transaction, version: version(response), kind: b"r" }.size());
    let lists = response.nodes.lists().iter().map(|family| {
        let key = if family == Family::V4 { "nodes" } else { "nodes6" };
        entry_size(key, response.nodes.of(family).count() * compact::node_size(family))
    });
    let observed = entry_size("ip", compact::addr_size(family));
    let id = entry_size("id", size_of::<Key<20>>());
    let token = response.token.map_or(0, |token| entry_size("token", token.as_bytes().len()));
    let others =
        "d1:rd".len() + observed + id + lists.sum::<usize>() + token + VALUES_FRAME + "e".len() + tail;
    MAX_POLITE_DATAGRAM.saturating_sub(others) / string_size(compact::addr_size(family))
}
