//! Who signs: nodes, and publishers of records.

use core::fmt;
use core::str::FromStr;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Digest, Sha512, VerifyingKey};
use kademlia_core::{Key, NotAKey};
use zeroize::Zeroizing;

/// An Ed25519 public key: the name of a node or of a publisher, and a key of this overlay.
/// 32 bytes, which need not be a point of the curve until something is verified.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey(Key<32>);

impl PublicKey {
    /// Takes the bytes as they are.
    pub const fn new(bytes: [u8; 32]) -> Self {
        PublicKey(Key::new(bytes))
    }

    /// The 32 bytes.
    pub const fn to_bytes(self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The same bytes as a point of the keyspace.
    pub const fn key(self) -> Key<32> {
        self.0
    }

    /// Whether `signature` over `message` is this key's, by the strict rules: neither a weak key nor a malleable
    /// signature passes, so that no two nodes disagree on one.
    pub fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.to_bytes())
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
    }
}

impl From<Key<32>> for PublicKey {
    fn from(key: Key<32>) -> Self {
        PublicKey(key)
    }
}

/// 64 hexadecimal digits.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:#})", self.0)
    }
}

/// From 64 hexadecimal digits.
impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        text.parse().map(PublicKey)
    }
}

/// A signature as it came: 64 bytes that prove nothing until they are verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl Signature {
    /// Takes the bytes as they are.
    pub const fn new(bytes: [u8; 64]) -> Self {
        Signature(bytes)
    }

    /// The 64 bytes.
    pub const fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "Signature({a:02x}{b:02x}{c:02x}{d:02x}…)")
    }
}

/// The secret behind a [`PublicKey`]. Wiped from memory when dropped; says nothing of itself.
pub struct SecretKey {
    /// Scalar and prefix, as they came: read as a number, a scalar would come back as another.
    expanded: Zeroizing<[u8; 64]>,
    public: PublicKey,
}

impl SecretKey {
    /// From a 32-byte seed (RFC 8032), which has to come from the operating system's random source.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let mut expanded = Zeroizing::new(<[u8; 64]>::from(Sha512::digest(seed)));
        // The bits that every scalar has set or not (RFC 8032, 5.1.5).
        expanded[0] &= 0b1111_1000;
        expanded[31] &= 0b0111_1111;
        expanded[31] |= 0b0100_0000;
        Self::from_expanded(&expanded)
    }

    /// A new one, from the operating system's random source.
    ///
    /// # Errors
    /// There is no such source.
    #[cfg(feature = "runtime")]
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed)?;
        Ok(Self::from_seed(&seed))
    }

    /// From the 64 bytes that a seed expands to, scalar and prefix: what `kad keygen` keeps in its files.
    pub fn from_expanded(bytes: &[u8; 64]) -> Self {
        let public = VerifyingKey::from(&ExpandedSecretKey::from_bytes(bytes));
        SecretKey { expanded: Zeroizing::new(*bytes), public: PublicKey::new(public.to_bytes()) }
    }

    /// The public key that belongs to it.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a message. Whoever adds a use begins its messages with words of its own, so that no signature for one use
    /// passes for another.
    pub(crate) fn sign(&self, message: &[u8]) -> Signature {
        let secret = ExpandedSecretKey::from_bytes(&self.expanded);
        let public = VerifyingKey::from(&secret);
        Signature(raw_sign::<Sha512>(&secret, message, &public).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, test 2.
    const SEED: [u8; 32] = [
        0x4c, 0xcd, 0x08, 0x9b, 0x28, 0xff, 0x96, 0xda, 0x9d, 0xb6, 0xc3, 0x46, 0xec, 0x11, 0x4e, 0x0f, 0x5b,
        0x8a, 0x31, 0x9f, 0x35, 0xab, 0xa6, 0x24, 0xda, 0x8c, 0xf6, 0xed, 0x4f, 0xb8, 0xa6, 0xfb,
    ];
    const PUBLIC: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";

    const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

    #[test]
    fn keys_and_signatures_are_those_of_rfc_8032() {
        let secret = SecretKey::from_seed(&SEED);
        assert_eq!(secret.public().to_string(), PUBLIC);
        let signature = secret.sign(&[0x72]);
        let shown: String = signature.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, SIGNATURE);
        assert!(secret.public().verifies(&[0x72], &signature));
        assert!(!secret.public().verifies(&[0x73], &signature));
        assert_eq!(SecretKey::from_expanded(&secret.expanded).public(), secret.public());
    }

    #[test]
    fn nothing_shows_a_secret_and_no_weak_key_verifies() {
        let shown = format!("{:?}", SecretKey::from_seed(&SEED));
        assert_eq!(shown, "SecretKey(of PublicKey(3d4017c3…))");
        // The neutral element: everything would verify under it by the lax rules.
        let mut weak = [0; 32];
        weak[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(!PublicKey::new(weak).verifies(b"anything", &Signature::new(signature)));
    }
}
