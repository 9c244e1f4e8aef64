//! A Mainline network: honest nodes with the tables of long standing, dead contacts among them, and attackers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::{Mainline, MainlineService, ServiceConfig, node_id};
use kademlia_core::{Config, Contact, Event, Key, Node, Rng};
use transport_mem::{Birth, Churn, Churner, LinkModel, Nat, NatKind, NodeIndex, Simulation, address_v4};

use crate::attack::{Attack, Colluder, Collusion, Crowd, Estate, Guise};
use crate::run::Phase;
use crate::scenario::Scenario;

/// A simulated Mainline.
pub(crate) type Net = Simulation<Mainline, MainlineService>;

/// A network ready for trials.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) simulation: Net,
    /// For what the trials choose at random.
    pub(crate) rng: Rng,
    /// Honest nodes that announce and search; they stay.
    pub(crate) clients: Vec<NodeIndex>,
    /// All other honest nodes that have not left for good.
    others: Vec<NodeIndex>,
    maker: Maker,
    churner: Option<Churner<Key<20>>>,
}

/// Nodes that know each crowd's members before the trials begin.
const NEIGHBOURS: usize = 40;
/// The most clients, and one in how many honest nodes is one at most.
const CLIENTS: usize = 256;
const CLIENT_SHARE: usize = 8;
/// From one node to the next in a network that grows, and from the last to the first trial.
const PACE: Duration = Duration::from_millis(20);
const SETTLING: Duration = Duration::from_secs(15 * 60);
/// For the tables of others to notice that nodes cannot be reached: each entry is asked at least twice.
const HIDING: Duration = Duration::from_secs(30 * 60);
/// Steps in which progress is told.
const STEPS: usize = 100;

impl Network {
    pub(crate) fn new(scenario: &Scenario, progress: &mut dyn FnMut(Phase, f64)) -> Self {
        let mut rng = Rng::from_number(!scenario.seed);
        let attackers = match scenario.attack {
            Attack::Share(share) => beside(scenario.nodes, share),
            Attack::None | Attack::Subnets(_) => 0,
        };
        let dead = beside(scenario.nodes, scenario.stale);
        let maker = Maker {
            config: Arc::new(scenario.config.clone()),
            bound: scenario.bound,
            rng: Rng::from_seed(rng.fork()),
        };
        let mut network = Network {
            simulation: Simulation::new(scenario.seed, LinkModel::internet()),
            rng,
            clients: Vec::new(),
            others: Vec::new(),
            maker,
            churner: None,
        };
        // All others would fill the memory.
        network.simulation.watch(|_, event| matches!(event, Event::LookupDone { .. } | Event::Stored { .. }));
        let all = scenario.nodes + attackers + dead;
        if scenario.organic {
            network.grow(all, progress);
        } else {
            network.fill(all, progress);
        }
        network.cast(attackers, dead, scenario, progress);
        network.simulation.links_mut().model_mut().loss = scenario.loss;
        network.simulation.take_events();
        network
    }

    /// Everybody joins through others.
    fn grow(&mut self, count: usize, progress: &mut dyn FnMut(Phase, f64)) {
        for step in 0..STEPS {
            let part = count * (step + 1) / STEPS - count * step / STEPS;
            self.simulation.grow(part, PACE, |birth| self.maker.make(&birth));
            progress(Phase::Building, step as f64 / STEPS as f64);
        }
        self.simulation.run_for(SETTLING);
    }

    /// The oracle introduces everybody.
    fn fill(&mut self, count: usize, progress: &mut dyn FnMut(Phase, f64)) {
        for n in 0..count {
            let addr = address_v4(u32::try_from(n).unwrap_or(u32::MAX));
            self.simulation.spawn(addr, |birth| self.maker.make(&birth));
            if n % count.div_ceil(STEPS) == 0 {
                progress(Phase::Building, 0.5 * n as f64 / count as f64);
            }
        }
        // So that the contacts can be of different ages.
        self.simulation.run_for(self.maker.config.table.keepalive);
        self.simulation.fill_tables(self.maker.config.k);
        progress(Phase::Building, 1.0);
    }

    /// Draws who is an attacker, who is dead and who is a client; all others are just honest.
    fn cast(
        &mut self,
        attackers: usize,
        dead: usize,
        scenario: &Scenario,
        progress: &mut dyn FnMut(Phase, f64),
    ) {
        let mut all: Vec<NodeIndex> = (0..self.simulation.len()).collect();
        for at in 0..all.len() {
            let other = at + self.rng.below(all.len() - at);
            all.swap(at, other);
        }
        let mut honest = all.split_off(attackers + dead);
        let clients = CLIENTS.min(2 * scenario.trials).min(honest.len() / CLIENT_SHARE).max(2);
        self.others = honest.split_off(clients.min(honest.len()));
        self.clients = honest;
        self.hide(scenario.nat, progress);
        for index in all.split_off(attackers) {
            self.simulation.crash(index);
        }
        let members = all.iter().filter_map(|index| self.simulation.address(*index)).collect();
        let collusion = Collusion::new(members);
        for index in all {
            self.corrupt(index, &collusion);
        }
    }

