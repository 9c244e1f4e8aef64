//! What nodes say to each other.

use core::fmt;
use core::net::SocketAddr;

use kademlia_core::{Contact, Key};

use crate::identity::{PublicKey, Signature};
use crate::record::{Kind, SignedRecord};

/// Sixteen bytes that nobody can guess: ties an echo or a proof of identity to the question.
pub type Nonce = [u8; 16];

/// Everything one node may ask another.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Are you there?
    Ping,
    /// Prove who you are: answered with a signature over the nonce and both keys.
    Identify {
        /// To be signed.
        nonce: Nonce,
    },
    /// Who is closest to this key?
    FindNode {
        /// The key.
        target: Key<32>,
    },
    /// What is there under this key, and who is closest to it? The answer brings a token for [`Store`](Self::Store).
    Find {
        /// The key.
        target: Key<32>,
        /// Records of this type only.
        kind: Option<Kind>,
        /// Records of publishers after this one only: the rest of a list that did not fit one reply.
        after: Option<PublicKey>,
    },
    /// Keep this record.
    Store {
        /// The key to keep it under, which has to be the record's [target](SignedRecord::target).
        key: Key<32>,
        /// The record.
        record: SignedRecord,
        /// From the answer to a [`Find`](Self::Find) for the same key.
        token: Token,
    },
    /// Send an echo to this address of mine.
    Probe {
        /// The address. Its IP has to be the one that this request comes from.
        addr: SocketAddr,
        /// What the echo is to say.
        nonce: Nonce,
        /// From the answer to a [`Find`](Self::Find) for the asker's own key: it shows that it receives what is sent there.
        token: Token,
    },
    /// The echo.
    Echo {
        /// What the probe said.
        nonce: Nonce,
    },
}

/// Everything a node may answer: parts, read by whoever asked for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// Contacts closest to the target, nearest first.
    pub contacts: Vec<Contact<Key<32>>>,
    /// Records, ordered by publisher.
    pub records: Vec<SignedRecord>,
    /// There are records after the last of these.
    pub more: bool,
    /// Allows the asker's address to store under the target, for a while.
    pub token: Option<Token>,
    /// The answer to [`Request::Identify`].
    pub signature: Option<Signature>,
}

/// Shows that its bearer has lately received an answer of ours at its address. Made and checked by
/// [`Tokens`](kademlia_core::Tokens), for one key.
///
/// Records are signed, so a forged source can put no false ones anywhere. What it could do is make up publishers without
/// end, each under another address, and fill a store past every quota. A puzzle to be solved for each put was considered:
/// it charges the phones and spares the farms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token(pub(crate) [u8; 8]);

impl Token {
    /// Takes the bytes as they are.
    pub const fn new(bytes: [u8; 8]) -> Self {
        Token(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:016x})", u64::from_be_bytes(self.0))
    }
}

/// What a node signs to prove its key: a word that says what for, the nonce, and both keys, so that the proof is of no
/// use to show to anybody else.
pub(crate) fn identity_bytes(nonce: &Nonce, prover: &Key<32>, asker: &Key<32>) -> Vec<u8> {
    let parts: [&[u8]; 4] = [b"kademlia signed-records identity 1\0", nonce, prover.as_ref(), asker.as_ref()];
    parts.concat()
}
