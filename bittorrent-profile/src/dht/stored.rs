//! Who keeps what was stored.

use kademlia_core::{Contact, Key};

use crate::krpc::ErrorCode;

/// Who took an announcement or an item, node by node, in all networks that the node is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Nodes that keep it.
    pub accepted: Vec<Contact<Key<20>>>,
    /// Nodes that refused, with the error they gave.
    pub refused: Vec<(Contact<Key<20>>, i64, String)>,
    /// Nodes that did not answer.
    pub no_answer: Vec<Contact<Key<20>>>,
    /// Nodes asked on the way to them.
    pub asked: usize,
    /// Requests sent: those of the lookups with their repetitions, and one to each node above.
    pub messages: usize,
}

impl Stored {
    /// Nodes that were asked to keep it.
    pub fn chosen(&self) -> usize {
        self.accepted.len() + self.refused.len() + self.no_answer.len()
    }

    /// Nodes that refused an item because they have another version than the one in `cas`, or a newer one (BEP 44: 301,
    /// 302).
    pub fn conflicts(&self) -> usize {
        self.refused.iter().filter(|(_, code, _)| is_conflict(*code)).count()
    }

    /// Nodes that answered, to the last request too.
    pub(super) fn responders(&self) -> impl Iterator<Item = &Contact<Key<20>>> {
        self.accepted.iter().chain(self.refused.iter().map(|(contact, _, _)| contact))
    }

    pub(super) fn add(&mut self, stored: kademlia_core::Stored<Key<20>>) {
        self.asked += stored.report.asked;
        self.messages +=
            stored.report.messages + stored.accepted.len() + stored.refused.len() + stored.no_answer.len();
        self.accepted.extend(stored.accepted);
        self.refused.extend(stored.refused);
        self.no_answer.extend(stored.no_answer);
    }
}

/// Whether a node that gives this error has another version.
pub(super) fn is_conflict(code: i64) -> bool {
    code == i64::from(ErrorCode::CasMismatch) || code == i64::from(ErrorCode::SeqTooLow)
}
