//! What can go wrong.

use std::io;

/// Why a store cannot be opened. The file is left as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is not a redb database, or one of another program.
    #[error("the file is not a database of records: {0}")]
    Foreign(String),
    /// Its checksums do not match, or parts are missing.
    #[error("the database is damaged: {0}")]
    Damaged(String),
    /// Another version of this crate wrote it.
    #[error("the database has format {found}, this version reads format {expected}")]
    Format {
        /// In the file.
        found: u64,
        /// Known here.
        expected: u64,
    },
    /// The records are those of another overlay.
    #[error("the database's keys have {found} bits, not {expected}")]
    KeyWidth {
        /// In the file.
        found: u64,
        /// Of the store's keys.
        expected: u64,
    },
    /// A record is none to [`Durable::read`](kademlia_core::Durable::read): the file is intact, but holds something else.
    #[error("the database holds a record that is not one of this store's")]
    Unreadable,
    /// Another store has the file open, in this process or another one.
    #[error("the database is in use")]
    InUse,
    /// The system refuses to read or write.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl From<redb::Error> for OpenError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => OpenError::InUse,
            redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
                OpenError::Foreign(error.to_string())
            }
            redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                OpenError::Damaged(error.to_string())
            }
            redb::Error::Io(error) => OpenError::Io(error),
            redb::Error::TableDoesNotExist(_)
            | redb::Error::TableTypeMismatch { .. }
            | redb::Error::TableIsMultimap(_)
            | redb::Error::TypeDefinitionChanged { .. }
            | redb::Error::UpgradeRequired(_) => OpenError::Foreign(error.to_string()),
            error => OpenError::Damaged(error.to_string()),
        }
    }
}

/// Changes that could not be written. They are kept, and tried again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the records could not be written: {0}")]
pub struct Unwritten(pub(crate) String);
