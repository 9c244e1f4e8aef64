//! Bencode for the model: as little as it takes, and none of the suite's.

use std::net::SocketAddr;

use bittorrent_profile::bencode::{Dict, Value};

pub(crate) type Entry = (&'static str, Vec<u8>);

pub(crate) fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

pub(crate) fn int(value: i64) -> Vec<u8> {
    format!("i{value}e").into_bytes()
}

pub(crate) fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [b"l", items.concat().as_slice(), b"e"].concat()
}

/// A dictionary, its keys put in order.
pub(crate) fn dict(mut entries: Vec<Entry>) -> Vec<u8> {
    entries.sort_by_key(|(key, _)| *key);
    in_order_given(&entries)
}

pub(crate) fn in_order_given(entries: &[Entry]) -> Vec<u8> {
    let entries: Vec<u8> =
        entries.iter().flat_map(|(key, value)| [string(key), value.clone()].concat()).collect();
    [b"d", entries.as_slice(), b"e"].concat()
}

pub(crate) fn compact(addr: SocketAddr) -> Vec<u8> {
    let ip = match addr {
        SocketAddr::V4(v4) => v4.ip().octets().to_vec(),
        SocketAddr::V6(v6) => v6.ip().octets().to_vec(),
    };
    [ip.as_slice(), &addr.port().to_be_bytes()].concat()
}

/// The arguments of a query.
#[derive(Clone, Copy)]
pub(crate) struct Arguments<'a>(pub(crate) Dict<'a>);

impl<'a> Arguments<'a> {
    pub(crate) fn value(&self, key: &str) -> Option<Value<'a>> {
        self.0.get(key.as_bytes())
    }

    pub(crate) fn bytes(&self, key: &str) -> Option<&'a [u8]> {
        self.value(key)?.bytes()
    }

    pub(crate) fn key(&self, key: &str) -> Option<[u8; 20]> {
        self.value(key)?.array()
    }

    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        self.value(key)?.int()
    }

    pub(crate) fn is_one(&self, key: &str) -> bool {
        self.int(key) == Some(1)
    }
}
