//! What is kept under a key.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use kademlia_core::{Durable, Record};

use crate::protocol::Versioned;

/// Longest value, in bytes: with everything around it, it fits a datagram of [`LONGEST`](crate::LONGEST).
pub const MAX_VALUE: usize = 1_000;

/// A value of at most [`MAX_VALUE`] bytes. Clones share the bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(Arc<[u8]>);

/// The value has more than [`MAX_VALUE`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value has {0} bytes, and may have 1,000")]
pub struct TooLong(pub usize);

impl Value {
    /// A copy of the bytes.
    ///
    /// # Errors
    /// [`TooLong`].
    pub fn new(bytes: &[u8]) -> Result<Self, TooLong> {
        if bytes.len() > MAX_VALUE { Err(TooLong(bytes.len())) } else { Ok(Value(bytes.into())) }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Value {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// As text, as far as it is text.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// A pair as a node keeps it. There is one under a key: the [newest](Versioned::is_newer_than).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The put it comes from: the publisher's clock, in milliseconds since 1970.
    pub version: u64,
    /// The value; `None` if it was removed, which is kept like a value, so that older ones do not come back.
    pub value: Option<Value>,
    /// When it expires, in milliseconds since 1970 by this node's own calendar.
    pub expires: u64,
    /// Who stored it here first: whom it counts against.
    pub source: IpAddr,
}

impl Pair {
    /// What travels of it at `now`, in milliseconds since 1970.
    pub fn versioned(&self, now: u64) -> Versioned {
        let life = self.expires.saturating_sub(now) / 1_000;
        let life = u32::try_from(life).unwrap_or(u32::MAX);
        Versioned { version: self.version, value: self.value.clone(), life }
    }
}

impl Record for Pair {
    type Slot = ();

    fn slot(&self) {}

    fn source(&self) -> IpAddr {
        self.source
    }

    fn heap_bytes(&self) -> usize {
        // The counts in front of shared bytes.
        self.value.as_ref().map_or(0, |value| 2 * size_of::<usize>() + value.as_bytes().len())
    }
}

impl Durable for Pair {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.version.to_be_bytes());
        out.extend_from_slice(&self.expires.to_be_bytes());
        match self.source {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(6);
                out.extend_from_slice(&ip.octets());
            }
        }
        out.push(u8::from(self.value.is_some()));
        out.extend_from_slice(self.value.as_ref().map_or(&[], Value::as_bytes));
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first_chunk()?;
        let (expires, rest) = rest.split_first_chunk()?;
        let (family, rest) = rest.split_first()?;
        let (source, rest) = match family {
            4 => rest.split_first_chunk().map(|(ip, rest)| (IpAddr::V4(Ipv4Addr::from(*ip)), rest))?,
            6 => rest.split_first_chunk().map(|(ip, rest)| (IpAddr::V6(Ipv6Addr::from(*ip)), rest))?,
            _ => return None,
        };
        let value = match rest.split_first()? {
            (0, []) => None,
            (1, value) => Some(Value::new(value).ok()?),
            _ => return None,
        };
        let (version, expires) = (u64::from_be_bytes(*version), u64::from_be_bytes(*expires));
        Some(Pair { version, value, expires, source })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_value_has_at_most_a_thousand_bytes() {
        assert_eq!(Value::new(&[7; MAX_VALUE]).unwrap().as_bytes(), [7; MAX_VALUE]);
        let error = Value::new(&[7; MAX_VALUE + 1]).unwrap_err();
        assert_eq!(error.to_string(), "the value has 1001 bytes, and may have 1,000");
    }

    proptest! {
        #[test]
        fn what_is_written_to_a_database_is_read_again(
            version: u64,
            expires: u64,
            source: IpAddr,
            value in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..=MAX_VALUE)),
        ) {
            let value = value.map(|bytes| Value::new(&bytes).unwrap());
            let pair = Pair { version, value, expires, source };
            let mut bytes = Vec::new();
            pair.write(&mut bytes);
            prop_assert_eq!(Pair::read(&bytes), Some(pair));
        }

        #[test]
        fn a_damaged_database_is_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            if let Some(pair) = Pair::read(&bytes) {
                let mut again = Vec::new();
                pair.write(&mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
