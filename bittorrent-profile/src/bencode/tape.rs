//! The tokenizer: one pass, an explicit stack, no heap.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use crate::bencode::value::{Value, decimal};

/// Longest input that is read, in bytes (T11). Twice what BEP 32 lets anyone send.
pub const MAX_INPUT: usize = 2_048;
/// Most containers inside one another (T11).
pub const MAX_DEPTH: usize = 16;
/// Most tokens in one input (T11); keys, values and the ends of containers count one each.
pub const MAX_TOKENS: usize = 512;
/// Most keys of a dictionary whose keys are out of order. Each of its keys is compared with all before it, since only
/// in order does a duplicate stand beside its twin; the bound keeps reading linear in the input.
pub const MAX_UNSORTED_KEYS: usize = 32;

/// Longest text of a 64-bit integer, with its sign.
const MAX_INT_DIGITS: usize = 20;
/// Longest text of a length up to [`MAX_INPUT`].
const MAX_LENGTH_DIGITS: usize = 4;

/// Why bytes are not bencode, or more of it than is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0)]
pub struct Invalid(&'static str);

impl Invalid {
    /// The reason, for logs.
    pub const fn reason(self) -> &'static str {
        self.0
    }
}

pub(super) const TOO_LONG: Invalid = Invalid("input too long");
pub(super) const TOO_DEEP: Invalid = Invalid("nested too deeply");
pub(super) const TOO_MANY: Invalid = Invalid("too many tokens");
pub(super) const TRUNCATED: Invalid = Invalid("input ends inside a value");
pub(super) const TRAILING: Invalid = Invalid("bytes after the value");
pub(super) const UNEXPECTED: Invalid = Invalid("no value starts with this byte");
pub(super) const BAD_INT: Invalid = Invalid("not a 64-bit integer in canonical form");
pub(super) const BAD_LENGTH: Invalid = Invalid("not a string length in canonical form");
pub(super) const BAD_KEY: Invalid = Invalid("key is not a string");
pub(super) const NO_VALUE: Invalid = Invalid("key without a value");
pub(super) const DUPLICATE: Invalid = Invalid("key given twice");
pub(super) const DISORDER: Invalid = Invalid("too many keys out of order");

/// One value, key or end of a container. Plain numbers without padding, so that an empty tape is a run of zeros.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// How many bytes after the token a string's content starts; 0 for all else.
    pub(super) header: u8,
    /// Where it starts in the input.
    pub(super) at: u16,
    /// The token after this value: its next sibling, or its container's end.
    pub(super) next: u16,
}

impl Token {
    const VACANT: Token = Token { kind: Kind::End, header: 0, at: 0, next: 0 };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    End = 0,
    Int,
    Bytes,
    List,
    /// Keys in order.
    Dict,
    /// Keys out of order.
    UnsortedDict,
}

/// Room for `N` tokens of one input, 6 bytes each; meant for the stack. No token is shorter than a byte of input.
#[derive(Clone, Debug)]
pub struct Tape<const N: usize = MAX_TOKENS> {
    tokens: [Token; N],
}

impl<const N: usize> Tape<N> {
    /// An empty tape.
    pub const fn new() -> Self {
        Tape { tokens: [Token::VACANT; N] }
    }

    /// Reads exactly one value, the whole of `input`.
    ///
    /// # Errors
    /// [`Invalid`] for everything that the [module](crate::bencode) says is refused.
    pub fn parse<'a>(&'a mut self, input: &'a [u8]) -> Result<Value<'a>, Invalid> {
        if input.len() > MAX_INPUT {
            return Err(TOO_LONG);
        }
        let mut reader = Reader { input, at: 0, tape: &mut self.tokens, len: 0, frames: Frames::new() };
        reader.run()?;
        let len = reader.len;
        let tokens = self.tokens.get(..len).ok_or(TOO_MANY)?;
        Ok(Value::root(input, tokens))
    }
}

