//! A record and where it lies.

use std::net::IpAddr;

use kademlia_core::Record;

/// A record's key in the database: its expiry comes first, so that what expires next lies first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Milliseconds since 1970; `u64::MAX` for never.
    pub(crate) expires: u64,
    /// Never given twice in the life of a file.
    pub(crate) id: u64,
}

/// A record in memory that knows its place in the file.
#[derive(Clone, Debug)]
pub(crate) struct Row<R> {
    pub(crate) place: Place,
    pub(crate) record: R,
}

impl<R: Record> Record for Row<R> {
    type Slot = R::Slot;

    fn slot(&self) -> R::Slot {
        self.record.slot()
    }

    fn source(&self) -> IpAddr {
        self.record.source()
    }

    fn heap_bytes(&self) -> usize {
        self.record.heap_bytes()
    }
}
