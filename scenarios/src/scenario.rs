//! One scenario: a network, what is wrong with it, and whether announced peers are found in it.

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Request, Response};
use bittorrent_profile::{InfoHash, Mainline};
use kademlia_core::{
    Config, Contact, Effort, Event, Instant, Key, Keyspace, LookupId, LookupOptions, LookupReport, Protocol,
};
use transport_mem::{NodeIndex, Step};

use crate::attack::Attack;
use crate::figures::{Figures, Spread};
use crate::network::{Net, Network};

/// A network, what is wrong with it, and how it is searched.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Decides everything that is drawn at random.
    pub seed: u64,
    /// Honest nodes that are up.
    pub nodes: usize,
    /// Whether they join one after the other; otherwise their tables are filled as if they had long since.
    pub organic: bool,
    /// Chance of a datagram to be lost, once it is built.
    pub loss: f64,
    /// Share of all contacts in routing tables that are dead when the announcements are made.
    pub stale: f64,
    /// Share of the honest nodes that leave between announcement and search.
    pub churn: f64,
    /// Share of the honest nodes whose ids fit their addresses (BEP 42).
    pub bound: f64,
    /// Who wants the announcements to be lost.
    pub attack: Attack,
    /// How announcements are made.
    pub writer: Effort,
    /// How they are searched for.
    pub reader: Effort,
    /// Announcements made, each searched for once.
    pub trials: usize,
    /// The nodes' constants.
    pub config: Config,
}

impl Default for Scenario {
    fn default() -> Self {
        Scenario {
            seed: 1,
            nodes: 1_000,
            organic: false,
            loss: 0.0,
            stale: 0.0,
            churn: 0.0,
            bound: 1.0,
            attack: Attack::None,
            writer: Effort::Hardened,
            reader: Effort::Reinforced,
            trials: 100,
            config: Config::default(),
        }
    }
}

/// What came of a scenario.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Announcements made.
    pub trials: usize,
    /// Announcements that were found.
    pub found: usize,
    /// The lookups that searched.
    pub searches: Figures,
    /// The lookups of the announcements, and their storing requests.
    pub announcements: Figures,
    /// Nodes that took an announcement.
    pub holders: Spread<usize>,
    /// From the start of a search to its first peer, of those that found one.
    pub first: Spread<Duration>,
    /// How often the nearest nodes of a search's result were the true ones, of 8 and all trials.
    pub recall: f64,
    /// The nodes' own idea of the network's size: median over the searchers.
    pub size: f64,
    /// Searches that took the neighbourhood for a crowd.
    pub crowded: usize,
    /// Hash over everything that happened.
    pub trace: u64,
}

/// One announcement, and the search for it.
struct Trial {
    info_hash: Key<20>,
    writer: NodeIndex,
    reader: NodeIndex,
}

const PORT: NonZeroU16 = NonZeroU16::new(51_413).expect("not zero");
/// Lookups that everybody who takes part has made before: a node in use knows the network's size.
const FORMER: usize = 8;
/// Longer than any lookup.
const PATIENCE: Duration = Duration::from_secs(25);

type Ends = BTreeMap<(NodeIndex, LookupId), Event<Mainline>>;

impl Scenario {
    /// Lives through it.
    pub fn run(&self) -> Outcome {
        let mut network = Network::new(self);
        let trials: Vec<_> = (0..self.trials)
            .map(|_| {
                let info_hash = Key::random(&mut network.rng);
                Trial { info_hash, writer: network.any_honest(), reader: network.any_honest() }
            })
            .collect();
        if let Attack::Subnets(subnets) = self.attack {
            trials.iter().for_each(|trial| network.crowd(trial.info_hash, subnets));
        }
        for _ in 0..FORMER {
            for trial in &trials {
                for node in [trial.writer, trial.reader] {
                    let target = Key::random(&mut network.rng);
                    start(&mut network.simulation, node, target, self.reader);
                }
            }
            network.simulation.run_for(PATIENCE);
        }
        network.simulation.take_events();
        let mut outcome = Outcome { trials: trials.len(), ..Outcome::default() };
        self.announce(&mut network, &trials, &mut outcome);
        network.leave(self.churn);
        self.search(&mut network, trials, &mut outcome);
        outcome.trace = network.simulation.trace_hash();
        outcome
    }

    fn announce(&self, network: &mut Network, trials: &[Trial], outcome: &mut Outcome) {
        for trial in trials {
            publish(&mut network.simulation, trial.writer, trial.info_hash, self.writer);
        }
        network.simulation.run_for(PATIENCE * 2);
        let stored: Vec<_> = ends(&mut network.simulation)
            .into_values()
            .filter_map(|event| match event {
                Event::Stored { stored, .. } => Some(stored),
                _ => None,
            })
            .collect();
        let storing = |stored: &kademlia_core::Stored<Key<20>>| {
            stored.accepted.len() + stored.refused.len() + stored.no_answer.len()
        };
        outcome.announcements = figures(stored.iter().map(|stored| (&stored.report, storing(stored))));
        outcome.holders = Spread::of(stored.iter().map(|stored| stored.accepted.len()));
    }