impl<const N: usize> Default for Tape<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A container that is still open.
#[derive(Clone, Copy)]
struct Frame {
    /// Its token.
    open: u16,
    expects: Expects,
    /// The last key's token; meaningless before the first.
    last_key: u16,
    keys: u16,
    sorted: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expects {
    Item,
    Key,
    Value,
}

/// The open containers, innermost last.
struct Frames {
    depth: usize,
    items: [Frame; MAX_DEPTH],
}

impl Frames {
    const fn new() -> Self {
        let vacant = Frame { open: 0, expects: Expects::Item, last_key: 0, keys: 0, sorted: true };
        Frames { depth: 0, items: [vacant; MAX_DEPTH] }
    }

    fn top(&mut self) -> Option<&mut Frame> {
        self.items.get_mut(self.depth.checked_sub(1)?)
    }

    fn push(&mut self, open: u16, expects: Expects) -> Result<(), Invalid> {
        let frame = self.items.get_mut(self.depth).ok_or(TOO_DEEP)?;
        *frame = Frame { open, expects, last_key: 0, keys: 0, sorted: true };
        self.depth = self.depth.saturating_add(1);
        Ok(())
    }

    fn pop(&mut self) -> Option<Frame> {
        let frame = *self.top()?;
        self.depth = self.depth.saturating_sub(1);
        Some(frame)
    }
}

struct Reader<'a, 't> {
    input: &'a [u8],
    /// Where the next token starts.
    at: usize,
    tape: &'t mut [Token],
    len: usize,
    frames: Frames,
}

impl<'a> Reader<'a, '_> {
    /// Every turn consumes at least one byte, which is all there is to say about termination and time.
    fn run(&mut self) -> Result<(), Invalid> {
        loop {
            spend(1);
            let byte = *self.input.get(self.at).ok_or(TRUNCATED)?;
            let expects = self.frames.top().map(|frame| frame.expects);
            match byte {
                b'e' => self.close(expects)?,
                b'0'..=b'9' => self.bytes(expects)?,
                _ if expects == Some(Expects::Key) => return Err(BAD_KEY),
                b'i' => self.int()?,
                b'l' => self.open(Kind::List, Expects::Item)?,
                b'd' => self.open(Kind::Dict, Expects::Key)?,
                _ => return Err(UNEXPECTED),
            }
            if self.frames.depth == 0 {
                break;
            }
        }
        if self.at == self.input.len() { Ok(()) } else { Err(TRAILING) }
    }

    fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// Writes a token of `length` input bytes and moves past it; gives its index.
    fn push(&mut self, kind: Kind, header: u8, length: usize) -> Result<u16, Invalid> {
        let slot = self.tape.get_mut(self.len).ok_or(TOO_MANY)?;
        let index = u16::try_from(self.len).map_err(|_| TOO_MANY)?;
        *slot = Token {
            kind,
            header,
            at: u16::try_from(self.at).map_err(|_| TOO_LONG)?,
            next: index.saturating_add(1),
        };
        self.len = self.len.saturating_add(1);
        self.at = self.at.saturating_add(length);
        spend(length);
        Ok(index)
    }

    fn value_taken(&mut self) {
        if let Some(frame) = self.frames.top()
            && frame.expects == Expects::Value
        {
            frame.expects = Expects::Key;
        }
    }

    fn open(&mut self, kind: Kind, expects: Expects) -> Result<(), Invalid> {
        self.value_taken();
        let open = self.push(kind, 0, 1)?;
        self.frames.push(open, expects)
    }

    fn close(&mut self, expects: Option<Expects>) -> Result<(), Invalid> {
        if expects == Some(Expects::Value) {
            return Err(NO_VALUE);
        }
        let frame = self.frames.pop().ok_or(UNEXPECTED)?;
        let end = self.push(Kind::End, 0, 1)?;
        let token = self.tape.get_mut(usize::from(frame.open)).ok_or(TOO_MANY)?;
        token.next = end.saturating_add(1);
        if !frame.sorted {
            token.kind = Kind::UnsortedDict;
        }
        Ok(())
    }

