//! Describing a node, and starting it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use kademlia_core::runtime::{Driver, DriverConfig, Transport};
use kademlia_core::{
    Config, Contact, DualStack, Family, Instant, Keyspace, MemoryStorage, Node, Reach, Rng, Snapshot, Storage,
};

use super::wall_clock::WallClock;
use super::{Inner, Kv};
use crate::pair::Pair;
use crate::protocol::{Id, KeyValue};
use crate::service::{KvConfig, KvService};

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The transport does not say where it is bound.
    #[error("the transport has no local address")]
    Transport(#[from] io::Error),
    /// A node of this overlay is at one address: in the IPv4 or in the IPv6 network.
    #[error("the transport has {0} local addresses, and a node needs one")]
    Addresses(usize),
    /// The operating system gave no random numbers, without which no token and no transaction id is safe.
    #[error("no random numbers from the operating system: {0}")]
    Random(getrandom::Error),
}

type Change<T> = Box<dyn FnOnce(&mut T) + Send>;
type Open<St> = Box<dyn FnOnce(&KvConfig) -> St + Send>;

/// Describes a node. Everything has a default: the first node of a new network, which keeps its pairs in memory.
pub struct Builder<St = MemoryStorage<Id, Pair>> {
    bootstrap: Vec<String>,
    key: Option<Id>,
    contacts: Vec<Contact<Id>>,
    read_only: bool,
    open: Open<St>,
    config: Vec<Change<Config>>,
    service: Vec<Change<KvConfig>>,
    driver: DriverConfig,
    clock: WallClock,
    seed: Option<[u8; 32]>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            bootstrap: Vec::new(),
            key: None,
            contacts: Vec::new(),
            read_only: false,
            open: Box::new(|config| MemoryStorage::new(config.storage)),
            config: Vec::new(),
            service: Vec::new(),
            driver: DriverConfig::default(),
            clock: WallClock::default(),
            seed: None,
        }
    }
}

impl<St: Storage<Id, Pair> + Send + 'static> Builder<St> {
    /// Nodes to join through, as `host:port`; added to those given before. Names are resolved in the background. Without
    /// any, this is the first node of a new network.
    #[must_use]
    pub fn bootstrap<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.bootstrap.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// The node's key (default: random). A node with a [store](Self::storage) that outlives it had better keep its key
    /// too: what it holds is what others look for near that key.
    #[must_use]
    pub fn key(mut self, key: Id) -> Self {
        self.key = Some(key);
        self
    }

    /// What an earlier run left ([`Kv::snapshot`]): its key, unless another is given, and its contacts.
    #[must_use]
    pub fn remember(mut self, snapshot: Snapshot<Id>) -> Self {
        self.key.get_or_insert(snapshot.local);
        self.contacts.extend(snapshot.contacts);
        self
    }

    /// Only ask, and answer nobody (default: answer). For programs that are over soon, and hosts that nobody can reach.
    #[must_use]
    pub fn read_only(mut self, read_only: bool) -> Self {
        self.read_only = read_only;
        self
    }

    /// Where pairs are kept (default: in memory, within [`KvConfig::storage`]), for instance a database that survives.
    #[must_use]
    pub fn storage<Other: Storage<Id, Pair> + Send + 'static>(self, store: Other) -> Builder<Other> {
        let Builder { bootstrap, key, contacts, read_only, config, service, driver, clock, seed, .. } = self;
        let open: Open<Other> = Box::new(|_| store);
        Builder { bootstrap, key, contacts, read_only, open, config, service, driver, clock, seed }
    }

    /// Changes the engine's limits and constants, on the defaults that the node's address calls for
    /// ([`spawn`](Self::spawn)).
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.config.push(Box::new(change));
        self
    }

    /// Changes the service's limits and constants, as [`configure`](Self::configure) does the engine's.
    #[must_use]
    pub fn configure_service(mut self, change: impl FnOnce(&mut KvConfig) + Send + 'static) -> Self {
        self.service.push(Box::new(change));
        self
    }

    /// Changes the limits of the task that carries the node.
    #[must_use]
    pub fn configure_driver(mut self, change: impl FnOnce(&mut DriverConfig)) -> Self {
        change(&mut self.driver);
        self
    }

    /// Reads this clock instead of the system's, at the start and once a minute. For tests.
    #[must_use]
    pub fn wall_clock(mut self, read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        self.clock = WallClock::new(read);
        self
    }

    /// Decides every random choice of the node, the token secret among them. For tests only: whoever knows the seed can
    /// forge replies.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the node on the current tokio runtime and returns without waiting for the network. The calendar is read here,
    /// and once a minute.
    ///
    /// A node bound to a loopback or private address treats such addresses as routable and counts nothing per IP
    /// address or subnet, unless it was [configured](Self::configure) to; one bound to a public or unspecified address
    /// has neither of these defaults.
    ///
    /// # Errors
    /// [`SpawnError`].
    pub fn spawn(self, transport: impl Transport) -> Result<Kv<St>, SpawnError> {
        let addrs = transport.local_addrs()?;
        let &[bound] = addrs.as_slice() else { return Err(SpawnError::Addresses(addrs.len())) };
        let mut rng = Rng::from_seed(self.seed.map_or_else(system_seed, Ok)?);
        let (mut config, mut service) = (KeyValue::config(), KvConfig::default());
        config.read_only = self.read_only;
        if Reach::of_bound(bound) == Reach::Private {
            (config, service) = (config.private_network(), service.private_network());
        }
        self.config.into_iter().for_each(|change| change(&mut config));
        service.wall = self.clock.wall(Instant::ZERO);
        self.service.into_iter().for_each(|change| change(&mut service));
        (service.k, service.read_only) = (config.k, config.read_only);

        let key = self.key.unwrap_or_else(|| Id::random(&mut rng));
        let store = (self.open)(&service);
        let service = KvService::new(store, key, service, rng.fork(), Instant::ZERO);
        let mut node = Node::new(service, key, Arc::new(config), rng.fork(), Instant::ZERO);
        if !self.bootstrap.is_empty() {
            node.expect_bootstrap();
        }
        let stack = DualStack::single(node, Family::of(&bound));
        let (driver, handle) = Driver::new(transport, self.driver, |_| stack);
        tokio::spawn(driver.run());
        let join = handle.clone().join(self.contacts, self.bootstrap);
        let ticking = tokio::spawn(self.clock.keep(handle.clone(), Family::of(&bound)));
        let helpers = [tokio::spawn(join).abort_handle(), ticking.abort_handle()];
        Ok(Kv { inner: Arc::new(Inner { handle, bound, key, helpers }) })
    }
}

impl<St> fmt::Debug for Builder<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Builder { bootstrap, key, read_only, .. } = self;
        write!(f, "Builder {{ bootstrap: {bootstrap:?}, key: {key:?}, read_only: {read_only} }}")
    }
}

pub(super) fn system_seed() -> Result<[u8; 32], SpawnError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(SpawnError::Random)?;
    Ok(seed)
}
