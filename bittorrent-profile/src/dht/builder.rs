//! Describing a node, and starting it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::runtime::{Closed, Driver, DriverConfig, Shell, Transport};
use kademlia_core::{
    Config, DualStack, Family, Instant, Key, Keyspace, Node, Protocol, Reach, RenewalConfig, Rng, Snapshot,
};

use super::changes::Changes;
use super::items::Shelf;
use super::network::{Isolated, Mask};
use super::peers::Searches;
use super::renew::Announcer;
use super::topic::{Demultiplexer, Topics};
use super::{Dht, Inner, MainlineHandle, scrape};
use crate::id::NodeId;
use crate::mainline::Mainline;
use crate::node_id;
use crate::service::{MainlineService, ServiceConfig};
use crate::strictness::Strictness;

/// Why a node could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// The transport does not say where it is bound.
    #[error("the transport has no local address")]
    Transport(#[from] io::Error),
    /// The operating system gave no random numbers, without which no token and no transaction id is safe.
    #[error("no random numbers from the operating system: {0}")]
    Random(getrandom::Error),
}

/// Describes a node. Everything has a default: a read-only client that knows nobody.
#[derive(Clone, Debug)]
pub struct Builder {
    bootstrap: Vec<String>,
    pub(super) remembered: Vec<(Family, Snapshot<Key<20>>)>,
    pub(super) node_id: Option<NodeId>,
    /// Ids that come before all others, by family.
    pub(super) own_ids: Vec<(Family, Key<20>)>,
    public_ips: Vec<IpAddr>,
    config: Changes<Config>,
    service: Changes<ServiceConfig>,
    driver: DriverConfig,
    seed: Option<[u8; 32]>,
    renewal: RenewalConfig,
    requery: Duration,
    network: Option<String>,
    /// How many of the kind are started at once, this one among them.
    pub(super) siblings: usize,
}

impl Default for Builder {
    fn default() -> Self {
        Builder {
            bootstrap: Vec::new(),
            remembered: Vec::new(),
            node_id: None,
            own_ids: Vec::new(),
            public_ips: Vec::new(),
            config: Changes::default(),
            service: Changes::default(),
            driver: DriverConfig::default(),
            seed: None,
            renewal: RenewalConfig::default(),
            requery: Duration::from_secs(15),
            network: None,
            siblings: 1,
        }
    }
}

impl Builder {
    /// Hosts to join through, as `host:port`; added to those given before. Names are resolved in the background.
    #[must_use]
    pub fn bootstrap<H: Into<String>>(mut self, hosts: impl IntoIterator<Item = H>) -> Self {
        self.bootstrap.extend(hosts.into_iter().map(Into::into));
        self
    }

    /// What an earlier run left ([`Dht::snapshots`]): its ids, unless another is given, and its contacts.
    #[must_use]
    pub fn remember(mut self, snapshots: Vec<(Family, Snapshot<Key<20>>)>) -> Self {
        self.remembered = snapshots;
        self
    }

    /// Answer others (default: only ask). Open the UDP port first; see [the module](super#what-to-expect-of-a-dht).
    #[must_use]
    pub fn server(self, server: bool) -> Self {
        self.configure(move |config| config.read_only = !server)
    }

    /// The node's id in both networks (default: remembered, derived from the public address, or random).
    #[must_use]
    pub fn node_id(mut self, id: NodeId) -> Self {
        self.node_id = Some(id);
        self
    }

    /// The host's public address, if known: the id is derived from it at once (BEP 42). Otherwise the network votes.
    #[must_use]
    pub fn public_ip(mut self, ip: IpAddr) -> Self {
        self.public_ips.push(ip);
        self
    }

    /// Keep nodes whose ids do not fit their addresses out of the table, and announce to none of them (BEP 42).
    #[must_use]
    pub fn strict_bep42(self, strict: bool) -> Self {
        self.configure_service(move |config| config.strict_bep42 = strict)
    }

    /// How often an [`Announcement`](super::Announcement) is renewed (default: 15 min, half of what nodes keep it).
    #[must_use]
    pub fn renewal(mut self, interval: Duration) -> Self {
        self.renewal.interval = interval;
        self
    }

    /// Requests per second that all announcements of this node together may take in the long run (default: 20; 0 for no
    /// limit). With more than that pays for, each is made with less effort, and then more rarely.
    #[must_use]
    pub fn renewal_budget(mut self, requests: u32) -> Self {
        self.renewal.budget = requests;
        self
    }

    /// For how long a finished search answers further ones for the same info hash (default: 15 s; 0: not at all).
    #[must_use]
    pub fn requery(mut self, interval: Duration) -> Self {
        self.requery = interval;
        self
    }

    /// Changes the engine's limits and constants. Run for each node when it starts, on the defaults that its address
    /// calls for ([`spawn`](Self::spawn)): what is set here holds wherever the node is bound.
    #[must_use]
    pub fn configure(mut self, change: impl Fn(&mut Config) + Send + Sync + 'static) -> Self {
        self.config.add(change);
        self
    }

    /// Changes the answering side's limits and constants, as [`configure`](Self::configure) does the engine's.
    /// [`StorageLimits::bytes`](kademlia_core::StorageLimits::bytes) are the host's: the nodes of both families, and of all
    /// addresses ([`spawn_many`](Self::spawn_many)), have equal parts of it (T7).
    #[must_use]
    pub fn configure_service(mut self, change: impl Fn(&mut ServiceConfig) + Send + Sync + 'static) -> Self {
        self.service.add(change);
        self
    }

