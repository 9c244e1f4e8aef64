//! The overlay's bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | [`VERSION`] |
//! | 1 | kind: `01` PING, `02` STORE, `03` FIND_NODE, `04` FIND_VALUE, and `40` added if the sender answers nobody; `81` pong, `82` stored, `83` nodes, `84` found; `ff` error |
//! | 1 + t | the transaction id, t ≤ 32, after its length |
//! | 32 | the sender's key; not in errors |
//! | 1 + 0, 6, 18 | in responses and errors, the address the request came from: family 0, 4 or 6, then IP and port |
//! | | then, by kind: |
//! | STORE | key 32, token 8, item |
//! | FIND_NODE, FIND_VALUE | target 32, then zeros up to [`QUESTION`] bytes |
//! | nodes | token 8, contacts |
//! | found | token 8, item, contacts |
//! | error | code 8, text to the end, at most 255 bytes of UTF-8 |
//! | *item* | version 8, life 4, length 2, that many bytes; length `ffff` stands for a removal |
//! | *contacts* | number with an IPv4 address 1, number with an IPv6 address 1, then each: key 32, IP, port |
//!
//! Numbers are big-endian. There is one way to write a message, and a reader takes no other: nothing may follow, and
//! no padding may be but zeros. No datagram is longer than [`LONGEST`]: contacts that do not fit are left out, the farthest
//! first. A question is padded because its answer is long: whoever asks in another's name sends a third of what that one
//! gets (T9; QUIC does the same, RFC 9000, section 8.1).

mod read;

use core::net::{IpAddr, SocketAddr};

use kademlia_core::{Body, Codec, Contact, Family, Keyspace, MAX_TRANSACTION_ID, Malformed, Message};

use crate::pair::Value;
use crate::protocol::{Id, K, KeyValue, Request, Response, Versioned};

/// The first byte of every datagram: this overlay, in its first version.
pub const VERSION: u8 = 0xe1;

/// Longest datagram ever made, in bytes: IPv6's least MTU without the headers (T9).
pub const LONGEST: usize = 1_232;

/// Bytes of a FIND_NODE and of a FIND_VALUE: with headers a third of the longest answer with its own.
pub const QUESTION: usize = 400;

const PING: u8 = 0x01;
const STORE: u8 = 0x02;
const FIND_NODE: u8 = 0x03;
const FIND_VALUE: u8 = 0x04;
const READ_ONLY: u8 = 0x40;
const PONG: u8 = 0x81;
const STORED: u8 = 0x82;
const NODES: u8 = 0x83;
const FOUND: u8 = 0x84;
const ERROR: u8 = 0xff;

/// In the place of a value's length.
const REMOVED: u16 = 0xffff;
/// Longest text of an error, in bytes; what is over is cut off.
const TEXT: usize = 255;
/// Bytes of a contact, by family.
const CONTACT_V4: usize = 32 + 6;
const CONTACT_V6: usize = 32 + 18;

/// The codec of [`KeyValue`]; its bytes are described [above](self).
#[derive(Clone, Copy, Debug)]
pub struct Compact;

impl Codec<KeyValue> for Compact {
    fn decode(datagram: &[u8]) -> Result<Message<KeyValue>, Malformed> {
        read::message(datagram)
    }

    fn encode(message: &Message<KeyValue>, out: &mut Vec<u8>) {
        let start = out.len();
        let kind = kind(&message.body);
        let transaction = message.transaction.as_bytes();
        out.extend([VERSION, kind]);
        out.extend(u8::try_from(transaction.len()));
        out.extend_from_slice(transaction);
        match &message.body {
            Body::Request { sender, request, .. } => {
                out.extend_from_slice(sender.as_bytes());
                write_request(request, start, out);
            }
            Body::Response { sender, response } => {
                out.extend_from_slice(sender.as_bytes());
                write_observed(message.observed, out);
                write_response(response, start, out);
            }
            Body::Error { code, text } => {
                write_observed(message.observed, out);
                out.extend_from_slice(&code.to_be_bytes());
                out.extend_from_slice(cut(text).as_bytes());
            }
        }
    }
}

/// As many whole characters as fit.
fn cut(text: &str) -> &str {
    let end = (0..=TEXT.min(text.len())).rev().find(|at| text.is_char_boundary(*at));
    end.and_then(|end| text.get(..end)).unwrap_or_default()
}

