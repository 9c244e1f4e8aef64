//! What is done with nodes whose ids do not fit their addresses (BEP 42).

use kademlia_core::{Admission, Contact, Key};

#[cfg(feature = "dht")]
use crate::krpc::{Response, Token};
use crate::node_id;

/// Whether ids have to fit their addresses, for a place in the routing table and for records of ours (42.5). A lookup may
/// ask anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Strictness(pub(crate) bool);

impl Strictness {
    /// Whether the contact is a full member.
    fn admits(self, contact: &Contact<Key<20>>) -> bool {
        !self.0 || node_id::verify(contact.addr.ip(), &contact.key)
    }

    pub(crate) fn admission(self, contact: &Contact<Key<20>>) -> Admission {
        if self.admits(contact) { Admission::Eligible } else { Admission::Visitable }
    }

    /// The token of a node that may be asked to store: it gave one (A7, BEP 33.5), and is a full member.
    #[cfg(feature = "dht")]
    pub(crate) fn token(self, from: &Contact<Key<20>>, response: &Response) -> Option<Token> {
        response.token.filter(|_| self.admits(from))
    }
}
