//! Write tokens.

use core::fmt;

/// What a node asks of whoever stores: proof that he has lately received our answer at his address, so that nobody stores
/// in another's name. The paper has none; Mainline's (BEP 5) are the model. It names no key: whoever hands over many pairs
/// asks once. Made and checked by [`Tokens`](kademlia_core::Tokens).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; 8]);

impl Token {
    /// What such a token allows, in the words of [`Tokens`](kademlia_core::Tokens): everything.
    pub(crate) const SCOPE: &'static [u8] = &[];

    /// A token from its bytes.
    pub const fn new(bytes: [u8; 8]) -> Self {
        Token(bytes)
    }

    /// The bytes.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