fn kind(body: &Body<KeyValue>) -> u8 {
    match body {
        Body::Request { read_only, request, .. } => {
            let kind = match request {
                Request::Ping => PING,
                Request::Store { .. } => STORE,
                Request::FindNode { .. } => FIND_NODE,
                Request::FindValue { .. } => FIND_VALUE,
            };
            if *read_only { kind | READ_ONLY } else { kind }
        }
        Body::Response { response, .. } => match response {
            Response::Pong => PONG,
            Response::Stored => STORED,
            Response::Nodes { .. } => NODES,
            Response::Found { .. } => FOUND,
        },
        Body::Error { .. } => ERROR,
    }
}

fn write_request(request: &Request, start: usize, out: &mut Vec<u8>) {
    match request {
        Request::Ping => {}
        Request::Store { key, token, item } => {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(&token.to_bytes());
            write_item(item, out);
        }
        Request::FindNode { target: key } | Request::FindValue { key } => {
            out.extend_from_slice(key.as_bytes());
            out.resize(start + QUESTION, 0);
        }
    }
}

fn write_response(response: &Response, start: usize, out: &mut Vec<u8>) {
    match response {
        Response::Pong | Response::Stored => {}
        Response::Nodes { token, contacts } => {
            out.extend_from_slice(&token.to_bytes());
            write_contacts(contacts, start, out);
        }
        Response::Found { token, item, contacts } => {
            out.extend_from_slice(&token.to_bytes());
            write_item(item, out);
            write_contacts(contacts, start, out);
        }
    }
}

fn write_item(item: &Versioned, out: &mut Vec<u8>) {
    out.extend_from_slice(&item.version.to_be_bytes());
    out.extend_from_slice(&item.life.to_be_bytes());
    // A value is never so long that the number would be cut.
    let length = item.value.as_ref().map(|value| u16::try_from(value.as_bytes().len()).unwrap_or(REMOVED));
    out.extend_from_slice(&length.unwrap_or(REMOVED).to_be_bytes());
    out.extend_from_slice(item.value.as_ref().map_or(&[], Value::as_bytes));
}

fn write_observed(observed: Option<SocketAddr>, out: &mut Vec<u8>) {
    match observed {
        None => out.push(0),
        Some(addr) => {
            out.push(if addr.is_ipv4() { 4 } else { 6 });
            write_addr(addr, out);
        }
    }
}

fn write_addr(addr: SocketAddr, out: &mut Vec<u8>) {
    match addr.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&addr.port().to_be_bytes());
}

/// How many contacts of one family fit beside an item, whatever the transaction id.
pub(crate) fn contacts_beside(item: &Versioned, family: Family) -> usize {
    let (contact, observed) = match family {
        Family::V4 => (CONTACT_V4, 6),
        Family::V6 => (CONTACT_V6, 18),
    };
    let value = item.value.as_ref().map_or(0, |value| value.as_bytes().len());
    let frame = 2 + 1 + MAX_TRANSACTION_ID + 32 + 1 + observed;
    let parts = 8 + (8 + 4 + 2 + value) + 2;
    LONGEST.saturating_sub(frame + parts) / contact
}

/// The nearest that fit, those with an IPv4 address first.
fn write_contacts(contacts: &[Contact<Id>], start: usize, out: &mut Vec<u8>) {
    let mut room = (start + LONGEST).saturating_sub(out.len() + 2);
    let fits = |contact: &&Contact<Id>| {
        let size = if contact.addr.is_ipv4() { CONTACT_V4 } else { CONTACT_V6 };
        let left = room.checked_sub(size);
        room = left.unwrap_or(room);
        left.is_some()
    };
    let chosen = contacts.iter().take(K).take_while(fits).count();
    let of = |v4: bool| contacts[..chosen].iter().filter(move |contact| contact.addr.is_ipv4() == v4);
    for v4 in [true, false] {
        out.extend(u8::try_from(of(v4).count()));
    }
    for contact in of(true).chain(of(false)) {
        out.extend_from_slice(contact.key.as_bytes());
        write_addr(contact.addr, out);
    }
}

#[cfg(test)]
mod tests;
