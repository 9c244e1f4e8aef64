//! The behaviour of one node: what it keeps and answers, and everything that it does of its own accord.

mod direct;
mod publish;
mod reading;
mod search;
mod serve;

pub use direct::{AskError, Pong};
pub use reading::candidates;
pub use search::{FindError, Found, ResolveError};

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;
use std::sync::Arc;

use kademlia_core::{
    Config, Contact, Instant, Key, MemoryStorage, Node, Outcome, Reply, Rng, ServeContext, Service, Storage,
    Table, Task, TaskId, Tokens, soonest,
};

use crate::agenda::Agenda;
use crate::authority::{Authority, Policy};
use crate::config::RecordsConfig;
use crate::identity::{PublicKey, SecretKey};
use crate::message::Request;
use crate::peers::{SeenPeer, SeenPeers};
use crate::probes::{Echoes, Probes};
use crate::protocol::SignedRecords;
use crate::publisher::Publisher;
use crate::record::StoredRecord;
use crate::shelf::Shelf;
use crate::time::{Clock, Timestamp};

/// Told who says at which address it sees this node (D8).
pub type Observer = Box<dyn FnMut(SocketAddr, SocketAddr) + Send>;

/// Reports on our own address that are kept; the oldest gives way.
const VIEWS: usize = 16;
/// Least time between two sweeps of expired records. They are not handed out meanwhile.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);

/// A node of the signed-record overlay, but for the engine under it: generic over where records are kept.
///
/// Performs no I/O and reads no clock. It answers every request in bounded time, and does its own work through the engine's
/// [tasks](kademlia_core::Task): searches, publishing and renewing, probes. Operations are begun with a callback for their
/// end, from outside and between two inputs (`node.service_mut()`); [`poll_timeout`](Service::poll_timeout) then lies in
/// the past, so that the host comes back at once.
pub struct RecordsService<S = MemoryStorage<Key<32>, StoredRecord>> {
    config: RecordsConfig,
    identity: SecretKey,
    clock: Clock,
    authority: Arc<Authority>,
    tokens: Tokens,
    shelf: Shelf<S>,
    publisher: Publisher,
    pub(crate) agenda: Agenda<S>,
    probes: Probes<AskError>,
    echoes: Echoes,
    peers: SeenPeers,
    observer: Option<Observer>,
    /// Who sees us where; oldest first, one report a reporter.
    views: VecDeque<(SocketAddr, SocketAddr)>,
    rng: Rng,
    /// No sweep before.
    rests_until: Instant,
}

impl RecordsService {
    /// A service that keeps records in memory. The node's key has to be `identity`'s; [`into_node`](Self::into_node) sees to
    /// that. `clock` says what time it is; `seed` has to come from the operating system's random source, for the secret of
    /// the write tokens is drawn from it.
    pub fn new(identity: SecretKey, clock: Clock, config: RecordsConfig, seed: [u8; 32]) -> Self {
        Self::with_storage(identity, clock, config, MemoryStorage::new(config.storage), seed)
    }
}

impl<S: Storage<Key<32>, StoredRecord> + 'static> RecordsService<S> {
    /// The same over another storage, whose limits are its own to know.
    pub fn with_storage(
        identity: SecretKey,
        clock: Clock,
        config: RecordsConfig,
        mut storage: S,
        seed: [u8; 32],
    ) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut secret = [0; 16];
        rng.fill(&mut secret);
        storage.recenter(identity.public().key());
        RecordsService {
            config,
            clock,
            authority: Arc::new(Authority::new(&config, None)),
            tokens: Tokens::new(&secret),
            shelf: Shelf::new(storage, config.keys, Rng::from_seed(rng.fork())),
            publisher: Publisher::new(&config, Rng::from_seed(rng.fork())),
            agenda: Agenda::new(),
            probes: Probes::new(),
            echoes: Echoes::new(&config),
            peers: SeenPeers::new(config.seen),
            observer: None,
            views: VecDeque::new(),
            rng,
            rests_until: Instant::ZERO,
            identity,
        }
    }

    /// Asks `policy` about every record that is otherwise in order, before it is kept or believed.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.authority = Arc::new(Authority::new(&self.config, Some(policy)));
        self
    }

    /// Tells `observer` of everybody who says at which address it sees this node.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.observer = Some(observer);
        self
    }

    /// A node that behaves like this, under the identity's key.
    pub fn into_node(
        self,
        config: impl Into<Arc<Config>>,
        seed: [u8; 32],
        now: Instant,
    ) -> Node<SignedRecords, Self> {
        let key = self.identity.public().key();
        Node::new(self, key, config, seed, now)
    }

    /// Sets the wall clock right, when it is `now`: the engine's does not notice when the machine sleeps, or its clock is set.
    pub fn set_clock(&mut self, now: Instant, clock: Clock) {
        self.clock = clock;
        let unix = Duration::from_millis(clock.at(now).as_millis());
        self.shelf.storage_mut().set_clock(now, unix);
    }

    /// Peers that an earlier run met; see [`seen`](Self::seen).
    pub fn remember(&mut self, now: Instant, peers: impl IntoIterator<Item = SeenPeer>) {
        let wall = self.clock.at(now);
        self.peers.remember(wall, peers);
    }

    /// Reads the clock for all who need it until the next input.
    fn tick(&mut self, now: Instant) -> Timestamp {
        let wall = self.clock.at(now);
        self.authority.set_time(wall);
        wall
    }

    /// Whether there is no room for another operation.
    fn is_busy(&self) -> bool {
        self.agenda.len() >= self.config.operations
    }

    /// The public key behind the node's key.
    pub fn identity(&self) -> PublicKey {
        self.identity.public()
    }
}

impl<S: Storage<Key<32>, StoredRecord> + 'static> Service<SignedRecords> for RecordsService<S> {
    fn serve(&mut self, request: Request, cx: &ServeContext<'_, SignedRecords>) -> Reply<SignedRecords> {
        self.tick(cx.now);
        self.answer(request, cx)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        soonest([
            self.agenda.is_urgent().then_some(Instant::ZERO),
            self.publisher.poll_timeout(),
            self.probes.poll_timeout(),
            self.shelf.storage().next_expiry().map(|due| due.max(self.rests_until)),
        ])
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.tick(now);
        self.probes.expire(now);
        if self.rests_until <= now {
            self.shelf.expire(now);
            self.rests_until = now + EXPIRY_PAUSE;
        }
        self.publish_due(now);
    }

    fn poll_task(&mut self, _now: Instant, _table: &Table<Key<32>>) -> Option<(TaskId, Task<SignedRecords>)> {
        self.agenda.pop()
    }

    fn handle_outcome(
        &mut self,
        now: Instant,
        task: TaskId,
        outcome: Outcome<SignedRecords>,
        _table: &Table<Key<32>>,
    ) {
        self.tick(now);
        self.proceed(now, task, outcome);
    }

    fn observed(&mut self, now: Instant, reporter: &Contact<Key<32>>, seen: SocketAddr) {
        let wall = self.tick(now);
        self.peers.met(wall, *reporter);
        self.views.retain(|(other, _)| *other != reporter.addr);
        if self.views.len() >= VIEWS {
            self.views.pop_front();
        }
        self.views.push_back((reporter.addr, seen));
        if let Some(observer) = &mut self.observer {
            observer(reporter.addr, seen);
        }
    }
}

impl<S> fmt::Debug for RecordsService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RecordsService { identity, publisher, agenda, .. } = self;
        write!(f, "RecordsService {{ {identity:?}, {publisher:?}, {agenda:?} }}")
    }
}

#[cfg(test)]
mod tests;
