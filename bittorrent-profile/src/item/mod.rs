//! Items (BEP 44): values that anybody can store in the DHT, under the hash of the value or under a public key.

mod keys;
mod portable;
mod raw;
mod store;
#[cfg(feature = "serde")]
mod typed;

pub use keys::{PublicKey, SecretKey, Signature};
pub use raw::{MAX_VALUE, NotAValue, RawValue};
pub use store::{ItemStore, StoredItem};
#[cfg(feature = "serde")]
pub use typed::NotAType;

use std::sync::Arc;

use kademlia_core::Key;
use sha1::{Digest, Sha1};

use crate::bencode::{write_bytes, write_int};
use crate::krpc::ShortBytes;

/// Tells apart several items under one key: up to 64 bytes (44.5), none for the one without a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Salt(ShortBytes<64>);

impl Salt {
    /// Takes a copy; `None` if there are more than 64.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        ShortBytes::new(bytes).map(Salt)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// A value in the DHT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Found under its own hash: nobody can change it.
    Immutable(RawValue),
    /// Found under its owner's key, who can replace it.
    Mutable(Arc<MutableItem>),
}

impl Item {
    /// The key under which it is stored.
    pub fn target(&self) -> Key<20> {
        match self {
            Item::Immutable(value) => immutable_target(value),
            Item::Mutable(item) => mutable_target(&item.key, &item.salt),
        }
    }

    /// The value.
    pub fn value(&self) -> &RawValue {
        match self {
            Item::Immutable(value) => value,
            Item::Mutable(item) => &item.value,
        }
    }

    /// The sequence number; `None` for an immutable item.
    pub fn seq(&self) -> Option<i64> {
        match self {
            Item::Immutable(_) => None,
            Item::Mutable(item) => Some(item.seq),
        }
    }

    /// Whether it is what it says to be: true of every immutable item, a matter of the signature for a mutable one.
    pub fn is_authentic(&self) -> bool {
        match self {
            Item::Immutable(_) => true,
            Item::Mutable(item) => item.is_authentic(),
        }
    }
}

/// An item that its owner can replace, as it came: not to be trusted before [`is_authentic`](Self::is_authentic).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MutableItem {
    /// Whose it is.
    pub key: PublicKey,
    /// Which of the owner's items it is.
    pub salt: Salt,
    /// The version: the highest one counts. Never negative (44.6).
    pub seq: i64,
    /// The value.
    pub value: RawValue,
    /// The owner's signature over salt, sequence number and value.
    pub signature: Signature,
}

impl MutableItem {
    /// Signs a version of an item.
    ///
    /// # Panics
    /// Debug builds, if `seq` is negative.
    pub fn sign(owner: &SecretKey, salt: Salt, seq: i64, value: RawValue) -> Self {
        debug_assert!(seq >= 0, "44.6");
        let signature = owner.sign(&signed_bytes(&salt, seq, &value));
        MutableItem { key: owner.public(), salt, seq, value, signature }
    }

    /// Whether the signature is the owner's.
    pub fn is_authentic(&self) -> bool {
        self.key.verifies(&signed_bytes(&self.salt, self.seq, &self.value), &self.signature)
    }
}

/// Where an immutable item is stored: SHA-1 of the bencoded value (44.3).
pub fn immutable_target(value: &RawValue) -> Key<20> {
    Key::new(Sha1::digest(value.as_bytes()).into())
}

/// Where a mutable item is stored: SHA-1 of key and salt (44.3).
pub fn mutable_target(key: &PublicKey, salt: &Salt) -> Key<20> {
    let hash = Sha1::new().chain_update(key.to_bytes()).chain_update(salt.as_bytes());
    Key::new(hash.finalize().into())
}

/// What is signed: the item's keys and values in bencode's order, without the dictionary around them; no salt is the same
/// as an empty one (44.4).
fn signed_bytes(salt: &Salt, seq: i64, value: &RawValue) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128 + value.as_bytes().len());
    if !salt.as_bytes().is_empty() {
        write_bytes(&mut bytes, b"salt");
        write_bytes(&mut bytes, salt.as_bytes());
    }
    write_bytes(&mut bytes, b"seq");
    write_int(&mut bytes, seq);
    write_bytes(&mut bytes, b"v");
    bytes.extend_from_slice(value.as_bytes());
    bytes
}

/// What a node answers to `get`: parts, of which each may be missing or wrong, since whoever sent them vouches for
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ItemParts {
    /// `v`; absent if there is none, or none newer than the asker's (44.8).
    pub value: Option<RawValue>,
    /// `k`.
    pub key: Option<PublicKey>,
    /// `seq`.
    pub seq: Option<i64>,
    /// `sig`.
    pub signature: Option<Signature>,
}

impl ItemParts {
    /// The value, if it is the one that belongs under `target`.
    pub fn immutable(&self, target: &Key<20>) -> Option<RawValue> {
        self.value.clone().filter(|value| immutable_target(value) == *target)
    }

    /// The item, if it is `key`'s own under `salt`: one signature is verified.
    pub fn mutable(&self, key: &PublicKey, salt: &Salt) -> Option<MutableItem> {
        // Some nodes leave `k` out where the asker has to know it; another key is a lie.
        if self.key.is_some_and(|named| named != *key) {
            return None;
        }
        let (value, signature) = (self.value.clone()?, self.signature?);
        let seq = self.seq.filter(|seq| *seq >= 0)?;
        let item = MutableItem { key: *key, salt: *salt, seq, value, signature };
        item.is_authentic().then_some(item)
    }

    /// What answers a `get` for `item`, of which the asker has the version `known` (44.8). The salt is never returned.
    pub fn of(item: &Item, known: Option<i64>) -> Self {
        match item {
            Item::Immutable(value) => ItemParts { value: Some(value.clone()), ..ItemParts::default() },
            Item::Mutable(item) if known.is_some_and(|known| item.seq <= known) => {
                ItemParts { seq: Some(item.seq), ..ItemParts::default() }
            }
            Item::Mutable(item) => ItemParts {
                value: Some(item.value.clone()),
                key: Some(item.key),
                seq: Some(item.seq),
                signature: Some(item.signature),
            },
        }
    }

    /// Without the value and what proves it.
    #[must_use]
    pub fn without_value(&self) -> Self {
        ItemParts { seq: self.seq, ..ItemParts::default() }
    }
}

#[cfg(test)]
pub(crate) mod tests;
