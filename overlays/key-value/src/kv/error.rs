//! What can go wrong, one type for each kind of operation.

use kademlia_core::LookupLimit;
use kademlia_core::runtime::{Closed, RequestFailure};

use crate::pair::TooLong;
use crate::service::NotPut;

/// Why nothing was put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// Split the value, or put it elsewhere and its address here.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// Withdraw something first, or wait.
    #[error(transparent)]
    NotPut(#[from] NotPut),
    /// The node has been shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why it is not known whether there is a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetError {
    /// Too many lookups wait; ask again later.
    #[error(transparent)]
    Busy(#[from] LookupLimit),
    /// The node has been shut down.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// Why one node did not store a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The value is too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// The node did not answer, or refused: the code is an [`ErrorCode`](crate::ErrorCode).
    #[error(transparent)]
    Failed(#[from] RequestFailure),
    /// Its answer to FIND_NODE was none, and without its token it stores nothing.
    #[error("the node gave no token")]
    NoToken,
}
