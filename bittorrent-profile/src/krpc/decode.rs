//! Bytes → messages.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use kademlia_core::{Body, Family, Key, Malformed, Message, TransactionId};

use crate::bencode::{Dict, Invalid, MAX_TOKENS, Tape, Value};
use crate::item::{ItemParts, PublicKey, RawValue, Signature};
use crate::krpc::response::MAX_VALUES;
use crate::krpc::{ErrorCode, Nodes, Request, Response, Samples, Token, Version, compact};
use crate::mainline::Mainline;
use crate::scrape::{BloomFilter, Scrape};

/// Longest error text that is kept, in bytes, before replacement of what is not UTF-8.
pub(super) const MAX_ERROR_TEXT: usize = 256;

const NOT_BENCODE_DICT: Malformed = Malformed::Garbage("not a dictionary");
const NO_TRANSACTION: Malformed = Malformed::Garbage("no transaction id of 32 bytes or less");
const NO_KIND: Malformed = Malformed::Garbage("neither query, response nor error");
const NO_METHOD: Malformed = Malformed::Garbage("query without a method");
const NO_RESPONSE: Malformed = Malformed::Garbage("response without a dictionary");
const NO_SENDER: Malformed = Malformed::Garbage("response without an id");
const NO_ERROR: Malformed = Malformed::Garbage("error without a code");

/// The top-level values that mean something; others are ignored (C.2).
#[derive(Default)]
struct Envelope<'a> {
    arguments: Option<Value<'a>>,
    error: Option<Value<'a>>,
    observed: Option<Value<'a>>,
    method: Option<Value<'a>>,
    response: Option<Value<'a>>,
    read_only: Option<Value<'a>>,
    transaction: Option<Value<'a>>,
    version: Option<Value<'a>>,
    kind: Option<Value<'a>>,
}

impl<'a> Envelope<'a> {
    fn read(dict: Dict<'a>) -> Self {
        let mut envelope = Envelope::default();
        for (key, value) in dict {
            let slot = match key {
                b"a" => &mut envelope.arguments,
                b"e" => &mut envelope.error,
                b"ip" => &mut envelope.observed,
                b"q" => &mut envelope.method,
                b"r" => &mut envelope.response,
                b"ro" => &mut envelope.read_only,
                b"t" => &mut envelope.transaction,
                b"v" => &mut envelope.version,
                b"y" => &mut envelope.kind,
                _ => continue,
            };
            *slot = Some(value);
        }
        envelope
    }
}

/// Bytes of a query without much beside its arguments, and room for as many tokens.
const SHORT: usize = 128;

/// A short datagram gets a short tape: clearing a long one takes a good part of the time of reading it.
pub(super) fn decode(datagram: &[u8]) -> Result<Message<Mainline>, Malformed> {
    if datagram.len() <= SHORT {
        message(Tape::<SHORT>::new().parse(datagram))
    } else {
        message(Tape::<MAX_TOKENS>::new().parse(datagram))
    }
}

fn message(root: Result<Value<'_>, Invalid>) -> Result<Message<Mainline>, Malformed> {
    let root = root.map_err(|invalid| Malformed::Garbage(invalid.reason()))?;
    let envelope = Envelope::read(root.dict().ok_or(NOT_BENCODE_DICT)?);
    // An empty id is legal ("accept any length", 5.2); it is echoed like any other and can match nothing of ours.
    let transaction = bytes(envelope.transaction).and_then(TransactionId::new).ok_or(NO_TRANSACTION)?;
    match bytes(envelope.kind) {
        Some(b"q") => query(&envelope, transaction),
        Some(b"r") => response(&envelope, transaction),
        Some(b"e") => error(&envelope, transaction),
        _ => Err(NO_KIND),
    }
}

fn bytes(value: Option<Value<'_>>) -> Option<&[u8]> {
    value?.bytes()
}

fn query(envelope: &Envelope<'_>, transaction: TransactionId) -> Result<Message<Mainline>, Malformed> {
    let method = bytes(envelope.method).ok_or(NO_METHOD)?;
    let refused = |code: ErrorCode, text| Malformed::Request { transaction, code: code.into(), text };
    let arguments = envelope.arguments.and_then(|arguments| arguments.dict());
    let arguments = arguments.ok_or_else(|| refused(ErrorCode::Protocol, "missing arguments"))?;
    let request = match Request::read(method, arguments) {
        Some(request) => request.map_err(|(code, text)| refused(code, text))?,
        None => Request::read_unknown(arguments)
            .ok_or_else(|| refused(ErrorCode::MethodUnknown, "method unknown"))?,
    };
    let sender =
        sender(arguments).ok_or_else(|| refused(ErrorCode::Protocol, "missing or invalid argument: id"))?;
    let read_only = envelope.read_only.and_then(|flag| flag.int()).is_some_and(|flag| flag != 0);
    Ok(Message { transaction, observed: None, body: Body::Request { sender, read_only, request } })
}

