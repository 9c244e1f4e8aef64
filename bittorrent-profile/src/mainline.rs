//! The vocabulary of the BitTorrent Mainline DHT.

use kademlia_core::{Contact, Key, Protocol};

use crate::krpc::{Families, Krpc, Request, Response};

/// BitTorrent's Mainline DHT as the engine sees it: 160-bit keys, KRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mainline;

impl Protocol for Mainline {
    type Key = Key<20>;
    type Request = Request;
    type Response = Response;
    type Codec = Krpc;

    fn ping() -> Request {
        Request::Ping
    }

    fn find_node(target: Key<20>) -> Request {
        Request::FindNode { target, want: Families::NONE }
    }

    /// Asks for both families, which BEP 32 wants of a node that joins.
    fn find_node_any(target: Key<20>) -> Request {
        Request::FindNode { target, want: Families::BOTH }
    }

    /// A node is sampled once in an interval (51.2).
    fn may_repeat(request: &Request) -> bool {
        !matches!(request, Request::SampleInfohashes { .. })
    }

    fn contacts(response: &Response) -> &[Contact<Key<20>>] {
        response.nodes.contacts()
    }
}
