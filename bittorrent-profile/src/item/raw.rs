//! The value of an item: bencode, exactly as it came.

use core::fmt;
use std::sync::Arc;

use crate::bencode::{Invalid, MAX_TOKENS, Tape, Value, write_bytes};

/// Longest value that is stored, in bytes of bencode. BEP 44 says both "less than" and "at most" 1,000; deployed nodes
/// take 1,000.
pub const MAX_VALUE: usize = 1_000;

/// What stands before and after a value in the smallest message that carries it.
const AROUND: (&[u8], &[u8]) = (b"d1:ad1:v", b"ee");
/// Tokens that the rest of a `put` may take of a message's.
const TOKENS_AROUND: usize = 32;

/// Any bencoded value in canonical form, at most [`MAX_VALUE`] bytes. What is hashed, signed, stored and handed on are
/// these very bytes (44.2); they are never written anew. Clones share them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawValue(Arc<[u8]>);

/// Why bytes are no value of an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAValue {
    /// More than [`MAX_VALUE`] bytes.
    #[error("longer than {MAX_VALUE} bytes")]
    TooLong,
    /// Not bencode.
    #[error("not bencode: {0}")]
    Invalid(#[from] Invalid),
    /// Nothing, or several values.
    #[error("not one value")]
    NotOne,
    /// Bencode in a form that not everybody would write alike.
    #[error("the keys of a dictionary are not in order")]
    Disorder,
}

impl RawValue {
    /// Takes bytes that are one bencoded value, and no deeper or more intricate than can be read inside a message.
    ///
    /// # Errors
    /// Why they are not, or not one that may be stored.
    pub fn new(bencoded: &[u8]) -> Result<Self, NotAValue> {
        if bencoded.len() > MAX_VALUE {
            return Err(NotAValue::TooLong);
        }
        let (before, after) = AROUND;
        let mut tape = Tape::<{ MAX_TOKENS - TOKENS_AROUND }>::new();
        let message = [before, bencoded, after].concat();
        let arguments = tape.parse(&message)?.dict().and_then(|message| message.get(b"a"));
        let value = arguments.and_then(|arguments| arguments.dict()?.get(b"v"));
        // What is not one value exactly would have ended the dictionaries around it.
        match value {
            Some(value) if value.raw() == bencoded => Self::from_value(value),
            _ => Err(NotAValue::NotOne),
        }
    }

    /// Takes the bytes of a value that is part of something larger.
    pub(crate) fn from_value(value: Value<'_>) -> Result<Self, NotAValue> {
        let raw = value.raw();
        if raw.len() > MAX_VALUE {
            Err(NotAValue::TooLong)
        } else if !value.is_canonical() {
            Err(NotAValue::Disorder)
        } else {
            Ok(RawValue(raw.into()))
        }
    }

    /// A string of bytes.
    ///
    /// # Errors
    /// [`NotAValue::TooLong`] for more than 996 bytes: the string's header counts too.
    pub fn string(bytes: impl AsRef<[u8]>) -> Result<Self, NotAValue> {
        let mut raw = Vec::with_capacity(bytes.as_ref().len() + "1000:".len());
        write_bytes(&mut raw, bytes.as_ref());
        if raw.len() > MAX_VALUE { Err(NotAValue::TooLong) } else { Ok(RawValue(raw.into())) }
    }

    /// Takes bytes that we made ourselves.
    pub(crate) fn canonical(raw: Vec<u8>) -> Self {
        debug_assert!(RawValue::new(&raw).is_ok());
        RawValue(raw.into())
    }

    /// The longest there is: a string of zeros.
    pub(crate) fn longest() -> Self {
        let mut raw = b"996:".to_vec();
        raw.resize(MAX_VALUE, 0);
        RawValue(raw.into())
    }

    /// The bencoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The content, if the value is a string.
    pub fn as_string(&self) -> Option<&[u8]> {
        let colon = self.0.iter().position(|byte| *byte == b':')?;
        self.0.first()?.is_ascii_digit().then(|| self.0.get(colon + 1..))?
    }

    /// Looks inside: `read` is given the parsed value.
    pub fn with<T>(&self, read: impl FnOnce(Value<'_>) -> T) -> Option<T> {
        Tape::<MAX_TOKENS>::new().parse(&self.0).ok().map(read)
    }

    /// Bytes held on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        /// The two counts of an [`Arc`].
        const COUNTS: usize = 2 * size_of::<usize>();
        COUNTS + self.0.len()
    }
}

impl fmt::Debug for RawValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}
