//! What is on the tape.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::fmt;

use crate::bencode::tape::{Kind, Token};

/// One value of a parsed input. Borrows the input and the tape; copies nothing.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    input: &'a [u8],
    tokens: &'a [Token],
    index: usize,
}

impl<'a> Value<'a> {
    pub(super) const fn root(input: &'a [u8], tokens: &'a [Token]) -> Self {
        Value { input, tokens, index: 0 }
    }

    fn token(&self) -> Option<&'a Token> {
        self.tokens.get(self.index)
    }

    /// Where the token at `index` starts; past the last one, the input's end.
    fn start(&self, index: usize) -> usize {
        self.tokens.get(index).map_or(self.input.len(), |token| usize::from(token.at))
    }

    fn next(&self) -> usize {
        self.token().map_or(self.tokens.len(), |token| usize::from(token.next))
    }

    fn moved(self, index: usize) -> Self {
        Value { index, ..self }
    }

    /// The bytes it was written with, exactly as they came.
    pub fn raw(&self) -> &'a [u8] {
        self.input.get(self.start(self.index)..self.start(self.next())).unwrap_or_default()
    }

    /// The content of a string; `None` for anything else.
    pub fn bytes(&self) -> Option<&'a [u8]> {
        let token = self.token()?;
        match token.kind {
            Kind::Bytes => self.raw().get(usize::from(token.header)..),
            _ => None,
        }
    }

    /// The content of a string of exactly `N` bytes; `None` for anything else.
    pub fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.bytes()?.try_into().ok()
    }

    /// An integer; `None` for anything else.
    pub fn int(&self) -> Option<i64> {
        match self.token()?.kind {
            Kind::Int => self.raw().strip_prefix(b"i")?.strip_suffix(b"e").and_then(decimal),
            _ => None,
        }
    }

    /// A list; `None` for anything else.
    pub fn list(&self) -> Option<List<'a>> {
        match self.token()?.kind {
            Kind::List => Some(List { at: self.moved(self.index.saturating_add(1)) }),
            _ => None,
        }
    }

    /// A dictionary; `None` for anything else.
    pub fn dict(&self) -> Option<Dict<'a>> {
        match self.token()?.kind {
            Kind::Dict | Kind::UnsortedDict => Some(Dict { at: self.moved(self.index.saturating_add(1)) }),
            _ => None,
        }
    }

    /// Whether every dictionary in this value has its keys in order: then, the reader being strict about all else,
    /// no other bytes mean the same.
    pub fn is_canonical(&self) -> bool {
        let inside = self.tokens.get(self.index..self.next()).unwrap_or_default();
        inside.iter().all(|token| token.kind != Kind::UnsortedDict)
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.raw().escape_ascii())
    }
}

/// The values of a list, in order.
#[derive(Clone, Copy, Debug)]
pub struct List<'a> {
    at: Value<'a>,
}

impl<'a> Iterator for List<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let value = self.at;
        if value.token()?.kind == Kind::End {
            return None;
        }
        self.at = value.moved(value.next());
        Some(value)
    }
}

/// The keys and values of a dictionary, in the order they came.
#[derive(Clone, Copy, Debug)]
pub struct Dict<'a> {
    at: Value<'a>,
}

impl<'a> Dict<'a> {
    /// The value under `key`. Looks through the keys one by one.
    pub fn get(mut self, key: &[u8]) -> Option<Value<'a>> {
        self.find_map(|(found, value)| (found == key).then_some(value))
    }
}

impl<'a> Iterator for Dict<'a> {
    type Item = (&'a [u8], Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.at.bytes()?;
        let value = self.at.moved(self.at.next());
        self.at = value.moved(value.next());
        Some((key, value))
    }
}

/// A 64-bit integer in its one canonical form: no leading zero, no `-0`, no `+`.
pub(super) fn decimal(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let canonical = match digits {
        [b'0'] => text.len() == 1,
        [b'1'..=b'9', rest @ ..] => rest.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    if !canonical {
        return None;
    }
    core::str::from_utf8(text).ok()?.parse().ok()
}
