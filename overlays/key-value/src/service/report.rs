//! How operations end.

use kademlia_core::{Contact, LookupLimit, LookupReport, Stored};

use crate::pair::Value;
use crate::protocol::{ErrorCode, Id, Versioned};

/// Called once with the end of an operation; dropped uncalled if the node is.
pub type Done<T> = Box<dyn FnOnce(T) + Send>;

/// Where a put or a removal went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The key.
    pub key: Id,
    /// The version that it was given.
    pub version: u64,
    /// Whether this node keeps it, or why not; `None` if it is not one of the closest and does not have to.
    pub here: Option<Result<(), ErrorCode>>,
    /// What the others said, node by node.
    pub stored: Stored<Id>,
}

impl Put {
    /// Nodes that keep it, this one included.
    pub fn copies(&self) -> usize {
        self.stored.accepted.len() + usize::from(self.here == Some(Ok(())))
    }

    /// Other nodes that have a newer version.
    pub fn conflicts(&self) -> usize {
        let outdated = i64::from(ErrorCode::Outdated);
        self.stored.refused.iter().filter(|(_, code, _)| *code == outdated).count()
    }

    /// Whether most of those who said anything have a newer version: this put came too late.
    pub fn is_superseded(&self) -> bool {
        self.conflicts() > self.stored.accepted.len()
    }
}

/// What a get found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Got {
    /// The key.
    pub key: Id,
    /// The value, or the word that it was removed; `None` if there was nothing.
    pub item: Option<Versioned>,
    /// Other nodes that were found to have just this, in the order of their answers.
    pub holders: Vec<Contact<Id>>,
    /// The closest node that lacked it, which is being given it (paper, section 2.3).
    pub cached_at: Option<Contact<Id>>,
    /// The lookup; `None` if this node knew.
    pub report: Option<LookupReport<Id>>,
}

impl Got {
    /// The value, if there is one.
    pub fn value(&self) -> Option<&Value> {
        self.item.as_ref()?.value.as_ref()
    }
}

/// Which version a get wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// The first that is found (paper, section 2.3): a cached copy may be older than the last put.
    #[default]
    First,
    /// The newest that any of the k closest nodes has. Who has an older one is given it.
    Newest,
}

/// Why nothing was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPut {
    /// This node publishes as many pairs as it may.
    #[error("this node publishes as many pairs as it may")]
    Full,
    /// It was withdrawn or removed before its turn came.
    #[error("withdrawn before it was published")]
    Withdrawn,
    /// Too many lookups wait; the put is tried again later.
    #[error(transparent)]
    Busy(#[from] LookupLimit),
}

/// What a service has done of its own accord. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// STOREs taken from others.
    pub taken: u64,
    /// Turns to publish for others that were used.
    pub republished: u64,
    /// Turns that were not, because this node is not among the closest any more.
    pub passed: u64,
    /// Pairs handed to newcomers, and taken by them.
    pub handed_over: u64,
    /// Pairs given to the closest node that lacked them, or had an older version, after a get.
    pub cached: u64,
}
