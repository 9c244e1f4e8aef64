//! What a node tells of itself.

use alloc::vec::Vec;
use core::net::SocketAddr;

use super::{Counters, Event, Node, Outgoing};
use crate::config::Config;
use crate::contact::Contact;
use crate::health::Health;
use crate::lookup::{LookupId, LookupReport};
use crate::protocol::Protocol;
use crate::rpc::{RequestId, RoundTrips};
use crate::service::Service;
use crate::size::NetworkSize;
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::time::Instant;

impl<P: Protocol, S: Service<P>> Node<P, S> {
    /// This node's key.
    pub fn local(&self) -> P::Key {
        self.table.local()
    }

    /// The routing table.
    pub fn table(&self) -> &Table<P::Key> {
        &self.table
    }

    /// The service.
    pub fn service(&self) -> &S {
        &self.service
    }

    /// The service, to be changed by the host.
    pub fn service_mut(&mut self) -> &mut S {
        &mut self.service
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// What this node has done so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Round-trip times measured so far.
    pub fn round_trips(&self) -> &RoundTrips {
        self.transactions.round_trips()
    }

    /// Requests awaiting an answer.
    pub fn outstanding(&self) -> usize {
        self.transactions.len()
    }

    /// What a lookup that runs would report if it ended now; of a publish, until it stores.
    pub fn progress(&self, now: Instant, id: LookupId) -> Option<LookupReport<P::Key>> {
        self.searches.progress(now.max(self.now), id, self.config.k)
    }

    /// The external address that the network agrees on.
    pub fn external(&self) -> Option<SocketAddr> {
        self.observed.agreed()
    }

    /// How many nodes the network has, as far as lookups have shown; `None` before there were enough of them.
    pub fn network_size(&self) -> Option<NetworkSize> {
        let known = self.table.len();
        let bound = self.table.iter().filter(|entry| self.service.is_bound(&entry.contact())).count();
        self.sizes.estimate(bound as f64 / known.max(1) as f64)
    }

    /// Whether the way into the network was found.
    pub fn is_bootstrapped(&self) -> bool {
        self.join.is_done()
    }

    /// How requests to this address went lately, as far as [`Config::health`] remembers.
    pub fn health(&self, addr: SocketAddr) -> Health {
        self.health.of(addr)
    }

    /// What is worth keeping for the next run: the key and the good contacts.
    pub fn snapshot(&self, now: Instant) -> Snapshot<P::Key> {
        let now = now.max(self.now);
        let mut contacts = Vec::new();
        self.table.closest_good(now, &self.local(), usize::MAX, None, &mut contacts);
        Snapshot { local: self.local(), contacts }
    }

    /// Bytes this node holds, the service's not counted.
    pub fn memory(&self) -> usize {
        size_of::<Self>()
            + self.table.memory()
            + self.transactions.memory()
            + self.searches.memory()
            + self.requests.len() * size_of::<(RequestId, P::Request)>()
            + self.join.memory()
            + self.verify.memory()
            + self.inbound.memory()
            + self.strangers.memory()
            + self.observed.memory()
            + self.sizes.memory()
            + self.hearing.memory()
            + self.health.memory()
            + self.tasks.memory()
            + (self.outbox.capacity() + self.replies.capacity()) * size_of::<Outgoing<P>>()
            + self.events.capacity() * size_of::<Event<P>>()
            + self.foreign.capacity() * size_of::<Contact<P::Key>>()
    }
}
