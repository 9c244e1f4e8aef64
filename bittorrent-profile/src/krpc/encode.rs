//! Messages → bytes: canonical, and never longer than a datagram may be.

use core::net::SocketAddr;

use kademlia_core::{Body, Family, Key, Keyspace, Message, TransactionId};

use crate::bencode::{DictWriter, ListWriter, string_size, write_header};
use crate::krpc::compact::{self, CompactAddr};
use crate::krpc::decode::MAX_ERROR_TEXT;
use crate::krpc::fit::{self, Fit, LISTS};
use crate::krpc::request::ArgumentsWriter;
use crate::krpc::{MAX_POLITE_DATAGRAM, Nodes, Request, Response, Samples, VERSION};
use crate::mainline::Mainline;

/// Longest query, in bytes: a `put` with a value of 1,000 bytes, the longest salt and a foreign token of 64 bytes. BEP 44
/// allows all three; every other query stays far below.
const MAX_REQUEST: usize = 1_420;

/// With `topic`, as a message of that topic's overlay (BEP 50).
pub(super) fn encode(message: &Message<Mainline>, topic: Option<&Key<20>>, out: &mut Vec<u8>) {
    let start = out.len();
    let room = topic.map_or(0, |_| TOPIC_SIZE);
    let transaction = message.transaction;
    match &message.body {
        Body::Request { sender, read_only, request } => {
            let mut envelope = DictWriter::open(out);
            write_arguments(&mut envelope, *sender, request);
            write_topic(&mut envelope, topic);
            envelope.bytes("q", request.method().as_bytes());
            if *read_only {
                envelope.int("ro", 1);
            }
            close(envelope, transaction, Some(&VERSION), b"q");
        }
        Body::Response { sender, response } => {
            let observed = message.observed.filter(|addr| compact::is_encodable(*addr));
            let family = observed.as_ref().map(Family::of);
            let fit = Fit::of(response, transaction.as_bytes().len(), family, fit::limit(response) - room);
            let mut envelope = DictWriter::open(out);
            write_topic(&mut envelope, topic);
            write_observed(&mut envelope, observed.filter(|_| fit.observed));
            write_response(&mut envelope, *sender, response, &fit);
            close(envelope, transaction, fit.version(response), b"r");
        }
        Body::Error { code, text } => {
            let mut envelope = DictWriter::open(out);
            write_topic(&mut envelope, topic);
            write_error(envelope.entry("e"), *code, text);
            write_observed(&mut envelope, message.observed);
            close(envelope, transaction, Some(&VERSION), b"e");
        }
    }
    let limit = match &message.body {
        Body::Request { .. } => MAX_REQUEST + room,
        Body::Response { response, .. } => fit::limit(response),
        Body::Error { .. } => MAX_POLITE_DATAGRAM,
    };
    debug_assert!(out.len() - start <= limit, "every part is bounded");
}

/// Bytes of a query as it would be written here.
pub(crate) fn query_size(request: &Request, transaction: TransactionId) -> usize {
    let mut out = Vec::new();
    let mut envelope = DictWriter::open(&mut out);
    write_arguments(&mut envelope, Key::ZERO, request);
    envelope.bytes("q", request.method().as_bytes());
    close(envelope, transaction, Some(&VERSION), b"q");
    out.len()
}

/// Bytes that a topic takes.
pub(crate) const TOPIC_SIZE: usize = fit::entry_size("c", size_of::<Key<20>>());

/// `a`: the sender's id and the method's own arguments.
fn write_arguments(envelope: &mut DictWriter<'_>, sender: Key<20>, request: &Request) {
    let mut dict = envelope.dict("a");
    let mut arguments = ArgumentsWriter::new(&mut dict, sender);
    request.write(&mut arguments);
    arguments.finish();
}

/// `c`: whose message it is (BEP 50).
fn write_topic(envelope: &mut DictWriter<'_>, topic: Option<&Key<20>>) {
    if let Some(topic) = topic {
        envelope.bytes("c", topic.as_ref());
    }
}

/// The envelope's keys after the body.
fn close(
    mut envelope: DictWriter<'_>,
    transaction: TransactionId,
    version: Option<&[u8]>,
    kind: &'static [u8],
) {
    envelope.bytes("t", transaction.as_bytes());
    if let Some(version) = version {
        envelope.bytes("v", version);
    }
    envelope.bytes("y", kind);
}

/// `ip`: the address that the reply goes to (BEP 42).
fn write_observed(envelope: &mut DictWriter<'_>, observed: Option<SocketAddr>) {
    if let Some(compact) = observed.and_then(|addr| CompactAddr::try_from(addr).ok()) {
        envelope.bytes("ip", compact.as_bytes());
    }
}

/// Writes `r`. The parts of all methods are in one order, since on the wire they share one dictionary.
fn write_response(envelope: &mut DictWriter<'_>, sender: Key<20>, response: &Response, fit: &Fit) {
    let mut parts = envelope.dict("r");
    if let Some(scrape) = &response.scrape {
        parts.bytes("BFpe", scrape.peers.as_bytes());
        parts.bytes("BFsd", scrape.seeds.as_bytes());
    }
    parts.bytes("id", sender.as_ref());
    if let Some(samples) = &response.samples {
        parts.int("interval", samples.seconds());
    }
    let item = response.item.as_deref();
    if let Some(key) = item.and_then(|item| item.key).filter(|_| fit.key) {
        parts.bytes("k", &key.to_bytes());
    }
    for ((family, key), n) in LISTS.into_iter().zip(fit.contacts) {
        if let Some(n) = n {
            write_nodes(parts.entry(key), &response.nodes, family, n);
        }
    }
    if let Some(samples) = &response.samples {
        parts.int("num", samples.num());
        write_samples(parts.entry("samples"), samples);
    }
    if let Some(seq) = item.and_then(|item| item.seq) {
        parts.int("seq", seq);
    }
    if let Some(signature) = item.and_then(|item| item.signature) {
        parts.bytes("sig", signature.as_bytes());
    }
    if let Some(token) = response.token.as_ref().filter(|_| fit.token) {
        parts.bytes("token", token.as_bytes());
    }
    if let Some(value) = item.and_then(|item| item.value.as_ref()) {
        parts.entry("v").extend_from_slice(value.as_bytes());
    }
    let mut values = fitting(&response.values, fit.room.saturating_sub("6:valuesle".len())).peekable();
    if values.peek().is_some() {
        let mut list = parts.list("values");
        values.for_each(|peer| list.bytes(peer.as_bytes()));
    }
}

fn write_samples(out: &mut Vec<u8>, samples: &Samples) {
    let listed = samples.listed();
    write_header(out, listed.len() * size_of::<Key<20>>());
    listed.iter().for_each(|info_hash| out.extend_from_slice(&info_hash.to_bytes()));
}

/// The first of the peers that fit into `room` bytes as a list's items.
fn fitting(values: &[SocketAddr], room: usize) -> impl Iterator<Item = CompactAddr> {
    let compact = values.iter().filter_map(|peer| CompactAddr::try_from(*peer).ok());
    compact.scan(room, |room, peer| {
        *room = room.checked_sub(string_size(peer.as_bytes().len()))?;
        Some(peer)
    })
}

fn write_nodes(out: &mut Vec<u8>, nodes: &Nodes, family: Family, n: usize) {
    let sendable = nodes.of(family).filter(|contact| compact::is_encodable(contact.addr)).take(n);
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
