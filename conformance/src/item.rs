//! BEP 44 items: what is put, and the keys that sign it.

use ed25519_dalek::{Signer as _, SigningKey};
use kademlia_core::Rng;

use crate::bencode::{int, string};
use crate::digest::sha1;
use crate::query::Query;

/// A mutable item that the text publishes, with its signature.
pub(crate) struct Published {
    pub(crate) salt: &'static [u8],
    pub(crate) target: &'static str,
    signature: &'static str,
}

/// The published key, sequence number 1 and the value `12:Hello World!`, without salt and with it.
pub(crate) const PUBLISHED: [Published; 2] = [
    Published {
        salt: b"",
        target: "4a533d47ec9c7d95b1ad75f576cffc641853b750",
        signature: "305ac8aeb6c9c151fa120f120ea2cfb923564e11552d06a5d856091e5e853cff\
            1260d3f39e4999684aa92eb73ffd136e6f4f3ecbfda0ce53a1608ecd7ae21f01",
    },
    Published {
        salt: b"foobar",
        target: "411eba73b6f087ca51a3795d9c8c938d365e32c1",
        signature: "6834284b6b24c3204eb2fea824d82f88883a3d95e8b4a21b8c0ded553d17d17d\
            df9a8a7104b1258f30bed3787e6cb896fca78c58f8e03b5f18f14951a87d9a08",
    },
];

/// The key of [`PUBLISHED`].
const PUBLISHED_KEY: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";
/// The value of [`PUBLISHED`], and of the published immutable item.
pub(crate) const PUBLISHED_VALUE: &[u8] = b"12:Hello World!";
/// The published immutable item's target.
pub(crate) const PUBLISHED_TARGET: &str = "e5f96f6f38320f0f33959cb4d3d656452117aadb";

impl Published {
    pub(crate) fn put(&self) -> Query {
        let put = put(PUBLISHED_VALUE).int("seq", 1);
        let put = put.string("k", bytes::<32>(PUBLISHED_KEY)).string("sig", bytes::<64>(self.signature));
        if self.salt.is_empty() { put } else { put.string("salt", self.salt) }
    }
}

/// Bytes from hexadecimal digits.
pub(crate) fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    let mut bytes = [0; N];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = hex
            .get(2 * at..2 * at + 2)
            .and_then(|pair| u8::from_str_radix(pair, 16).ok())
            .unwrap_or_default();
    }
    bytes
}

/// A put of this bencoded value, without a token; by itself immutable.
pub(crate) fn put(value: &[u8]) -> Query {
    Query::new("put").raw("v", value.to_vec())
}

/// An item that only the holder of a key can change.
#[derive(Debug)]
pub(crate) struct Mutable {
    key: SigningKey,
    pub(crate) salt: Option<Vec<u8>>,
}

impl Mutable {
    /// Under a new key, without salt.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut seed = [0; 32];
        rng.fill(&mut seed);
        Mutable { key: SigningKey::from_bytes(&seed), salt: None }
    }

    pub(crate) fn salted(mut self, salt: impl Into<Vec<u8>>) -> Self {
        self.salt = Some(salt.into());
        self
    }

    fn public(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    pub(crate) fn target(&self) -> [u8; 20] {
        sha1(&[&self.public(), self.salt.as_deref().unwrap_or_default()])
    }

    /// A put of this bencoded value, without a token.
    pub(crate) fn put(&self, seq: i64, value: &[u8]) -> Query {
        let signature = self.key.sign(&signed(self.salt.as_deref(), seq, value)).to_bytes();
        let put = put(value).int("seq", seq).string("k", self.public()).string("sig", signature);
        match &self.salt {
            Some(salt) => put.string("salt", salt),
            None => put,
        }
    }
}

/// The bytes that are signed; an empty salt is none.
fn signed(salt: Option<&[u8]>, seq: i64, value: &[u8]) -> Vec<u8> {
    let mut signed = Vec::new();
    if let Some(salt) = salt.filter(|salt| !salt.is_empty()) {
        signed.extend([string("salt"), string(salt)].concat());
    }
    signed.extend([string("seq"), int(seq), string("v"), value.to_vec()].concat());
    signed
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signature, VerifyingKey};

    use super::*;

    #[test]
    fn bep44_44_3_44_4_published_items_and_targets() {
        let key = VerifyingKey::from_bytes(&bytes(PUBLISHED_KEY)).unwrap();
        for Published { salt, target, signature } in PUBLISHED {
            let signed = signed(Some(salt), 1, PUBLISHED_VALUE);
            key.verify_strict(&signed, &Signature::from_bytes(&bytes(signature))).unwrap();
            assert_eq!(sha1(&[&key.to_bytes(), salt]), bytes(target));
        }
        assert_eq!(sha1(&[PUBLISHED_VALUE]), bytes(PUBLISHED_TARGET));
        assert_eq!(signed(None, 4, b"12:Hello world!"), b"3:seqi4e1:v12:Hello world!");
    }
}
