//! Describing a node, and starting it.

use core::fmt;
use core::net::SocketAddr;
use std::io;
use std::sync::Arc;

use kademlia_core::runtime::{Driver, DriverConfig, Transport};
use kademlia_core::{
    Config, Contact, DualStack, Family, Instant, Key, MemoryStorage, Node, Reach, Rng, Storage,
};
use tokio::sync::Mutex;

use super::wall::WallClock;
use super::{Inner, Memory, Records};
use crate::authority::{Decision, Policy};
use crate::config::{RecordsConfig, engine_config};
use crate::identity::SecretKey;
use crate::peers::SeenPeer;
use crate::protocol::SignedRecords;
use crate::record::{SignedRecord, StoredRecord};
use crate::service::{Observer, RecordsService};
use crate::time::{Clock, Timestamp};

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The transport does not say where it is bound.
    #[error("the transport has no local address")]
    Transport(#[from] io::Error),
    /// A node has one socket, of one address family.
    #[error("a node of this overlay is bound to one address")]
    Addresses,
    /// The operating system gave no random numbers, without which no token and no transaction id is safe.
    #[error("no random numbers from the operating system: {0}")]
    Random(getrandom::Error),
}

type Change<T> = Box<dyn FnOnce(&mut T) + Send>;
type MakeStorage<S> = Box<dyn FnOnce(&RecordsConfig) -> S + Send>;

/// Describes a node. Everything has a default: a node under a new identity that knows nobody and keeps records in memory.
pub struct Builder<S = Memory> {
    identity: Option<SecretKey>,
    bootstrap: Vec<String>,
    contacts: Vec<Contact<Key<32>>>,
    remembered: Vec<SeenPeer>,
    storage: MakeStorage<S>,
    policy: Option<Policy>,
    observer: Option<Observer>,
    engine: Vec<Change<Config>>,
    records: Vec<Change<RecordsConfig>>,
    driver: DriverConfig,
    clock: WallClock,
    seed: Option<[u8; 32]>,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            identity: None,
            bootstrap: Vec::new(),
            contacts: Vec::new(),
            remembered: Vec::new(),
            storage: Box::new(|config| MemoryStorage::new(config.storage)),
            policy: None,
            observer: None,
            engine: Vec::new(),
            records: Vec::new(),
            driver: DriverConfig::default(),
            clock: WallClock::default(),
            seed: None,
        }
    }
}

