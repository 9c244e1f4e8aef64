//! The bytes: one CBOR map a datagram, small whole numbers for keys.
//!
//! | key | value | in |
//! |---|---|---|
//! | 0 | what it is: 0 a response, 1 an error, from 2 on the requests in the order of [`Request`](crate::Request) | all |
//! | 1 | transaction, up to 32 bytes | all |
//! | 2 | sender, 32 bytes | requests, responses |
//! | 3 | `true`: the sender answers nobody | requests |
//! | 4 | the address that the request came from, 6 or 18 bytes | responses, errors |
//! | 5 | target, 32 bytes | find node, find, store |
//! | 6 | type of record: 0 endpoint, 1 topic, 2 mailbox | find |
//! | 7 | publisher, 32 bytes: only records of publishers after this one | find |
//! | 8 | nonce, 16 bytes | identify, probe, echo |
//! | 9 | address, 6 or 18 bytes | probe |
//! | 10 | token, 8 bytes | store, probe, responses |
//! | 11 | signature, 64 bytes | responses |
//! | 12, 13 | code, text | errors |
//! | 14, 15 | contacts, each a key and an address: 38 bytes, 50 for IPv6 | responses |
//! | 16 | array of records | store (one), responses |
//! | 17 | `true`: there are more records | responses |
//! | 18 | zeros, up to [`QUESTION`] bytes in all | find node, find |
//!
//! A record is an array: publisher, type, topic or null, sequence, timestamp in milliseconds, time to live in seconds,
//! payload or null, signature.
//!
//! Messages are written in CBOR's deterministic form (RFC 8949, section 4.2): keys in order, each once, lengths definite.
//! A reader demands as much of the map itself, and passes over keys that it does not know. Nothing recurses, and nothing is
//! allocated by a length that a datagram claims.
//!
//! A question is padded because its answer is long: whoever asks in another's name sends a third of what that one gets (T9;
//! QUIC does the same, RFC 9000, section 8.1). A find node or find of less than [`QUESTION`] bytes is malformed.

mod address;
mod fields;
mod read;
mod write;

use kademlia_core::{Codec, Malformed, Message};

use crate::protocol::SignedRecords;

/// Longest datagram that is written or read, in bytes: the least IPv6 MTU less the headers of IPv6 and UDP.
pub const MAX_DATAGRAM: usize = 1_232;
/// Bytes of a find node and of a find, at least: with headers a third of the longest answer with its own.
pub const QUESTION: usize = 400;
/// Longest text of an error, in bytes; the rest is cut off.
pub const MAX_ERROR_TEXT: usize = 128;
/// Contacts in one message; more are left out.
pub const MAX_CONTACTS: usize = 20;
/// Records in one message; more are left out, and the message says so.
pub const MAX_RECORDS: usize = 16;

/// The codec.
#[derive(Clone, Copy, Debug)]
pub struct Cbor;

impl Codec<SignedRecords> for Cbor {
    fn decode(datagram: &[u8]) -> Result<Message<SignedRecords>, Malformed> {
        read::message(datagram)
    }

    fn encode(message: &Message<SignedRecords>, out: &mut Vec<u8>) {
        write::message(message, out);
    }
}

/// The keys of the map, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Field {
    What,
    Transaction,
    Sender,
    ReadOnly,
    Observed,
    Target,
    Kind,
    After,
    Nonce,
    Addr,
    Token,
    Signature,
    Code,
    Text,
    ContactsV4,
    ContactsV6,
    Records,
    More,
    Padding,
}

/// How many are read: nobody looks at padding.
const FIELDS: usize = Field::Padding as usize;

/// The first value of [`Field::What`].
mod what {
    pub(super) const RESPONSE: u8 = 0;
    pub(super) const ERROR: u8 = 1;
    pub(super) const PING: u8 = 2;
    pub(super) const IDENTIFY: u8 = 3;
    pub(super) const FIND_NODE: u8 = 4;
    pub(super) const FIND: u8 = 5;
    pub(super) const STORE: u8 = 6;
    pub(super) const PROBE: u8 = 7;
    pub(super) const ECHO: u8 = 8;
}

#[cfg(test)]
pub(crate) mod strategies;
#[cfg(test)]
mod tests;
