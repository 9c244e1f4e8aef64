//! Why a node refuses what it is asked. One list for the wire and for this side of it (D1: every reason has its own error).

use core::fmt;

/// Why a request was refused, or a record not believed. Each has a number on the wire, which never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// A request without what it needs, or with something else in its place.
    Malformed,
    /// A request that this node does not know.
    Unknown,
    /// The token was not given to this address, or is too old.
    BadToken,
    /// The payload is longer than a record may carry.
    Oversize,
    /// The record does not belong under this key.
    WrongKey,
    /// The publisher has not signed this.
    BadSignature,
    /// The record no longer holds.
    Expired,
    /// The record was signed in the future, further ahead than clocks may differ.
    Future,
    /// The record would hold for longer than this node keeps any.
    TooLong,
    /// This node's policy does not let the record in.
    Denied,
    /// There is a record of the same or a greater number in its place.
    Stale,
    /// There is no room: for another key, for another record under this one, or for another of this source.
    Full,
    /// An echo was asked for at somebody else's address.
    NotYours,
    /// Echoes are sent seldom, and this would have been one more.
    TooMany,
}

use Refusal::{
    BadSignature, BadToken, Denied, Expired, Full, Future, Malformed, NotYours, Oversize, Stale, TooLong,
    TooMany, Unknown, WrongKey,
};

/// In the order of their numbers, which begin with 1.
const ALL: [Refusal; 14] = [
    Malformed,
    Unknown,
    BadToken,
    Oversize,
    WrongKey,
    BadSignature,
    Expired,
    Future,
    TooLong,
    Denied,
    Stale,
    Full,
    NotYours,
    TooMany,
];

impl Refusal {
    /// All reasons, in the order of their codes.
    pub const fn all() -> &'static [Refusal] {
        &ALL
    }

    /// Its number on the wire.
    pub const fn code(self) -> i64 {
        self as i64 + 1
    }

    /// The reason with this number; `None` if there is none.
    pub fn from_code(code: i64) -> Option<Self> {
        let at = usize::try_from(code).ok()?.checked_sub(1)?;
        ALL.get(at).copied()
    }

    /// The reason in words.
    pub const fn text(self) -> &'static str {
        match self {
            Malformed => "malformed request",
            Unknown => "unknown request",
            BadToken => "bad token",
            Oversize => "payload too long",
            WrongKey => "record under the wrong key",
            BadSignature => "bad signature",
            Expired => "record has expired",
            Future => "record from the future",
            TooLong => "record would hold for too long",
            Denied => "denied by policy",
            Stale => "stale record",
            Full => "no room",
            NotYours => "not your address",
            TooMany => "too many echoes",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn fs_d1_every_refusal_has_a_number_and_words_of_its_own() {
        for (at, refusal) in (1..).zip(ALL) {
            assert_eq!((refusal.code(), Refusal::from_code(at)), (at, Some(refusal)));
        }
        assert_eq!(ALL.iter().map(|refusal| refusal.text()).collect::<BTreeSet<_>>().len(), ALL.len());
        for unknown in [i64::MIN, -1, 0, 15, i64::MAX] {
            assert_eq!(Refusal::from_code(unknown), None);
        }
    }
}
