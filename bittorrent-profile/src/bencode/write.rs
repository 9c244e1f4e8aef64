//! The canonical writer: appends to a buffer that the caller owns.

/// Appends a string.
#[inline]
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_header(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends what stands before a string of `length` bytes.
#[inline]
pub(crate) fn write_header(out: &mut Vec<u8>, length: usize) {
    // Keys and most strings are this short; inlined, a constant key becomes a constant copy.
    match b"0123456789".get(length) {
        Some(digit) => out.push(*digit),
        None => write_decimal(out, length as u64),
    }
    out.push(b':');
}

/// Appends an integer.
pub fn write_int(out: &mut Vec<u8>, value: i64) {
    out.push(b'i');
    if value < 0 {
        out.push(b'-');
    }
    write_decimal(out, value.unsigned_abs());
    out.push(b'e');
}

/// How many bytes [`write_bytes`] takes for a string of `length` bytes.
pub(crate) const fn string_size(length: usize) -> usize {
    digits(length as u64) + 1 + length
}

/// How many bytes [`write_int`] takes.
pub(crate) const fn int_size(value: i64) -> usize {
    digits(value.unsigned_abs()) + if value < 0 { 3 } else { 2 }
}

const fn digits(value: u64) -> usize {
    match value.checked_ilog10() {
        Some(digits) => digits as usize + 1,
        None => 1,
    }
}

fn write_decimal(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut start = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' | (value % 10) as u8;
        value /= 10;
        start = at;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// An open dictionary; dropping it writes its end. Keys are to be given in ascending order, which debug builds check.
#[derive(Debug)]
pub struct DictWriter<'o> {
    out: &'o mut Vec<u8>,
    last: Option<&'static str>,
}

impl<'o> DictWriter<'o> {
    /// Opens a dictionary at the end of `out`.
    pub fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'd');
        DictWriter { out, last: None }
    }

    /// Writes a key; the caller appends exactly one value to what it returns.
    #[inline]
    pub fn entry(&mut self, key: &'static str) -> &mut Vec<u8> {
        debug_assert!(self.last < Some(key), "{key} after {:?}", self.last);
        self.last = Some(key);
        write_bytes(self.out, key.as_bytes());
        self.out
    }

    /// A string.
    #[inline]
    pub fn bytes(&mut self, key: &'static str, value: &[u8]) {
        write_bytes(self.entry(key), value);
    }

    /// An integer.
    pub fn int(&mut self, key: &'static str, value: i64) {
        write_int(self.entry(key), value);
    }

    /// A list, open until dropped.
    pub fn list(&mut self, key: &'static str) -> ListWriter<'_> {
        ListWriter::open(self.entry(key))
    }

    /// A dictionary, open until dropped.
    pub fn dict(&mut self, key: &'static str) -> DictWriter<'_> {
        DictWriter::open(self.entry(key))
    }
}

impl Drop for DictWriter<'_> {
    fn drop(&mut self) {
        self.out.push(b'e');
    }
}

/// An open list; dropping it writes its end.
#[derive(Debug)]
pub struct ListWriter<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> ListWriter<'o> {
    /// Opens a list at the end of `out`.
    pub fn open(out: &'o mut Vec<u8>) -> Self {
        out.push(b'l');
        ListWriter { out }
    }

    /// A string.
    pub fn bytes(&mut self, value: &[u8]) {
        write_bytes(self.out, value);
    }

    /// An integer.
    pub fn int(&mut self, value: i64) {
        write_int(self.out, value);
    }
}

impl Drop for ListWriter<'_> {
    fn drop(&mut self) {
        self.out.push(b'e');
    }
}