    /// Puts this share of the honest nodes behind translators, and lets the others find out.
    fn hide(&mut self, share: f64, progress: &mut dyn FnMut(Phase, f64)) {
        if share <= 0.0 {
            return;
        }
        for index in self.clients.iter().chain(&self.others) {
            if self.rng.chance(share) {
                let kind = NatKind::ALL[self.rng.below(NatKind::ALL.len())];
                self.simulation.set_nat(*index, Some(Nat::new(kind)));
            }
        }
        for step in 0..STEPS {
            progress(Phase::Waiting, step as f64 / STEPS as f64);
            self.simulation.run_for(HIDING.mul_f64(1.0 / STEPS as f64));
        }
    }

    /// Makes a node one of the colluding.
    fn corrupt(&mut self, index: NodeIndex, collusion: &Arc<Collusion>) {
        let Some(addr) = self.simulation.address(index) else { return };
        self.simulation.turn(index, |node, seed| {
            Box::new(Colluder::new(Guise::Ordinary(node.local()), collusion, seed))
        });
        for guise in [Guise::Forged, Guise::Bound] {
            let peer = Colluder::new(guise, collusion, self.rng.fork());
            self.simulation.spawn_peer(Colluder::address(guise, addr), Box::new(peer));
        }
    }

    /// Places the owner of so many subnets around each target, known to the neighbours.
    pub(crate) fn crowd(&mut self, targets: &[Key<20>], subnets: usize) {
        let mut estate = Estate::beyond(self.simulation.len());
        let census = self.simulation.census();
        let honest = self.simulation.nodes().map(|(index, _)| index);
        let places: BTreeMap<_, _> =
            honest.filter_map(|index| Some((self.simulation.address(index)?, index))).collect();
        for target in targets {
            let all: Arc<[Contact<Key<20>>]> = estate.settle(target, subnets, &mut self.rng).into();
            for (at, member) in all.iter().enumerate() {
                self.simulation.spawn_peer(member.addr, Box::new(Crowd::new(at, &all)));
            }
            for neighbour in census.closest(target, NEIGHBOURS, None) {
                if let Some(index) = places.get(&neighbour.addr) {
                    self.simulation.call(*index, |node, now| node.preload(now, &all));
                }
            }
        }
    }

    /// From now on the honest come and go, but for the clients.
    pub(crate) fn churn(&mut self, half_life: Duration) {
        // It draws from the nodes that it is not told to spare; here it is told of each instead.
        let mut churner =
            Churner::new(Churn::with_half_life(half_life), self.simulation.len(), &mut self.simulation);
        for index in &self.others {
            churner.admit(*index, &self.simulation);
        }
        self.churner = Some(churner);
    }

    /// This share of the honest nodes leaves, all at once, but for the clients.
    pub(crate) fn leave(&mut self, share: f64) {
        let leaving = rounded((self.others.len() + self.clients.len()) as f64 * share);
        for _ in 0..leaving.min(self.others.len()) {
            let at = self.rng.below(self.others.len());
            let index = self.others.swap_remove(at);
            self.simulation.crash(index);
        }
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.simulation.now() + time;
        match &mut self.churner {
            Some(churner) => {
                churner.run_until(&mut self.simulation, until, |birth| self.maker.make(&birth));
            }
            None => self.simulation.run_until(until),
        }
    }
}

/// Makes honest nodes.
#[derive(Debug)]
struct Maker {
    config: Arc<Config>,
    bound: f64,
    rng: Rng,
}

impl Maker {
    fn make(&mut self, birth: &Birth<Key<20>>) -> Node<Mainline, MainlineService> {
        let is_bound = self.rng.chance(self.bound);
        let key = if is_bound { node_id::fit(birth.addr.ip(), &birth.key) } else { birth.key };
        let mut rng = Rng::from_seed(birth.seed);
        let service = MainlineService::new(ServiceConfig::default(), rng.fork());
        Node::new(service, key, Arc::clone(&self.config), rng.fork(), birth.now)
    }
}

/// How many have to stand beside so many others to be this share of all; of shares beyond 0.95, as many as for that.
fn beside(others: usize, share: f64) -> usize {
    let share = share.min(0.95);
    rounded(others as f64 * share / (1.0 - share))
}

#[allow(clippy::cast_possible_truncation, reason = "shares of a number of nodes")]
fn rounded(count: f64) -> usize {
    count.round() as usize
}
