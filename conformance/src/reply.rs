//! What came back for a query.

use std::net::{IpAddr, SocketAddr};

use crate::bencode::Item;
use crate::verdict::{Unmet, require};

/// Headers of UDP and IPv4, and of UDP and IPv6, in bytes: part of what goes over the wire (T9).
const HEADERS: [usize; 2] = [28, 48];

/// A reply with the `t` of its query, from the address that was asked.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) message: Item,
    /// Bytes of the query's datagram and of the reply's.
    pub(crate) sizes: (usize, usize),
    pub(crate) is_v6: bool,
    /// How often the query was sent.
    pub(crate) attempts: usize,
}

/// A node that a reply names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) id: [u8; 20],
    pub(crate) addr: SocketAddr,
}

impl Reply {
    /// How many times as long as its query it would be on the wire with so many bytes more.
    pub(crate) fn ratio_with(&self, more: usize) -> f64 {
        let headers = HEADERS[usize::from(self.is_v6)];
        let (asked, answered) = self.sizes;
        (answered + more + headers) as f64 / (asked + headers) as f64
    }

    fn kind(&self) -> Option<&[u8]> {
        self.message.get("y").and_then(Item::bytes)
    }

    /// The `r` of a response, which has to be one.
    pub(crate) fn response(&self) -> Result<&Item, Unmet> {
        if let Some((code, text)) = self.error() {
            return Err(Unmet::failed(format!("refused with error {code} \"{}\"", text.escape_default())));
        }
        require!(self.kind() == Some(b"r"), "the reply's `y` is not `r`");
        match self.message.get("r") {
            Some(r) if r.is_dict() => Ok(r),
            _ => Err(Unmet::failed("a response without a dictionary `r`")),
        }
    }

    pub(crate) fn is_response(&self) -> bool {
        self.response().is_ok()
    }

    /// Code and text, if this is an error of the proper form.
    pub(crate) fn error(&self) -> Option<(i64, String)> {
        if self.kind() != Some(b"e") {
            return None;
        }
        match self.message.get("e")?.list()? {
            [code, text] => Some((code.int()?, String::from_utf8_lossy(text.bytes()?).into_owned())),
            _ => None,
        }
    }

    pub(crate) fn is_error(&self) -> bool {
        self.kind() == Some(b"e")
    }

    /// A value of `r`.
    pub(crate) fn get(&self, key: &str) -> Option<&Item> {
        self.message.get("r")?.get(key)
    }

    pub(crate) fn id(&self) -> Option<[u8; 20]> {
        self.get("id")?.bytes()?.try_into().ok()
    }

    /// The write token, which has to be there.
    pub(crate) fn token(&self) -> Result<Vec<u8>, Unmet> {
        self.response()?;
        let token = self.get("token").and_then(Item::bytes);
        token.map(<[u8]>::to_vec).ok_or_else(|| Unmet::failed("a response without a token"))
    }

    /// The nodes under `nodes` or `nodes6`; `None` without that key. A list with a rest is a failure (5.4).
    pub(crate) fn nodes(&self, is_v6: bool) -> Result<Option<Vec<Named>>, Unmet> {
        let (key, size) = if is_v6 { ("nodes6", 38) } else { ("nodes", 26) };
        let Some(item) = self.get(key) else { return Ok(None) };
        let bytes = item.bytes().ok_or_else(|| Unmet::failed(format!("`{key}` is no string")))?;
        require!(
            bytes.len().is_multiple_of(size),
            "`{key}` has {} bytes, no multiple of {size}",
            bytes.len()
        );
        Ok(Some(bytes.chunks_exact(size).filter_map(named).collect()))
    }

    /// The peers under `values`; none without that key. Entries that are no addresses are failures.
    pub(crate) fn values(&self) -> Result<Vec<SocketAddr>, Unmet> {
        let Some(values) = self.get("values") else { return Ok(Vec::new()) };
        let values = values.list().ok_or_else(|| Unmet::failed("`values` is no list"))?;
        let addrs = values.iter().map(|value| {
            let bytes =
                value.bytes().ok_or_else(|| Unmet::failed("`values` has an entry that is no string"))?;
            address(bytes)
                .ok_or_else(|| Unmet::failed(format!("`values` has an entry of {} bytes", bytes.len())))
        });
        addrs.collect()
    }

    /// The asker's address as the node sees it (BEP 42).
    pub(crate) fn observed(&self) -> Option<SocketAddr> {
        address(self.message.get("ip")?.bytes()?)
    }
}

fn named(bytes: &[u8]) -> Option<Named> {
    let (id, addr) = bytes.split_first_chunk::<20>()?;
    Some(Named { id: *id, addr: address(addr)? })
}

/// A compact address of 6 or 18 bytes.
pub(crate) fn address(bytes: &[u8]) -> Option<SocketAddr> {
    let (ip, port) = bytes.split_last_chunk::<2>()?;
    let ip = if let Ok(octets) = <[u8; 4]>::try_from(ip) {
        IpAddr::from(octets)
    } else {
        IpAddr::from(<[u8; 16]>::try_from(ip).ok()?)
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes(*port)))
}