    /// Changes the limits of the task that carries the node.
    #[must_use]
    pub fn configure_driver(mut self, change: impl FnOnce(&mut DriverConfig)) -> Self {
        change(&mut self.driver);
        self
    }

    /// Joins a network of this name instead of Mainline: nodes that share a name hear each other and nobody else, and nobody
    /// else hears them (default: Mainline, and not a byte is changed). The name is no secret.
    #[must_use]
    pub fn network(mut self, name: impl Into<String>) -> Self {
        self.network = Some(name.into());
        self
    }

    /// Decides every random choice of the node, the token secret among them. For tests and simulations only:
    /// whoever knows the seed can forge replies.
    #[must_use]
    pub fn seed(mut self, seed: [u8; 32]) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Starts the node on the current tokio runtime, one task, and returns without waiting for the network.
    ///
    /// A node bound to a loopback or private address treats such addresses as routable and counts nothing per IP
    /// address or subnet, unless it was [configured](Self::configure) to; one bound to a public or unspecified address
    /// has neither of these defaults.
    ///
    /// # Errors
    /// [`SpawnError`].
    pub fn spawn(mut self, transport: impl Transport) -> Result<Dht, SpawnError> {
        let mut rng = Rng::from_seed(self.take_seed()?);
        let (mut v4, mut v6, mut families) = (None, None, Vec::new());
        let addrs = transport.local_addrs()?;
        let nodes = addrs.len().saturating_mul(self.siblings).max(1);
        for bound in addrs {
            let family = Family::of(&bound);
            let node = self.node(family, Reach::of_bound(bound), nodes, &mut rng);
            families.push((family, bound, node.config().reach));
            match family {
                Family::V4 => v4 = Some(node),
                Family::V6 => v6 = Some(node),
            }
        }
        let transport = Isolated::new(transport, self.network.as_deref().map(Mask::of));
        let (transport, lines) = Demultiplexer::new(transport);
        let (driver, handle) = Driver::new(transport, self.driver, |_| DualStack::new(v4, v6));
        tokio::spawn(driver.run());
        let contacts = self.remembered.drain(..).flat_map(|(_, snapshot)| snapshot.contacts).collect();
        let join = handle.clone().join(contacts, std::mem::take(&mut self.bootstrap));
        let resolving = tokio::spawn(join).abort_handle();
        let announcer = Announcer::new(self.renewal, rng.fork());
        let inner = Inner {
            handle,
            families,
            strictness: Strictness(self.service.apply(ServiceConfig::default()).strict_bep42),
            announcer,
            searches: Searches::new(self.requery),
            shelf: Shelf::default(),
            rng: Mutex::new(Rng::from_seed(rng.fork())),
            scrapes: scrape::turns(),
            topics: Topics::new(lines.clone(), rng.fork()),
            resolving,
        };
        let inner = Arc::new(inner);
        tokio::spawn(Arc::clone(&inner.announcer).run(Arc::downgrade(&inner), lines));
        Ok(Dht { inner })
    }

    pub(super) fn take_seed(&mut self) -> Result<[u8; 32], SpawnError> {
        self.seed.take().map_or_else(system_seed, Ok)
    }

    /// One of the host's `nodes`.
    fn node(
        &self,
        family: Family,
        reach: Reach,
        nodes: usize,
        rng: &mut Rng,
    ) -> Node<Mainline, MainlineService> {
        let id = self.id(family, rng);
        let (config, service) = (Config { read_only: true, ..Config::default() }, ServiceConfig::default());
        let (config, service) = match reach {
            Reach::Global => (config, service),
            Reach::Private => (config.private_network(), service.private_network()),
        };
        let mut service = self.service.apply(service);
        service.storage.bytes /= nodes;
        let service = MainlineService::new(service, rng.fork());
        let mut node = Node::new(service, id, self.config.apply(config), rng.fork(), Instant::ZERO);
        if !self.bootstrap.is_empty() {
            node.expect_bootstrap();
        }
        node
    }

    /// The given id; else the remembered or a random one, made to fit the public address.
    fn id(&self, family: Family, rng: &mut Rng) -> Key<20> {
        let own = self.own_ids.iter().find(|(of, _)| *of == family).map(|(_, id)| *id);
        if let Some(id) = own.or(self.node_id.map(Key::from)) {
            return id;
        }
        let remembered = self.remembered.iter().find(|(of, _)| *of == family).map(|(_, last)| last.local);
        let id = remembered.unwrap_or_else(|| Key::random(rng));
        match self.public_ip_of(family) {
            Some(ip) if !node_id::verify(ip, &id) => node_id::derive(ip, rng),
            _ => id,
        }
    }

    /// The public address that was given for a family.
    pub(super) fn public_ip_of(&self, family: Family) -> Option<IpAddr> {
        self.public_ips.iter().find(|ip| ip.is_ipv4() == (family == Family::V4)).copied()
    }
}

/// Gives each node the addresses of its family.
pub(super) async fn add_nodes(handle: &MainlineHandle, addrs: Vec<SocketAddr>) -> Result<(), Closed> {
    let add = move |shell: &mut Shell<_, _>, now| {
        for (node, own) in shell.stack.share(&addrs, |addr| *addr) {
            if node.is_bootstrapped() {
                // Routers are few and asked again and again; this may be many, and once is enough.
                for addr in own {
                    node.request(now, addr, None, Mainline::ping());
                }
            } else if !own.is_empty() {
                node.bootstrap(now, &own);
            }
        }
    };
    handle.with(add).await
}

fn system_seed() -> Result<[u8; 32], SpawnError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(SpawnError::Random)?;
    Ok(seed)
}
