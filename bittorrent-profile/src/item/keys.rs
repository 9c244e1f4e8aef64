//! Who signs mutable items.

use core::fmt;
use core::str::FromStr;

use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign};
use ed25519_dalek::{Digest, Sha512, VerifyingKey};
use kademlia_core::{Key, NotAKey};
use zeroize::Zeroizing;

/// The public key of a mutable item: 32 bytes, which need not be a point of the curve until something is verified.
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

    /// Whether `signature` over `message` is this key's, by the strict rules: neither a weak key nor a malleable
    /// signature passes, so that no two nodes disagree on one.
    pub(super) fn verifies(&self, message: &[u8], signature: &Signature) -> bool {
        #[cfg(test)]
        super::tests::VERIFIED.set(super::tests::VERIFIED.get() + 1);
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.to_bytes())
            .is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
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
        write!(f, "PublicKey({self})")
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

/// The secret that signs mutable items. Wiped from memory when dropped; says nothing of itself.
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
    #[cfg(feature = "dht")]
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self::from_seed(&seed))
    }

    /// From the 64 bytes that a seed expands to, scalar and prefix: what BEP 44's vectors and libtorrent call the
    /// private key.
    pub fn from_expanded(bytes: &[u8; 64]) -> Self {
        let public = VerifyingKey::from(&ExpandedSecretKey::from_bytes(bytes));
        SecretKey { expanded: Zeroizing::new(*bytes), public: PublicKey::new(public.to_bytes()) }
    }

    /// The 64 bytes that [`from_expanded`](Self::from_expanded) takes. They are the secret itself: keep them in a file
    /// that only its owner can read.
    pub fn to_expanded(&self) -> Zeroizing<[u8; 64]> {
        self.expanded.clone()
    }

    /// The public key that belongs to it.
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> Signature {
        let secret = ExpandedSecretKey::from_bytes(&self.expanded);
        let public = VerifyingKey::from(&secret);
        Signature(raw_sign::<Sha512>(&secret, message, &public).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public)
    }
}
