//! A Mainline network: honest nodes with the tables of long standing, dead contacts among them, and attackers.

use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::{Mainline, MainlineService, ServiceConfig, node_id};
use kademlia_core::{Config, Contact, Instant, Key, Node, Rng};
use transport_mem::{Birth, LinkModel, NodeIndex, Simulation, address_v4};

use crate::attack::{Attack, Colluder, Collusion, Crowd, Guise};
use crate::scenario::Scenario;

/// A simulated Mainline.
pub(crate) type Net = Simulation<Mainline, MainlineService>;

/// A network ready for trials.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) simulation: Net,
    /// For what the trials choose at random.
    pub(crate) rng: Rng,
    /// Honest nodes that are up.
    pub(crate) honest: Vec<NodeIndex>,
    addresses: u32,
}

/// Nodes that know each crowd's members before the trials begin.
const NEIGHBOURS: usize = 40;

impl Network {
    pub(crate) fn new(scenario: &Scenario) -> Self {
        let model = LinkModel::internet();
        let mut network = Network {
            simulation: Simulation::new(scenario.seed, model),
            rng: Rng::from_number(!scenario.seed),
            honest: Vec::new(),
            addresses: 0,
        };
        let attackers = match scenario.attack {
            Attack::Share(share) => (scenario.nodes as f64 * share / (1.0 - share)).round() as usize,
            Attack::None | Attack::Subnets(_) => 0,
        };
        let dead = (scenario.nodes as f64 * scenario.stale / (1.0 - scenario.stale)).round() as usize;
        let all = scenario.nodes + attackers + dead;
        let config = Arc::new(scenario.config.clone());
        let bound = scenario.bound;
        let mut drawn = network.rng.clone();
        let make = |birth: Birth<Key<20>>| make(&birth, &config, drawn.chance(bound));
        if scenario.organic {
            network.simulation.grow(all, Duration::from_millis(20), make);
            network.simulation.run_for(Duration::from_secs(15 * 60));
        } else {
            network.fill(all, scenario.config.k, make);
        }
        network.addresses = u32::try_from(network.simulation.len()).unwrap_or(u32::MAX);
        network.split(attackers, dead);
        network.simulation.links_mut().model_mut().loss = scenario.loss;
        network.simulation.take_events();
        network
    }

    fn fill(
        &mut self,
        count: usize,
        k: usize,
        mut make: impl FnMut(Birth<Key<20>>) -> Node<Mainline, MainlineService>,
    ) {
        for n in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            self.simulation.spawn(address_v4(n), &mut make);
        }
        // So that the contacts can be of different ages.
        self.simulation.run_for(Duration::from_secs(12 * 60));
        self.simulation.fill_tables(k);
    }

    /// Draws who is an attacker and who is dead; all others are honest.
    fn split(&mut self, attackers: usize, dead: usize) {
        let mut all: Vec<NodeIndex> = (0..self.simulation.len()).collect();
        for at in 0..attackers + dead {
            let other = at + self.rng.below(all.len() - at);
            all.swap(at, other);
        }
        self.honest = all.split_off(attackers + dead);
        self.honest.sort_unstable();
        let dead = all.split_off(attackers);
        for index in dead {
            self.simulation.crash(index);
        }
        let members = all.iter().filter_map(|index| self.simulation.address(*index)).collect();
        let collusion = Collusion::new(members);
        for index in all {
            self.corrupt(index, &collusion);
        }
    }

    /// Makes a node one of the colluding.
    fn corrupt(&mut self, index: NodeIndex, collusion: &Arc<Collusion>) {
        let Some(addr) = self.simulation.address(index) else { return };
        self.simulation.turn(index, |node, seed| {
            Box::new(Colluder::new(Guise::Ordinary(node.local()), collusion, seed))
        });
        for guise in [Guise::Forged, Guise::Bound] {
            let mut seed = [0; 32];
            self.rng.fill(&mut seed);
            let peer = Colluder::new(guise, collusion, seed);
            self.simulation.spawn_peer(Colluder::address(guise, addr), Box::new(peer));
        }
    }

    /// Places the owner of so many subnets around `target`, known to the neighbours.
    pub(crate) fn crowd(&mut self, target: Key<20>, subnets: usize) {
        let mut all: Vec<_> = (0..subnets).map(|n| self.place(target, n, subnets)).collect();
        all.sort_by_key(|contact| contact.addr);
        let all: Arc<[Contact<Key<20>>]> = all.into();
        for (at, member) in all.iter().enumerate() {
            self.simulation.spawn_peer(member.addr, Box::new(Crowd::new(at, &all)));
        }
        for neighbour in self.simulation.closest_live(&target, NEIGHBOURS, None) {
            let index =
                self.honest.iter().find(|index| self.simulation.address(**index) == Some(neighbour.addr));
            if let Some(index) = index.copied() {
                self.simulation.call(index, |node, now| node.preload(now, &all));
            }
        }
    }

    /// An address in a /24 of its own, under an id next to the target. Whoever owns many puts every other under the
    /// nearest id that fits one of the /24's 254 addresses, where lookups for such ids find it too.
    fn place(&mut self, target: Key<20>, n: usize, subnets: usize) -> Contact<Key<20>> {
        let mut addr = address_v4(self.addresses);
        self.addresses += 1;
        if subnets >= MANY && n % 2 == 0 {
            let hosts = (1..255).flat_map(|host| (0..8).map(move |choice| (host, choice)));
            let fits = hosts.map(|(host, choice)| {
                let std::net::IpAddr::V4(ip) = addr.ip() else { return Contact::new(target, addr) };
                let [a, b, c, _] = ip.octets();
                let addr = std::net::SocketAddr::from(([a, b, c, host], addr.port()));
                let mut id = target.to_bytes();
                id[19] = (id[19] & 0xf8) | choice;
                Contact::new(node_id::fit(addr.ip(), &Key::new(id)), addr)
            });
            use kademlia_core::Keyspace;
            let best = fits.min_by(|a, b| target.cmp_distance(&a.key, &b.key));
            if let Some(best) = best {
                return best;
            }
        }
        let mut id = target.to_bytes();
        self.rng.fill(&mut id[12..16]);
        addr.set_port(6_881);
        Contact::new(Key::new(id), addr)
    }

    /// A honest node that is up.
    pub(crate) fn any_honest(&mut self) -> NodeIndex {
        self.honest[self.rng.below(self.honest.len())]
    }

    /// This share of the honest nodes leaves, all at once.
    pub(crate) fn leave(&mut self, share: f64) {
        let leaving = (self.honest.len() as f64 * share).round() as usize;
        for _ in 0..leaving {
            let at = self.rng.below(self.honest.len());
            let index = self.honest.swap_remove(at);
            self.simulation.crash(index);
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.simulation.now()
    }
}

/// /24s from which on an attacker uses some of them against ids that are bound to addresses.
const MANY: usize = 32;

fn make(birth: &Birth<Key<20>>, config: &Arc<Config>, bound: bool) -> Node<Mainline, MainlineService> {
    let mut rng = Rng::from_seed(birth.seed);
    let key = if bound { node_id::fit(birth.addr.ip(), &birth.key) } else { birth.key };
    let service = MainlineService::new(ServiceConfig::default(), rng.fork());
    Node::new(service, key, Arc::clone(config), rng.fork(), birth.now)
}
