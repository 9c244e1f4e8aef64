//! Finding values in bencode of any length: one pass, no recursion, no memory.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

/// Most containers inside one another. The file tree of a hybrid torrent (BEP 52) is as deep as its directories.
const MAX_DEPTH: u32 = 64;
/// Longest text of a length: that of [`MAX_SIZE`](super::MAX_SIZE).
const MAX_LENGTH_DIGITS: usize = 8;
/// Longest text of a 64-bit integer, with its sign.
const MAX_INT_DIGITS: usize = 20;

/// The bytes of one value, which is sound.
#[derive(Clone, Copy)]
pub(super) struct Span<'a>(&'a [u8]);

impl<'a> Span<'a> {
    /// As they stand in the file.
    pub(super) const fn raw(self) -> &'a [u8] {
        self.0
    }

    /// The content of a string; `None` for anything else.
    pub(super) fn bytes(self) -> Option<&'a [u8]> {
        let (header, length) = string_header(self.0)?;
        self.0.get(header..header.checked_add(length)?)
    }

    /// An integer; `None` for anything else, and for one outside 64 bits.
    pub(super) fn int(self) -> Option<i64> {
        let digits = self.0.strip_prefix(b"i")?.strip_suffix(b"e")?;
        core::str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// The value that the input starts with.
pub(super) fn root(input: &[u8]) -> Option<Span<'_>> {
    value_length(input).and_then(|length| input.get(..length)).map(Span)
}

/// The keys and values of a dictionary; `None` for anything else.
pub(super) fn entries(value: Span<'_>) -> Option<impl Iterator<Item = (&[u8], Span<'_>)>> {
    let mut rest = value.0.strip_prefix(b"d")?.strip_suffix(b"e")?;
    Some(core::iter::from_fn(move || {
        let key = take(&mut rest)?.bytes()?;
        Some((key, take(&mut rest)?))
    }))
}

/// The values of a list; `None` for anything else.
pub(super) fn items(value: Span<'_>) -> Option<impl Iterator<Item = Span<'_>>> {
    let mut rest = value.0.strip_prefix(b"l")?.strip_suffix(b"e")?;
    Some(core::iter::from_fn(move || take(&mut rest)))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<Span<'a>> {
    let (value, after) = rest.split_at_checked(value_length(rest)?)?;
    *rest = after;
    Some(Span(value))
}

/// The containers around a place, one bit each, the innermost lowest.
#[derive(Default)]
struct Around {
    depth: u32,
    /// Dictionaries, not lists.
    dicts: u64,
    /// Dictionaries whose next value is a key.
    keys: u64,
}

impl Around {
    fn open(&mut self, is_dict: bool) -> Option<()> {
        self.depth = self.depth.checked_add(1).filter(|depth| *depth <= MAX_DEPTH)?;
        self.dicts = self.dicts << 1 | u64::from(is_dict);
        self.keys = self.keys << 1 | u64::from(is_dict);
        Some(())
    }

    /// Not between a key and its value.
    fn close(&mut self) -> Option<()> {
        let waits_for_value = self.dicts & 1 == 1 && self.keys & 1 == 0;
        self.depth = self.depth.checked_sub(1).filter(|_| !waits_for_value)?;
        self.dicts >>= 1;
        self.keys >>= 1;
        Some(())
    }

    /// A value or a key begins. A key has to be a string.
    fn place(&mut self, is_string: bool) -> Option<()> {
        let is_key = self.keys & 1 == 1;
        // In a dictionary keys and values take turns.
        self.keys ^= self.dicts & 1;
        (is_string || !is_key).then_some(())
    }
}

/// Bytes of the value that the input starts with; `None` if none does.
fn value_length(input: &[u8]) -> Option<usize> {
    let mut around = Around::default();
    let mut at = 0_usize;
    loop {
        let rest = input.get(at..)?;
        let length = match rest.first()? {
            b'e' => {
                around.close()?;
                1
            }
            byte => {
                around.place(byte.is_ascii_digit())?;
                match byte {
                    b'd' | b'l' => {
                        around.open(*byte == b'd')?;
                        1
                    }
                    b'i' => int_length(rest)?,
                    _ => {
                        let (header, length) = string_header(rest)?;
                        header.checked_add(length)?
                    }
                }
            }
        };
        at = at.checked_add(length).filter(|at| *at <= input.len())?;
        if around.depth == 0 {
            return Some(at);
        }
    }
}

/// Bytes of `i…e`.
fn int_length(rest: &[u8]) -> Option<usize> {
    let text = rest.get(1..)?;
    let end = text.iter().take(MAX_INT_DIGITS.saturating_add(1)).position(|byte| *byte == b'e')?;
    let digits = text.get(..end)?;
    let digits = digits.strip_prefix(b"-").unwrap_or(digits);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| end.saturating_add(2))
}

/// Bytes before a string's content, and bytes of the content.
fn string_header(rest: &[u8]) -> Option<(usize, usize)> {
    let colon = rest.iter().take(MAX_LENGTH_DIGITS.saturating_add(1)).position(|byte| *byte == b':')?;
    let digits = rest.get(..colon).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    let length = core::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((colon.saturating_add(1), length))
}
