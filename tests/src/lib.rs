//! Networks of Mainline nodes for the tests of this package.

pub mod engine;
pub mod live;
pub mod load;

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::item::Item;
use bittorrent_profile::krpc::{Families, Request, Response};
use bittorrent_profile::{InfoHash, Mainline, MainlineService, ServiceConfig, node_id};
use kademlia_core::{
    Config, Contact, Event, Key, Keyspace, LookupId, LookupOptions, LookupReport, Node, Protocol, Rng, Stored,
};
use transport_mem::{Birth, LinkModel, NodeIndex, Simulation, address_v4};

/// A simulated Mainline, and a generator for what a test chooses at random.
#[derive(Debug)]
pub struct Network {
    /// The nodes.
    pub simulation: Simulation<Mainline, MainlineService>,
    /// Independent of the simulation's own.
    pub rng: Rng,
    reports: BTreeMap<(NodeIndex, LookupId), Ended>,
    answers: BTreeMap<(NodeIndex, LookupId), Vec<Response>>,
}

/// How a lookup or a publish ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// A lookup.
    Lookup(LookupReport<Key<20>>),
    /// A publish.
    Publish(Stored<Key<20>>),
}

/// A Mainline node with everything at its default.
pub fn mainline_node(birth: &Birth<Key<20>>, config: Arc<Config>) -> Node<Mainline, MainlineService> {
    let mut rng = Rng::from_seed(birth.seed);
    let service = MainlineService::new(ServiceConfig::default(), rng.fork());
    Node::new(service, birth.key, config, rng.fork(), birth.now)
}

/// The same with an id that fits its address, so that it keeps it once it has learnt that.
pub fn settled_node(birth: &Birth<Key<20>>, config: Arc<Config>) -> Node<Mainline, MainlineService> {
    mainline_node(&Birth { key: node_id::fit(birth.addr.ip(), &birth.key), ..*birth }, config)
}

impl Network {
    /// `count` nodes that joined one after the other, over real bytes, and had twenty minutes to settle.
    pub fn grown(seed: u64, count: usize, model: LinkModel) -> Self {
        Self::grown_with(seed, count, model, Config::default())
    }

    /// The same with another configuration.
    pub fn grown_with(seed: u64, count: usize, model: LinkModel, config: Config) -> Self {
        let mut simulation = Simulation::new(seed, model).wire(true);
        let config = Arc::new(config);
        simulation
            .grow(count, Duration::from_millis(500), |birth| mainline_node(&birth, Arc::clone(&config)));
        simulation.run_for(Duration::from_secs(20 * 60));
        Self::of(simulation, seed)
    }

    /// A network that was made otherwise.
    pub fn of(simulation: Simulation<Mainline, MainlineService>, seed: u64) -> Self {
        let rng = Rng::from_number(!seed);
        Network { simulation, rng, reports: BTreeMap::new(), answers: BTreeMap::new() }
    }

    /// `count` nodes with the tables of long standing and ids that fit their addresses (BEP 42), in typed messages:
    /// ready at once, for networks that would take too long to grow.
    pub fn filled(seed: u64, count: u32, model: LinkModel) -> Self {
        Self::filled_with(seed, count, model, Config::default())
    }

    /// The same with another configuration.
    pub fn filled_with(seed: u64, count: u32, model: LinkModel, config: Config) -> Self {
        let mut simulation = Simulation::new(seed, model);
        let config = Arc::new(config);
        for n in 0..count {
            simulation.spawn(address_v4(n), |birth| settled_node(&birth, Arc::clone(&config)));
        }
        // So that the contacts can be of different ages.
        simulation.run_for(config.table.keepalive);
        simulation.fill_tables(config.k);
        Self::of(simulation, seed)
    }

    /// A live node, at random.
    pub fn any_node(&mut self) -> NodeIndex {
        loop {
            let index = self.rng.below(self.simulation.len());
            if self.simulation.node(index).is_some() {
                return index;
            }
        }
    }

    /// An info hash or id, at random.
    pub fn any_key(&mut self) -> Key<20> {
        Key::random(&mut self.rng)
    }

