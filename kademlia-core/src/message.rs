//! What every Kademlia message carries, whatever its bytes.

use alloc::string::String;
use core::fmt;
use core::net::SocketAddr;

use crate::protocol::Protocol;

/// Longest transaction id that is accepted and echoed (T12).
pub const MAX_TRANSACTION_ID: usize = 32;

/// An opaque id that ties a reply to its request: 0 to 32 bytes, held inline.
///
/// Ours are 4 random bytes; others' are echoed as they came.
#[derive(Clone, Copy)]
pub struct TransactionId {
    len: u8,
    bytes: [u8; MAX_TRANSACTION_ID],
}

impl TransactionId {
    /// An id from its bytes; `None` if there are more than [`MAX_TRANSACTION_ID`].
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut id = TransactionId { len: u8::try_from(bytes.len()).ok()?, bytes: [0; MAX_TRANSACTION_ID] };
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(id)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// The number an id of ours was made from; `None` if the id has not our length.
    pub(crate) fn number(&self) -> Option<u32> {
        self.as_bytes().try_into().ok().map(u32::from_be_bytes)
    }
}

impl From<u32> for TransactionId {
    fn from(number: u32) -> Self {
        let mut bytes = [0; MAX_TRANSACTION_ID];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        TransactionId { len: 4, bytes }
    }
}

impl PartialEq for TransactionId {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for TransactionId {}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// One message of an overlay.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<P: Protocol> {
    /// Ties the reply to the request.
    pub transaction: TransactionId,
    /// In replies: the address that the replying node saw the request come from.
    pub observed: Option<SocketAddr>,
    /// Request, response or error.
    pub body: Body<P>,
}

/// The three kinds of message.
#[derive(Clone, Debug, PartialEq)]
pub enum Body<P: Protocol> {
    /// A question, to be answered once.
    Request {
        /// Who asks.
        sender: P::Key,
        /// The sender answers nobody, so it belongs in no routing table.
        read_only: bool,
        /// What is asked.
        request: P::Request,
    },
    /// The answer to a request.
    Response {
        /// Who answers.
        sender: P::Key,
        /// The answer.
        response: P::Response,
    },
    /// The refusal of a request.
    Error {
        /// A number from the overlay's own list.
        code: i64,
        /// For people.
        text: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_up_to_32_bytes_are_kept_and_longer_ones_refused() {
        for len in 0..=MAX_TRANSACTION_ID {
            let bytes = alloc::vec![0xa5; len];
            assert_eq!(TransactionId::new(&bytes).unwrap().as_bytes(), bytes);
        }
        assert_eq!(TransactionId::new(&[0; MAX_TRANSACTION_ID + 1]), None);
        assert_eq!(TransactionId::from(7).number(), Some(7));
        assert_eq!(TransactionId::new(&[0; 5]).unwrap().number(), None);
    }
}
