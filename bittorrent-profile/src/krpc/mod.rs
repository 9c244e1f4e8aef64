//! KRPC, the RPC of the Mainline DHT: bencoded dictionaries in single datagrams (BEP 5 with BEP 32, 33, 42, 43,
//! 44 and 51).
//!
//! [`Krpc`] turns them into messages and back. [`METHODS`] is the one place that says which method takes which
//! arguments; the [`Request`] type, its reader and its writer are all made from it.
//!
//! Reading goes by fault. What is no message at all is [`Malformed::Garbage`]: silence. A query whose envelope is sound
//! (`t`, `y`, `q`) but whose arguments are not is [`Malformed::Request`] with code 203, or 204 for a method that nobody
//! knows. A reply is taken by its parts: a part of the wrong type or length counts as absent, the rest stands.
//!
//! [`Malformed::Garbage`]: kademlia_core::Malformed::Garbage
//! [`Malformed::Request`]: kademlia_core::Malformed::Request

pub mod compact;
mod decode;
mod encode;
mod error;
mod families;
mod fit;
mod request;
mod response;
mod short;

pub(crate) use encode::{TOPIC_SIZE, query_size};
pub use error::ErrorCode;
pub use families::Families;
pub use fit::{MAX_DATAGRAM, MAX_POLITE_DATAGRAM, MAX_SAMPLES, bytes_left};
pub(crate) use request::Refusal;
pub use request::{METHODS, Method, Request};
pub use response::{MAX_VALUES, Nodes, Response, Samples};
pub use short::ShortBytes;

use kademlia_core::{Codec, Key, Malformed, Message};

use crate::bencode::{MAX_TOKENS, Tape};
use crate::mainline::Mainline;

/// A write token of another node, or of ours: opaque, at most 64 bytes (T12).
pub type Token = ShortBytes<64>;

/// A client's name and version as in the envelope's `v`: by convention two letters and two bytes, at most 16 (T12).
pub type Version = ShortBytes<16>;

/// This implementation in the envelope's `v`: `KD`, then the crate's major and minor version.
pub const VERSION: [u8; 4] = [
    b'K',
    b'D',
    version_number(env!("CARGO_PKG_VERSION_MAJOR")),
    version_number(env!("CARGO_PKG_VERSION_MINOR")),
];

const fn version_number(text: &str) -> u8 {
    match u8::from_str_radix(text, 10) {
        Ok(number) => number,
        Err(_) => u8::MAX,
    }
}

/// The bytes of [`Mainline`].
#[derive(Clone, Copy, Debug)]
pub struct Krpc;

impl Codec<Mainline> for Krpc {
    fn decode(datagram: &[u8]) -> Result<Message<Mainline>, Malformed> {
        decode::decode(datagram)
    }

    fn encode(message: &Message<Mainline>, out: &mut Vec<u8>) {
        encode::encode(message, None, out);
    }
}

/// Appends a message of a topic's overlay (BEP 50): that of [`Krpc`], with `c`.
pub fn encode_in_topic(message: &Message<Mainline>, topic: &Key<20>, out: &mut Vec<u8>) {
    encode::encode(message, Some(topic), out);
}

/// The topic whose overlay a datagram belongs to: its `c` (BEP 50). `None` for one of Mainline's own, or none at all.
/// [`Krpc`] reads the rest of either kind.
pub fn topic_of(datagram: &[u8]) -> Option<Key<20>> {
    // Nearly no datagram has it, and looking is a tenth of reading.
    datagram.windows(C.len()).any(|window| window == C).then_some(())?;
    let mut tape = Tape::<MAX_TOKENS>::new();
    tape.parse(datagram).ok()?.dict()?.get(b"c")?.array().map(Key::new)
}

/// `c` and what stands before its 20 bytes.
const C: &[u8] = b"1:c20:";

#[cfg(test)]
pub(crate) mod tests;
