//! Keys of any width and the XOR metric over them.

use core::cmp::Ordering;
use core::fmt;

use crate::rng::Rng;

/// A key of `N` bytes, compared and measured as a big-endian unsigned integer of `8 * N` bits.
///
/// Nodes and values live in the same keyspace (Kademlia paper, section 2.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(transparent)]
pub struct Key<const N: usize>([u8; N]);

impl<const N: usize> Key<N> {
    /// Takes the bytes as they are, most significant first.
    pub const fn new(bytes: [u8; N]) -> Self {
        Key(bytes)
    }

    /// The bytes, most significant first.
    pub const fn to_bytes(self) -> [u8; N] {
        self.0
    }
}

mod sealed {
    pub trait Sealed {}
    impl<const N: usize> Sealed for super::Key<N> {}
}

/// What the engine needs of a key. Sealed: implemented once, for [`Key`], so that the width is the only choice.
pub trait Keyspace:
    sealed::Sealed + Copy + Ord + core::hash::Hash + fmt::Debug + fmt::Display + Send + Sync + 'static
{
    /// Width in bits.
    const BITS: usize;
    /// The key of all zero bits.
    const ZERO: Self;

    /// The bytes, most significant first; `BITS / 8` of them.
    fn as_bytes(&self) -> &[u8];

    /// The same bytes, to be changed in place.
    fn as_bytes_mut(&mut self) -> &mut [u8];

    /// A key from exactly `BITS / 8` bytes; `None` for any other length.
    fn from_slice(bytes: &[u8]) -> Option<Self>;

    /// XOR of the two keys (paper, section 2.1: `d(x, y) = x ⊕ y`).
    #[must_use]
    fn distance(&self, other: &Self) -> Self;

    /// Which of `a` and `b` is closer to `self`: `Less` if `a` is. Never builds a distance.
    fn cmp_distance(&self, a: &Self, b: &Self) -> Ordering;

    /// How many leading bits the two keys share: 0 to [`BITS`](Self::BITS), the latter for equal keys.
    fn common_prefix(&self, other: &Self) -> usize;

    /// The first 64 bits as a number, zeros after a shorter key: decides nearly every comparison, and says how far
    /// apart two keys are as a share of the whole space.
    fn head(&self) -> u64 {
        let bytes = self.as_bytes();
        let short = || bytes.iter().zip((0..8).rev()).map(|(byte, at)| u64::from(*byte) << (8 * at)).sum();
        bytes.first_chunk().map_or_else(short, |head| u64::from_be_bytes(*head))
    }

    /// A uniformly drawn key.
    #[must_use]
    fn random(rng: &mut Rng) -> Self {
        let mut key = Self::ZERO;
        rng.fill(key.as_bytes_mut());
        key
    }

    /// A random key that shares at least the first `bits` bits with `self`; `bits` above the width count as the width.
    #[must_use]
    fn random_within(&self, bits: usize, rng: &mut Rng) -> Self {
        let mut key = Self::random(rng);
        let whole = (bits / 8).min(Self::BITS / 8);
        let rest = bits % 8;
        let (own, drawn) = (self.as_bytes(), key.as_bytes_mut());
        for (to, from) in drawn.iter_mut().zip(own).take(whole) {
            *to = *from;
        }
        if let (Some(to), Some(from)) = (drawn.get_mut(whole), own.get(whole)) {
            let kept = !(0xff_u8 >> rest);
            *to = (*from & kept) | (*to & !kept);
        }
        key
    }

    /// A random key that shares exactly the first `bits` bits with `self`; for `bits` at or above the width, `self`.
    #[must_use]
    fn random_beside(&self, bits: usize, rng: &mut Rng) -> Self {
        let mut key = self.random_within(bits + 1, rng);
        if let Some(byte) = key.as_bytes_mut().get_mut(bits / 8) {
            *byte ^= 0x80 >> (bits % 8);
        }
        key
    }
}

impl<const N: usize> Keyspace for Key<N> {
    const BITS: usize = N * 8;
    const ZERO: Self = Key([0; N]);

    fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Key)
    }

    fn distance(&self, other: &Self) -> Self {
        let mut xor = self.0;
        for (to, from) in xor.iter_mut().zip(&other.0) {
            *to ^= from;
        }
        Key(xor)
    }

    fn cmp_distance(&self, a: &Self, b: &Self) -> Ordering {
        // The first byte in which a and b differ decides, and XOR with the same byte keeps it the first.
        for ((own, a), b) in self.0.iter().zip(&a.0).zip(&b.0) {
            if a != b {
                return (own ^ a).cmp(&(own ^ b));
            }
        }
        Ordering::Equal
    }

    fn common_prefix(&self, other: &Self) -> usize {
        let mut bits = 0;
        for (a, b) in self.0.iter().zip(&other.0) {
            let differing = a ^ b;
            if differing != 0 {
                return bits + differing.leading_zeros() as usize;
            }
            bits += 8;
        }
        bits
    }
}

impl<const N: usize> From<[u8; N]> for Key<N> {
    fn from(bytes: [u8; N]) -> Self {
        Key(bytes)
    }
}

impl<const N: usize> AsRef<[u8]> for Key<N> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// All bytes in hexadecimal; with `#`, the first four and an ellipsis, the short form for logs.
impl<const N: usize> fmt::Display for Key<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = if f.alternate() { 4.min(N) } else { N };
        for byte in &self.0[..shown] {
            write!(f, "{byte:02x}")?;
        }
        if shown < N { f.write_str("…") } else { Ok(()) }
    }
}

impl<const N: usize> fmt::Debug for Key<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#}")
    }
}

/// The text was not the key's width in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} hexadecimal digits")]
pub struct NotAKey {
    /// Digits that a key of this width has.
    pub expected: usize,
}

impl<const N: usize> core::str::FromStr for Key<N> {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let wrong = NotAKey { expected: 2 * N };
        let digits = text.as_bytes();
        if digits.len() != 2 * N {
            return Err(wrong);
        }
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let nibble = |digit: u8| char::from(digit).to_digit(16);
            let (high, low) = (nibble(pair[0]).ok_or(wrong)?, nibble(pair[1]).ok_or(wrong)?);
            *byte = u8::try_from(high * 16 + low).map_err(|_| wrong)?;
        }
        Ok(Key(bytes))
    }
}

#[cfg(test)]
mod tests;
