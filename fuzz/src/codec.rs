//! Bytes in, bytes out.

use bittorrent_profile::bencode::{MAX_DEPTH, MAX_INPUT, MAX_TOKENS, Tape, Value};
use bittorrent_profile::krpc::Krpc;
use kademlia_core::{Body, Codec};
use serde_bencode::value::Value as Oracle;

/// The bencode reader against serde_bencode: what the reader takes, the oracle takes for the same value, and the oracle's
/// own writing of a value is taken.
pub fn bencode(input: &[u8]) {
    let mut tape = Tape::<MAX_TOKENS>::new();
    match tape.parse(input) {
        Ok(value) => {
            let oracle = serde_bencode::from_bytes(input).expect("the reader is the stricter one");
            assert!(is_same(value, &oracle), "{value:?} is not {oracle:?}");
        }
        // The oracle recurses, so it is not shown what is nested deeply.
        Err(_) if nesting(input) < MAX_DEPTH && input.len() <= MAX_INPUT => {
            if let Ok(oracle) = serde_bencode::from_bytes::<Oracle>(input)
                && serde_bencode::to_bytes(&oracle).is_ok_and(|written| written == input)
                && tokens(&oracle) < MAX_TOKENS
            {
                panic!("refused: {}", input.escape_ascii());
            }
        }
        Err(_) => {}
    }
}

fn is_same(value: Value<'_>, oracle: &Oracle) -> bool {
    match oracle {
        Oracle::Bytes(bytes) => value.bytes() == Some(bytes),
        Oracle::Int(number) => value.int() == Some(*number),
        Oracle::List(items) => value.list().is_some_and(|list| {
            list.count() == items.len() && list.zip(items).all(|(value, oracle)| is_same(value, oracle))
        }),
        Oracle::Dict(entries) => value.dict().is_some_and(|dict| {
            dict.count() == entries.len()
                && dict
                    .into_iter()
                    .all(|(key, value)| entries.get(key).is_some_and(|oracle| is_same(value, oracle)))
        }),
    }
}

fn tokens(value: &Oracle) -> usize {
    match value {
        Oracle::Bytes(_) | Oracle::Int(_) => 1,
        Oracle::List(items) => 2 + items.iter().map(tokens).sum::<usize>(),
        Oracle::Dict(entries) => 2 + entries.values().map(|value| 1 + tokens(value)).sum::<usize>(),
    }
}

/// At most so many containers can be open at once, whatever the bytes mean.
fn nesting(input: &[u8]) -> usize {
    input.iter().filter(|byte| matches!(byte, b'l' | b'd')).count()
}

/// The codec: what is read can be written, reads the same and is written the same again.
pub fn krpc(input: &[u8]) {
    let Ok(message) = Krpc::decode(input) else { return };
    let mut written = Vec::new();
    Krpc::encode(&message, &mut written);
    let again = Krpc::decode(&written).expect("ours can be read");
    assert_eq!(again.transaction, message.transaction);
    if matches!(message.body, Body::Request { .. }) {
        assert_eq!(again.body, message.body, "a request is never cut");
    }
    let mut twice = Vec::new();
    Krpc::encode(&again, &mut twice);
    assert_eq!(written.escape_ascii().to_string(), twice.escape_ascii().to_string());
}
