//! What nodes say to each other: the four RPCs of the Kademlia paper (section 2.3).

use core::time::Duration;

use kademlia_core::{Config, Contact, Key, Protocol};
use sha2::{Digest, Sha256};

use crate::codec::Compact;
use crate::pair::Value;
use crate::token::Token;

/// A key of the overlay, of a node or of a value.
pub type Id = Key<32>;

/// Contacts in a bucket, in an answer and in the result of a lookup, and holders of a value (paper, section 2.2).
pub const K: usize = 20;

/// The key of a value that goes by a name: its SHA-256.
pub fn key_of(name: impl AsRef<[u8]>) -> Id {
    Key::new(Sha256::digest(name).into())
}

/// The overlay. Never instantiated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyValue;

impl KeyValue {
    /// The engine's configuration for this overlay: k = 20, α = 3, and buckets are refreshed that were idle for an hour
    /// (paper, sections 2.2 and 2.3). Everything else is the engine's default.
    pub fn config() -> Config {
        let mut config = Config { k: K, alpha: 3, ..Config::default() };
        config.table.refresh = Duration::from_secs(60 * 60);
        config
    }
}

/// What one node asks another.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// PING.
    Ping,
    /// STORE.
    Store {
        /// Under which key.
        key: Id,
        /// The answering node's own token, from one of its answers to FIND_NODE or FIND_VALUE.
        token: Token,
        /// What.
        item: Versioned,
    },
    /// FIND_NODE.
    FindNode {
        /// Close to what.
        target: Id,
    },
    /// FIND_VALUE.
    FindValue {
        /// Under which key.
        key: Id,
    },
}

/// What a node answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Response {
    /// To PING.
    Pong,
    /// To STORE: it is kept, or was already.
    Stored,
    /// To FIND_NODE, and to FIND_VALUE by a node that has no value.
    Nodes {
        /// Lets the asker store here.
        token: Token,
        /// The up to [`K`] closest contacts.
        contacts: Vec<Contact<Id>>,
    },
    /// To FIND_VALUE.
    Found {
        /// Lets the asker store here.
        token: Token,
        /// What this node has.
        item: Versioned,
        /// As many of the closest contacts as fit, so that a search for a newer version goes on from here.
        contacts: Vec<Contact<Id>>,
    },
}

impl Response {
    /// The token of an answer that has one.
    pub fn token(&self) -> Option<Token> {
        match self {
            Response::Pong | Response::Stored => None,
            Response::Nodes { token, .. } | Response::Found { token, .. } => Some(*token),
        }
    }

    /// The value that was found, or the word that it was removed.
    pub fn item(&self) -> Option<&Versioned> {
        if let Response::Found { item, .. } = self { Some(item) } else { None }
    }
}

/// A value, or the word that it was removed, as it travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versioned {
    /// The put it comes from: the publisher's clock, in milliseconds since 1970.
    pub version: u64,
    /// The value; `None` if it was removed.
    pub value: Option<Value>,
    /// Seconds that are left of its life. Nobody prolongs it but the publisher.
    pub life: u32,
}

impl Versioned {
    /// Whether this one takes the place of the other: the greater version, and of two puts in the same millisecond the one
    /// with the greater bytes, a removal being the least. So whoever has seen both has the same, in whatever order.
    pub fn is_newer_than(&self, version: u64, value: Option<&Value>) -> bool {
        (self.version, self.value.as_ref()) > (version, value)
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[repr(u8)]
pub enum ErrorCode {
    /// A request of a kind that this version does not know.
    #[error("unknown request")]
    UnknownRequest = 1,
    /// The token was not given to this address, or more than ten minutes ago.
    #[error("bad token")]
    BadToken = 2,
    /// This node has a newer version.
    #[error("there is a newer version")]
    Outdated = 3,
    /// The value has more than [`MAX_VALUE`](crate::MAX_VALUE) bytes.
    #[error("value too long")]
    TooLong = 4,
    /// The version is more than an hour ahead of this node's clock.
    #[error("version from the future")]
    FromFuture = 5,
    /// No life is left in it.
    #[error("expired")]
    Expired = 6,
    /// The store has no room for it.
    #[error("no room")]
    NoRoom = 7,
}

impl From<ErrorCode> for i64 {
    fn from(code: ErrorCode) -> i64 {
        i64::from(code as u8)
    }
}

impl Protocol for KeyValue {
    type Key = Id;
    type Request = Request;
    type Response = Response;
    type Codec = Compact;

    fn ping() -> Request {
        Request::Ping
    }

    fn find_node(target: Id) -> Request {
        Request::FindNode { target }
    }

    fn contacts(response: &Response) -> &[Contact<Id>] {
        match response {
            Response::Pong | Response::Stored => &[],
            Response::Nodes { contacts, .. } | Response::Found { contacts, .. } => contacts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_hashed_with_sha256() {
        // FIPS 180-2, appendix B.1.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(key_of("abc").to_string(), expected);
    }

    #[test]
    fn of_two_versions_everybody_prefers_the_same() {
        let item = |version, value: Option<&[u8]>| Versioned {
            version,
            value: value.map(|value| Value::new(value).unwrap()),
            life: 1,
        };
        let sorted = [item(1, Some(b"z")), item(2, None), item(2, Some(b"a")), item(2, Some(b"b"))];
        for (at, older) in sorted.iter().enumerate() {
            for (other, newer) in sorted.iter().enumerate() {
                assert_eq!(newer.is_newer_than(older.version, older.value.as_ref()), other > at);
            }
        }
    }
}
