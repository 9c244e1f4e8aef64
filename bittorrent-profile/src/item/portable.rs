//! Items outside the DHT, in a file for instance: with everything that proves them.

use std::sync::Arc;

use super::{Item, MutableItem, PublicKey, RawValue, Salt, Signature};
use crate::bencode::{DictWriter, MAX_TOKENS, Tape};

impl Item {
    /// A dictionary with the keys of a `put`: `v`, and of a mutable item `k`, `salt`, `seq` and `sig`.
    pub fn to_bencode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256 + self.value().as_bytes().len());
        let mut dict = DictWriter::open(&mut out);
        if let Item::Mutable(item) = self {
            dict.bytes("k", &item.key.to_bytes());
            if !item.salt.as_bytes().is_empty() {
                dict.bytes("salt", item.salt.as_bytes());
            }
            dict.int("seq", item.seq);
            dict.bytes("sig", item.signature.as_bytes());
        }
        dict.entry("v").extend_from_slice(self.value().as_bytes());
        drop(dict);
        out
    }

    /// Reads what [`to_bencode`](Self::to_bencode) wrote. `None` if it is something else, or not authentic.
    pub fn from_bencode(bytes: &[u8]) -> Option<Self> {
        let mut tape = Tape::<MAX_TOKENS>::new();
        let dict = tape.parse(bytes).ok()?.dict()?;
        let value = RawValue::from_value(dict.get(b"v")?).ok()?;
        let Some(key) = dict.get(b"k") else { return Some(Item::Immutable(value)) };
        let salt = match dict.get(b"salt") {
            Some(salt) => Salt::new(salt.bytes()?)?,
            None => Salt::default(),
        };
        let item = Item::Mutable(Arc::new(MutableItem {
            key: PublicKey::new(key.array()?),
            salt,
            seq: dict.get(b"seq")?.int().filter(|seq| *seq >= 0)?,
            value,
            signature: Signature::new(dict.get(b"sig")?.array()?),
        }));
        item.is_authentic().then_some(item)
    }
}

impl From<RawValue> for Item {
    fn from(value: RawValue) -> Self {
        Item::Immutable(value)
    }
}

impl From<MutableItem> for Item {
    fn from(item: MutableItem) -> Self {
        Item::Mutable(item.into())
    }
}

impl From<Arc<MutableItem>> for Item {
    fn from(item: Arc<MutableItem>) -> Self {
        Item::Mutable(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::SecretKey;

    #[test]
    fn bep44_44_9_an_item_survives_outside_the_dht() {
        let owner = SecretKey::from_seed(&[1; 32]);
        let value = RawValue::new(b"d1:ai1ee").unwrap();
        for salt in [Salt::default(), Salt::new(b"blog").unwrap()] {
            let item = Item::from(MutableItem::sign(&owner, salt, 7, value.clone()));
            assert_eq!(Item::from_bencode(&item.to_bencode()), Some(item));
        }
        let item = Item::from(value);
        assert_eq!(item.to_bencode(), b"d1:vd1:ai1eee");
        assert_eq!(Item::from_bencode(&item.to_bencode()), Some(item));
    }

    #[test]
    fn bep44_44_5_what_was_tampered_with_outside_the_dht_is_no_item() {
        let owner = SecretKey::from_seed(&[1; 32]);
        let value = RawValue::string("x").unwrap();
        let bytes = Item::from(MutableItem::sign(&owner, Salt::default(), 7, value)).to_bencode();
        for at in 0..bytes.len() {
            let mut other = bytes.clone();
            other[at] ^= 1;
            assert!(!matches!(Item::from_bencode(&other), Some(Item::Mutable(_))), "byte {at}");
        }
        assert_eq!(Item::from_bencode(b"de"), None);
        assert_eq!(Item::from_bencode(b"d1:v1:xe2:"), None);
    }
}