    fn search(&self, network: &mut Network, mut trials: Vec<Trial>, outcome: &mut Outcome) {
        for trial in &mut trials {
            if network.simulation.node(trial.reader).is_none() {
                trial.reader = network.any_honest();
            }
        }
        let firsts = watch_for_peers(&mut network.simulation);
        let begun = network.now();
        let started: Vec<_> = trials
            .iter()
            .map(|trial| start(&mut network.simulation, trial.reader, trial.info_hash, self.reader))
            .collect();
        network.simulation.run_for(PATIENCE);
        let mut ends = ends(&mut network.simulation);
        let firsts = firsts.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut reports, mut first, mut sizes, mut exact) = (Vec::new(), Vec::new(), Vec::new(), 0);
        for (trial, id) in trials.iter().zip(started) {
            let Some(id) = id else { continue };
            if !firsts.contains_key(&(trial.reader, id)) {
                eprintln!(
                    "lost {:?} {:?}",
                    trial.info_hash,
                    ends.get(&(trial.reader, id)).map(|e| match e {
                        Event::LookupDone { report, .. } => format!(
                            "{} asked {} answered {} msgs {} complete {} hops {}",
                            report.closest.len(),
                            report.asked,
                            report.answered,
                            report.messages,
                            report.complete,
                            report.hops
                        ),
                        _ => String::new(),
                    })
                );
            }
            if let Some(at) = firsts.get(&(trial.reader, id)) {
                first.push(at.since(begun));
            }
            if let Some(Event::LookupDone { report, .. }) = ends.remove(&(trial.reader, id)) {
                let truth = network.simulation.closest_live(&trial.info_hash, 8, Some(trial.reader));
                exact += truth.iter().filter(|contact| report.closest.contains(contact)).count();
                outcome.crowded += usize::from(report.crowded);
                reports.push(report);
            }
            let size = network.simulation.node(trial.reader).and_then(|node| node.network_size());
            sizes.extend(size.map(|size| size.nodes as u64));
        }
        outcome.found = first.len();
        outcome.searches = figures(reports.iter().map(|report| (report, 0)));
        outcome.first = Spread::of(first);
        outcome.recall = exact as f64 / (8 * trials.len()).max(1) as f64;
        outcome.size = Spread::of(sizes).p50 as f64;
    }
}

fn figures<'a>(reports: impl Iterator<Item = (&'a LookupReport<Key<20>>, usize)> + Clone) -> Figures {
    Figures {
        messages: Spread::of(reports.clone().map(|(report, more)| report.messages + more)),
        hops: Spread::of(reports.clone().map(|(report, _)| report.hops)),
        took: Spread::of(reports.map(|(report, _)| report.took)),
    }
}

fn start(simulation: &mut Net, from: NodeIndex, info_hash: Key<20>, effort: Effort) -> Option<LookupId> {
    let request = Request::GetPeers { info_hash: InfoHash::from(info_hash), want: Families::NONE };
    let options = LookupOptions { answers: true, effort: Some(effort), ..LookupOptions::default() };
    simulation.call(from, |node, now| node.lookup(now, info_hash, request, options).ok()).flatten()
}

fn publish(simulation: &mut Net, from: NodeIndex, key: Key<20>, effort: Effort) {
    let info_hash = InfoHash::from(key);
    let request = Request::GetPeers { info_hash, want: Families::NONE };
    let make = Box::new(move |_: &Contact<Key<20>>, response: &Response| {
        let token = response.token?;
        Some(Request::AnnouncePeer { implied_port: false, info_hash, port: Some(PORT), token })
    });
    let options = LookupOptions { effort: Some(effort), ..LookupOptions::default() };
    simulation.call(from, |node, now| node.publish(now, key, request, make, options).is_ok());
}

/// How lookups and publishes ended since the last call.
fn ends(simulation: &mut Net) -> Ends {
    let ended = simulation.take_events().into_iter().filter_map(|(node, event)| match &event {
        Event::LookupDone { lookup, .. } | Event::Stored { lookup, .. } => Some(((node, *lookup), event)),
        _ => None,
    });
    ended.collect()
}

type Firsts = Arc<Mutex<BTreeMap<(NodeIndex, LookupId), Instant>>>;

/// Notes when each lookup is first told of a peer. Attackers tell of none.
fn watch_for_peers(simulation: &mut Net) -> Firsts {
    let firsts = Firsts::default();
    let noted = Arc::clone(&firsts);
    simulation.observe(move |now, step| {
        if let Step::Event { node, event: Event::Answer { lookup, response, .. } } = step
            && !response.values.is_empty()
        {
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            noted.entry((*node, *lookup)).or_insert(now);
        }
    });
    firsts
}
