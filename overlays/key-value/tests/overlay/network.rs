//! Networks of key-value nodes in virtual time.

use std::collections::BTreeSet;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use kademlia_core::{Config, Instant, LookupLimit, Node, Rng};
use key_value::{Got, Id, KeyValue, KvConfig, KvService, NotPut, Put, Value, Wanted, key_of};
use transport_mem::{Birth, Churner, LinkModel, NodeIndex, Simulation, address_v4};

pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// Longest wait for an operation: longer than any lookup and the STOREs after it.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a put or a get will have come to.
pub(crate) type Ending<T> = mpsc::Receiver<T>;

pub(crate) struct Network {
    pub(crate) simulation: Simulation<KeyValue, KvService>,
    /// Independent of the simulation's own.
    pub(crate) rng: Rng,
    config: Arc<Config>,
    service: KvConfig,
}

/// A node with everything at its default, or as the test wants it.
pub(crate) fn node(birth: &Birth<Id>, config: Arc<Config>, service: KvConfig) -> Node<KeyValue, KvService> {
    let mut rng = Rng::from_seed(birth.seed);
    let service = KvService::in_memory(birth.key, service, rng.fork(), birth.now);
    Node::new(service, birth.key, config, rng.fork(), birth.now)
}

impl Network {
    /// Nobody yet. Over real bytes.
    pub(crate) fn empty(seed: u64, model: LinkModel, service: KvConfig) -> Self {
        Network {
            simulation: Simulation::new(seed, model).wire(true),
            rng: Rng::from_number(!seed),
            config: Arc::new(KeyValue::config()),
            service,
        }
    }

    /// `count` nodes that joined one after the other, and had a minute to settle.
    pub(crate) fn grown(seed: u64, count: usize, model: LinkModel) -> Self {
        let mut network = Self::empty(seed, model, KvConfig::default());
        network.grow(count);
        network.simulation.run_for(MINUTE);
        network
    }

    /// Some more nodes join.
    pub(crate) fn grow(&mut self, count: usize) {
        let (config, service) = (Arc::clone(&self.config), self.service);
        self.simulation
            .grow(count, Duration::from_millis(500), |birth| node(&birth, Arc::clone(&config), service));
    }

    /// A node goes for good, and another comes, with a key and an address of its own.
    pub(crate) fn replace(&mut self, index: NodeIndex) {
        self.simulation.crash(index);
        // Not `grow`, which finds nobody to join through once most hosts are of the past.
        let live = [(); 3].map(|()| self.any_node());
        let routers = live.map(|index| self.simulation.address(index).unwrap());
        let (config, service) = (Arc::clone(&self.config), self.service);
        let address = address_v4(u32::try_from(self.simulation.len()).unwrap());
        let newcomer = self.simulation.spawn(address, |birth| node(&birth, config, service));
        self.simulation.call(newcomer, |node, now| node.bootstrap(now, &routers));
    }

    /// All nodes crash, and come back under other keys with the pairs they had.
    pub(crate) fn restart_with_stores(&mut self) {
        let crashed: Vec<_> = (0..self.simulation.len()).map(|index| self.simulation.crash(index)).collect();
        let first = [self.simulation.address(0).unwrap()];
        for (index, old) in crashed.iter().enumerate() {
            let store = old.as_ref().unwrap().service().store().clone();
            let (config, service) = (Arc::clone(&self.config), self.service);
            self.simulation.restart(index, |birth| {
                let mut rng = Rng::from_seed(birth.seed);
                let service = KvService::new(store, birth.key, service, rng.fork(), birth.now);
                Node::new(service, birth.key, config, rng.fork(), birth.now)
            });
            if index > 0 {
                self.simulation.call(index, |node, now| node.bootstrap(now, &first));
            }
        }
    }

    /// Lets nodes come and go; those that come back have lost their pairs.
    pub(crate) fn churn(&mut self, churner: &mut Churner<Id>, time: Duration) {
        let until = self.simulation.now() + time;
        let (config, service) = (Arc::clone(&self.config), self.service);
        churner.run_until(&mut self.simulation, until, |birth| node(&birth, Arc::clone(&config), service));
        self.simulation.take_events();
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.simulation.run_for(time);
        self.simulation.take_events();
    }

    /// A live node, at random.
    pub(crate) fn any_node(&mut self) -> NodeIndex {
        loop {
            let index = self.rng.below(self.simulation.len());
            if self.simulation.node(index).is_some() {
                return index;
            }
        }
    }

    pub(crate) fn begin_put(&mut self, at: NodeIndex, key: Id, value: &[u8]) -> Ending<Result<Put, NotPut>> {
        let (value, (done, ending)) = (Value::new(value).unwrap(), mpsc::channel());
        self.simulation.call(at, |node, now| {
            let done = Box::new(move |result| drop(done.send(result)));
            node.service_mut().put(now, key, value, None, done);
        });
        ending
    }

    pub(crate) fn put(&mut self, at: NodeIndex, name: &str, value: &[u8]) -> Put {
        let ending = self.begin_put(at, key_of(name), value);
        self.wait(&ending).unwrap()
    }

    pub(crate) fn remove(&mut self, at: NodeIndex, name: &str) -> Put {
        let (done, ending) = mpsc::channel();
        self.simulation.call(at, |node, now| {
            let done = Box::new(move |result| drop(done.send(result)));
            node.service_mut().remove(now, key_of(name), None, done);
        });
        self.wait(&ending).unwrap()
    }

    pub(crate) fn begin_get(
        &mut self,
        at: NodeIndex,
        key: Id,
        wanted: Wanted,
    ) -> Ending<Result<Got, LookupLimit>> {
        let (done, ending) = mpsc::channel();
        self.simulation.call(at, |node, now| {
            let done = Box::new(move |result| drop(done.send(result)));
            node.service_mut().get(now, key, wanted, done);
        });
        ending
    }

    pub(crate) fn get(&mut self, at: NodeIndex, name: &str) -> Got {
        let ending = self.begin_get(at, key_of(name), Wanted::First);
        self.wait(&ending).unwrap()
    }

    pub(crate) fn get_newest(&mut self, at: NodeIndex, name: &str) -> Got {
        let ending = self.begin_get(at, key_of(name), Wanted::Newest);
        self.wait(&ending).unwrap()
    }

    /// Lets time pass until the operation has ended.
    pub(crate) fn wait<T>(&mut self, ending: &Ending<T>) -> T {
        let until = self.simulation.now() + PATIENCE;
        while self.simulation.now() < until {
            if let Ok(result) = ending.try_recv() {
                return result;
            }
            self.run_for(Duration::from_millis(10));
        }
        panic!("an operation must end within {PATIENCE:?}");
    }

    /// Who holds a value under `key` now.
    pub(crate) fn holders(&self, key: &Id) -> BTreeSet<NodeIndex> {
        let now = self.simulation.now();
        let holds = |node: &Node<KeyValue, KvService>| node.service().pair(now, key).is_some();
        self.simulation.nodes().filter(|(_, node)| holds(node)).map(|(index, _)| index).collect()
    }

    /// Those among the `n` live nodes closest to `key`.
    pub(crate) fn closest(&self, key: &Id, n: usize) -> BTreeSet<NodeIndex> {
        let closest = self.simulation.closest_live(key, n, None);
        let is_one = |local: Id| closest.iter().any(|contact| contact.key == local);
        self.simulation.nodes().filter(|(_, node)| is_one(node.local())).map(|(index, _)| index).collect()
    }

    pub(crate) fn now(&self) -> Instant {
        self.simulation.now()
    }
}
