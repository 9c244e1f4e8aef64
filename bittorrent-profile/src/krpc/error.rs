//! The error codes.

use core::fmt;

/// Why a query was refused (BEP 5; later BEPs add their own numbers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum ErrorCode {
    /// Nothing more specific.
    Generic = 201,
    /// The answering node's own trouble.
    Server = 202,
    /// A malformed packet, an invalid argument or a bad token.
    Protocol = 203,
    /// A method that the node does not know.
    MethodUnknown = 204,
    /// `v` of a `put` is too long (BEP 44).
    ValueTooLong = 205,
    /// The signature of a `put` is not its key's (BEP 44).
    InvalidSignature = 206,
    /// `salt` of a `put` is too long (BEP 44).
    SaltTooLong = 207,
    /// The item here has another sequence number than `cas` says (BEP 44).
    CasMismatch = 301,
    /// The item here is newer (BEP 44).
    SeqTooLow = 302,
}

impl From<ErrorCode> for i64 {
    fn from(code: ErrorCode) -> i64 {
        i64::from(code as u16)
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", *self as u16)
    }
}
