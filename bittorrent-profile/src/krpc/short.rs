//! Remote byte strings that are kept or echoed: bounded, and held inline.

use core::fmt;

/// Up to `N` bytes of any value.
#[derive(Clone, Copy)]
pub struct ShortBytes<const N: usize> {
    len: u8,
    bytes: [u8; N],
}

impl<const N: usize> ShortBytes<N> {
    /// Takes a copy; `None` if there are more than `N`.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut short = ShortBytes { len: u8::try_from(bytes.len()).ok()?, bytes: [0; N] };
        short.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(short)
    }

    /// Takes an array that fits, which the compiler checks.
    pub fn from_array<const M: usize>(array: [u8; M]) -> Self {
        const { assert!(M <= N && M <= u8::MAX as usize, "the array has to fit") };
        let [len, ..] = M.to_le_bytes();
        let mut bytes = [0; N];
        bytes.iter_mut().zip(array).for_each(|(to, from)| *to = from);
        ShortBytes { len, bytes }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<const N: usize> Default for ShortBytes<N> {
    fn default() -> Self {
        ShortBytes { len: 0, bytes: [0; N] }
    }
}

impl<const N: usize> PartialEq for ShortBytes<N> {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl<const N: usize> Eq for ShortBytes<N> {}

impl<const N: usize> fmt::Debug for ShortBytes<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.as_bytes().escape_ascii())
    }
}
