//! Bencode as the checks need it: pieces to build any datagram from, right or wrong, and an owned tree of what came back.

use std::fmt;

use bittorrent_profile::bencode::{Invalid, Tape, Value, write_bytes, write_int};

/// Longest string that is shown whole, in bytes.
const SHOWN: usize = 40;

/// A string, bencoded.
pub(crate) fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut out = Vec::new();
    write_bytes(&mut out, bytes.as_ref());
    out
}

/// An integer, bencoded.
pub(crate) fn int(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    write_int(&mut out, value);
    out
}

/// A list of bencoded values.
pub(crate) fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [b"l", items.concat().as_slice(), b"e"].concat()
}

/// A dictionary of bencoded values, in the order given.
pub(crate) fn dict(entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.iter().flat_map(|(key, value)| [string(key), value.clone()].concat()).collect();
    [b"d", entries.as_slice(), b"e"].concat()
}

/// A value and the bytes it came as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) raw: Vec<u8>,
    pub(crate) is_canonical: bool,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Item>),
    Dict(Vec<(Vec<u8>, Item)>),
}

impl Item {
    /// Reads one value, the whole of `bytes`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Item, Invalid> {
        let mut tape = <Tape>::new();
        Ok(Item::of(tape.parse(bytes)?))
    }

    /// As deep as the reader reads, which is not deep.
    fn of(value: Value<'_>) -> Item {
        let kind = if let Some(number) = value.int() {
            Kind::Int(number)
        } else if let Some(list) = value.list() {
            Kind::List(list.map(Item::of).collect())
        } else if let Some(dict) = value.dict() {
            Kind::Dict(dict.map(|(key, value)| (key.to_vec(), Item::of(value))).collect())
        } else {
            Kind::Bytes(value.bytes().unwrap_or_default().to_vec())
        };
        Item { raw: value.raw().to_vec(), is_canonical: value.is_canonical(), kind }
    }

    pub(crate) fn int(&self) -> Option<i64> {
        match self.kind {
            Kind::Int(number) => Some(number),
            _ => None,
        }
    }

    pub(crate) fn bytes(&self) -> Option<&[u8]> {
        match &self.kind {
            Kind::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(crate) fn list(&self) -> Option<&[Item]> {
        match &self.kind {
            Kind::List(items) => Some(items),
            _ => None,
        }
    }

    pub(crate) fn is_dict(&self) -> bool {
        matches!(self.kind, Kind::Dict(_))
    }

    /// The value under `key`, if this is a dictionary that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Item> {
        match &self.kind {
            Kind::Dict(entries) => {
                entries.iter().find(|(own, _)| own == key.as_bytes()).map(|(_, value)| value)
            }
            _ => None,
        }
    }
}

/// Short, for people: `{t: "aa", y: "r", r: {id: 0x6d6e…}}`.
impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Int(number) => write!(f, "{number}"),
            Kind::Bytes(bytes) => show_bytes(f, bytes),
            Kind::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if at == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Kind::Dict(entries) => {
                f.write_str("{")?;
                for (at, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{}: {value}", if at == 0 { "" } else { ", " }, key.escape_ascii())?;
                }
                f.write_str("}")
            }
        }
    }
}

/// Text as text, anything else in hexadecimal; what is long with its length instead of its rest.
fn show_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    let (shown, rest) = bytes.split_at(bytes.len().min(SHOWN));
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) {
        write!(f, "\"{}", shown.escape_ascii())?;
    } else {
        f.write_str("0x")?;
        shown.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
    }
    match rest {
        [] if bytes.iter().all(|byte| (b' '..=b'~').contains(byte)) => f.write_str("\""),
        [] => Ok(()),
        _ => write!(f, "… ({} bytes)", bytes.len()),
    }
}

/// A datagram for people, whatever it is.
pub(crate) fn show(datagram: &[u8]) -> String {
    match Item::parse(datagram) {
        Ok(item) => item.to_string(),
        Err(_) if datagram.is_empty() => "an empty datagram".to_owned(),
        Err(_) => {
            let (shown, rest) = datagram.split_at(datagram.len().min(2 * SHOWN));
            let rest =
                if rest.is_empty() { String::new() } else { format!("… ({} bytes)", datagram.len()) };
            format!("`{}`{rest}", shown.escape_ascii())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_are_shown_short() {
        let query = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:\xff\x001:y1:qe";
        assert_eq!(show(query), "{a: {id: \"abcdefghij0123456789\"}, q: \"ping\", t: 0xff00, y: \"q\"}");
        assert_eq!(show(&string([b'x'; 50])), format!("\"{}… (50 bytes)", "x".repeat(40)));
        assert_eq!(show(b"\xff?"), "`\\xff?`");
        assert_eq!(show(b""), "an empty datagram");
        assert_eq!(show(b"li1e0:e"), "[1, \"\"]");
    }

    #[test]
    fn pieces_make_datagrams_and_trees_keep_their_bytes() {
        let bytes = dict(&[("b", int(-7)), ("a", list(&[string("x"), int(0)]))]);
        assert_eq!(bytes, b"d1:bi-7e1:al1:xi0eee");
        let item = Item::parse(&bytes).unwrap();
        assert!(!item.is_canonical && item.is_dict());
        assert_eq!(item.get("b").and_then(Item::int), Some(-7));
        let list = item.get("a").unwrap();
        assert_eq!((list.raw.as_slice(), list.list().unwrap().len()), (&b"l1:xi0ee"[..], 2));
    }
}
