//! The vocabulary of an overlay, and its bytes.

use alloc::vec::Vec;
use core::fmt::Debug;

use crate::contact::Contact;
use crate::key::Keyspace;
use crate::message::{Message, TransactionId};

/// What an overlay says: its keys and its RPCs. Never instantiated; a unit struct serves.
/// The supertraits let derives work on [`Message<P>`].
pub trait Protocol: Copy + Debug + Eq + Send + Sync + 'static {
    /// The keyspace; always some [`Key<N>`](crate::Key).
    type Key: Keyspace;
    /// Everything one node may ask another.
    type Request: Clone + Debug + PartialEq + Send + 'static;
    /// Everything a node may answer.
    type Response: Clone + Debug + PartialEq + Send + 'static;
    /// The bytes.
    type Codec: Codec<Self>;

    /// The cheapest request, answered by every node.
    fn ping() -> Self::Request;

    /// Asks for the contacts closest to `target`.
    fn find_node(target: Self::Key) -> Self::Request;

    /// `find_node` for contacts of both address families; the same as [`find_node`](Self::find_node)
    /// unless the overlay can say so (BEP 32 `want`). Used while joining.
    fn find_node_any(target: Self::Key) -> Self::Request {
        Self::find_node(target)
    }

    /// Whether a host's request that goes unanswered may be sent again. Where a node is asked for something at most once
    /// in an interval, not even the loss of the answer is a reason to ask twice (BEP 51).
    fn may_repeat(request: &Self::Request) -> bool {
        let _ = request;
        true
    }

    /// The contacts in a response; empty if it carries none.
    fn contacts(response: &Self::Response) -> &[Contact<Self::Key>];
}

/// Bytes ↔ messages: two pure functions, testable and fuzzable without a node.
pub trait Codec<P: Protocol> {
    /// Reads one datagram.
    ///
    /// # Errors
    /// [`Malformed`], whatever the bytes; never a panic, and never an allocation above a small multiple of their number.
    fn decode(datagram: &[u8]) -> Result<Message<P>, Malformed>;

    /// Appends the message to `out` in canonical form.
    fn encode(message: &Message<P>, out: &mut Vec<u8>);
}

/// Why a datagram was not understood: the sender's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Not a message at all. Silence is the only answer (T10).
    #[error("not a message: {0}")]
    Garbage(&'static str),
    /// A well-formed request that asks for something impossible. The sender is told.
    #[error("request refused with error {code}: {text}")]
    Request {
        /// To be echoed.
        transaction: TransactionId,
        /// A number from the overlay's own list.
        code: i64,
        /// For people.
        text: &'static str,
    },
}