    /// Starts looking for the nodes closest to `target`.
    pub fn find_node(&mut self, from: NodeIndex, target: Key<20>) -> (NodeIndex, LookupId) {
        let request = Mainline::find_node(target);
        self.start(from, |node, now| node.lookup(now, target, request, LookupOptions::default()).ok())
    }

    /// Starts looking for peers.
    pub fn get_peers(&mut self, from: NodeIndex, info_hash: Key<20>) -> (NodeIndex, LookupId) {
        let request = Request::get_peers(InfoHash::from(info_hash), Families::NONE);
        let options = LookupOptions { answers: true, ..LookupOptions::default() };
        self.start(from, |node, now| node.lookup(now, info_hash, request, options).ok())
    }

    /// Starts announcing that `from` shares a torrent, on `port`.
    pub fn announce(
        &mut self,
        from: NodeIndex,
        info_hash: Key<20>,
        port: NonZeroU16,
    ) -> (NodeIndex, LookupId) {
        let hash = InfoHash::from(info_hash);
        let request = Request::get_peers(hash, Families::NONE);
        let make = Box::new(move |_: &Contact<Key<20>>, response: &Response| {
            let token = response.token?;
            Some(Request::AnnouncePeer {
                implied_port: false,
                info_hash: hash,
                port: Some(port),
                seed: false,
                token,
            })
        });
        self.start(from, |node, now| {
            node.publish(now, info_hash, request, make, LookupOptions::default()).ok()
        })
    }

    /// Starts storing an item; with `cas`, only in place of that version.
    pub fn put(&mut self, from: NodeIndex, item: &Item, cas: Option<i64>) -> (NodeIndex, LookupId) {
        let (target, item) = (item.target(), item.clone());
        let request = Request::Get { seq: None, target, want: Families::NONE };
        let make = Box::new(move |_: &Contact<Key<20>>, response: &Response| {
            Some(Request::put(&item, cas, response.token?))
        });
        self.start(from, |node, now| node.publish(now, target, request, make, LookupOptions::default()).ok())
    }

    fn start(
        &mut self,
        from: NodeIndex,
        command: impl FnOnce(&mut Node<Mainline, MainlineService>, kademlia_core::Instant) -> Option<LookupId>,
    ) -> (NodeIndex, LookupId) {
        let id = self.simulation.call(from, command).flatten();
        (from, id.unwrap_or(LookupId::from(0)))
    }

    /// Lets `time` pass, and keeps what ended meanwhile.
    pub fn run_for(&mut self, time: Duration) {
        self.simulation.run_for(time);
        for (index, event) in self.simulation.take_events() {
            match event {
                Event::Answer { lookup, response, .. } => {
                    self.answers.entry((index, lookup)).or_default().push(response);
                }
                Event::LookupDone { lookup, report } => {
                    self.reports.insert((index, lookup), Ended::Lookup(report));
                }
                Event::Stored { lookup, stored } => {
                    self.reports.insert((index, lookup), Ended::Publish(stored));
                }
                _ => {}
            }
        }
    }

    /// How a lookup or publish ended; `None` if it has not.
    pub fn ended(&mut self, id: (NodeIndex, LookupId)) -> Option<Ended> {
        self.reports.remove(&id)
    }

    /// How a lookup ended; `None` if it has not.
    pub fn ended_lookup(&mut self, id: (NodeIndex, LookupId)) -> Option<LookupReport<Key<20>>> {
        match self.ended(id)? {
            Ended::Lookup(report) => Some(report),
            Ended::Publish(_) => None,
        }
    }

    /// The answers that a lookup got.
    pub fn answers(&mut self, id: (NodeIndex, LookupId)) -> Vec<Response> {
        self.answers.remove(&id).unwrap_or_default()
    }
}

/// The README's example, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The guide's code, compiled. `tests/guide.rs` runs it.
#[cfg(doctest)]
#[doc = include_str!(concat!(env!("OUT_DIR"), "/guide.md"))]
pub struct Guide;