fn sender(dict: Dict<'_>) -> Option<Key<20>> {
    dict.get(b"id")?.array().map(Key::new)
}

fn response(envelope: &Envelope<'_>, transaction: TransactionId) -> Result<Message<Mainline>, Malformed> {
    let parts = envelope.response.and_then(|response| response.dict()).ok_or(NO_RESPONSE)?;
    let sender = sender(parts).ok_or(NO_SENDER)?;
    let version = bytes(envelope.version).and_then(Version::new);
    let mut response = Response { version, ..Response::default() };
    let mut lists = Lists::default();
    for (key, value) in parts {
        match key {
            b"BFpe" => lists.peers = value.array().map(BloomFilter::from_bytes),
            b"BFsd" => lists.seeds = value.array().map(BloomFilter::from_bytes),
            b"interval" => lists.interval = value.int(),
            b"k" => item(&mut response).key = value.array().map(PublicKey::new),
            b"nodes" => lists.nodes = value.bytes(),
            b"nodes6" => lists.nodes6 = value.bytes(),
            b"num" => lists.num = value.int(),
            b"samples" => lists.samples = value.bytes(),
            b"seq" => item(&mut response).seq = value.int(),
            b"sig" => item(&mut response).signature = value.array().map(Signature::new),
            b"token" => response.token = value.bytes().and_then(Token::new),
            b"v" => item(&mut response).value = RawValue::from_value(value).ok(),
            b"values" => read_values(value, &mut response),
            _ => {}
        }
    }
    lists.fill(&mut response);
    let observed = bytes(envelope.observed).and_then(compact::addr);
    Ok(Message { transaction, observed, body: Body::Response { sender, response } })
}

/// The part of a response to `get`, made when the first of it is found.
fn item(response: &mut Response) -> &mut ItemParts {
    response.item.get_or_insert_default()
}

/// What is put together of several values.
#[derive(Default)]
struct Lists<'a> {
    nodes: Option<&'a [u8]>,
    nodes6: Option<&'a [u8]>,
    seeds: Option<BloomFilter>,
    peers: Option<BloomFilter>,
    interval: Option<i64>,
    num: Option<i64>,
    samples: Option<&'a [u8]>,
}

impl Lists<'_> {
    fn fill(self, response: &mut Response) {
        read_nodes(self.nodes, self.nodes6, &mut response.nodes);
        // One filter without the other says nothing (33.2: both).
        if let (Some(seeds), Some(peers)) = (self.seeds, self.peers) {
            response.scrape = Some(Box::new(Scrape { seeds, peers }));
        }
        response.samples =
            self.samples.and_then(|samples| Samples::read(samples, self.interval, self.num)).map(Box::new);
    }
}

fn read_nodes(nodes: Option<&[u8]>, nodes6: Option<&[u8]>, out: &mut Nodes) {
    let v6 = nodes6.and_then(|bytes| compact::nodes(bytes, Family::V6));
    // Some nodes send more than k. One list may use all the room there is, but not the other's share of it.
    let room = if v6.is_some() { Nodes::SHARE } else { usize::MAX };
    if let Some(v4) = nodes.and_then(|bytes| compact::nodes(bytes, Family::V4)) {
        out.open(Family::V4);
        out.extend(v4.take(room));
    }
    if let Some(v6) = v6 {
        out.open(Family::V6);
        out.extend(v6);
    }
}

/// Lists that mix families are read (BEP 32); what is no address to connect to is left out.
fn read_values(value: Value<'_>, response: &mut Response) {
    let Some(list) = value.list() else { return };
    let peers = list.filter_map(|peer| peer.bytes().and_then(compact::addr));
    response.values.extend(peers.take(MAX_VALUES));
}

fn error(envelope: &Envelope<'_>, transaction: TransactionId) -> Result<Message<Mainline>, Malformed> {
    let mut parts = envelope.error.and_then(|error| error.list()).ok_or(NO_ERROR)?;
    let code = parts.next().and_then(|code| code.int()).ok_or(NO_ERROR)?;
    let text = bytes(parts.next()).unwrap_or_default();
    let text = text.get(..MAX_ERROR_TEXT).unwrap_or(text);
    let text = String::from_utf8_lossy(text).into_owned();
    let observed = bytes(envelope.observed).and_then(compact::addr);
    Ok(Message { transaction, observed, body: Body::Error { code, text } })
}
