//! Bencode, the syntax of every BitTorrent message: a reader for bytes that nobody vouches for, and a canonical writer.
//!
//! The reader takes one look at every byte, keeps no heap and does not recurse: [`Tape::parse`] writes one small token per
//! value onto an inline tape, and a [`Value`] is a place on that tape. What it refuses (T11):
//!
//! - more than [`MAX_INPUT`] bytes, [`MAX_DEPTH`] nested containers or [`MAX_TOKENS`] tokens;
//! - integers and lengths with a leading zero, `-0`, and integers outside 64 bits;
//! - a key that is no string, and a key given twice;
//! - bytes after the value. A datagram is one message; one that goes on has two readings, and nobody honest sends it.
//!
//! Keys out of order are read, because deployed nodes send them (C.2); [`Value::is_canonical`] tells where order matters.

mod tape;
mod value;
mod write;

pub use tape::{Invalid, MAX_DEPTH, MAX_INPUT, MAX_TOKENS, MAX_UNSORTED_KEYS, Tape};
pub use value::{Dict, List, Value};
pub use write::{DictWriter, ListWriter, write_bytes, write_int};
pub(crate) use write::{int_size, string_size, write_header};

#[cfg(test)]
pub(crate) mod tests;
