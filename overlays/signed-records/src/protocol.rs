//! The overlay's vocabulary, as the engine wants it.

use kademlia_core::{Contact, Key, Protocol};

use crate::codec::Cbor;
use crate::message::{Request, Response};

/// The signed-record overlay: 32-byte keys, which are the nodes' and the publishers' public keys; messages in CBOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedRecords;

impl Protocol for SignedRecords {
    type Key = Key<32>;
    type Request = Request;
    type Response = Response;
    type Codec = Cbor;

    fn ping() -> Request {
        Request::Ping
    }

    fn find_node(target: Key<32>) -> Request {
        Request::FindNode { target }
    }

    /// An echo is sent once: it goes to an address that has shown nothing yet.
    fn may_repeat(request: &Request) -> bool {
        !matches!(request, Request::Echo { .. })
    }

    fn contacts(response: &Response) -> &[Contact<Key<32>>] {
        &response.contacts
    }
}