    fn int(&mut self) -> Result<(), Invalid> {
        let text = self.rest().get(1..).unwrap_or_default();
        let end = text.iter().take(MAX_INT_DIGITS.saturating_add(1)).position(|byte| *byte == b'e');
        let digits = end.and_then(|end| text.get(..end)).ok_or(BAD_INT)?;
        decimal(digits).ok_or(BAD_INT)?;
        self.push(Kind::Int, 0, digits.len().saturating_add(2))?;
        self.value_taken();
        Ok(())
    }

    fn bytes(&mut self, expects: Option<Expects>) -> Result<(), Invalid> {
        let rest = self.rest();
        let (length, header) = string_header(rest)?;
        let total = length.saturating_add(usize::from(header));
        if total > rest.len() {
            return Err(TRUNCATED);
        }
        let index = self.push(Kind::Bytes, header, total)?;
        match expects {
            Some(Expects::Key) => self.key(index),
            _ => {
                self.value_taken();
                Ok(())
            }
        }
    }

    /// Takes the string at `index` as the innermost dictionary's next key.
    fn key(&mut self, index: u16) -> Result<(), Invalid> {
        let Some(&mut Frame { open, last_key, keys, sorted, .. }) = self.frames.top() else {
            return Err(BAD_KEY);
        };
        let in_order = keys == 0 || self.text(last_key) < self.text(index);
        let sorted = sorted && in_order;
        if !sorted {
            if usize::from(keys) >= MAX_UNSORTED_KEYS {
                return Err(DISORDER);
            }
            self.refuse_twin(open, keys, index)?;
        }
        if let Some(frame) = self.frames.top() {
            frame.expects = Expects::Value;
            frame.last_key = index;
            frame.keys = keys.saturating_add(1);
            frame.sorted = sorted;
        }
        Ok(())
    }

    /// An error if one of the dictionary's first `keys` keys is the one at `index`.
    fn refuse_twin(&self, open: u16, keys: u16, index: u16) -> Result<(), Invalid> {
        let own = self.text(index);
        let mut key = open.saturating_add(1);
        for _ in 0..keys {
            spend(own.len());
            if self.text(key) == own {
                return Err(DUPLICATE);
            }
            let value = self.tape.get(usize::from(key.saturating_add(1))).ok_or(TOO_MANY)?;
            key = value.next;
        }
        Ok(())
    }

    /// The content of the string at `index`.
    fn text(&self, index: u16) -> &'a [u8] {
        let Some(&Token { kind: Kind::Bytes, header, at, next }) = self.tape.get(usize::from(index)) else {
            return &[];
        };
        // The token after the newest one is not written yet: there the string ends where reading goes on.
        let end = match self.tape.get(usize::from(next)) {
            Some(token) if usize::from(next) < self.len => usize::from(token.at),
            _ => self.at,
        };
        self.input.get(usize::from(at).saturating_add(usize::from(header))..end).unwrap_or_default()
    }
}

/// The length that a string announces, and how many bytes the announcement itself takes.
fn string_header(rest: &[u8]) -> Result<(usize, u8), Invalid> {
    let mut length = 0_usize;
    for (digits, byte) in (0_u8..).zip(rest.iter().take(MAX_LENGTH_DIGITS.saturating_add(1))) {
        match byte {
            b':' => return Ok((length, digits.saturating_add(1))),
            b'0'..=b'9' if digits == 0 || length > 0 => {
                length = length.saturating_mul(10).saturating_add(usize::from(byte & 0x0f));
            }
            _ => return Err(BAD_LENGTH),
        }
    }
    Err(if rest.len() > MAX_LENGTH_DIGITS { BAD_LENGTH } else { TRUNCATED })
}

/// Counts the bytes looked at, for the test that bounds them (P31).
#[cfg(test)]
fn spend(bytes: usize) {
    super::tests::STEPS.set(super::tests::STEPS.get().saturating_add(bytes));
}

#[cfg(not(test))]
fn spend(_bytes: usize) {}