impl<S: Storage<Key<32>, StoredRecord> + Send + 'static> Builder<S> {
    /// Who the node is (default: a new identity).
    #[must_use]
    pub fn identity(mut self, identity: SecretKey) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Hosts to join through, as `host:port`; added to those given before. Names are resolved in the background.
    #[must_use]
    pub fn bootstrap<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.bootstrap.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// Contacts to join through, for instance the [candidates](Records::candidates) of an earlier run. They are asked
    /// first, and before they are trusted.
    #[must_use]
    pub fn contacts(mut self, contacts: Vec<Contact<Key<32>>>) -> Self {
        self.contacts = contacts;
        self
    }

    /// Peers that an earlier run [has seen](Records::seen). They count for the node's reach, and are tried like
    /// [`contacts`](Self::contacts).
    #[must_use]
    pub fn remember(mut self, peers: Vec<SeenPeer>) -> Self {
        self.remembered = peers;
        self
    }

    /// Keeps records in this storage instead of in memory.
    #[must_use]
    pub fn storage<T: Storage<Key<32>, StoredRecord> + Send + 'static>(self, storage: T) -> Builder<T> {
        let Builder { identity, bootstrap, contacts, remembered, policy, observer, engine, records, .. } =
            self;
        let (driver, clock, seed, storage) =
            (self.driver, self.clock, self.seed, Box::new(move |_: &_| storage));
        Builder {
            identity,
            bootstrap,
            contacts,
            remembered,
            storage,
            policy,
            observer,
            engine,
            records,
            driver,
            clock,
            seed,
        }
    }

    /// Asks `policy` about every record that is otherwise in order: with its key and the present, before it is kept or
    /// believed.
    #[must_use]
    pub fn policy(
        mut self,
        policy: impl Fn(&Key<32>, &SignedRecord, Timestamp) -> Decision + Send + Sync + 'static,
    ) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Calls `observer` with everybody who says at which address it sees this node: first the reporter, then the address.
    /// It runs on the node's own task, so it has to be quick.
    #[must_use]
    pub fn on_observed(mut self, observer: impl FnMut(SocketAddr, SocketAddr) + Send + 'static) -> Self {
        self.observer = Some(Box::new(observer));
        self
    }

    /// Ask, but answer nobody (default: answer). Such a node holds nothing for others, and hears no echo.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        self.configure(move |config| config.read_only = read_only)
    }

    /// Changes the engine's limits and constants, on the defaults that its address calls for.
    #[must_use]
    pub fn configure(mut self, change: impl FnOnce(&mut Config) + Send + 'static) -> Self {
        self.engine.push(Box::new(change));
        self
    }

    /// Changes the service's limits and constants, as [`configure`](Self::configure) does the engine's.
    #[must_use]
    pub fn configure_records(mut self, change: impl FnOnce(&mut RecordsConfig) + Send + 'static) -> Self {
        self.records.push(Box::new(change));
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
    pub fn wall_clock(mut self, read: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        self.clock = WallClock(Arc::new(read));
        self
    }

    /// Decides every random choice of the node, its identity if none is given, and the token secret. For tests and
    /// simulations only: whoever knows the seed can forge tokens.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the node on this transport, in a task of its own; to be called within a tokio runtime. It begins to join at
    /// once, and calls that need the network wait for it.
    ///
    /// A node bound to a loopback or private address speaks to such addresses and counts nothing per IP address or subnet,
    /// unless [configured](Self::configure) to; one bound to a public or unspecified address never does.
    ///
    /// # Errors
    /// [`SpawnError`].
    pub fn spawn(mut self, transport: impl Transport) -> Result<Records<S>, SpawnError> {
        let [bound] = transport.local_addrs()?[..] else { return Err(SpawnError::Addresses) };
        let mut rng = Rng::from_seed(self.seed.map_or_else(system_seed, Ok)?);
        let (contacts, hosts) = (self.known_contacts(), core::mem::take(&mut self.bootstrap));
        let (clock, driver) = (self.clock.clone(), self.driver);
        let mut node = self.node(Reach::of_bound(bound), &mut rng);
        if !hosts.is_empty() {
            node.expect_bootstrap();
        }
        let (identity, family) = (node.service().identity(), Family::of(&bound));
        let (driver, handle) = Driver::new(transport, driver, |_| DualStack::single(node, family));
        let joining = tokio::spawn(handle.clone().join(contacts, hosts));
        let ticking = tokio::spawn(clock.keep(handle.clone(), family));
        let inner = Inner {
            handle,
            identity,
            bound,
            driver: Mutex::new(Some(tokio::spawn(driver.run()))),
            helpers: [joining.abort_handle(), ticking.abort_handle()],
        };
        Ok(Records { inner: Arc::new(inner) })
    }

    fn known_contacts(&self) -> Vec<Contact<Key<32>>> {
        let seen = self.remembered.iter().map(|peer| peer.contact);
        self.contacts.iter().copied().chain(seen).collect()
    }

    fn node(self, reach: Reach, rng: &mut Rng) -> Node<SignedRecords, RecordsService<S>> {
        let (mut engine, mut records) = match reach {
            Reach::Global => (engine_config(), RecordsConfig::default()),
            Reach::Private => (engine_config().private_network(), RecordsConfig::default().private_network()),
        };
        self.engine.into_iter().for_each(|change| change(&mut engine));
        self.records.into_iter().for_each(|change| change(&mut records));
        let identity = self.identity.unwrap_or_else(|| SecretKey::from_seed(&rng.fork()));
        let clock = Clock::new(Instant::ZERO, self.clock.read());
        let storage = (self.storage)(&records);
        let mut service = RecordsService::with_storage(identity, clock, records, storage, rng.fork());
        service.remember(Instant::ZERO, self.remembered);
        if let Some(policy) = self.policy {
            service = service.with_policy(policy);
        }
        if let Some(observer) = self.observer {
            service = service.with_observer(observer);
        }
        service.into_node(engine, rng.fork(), Instant::ZERO)
    }
}

impl<S> fmt::Debug for Builder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Builder { identity, bootstrap, contacts, .. } = self;
        write!(f, "Builder {{ {identity:?}, bootstrap: {bootstrap:?}, contacts: {} }}", contacts.len())
    }
}

fn system_seed() -> Result<[u8; 32], SpawnError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(SpawnError::Random)?;
    Ok(seed)
}
