//! What a node remembers of itself between runs.

use alloc::vec::Vec;

use crate::contact::Contact;

/// A node's key and its good contacts. Loaded contacts are asked before they are trusted:
/// give them to [`Node::add_contacts`](crate::Node::add_contacts).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot<K> {
    /// The node's key.
    pub local: K,
    /// Entries that were good when the snapshot was taken.
    pub contacts: Vec<Contact<K>>,
}
