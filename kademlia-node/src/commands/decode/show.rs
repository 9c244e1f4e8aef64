//! Values as people read them.

use bittorrent_profile::bencode;
use bittorrent_profile::krpc::compact;
use bittorrent_profile::scrape::BloomFilter;
use kademlia_core::Family;
use serde_json::{Map, Value};

use crate::commands::written;

/// A value, given the key that it stands under. Compact lists are taken apart; strings that are no text are hexadecimal.
/// No deeper than the reader reads.
pub(in crate::commands) fn value(key: Option<&[u8]>, value: bencode::Value<'_>) -> Value {
    if let Some(number) = value.int() {
        return number.into();
    }
    if let Some(list) = value.list() {
        return list.map(|item| self::value(key, item)).collect();
    }
    if let Some(dict) = value.dict() {
        let entries = dict.map(|(key, value)| (text(key), self::value(Some(key), value)));
        return Value::Object(entries.collect::<Map<_, _>>());
    }
    string(key.unwrap_or_default(), value.bytes().unwrap_or_default())
}

fn string(key: &[u8], bytes: &[u8]) -> Value {
    let known = match key {
        b"nodes" => nodes(bytes, Family::V4),
        b"nodes6" => nodes(bytes, Family::V6),
        b"values" | b"ip" => compact::addr(bytes).map(|addr| addr.to_string().into()),
        b"samples" => {
            let (hashes, rest) = bytes.as_chunks::<20>();
            rest.is_empty().then(|| hashes.iter().map(|hash| Value::from(hex(hash))).collect())
        }
        b"BFsd" | b"BFpe" => filter(bytes),
        b"id" | b"target" | b"info_hash" | b"token" | b"k" | b"sig" | b"c" => Some(hex(bytes).into()),
        _ => None,
    };
    known.unwrap_or_else(|| text(bytes).into())
}

fn nodes(bytes: &[u8], family: Family) -> Option<Value> {
    Some(compact::nodes(bytes, family)?.map(|contact| Value::from(written(&contact))).collect())
}

fn filter(bytes: &[u8]) -> Option<Value> {
    let filter = BloomFilter::from_bytes(bytes.try_into().ok()?);
    let about = if filter.is_empty() { 0.0 } else { filter.estimate() };
    Some(format!("filter over about {about:.0} addresses").into())
}

/// Printable ASCII as it is, anything else in hexadecimal.
fn text(bytes: &[u8]) -> String {
    let printable = bytes.iter().all(|byte| byte.is_ascii_graphic() || *byte == b' ');
    if printable { String::from_utf8_lossy(bytes).into_owned() } else { format!("0x{}", hex(bytes)) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A value as an indented tree, one line a leaf.
pub(in crate::commands) fn tree(value: &Value) -> String {
    let mut lines = Vec::new();
    write(value, 0, &mut lines);
    lines.join("\n")
}

fn write(value: &Value, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    let entries: Vec<(String, &Value)> = match value {
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), value)).collect(),
        Value::Array(list) => list.iter().map(|value| ("-".to_owned(), value)).collect(),
        leaf => return lines.push(format!("{indent}{}", plain(leaf))),
    };
    for (key, value) in entries {
        match value {
            Value::Object(map) if map.is_empty() => lines.push(format!("{indent}{key:<9} (empty)")),
            Value::Array(list) if list.is_empty() => lines.push(format!("{indent}{key:<9} (empty)")),
            Value::Object(_) | Value::Array(_) => {
                lines.push(format!("{indent}{key}"));
                write(value, depth + 1, lines);
            }
            leaf if key == "-" => lines.push(format!("{indent}- {}", plain(leaf))),
            leaf => lines.push(format!("{indent}{key:<9} {}", plain(leaf))),
        }
    }
}

fn plain(leaf: &Value) -> String {
    leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use bittorrent_profile::bencode::Tape;

    use super::*;

    fn shown(datagram: &[u8]) -> Value {
        let mut tape = <Tape>::new();
        value(None, tape.parse(datagram).unwrap())
    }

    #[test]
    fn compact_parts_are_taken_apart() {
        let datagram = b"d1:rd2:id20:abcdefghij01234567895:nodes26:mnopqrstuvwxyz123456\x7f\0\0\x01\x1a\xe1\
            5:token2:\xff\x006:valuesl6:\x01\x02\x03\x04\x1a\xe1ee1:t2:aa1:y1:re";
        let shown = shown(datagram);
        assert_eq!(shown["r"]["id"], "6162636465666768696a30313233343536373839");
        assert_eq!(shown["r"]["nodes"][0], "6d6e6f707172737475767778797a313233343536@127.0.0.1:6881");
        assert_eq!(shown["r"]["values"][0], "1.2.3.4:6881");
        assert_eq!((&shown["t"], &shown["r"]["token"]), (&"aa".into(), &"ff00".into()));
        let tree = tree(&shown);
        assert!(
            tree.starts_with("r\n  id        6162") && tree.ends_with("t         aa\ny         r"),
            "{tree}"
        );
        assert!(tree.contains("  values\n    - 1.2.3.4:6881"), "{tree}");
    }

    #[test]
    fn what_does_not_fit_its_key_is_shown_as_it_is() {
        let shown = shown(b"d2:ip3:abc5:nodes9:def456...7:samples3:\x01\x02\x034:BFsd0:0:lee");
        assert_eq!((&shown["ip"], &shown["nodes"]), (&"abc".into(), &"def456...".into()));
        assert_eq!((&shown["samples"], &shown["BFsd"]), (&"0x010203".into(), &"".into()));
        assert!(tree(&shown).contains("(empty)"));
    }
}
