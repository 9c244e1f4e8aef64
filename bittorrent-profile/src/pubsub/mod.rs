//! Publish and subscribe (BEP 50): the latest version of a mutable item, pushed to everybody who wants it.
//!
//! A [`Topic`] is a mutable item, named by its owner's key and a salt. Whoever subscribes joins an overlay that belongs to
//! this item alone: a table and transactions of its own, at the address and under the id of the Mainline node. Its
//! messages are KRPC with a top-level `c`, the item's target ([`krpc::encode_in_topic`](crate::krpc::encode_in_topic)).
//!
//! [`TopicNode`] is one subscriber, without a socket or a clock. It is an ordinary node under another [`TopicService`], and
//! beside it the bookkeeping of who has which version. A version that is new and the owner's goes to everybody in the
//! table who is not known to have it, as requests of our own, once; so it reaches everybody, and ends where it is known.
//!
//! What can go wrong: a request is lost three times, a node joins between two versions. So every node asks somebody in its
//! table now and then which version he has ([`POLL`]); who has the older one gets the newer.

mod node;
mod service;
mod spread;

pub use node::{TopicEvent, TopicNode};
pub use service::TopicService;
pub use spread::{PAUSE, POLL};

use kademlia_core::{Config, Key};

use crate::item::{MutableItem, PublicKey, Salt, mutable_target};

/// Nodes that the bucket of the own id holds, and its sibling (50.1).
const NEAR: usize = 8;

/// What can be subscribed to: a mutable item, whatever its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    key: PublicKey,
    salt: Salt,
    target: Key<20>,
}

impl Topic {
    /// The topic of `key`'s item under `salt`.
    pub fn new(key: PublicKey, salt: Salt) -> Self {
        Topic { key, salt, target: mutable_target(&key, &salt) }
    }

    /// Who publishes.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// Which of the owner's topics it is.
    pub const fn salt(&self) -> Salt {
        self.salt
    }

    /// The item's target: the topic's name in every message, and the info hash under which its subscribers are found in
    /// the main DHT.
    pub const fn target(&self) -> Key<20> {
        self.target
    }

    /// Whether `item` is a version of this topic's.
    pub fn is_of(&self, item: &MutableItem) -> bool {
        item.key == self.key && item.salt == self.salt
    }
}

/// How a node of a topic differs from a Mainline node configured like `config`: k = 1, but eight in the bucket of the own
/// id and in its sibling (50.1), and it answers, since nobody could tell it anything otherwise. Replies name up to eight all
/// the same: from one at a time, a newcomer would not learn of its neighbourhood.
#[must_use]
pub fn topic_config(config: &Config) -> Config {
    let mut config = Config { k: 1, read_only: false, ..config.clone() };
    config.table.near = NEAR;
    // An overlay of a handful has no density to speak of.
    config.lookup.dense = 0;
    config
}

#[cfg(test)]
mod tests;
