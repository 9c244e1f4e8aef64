//! What a transport did, for whoever watches it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a transport carried and lost since it was bound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Datagrams received, the truncated ones among them.
    pub received: u64,
    /// Datagrams longer than [`MAX_DATAGRAM`](crate::MAX_DATAGRAM), of which only the beginning was delivered.
    pub truncated: u64,
    /// Errors on receiving. They cost no datagram: the call was made again.
    pub receive_errors: u64,
    /// Datagrams sent of which the network says that they reached nobody (ICMP). Only some systems tell.
    pub unreachable: u64,
    /// Calls that received something; where the system knows batches, `received / receive_calls` is their mean size.
    pub receive_calls: u64,
    /// Datagrams handed to the system.
    pub sent: u64,
    /// Datagrams lost because there is no socket of the destination's address family.
    pub no_socket: u64,
    /// Datagrams lost because the system refused them: no route, too long, forbidden by a filter.
    pub refused: u64,
    /// Datagrams lost because the send buffers stayed full.
    pub congested: u64,
    /// Calls that sent something; where the system knows batches, `sent / send_calls` is their mean size.
    pub send_calls: u64,
}

/// The [`Counts`] of a transport that is in use. Clones count together.
#[derive(Clone, Debug, Default)]
pub struct Counters(Arc<Mutex<Counts>>);

impl Counters {
    /// The counts up to now.
    pub fn read(&self) -> Counts {
        *self.lock()
    }

    /// Changes the counts. Taken once a batch, and held by nobody for longer than a few additions.
    pub(crate) fn update(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock());
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
