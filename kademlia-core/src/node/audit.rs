//! A node examines itself: what must hold after every step, for tests and simulations.

use core::net::{IpAddr, SocketAddr};

use super::searches::OWN;
use super::{Event, Node, Outgoing};
use crate::contact::Contact;
use crate::key::Keyspace;
use crate::protocol::Protocol;
use crate::rpc::Pending;
use crate::service::Service;
use crate::table::Entry;

impl<P: Protocol, S: Service<P>> Node<P, S> {
    /// Checks the node's invariants (P8): those of the table and of the transactions, and the limits of both and of the
    /// searches. In time quadratic in the table's size.
    ///
    /// # Errors
    /// The first rule found broken.
    pub fn check(&self) -> Result<(), &'static str> {
        self.table.check()?;
        self.transactions.check()?;
        self.searches.check(self.config.lookup.waiting)?;
        let filtered = |entry: &Entry<P::Key>| !self.admits(entry.contact().addr);
        if self.table.iter().any(filtered) {
            return Err("an address that must not be spoken to is in the table");
        }
        if self.memory() > self.memory_limit() { Err("more memory is held than may be") } else { Ok(()) }
    }

    /// The most bytes that [`memory`](Self::memory) may come to (P7), from the limits of the configuration; for a host
    /// that drains the outputs. Far above what any network can make a node hold at once.
    pub fn memory_limit(&self) -> usize {
        let config = &self.config;
        let keys = <P::Key as Keyspace>::BITS;
        let entries = keys.saturating_mul(config.k.max(config.table.near) + config.table.replacements);
        let each_request = size_of::<(u32, Pending<P::Key>)>() + 2 * size_of::<(IpAddr, usize)>();
        let outputs = size_of::<Outgoing<P>>() + size_of::<Event<P>>();
        let requests = config.rpc.outstanding.saturating_mul(each_request + outputs);
        let searches = (config.lookup.running + OWN)
            .saturating_mul(config.lookup.candidates + config.k * config.lookup.paths)
            .saturating_mul(2 * size_of::<Contact<P::Key>>());
        let waiting = config.lookup.waiting.saturating_mul(8 * size_of::<P::Request>() + 256);
        let addresses = (config.verify.remembered + config.observed.votes + config.bootstrap.routers)
            .saturating_mul(4 * size_of::<SocketAddr>());
        (entries * 2 * size_of::<Entry<P::Key>>())
            .saturating_add(requests)
            .saturating_add(searches)
            .saturating_add(waiting)
            .saturating_add(addresses)
            .saturating_add(FIXED)
    }
}

/// What does not depend on the configuration: the node itself, the quota of serving, remembered contacts, the outbox.
const FIXED: usize = 1 << 20;
