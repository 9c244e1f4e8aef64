//! The course of a scenario: build, look around, announce, let things go wrong, search.

use std::fmt;
use std::time::Duration;

use kademlia_core::{Effort, Event, Key, Keyspace, Stored};
use transport_mem::NodeIndex;

use crate::attack::Attack;
use crate::deeds::{self, Lookout, perform};
use crate::network::Network;
use crate::observed::{Observed, Recorder};
use crate::outcome::{Outcome, Tally};
use crate::scenario::Scenario;

/// What a scenario is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The network is built.
    Building,
    /// Those who will announce and search look around.
    LookingAround,
    /// The announcements are made.
    Announcing,
    /// Time passes.
    Waiting,
    /// The announcements are searched for.
    Searching,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Building => "building",
            Phase::LookingAround => "settling",
            Phase::Announcing => "announcing",
            Phase::Waiting => "waiting",
            Phase::Searching => "searching",
        })
    }
}

/// One announcement, and the search for it.
#[derive(Clone, Copy)]
struct Trial {
    info_hash: Key<20>,
    writer: NodeIndex,
    reader: NodeIndex,
}

type Progress<'a> = &'a mut dyn FnMut(Phase, f64);

/// Lookups that each client has made before: a node in use knows the network's size.
const FORMER: usize = 8;
/// Steps in which time passes while nothing else happens.
const STEPS: u32 = 100;

/// Lives through a scenario, and watches the search of one trial if told to.
pub(crate) fn run(
    scenario: &Scenario,
    observed: Option<usize>,
    progress: Progress<'_>,
) -> (Outcome, Option<Observed>) {
    let (mut tally, mut seen) = (Tally::default(), None);
    let most = trials_per_network(scenario);
    for (number, first) in (0..scenario.trials).step_by(most).enumerate() {
        let part = Scenario {
            seed: scenario.seed.wrapping_add((number as u64).wrapping_mul(NETWORK)),
            trials: most.min(scenario.trials - first),
            ..scenario.clone()
        };
        let done = first as f64 / scenario.trials as f64;
        let share = part.trials as f64 / scenario.trials as f64;
        let mut overall = |phase, of_part| progress(phase, done + share * of_part);
        // Where there is one network, the phases are more telling.
        let progress: Progress<'_> = if part.trials < scenario.trials { &mut overall } else { progress };
        let watched =
            observed.and_then(|trial| trial.checked_sub(first)).filter(|trial| *trial < part.trials);
        let watched = live_through(&part, watched, &mut tally, progress);
        seen = seen.or(watched.map(|watched| Observed { trial: first + watched.trial, ..watched }));
    }
    (tally.finish(), seen)
}

/// Crowds at all keys together are at most a tenth of the network: each trial is about one of them, and the others
/// should not be noticed.
fn trials_per_network(scenario: &Scenario) -> usize {
    match scenario.attack {
        Attack::Subnets(subnets) => (scenario.nodes / 10 / subnets.max(1)).max(1),
        Attack::None | Attack::Share(_) => scenario.trials.max(1),
    }
}

/// From one network's seed to the next: few users will want that one.
const NETWORK: u64 = 0x9e37_79b9_7f4a_7c15;

fn live_through(
    scenario: &Scenario,
    observed: Option<usize>,
    tally: &mut Tally,
    progress: Progress<'_>,
) -> Option<Observed> {
    let mut network = Network::new(scenario, progress);
    let trials = draw(&mut network, scenario.trials);
    if let Attack::Subnets(subnets) = scenario.attack {
        let targets: Vec<_> = trials.iter().map(|trial| trial.info_hash).collect();
        network.crowd(&targets, subnets);
    }
    look_around(&mut network, scenario.reader, progress);
    if scenario.sessions > Duration::ZERO {
        network.churn(scenario.sessions);
    }
    let stored = announce(&mut network, &trials, scenario.writer, progress);
    stored.iter().flatten().for_each(|stored| tally.announced(stored));
    network.leave(scenario.churn);
    wait(&mut network, scenario.wait, progress);
    let recorder = observed.and_then(|at| {
        let trial = trials.get(at)?;
        let holders = stored.get(at)?.as_ref().map(|stored| stored.accepted.clone()).unwrap_or_default();
        Recorder::new(&network.simulation, at, trial.reader, trial.info_hash, holders)
    });
    let observed = search(&mut network, &trials, scenario, recorder, tally, progress);
    tally.take_stock(&network.simulation);
    observed
}

/// The clients take turns; nobody searches for what it has announced.
fn draw(network: &mut Network, trials: usize) -> Vec<Trial> {
    let pairs: Vec<_> = network.clients.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let turns = pairs.into_iter().cycle().take(trials);
    turns.map(|(writer, reader)| Trial { info_hash: Key::random(&mut network.rng), writer, reader }).collect()
}

/// Every client looks up random keys.
fn look_around(network: &mut Network, effort: Effort, progress: Progress<'_>) {
    let clients = network.clients.clone();
    let progress = |share| progress(Phase::LookingAround, share);
    perform(network, clients.len(), FORMER * clients.len(), progress, |network, at| {
        let target = Key::random(&mut network.rng);
        deeds::search(&mut network.simulation, clients[at % clients.len()], target, effort)
    });
}

fn announce(
    network: &mut Network,
    trials: &[Trial],
    effort: Effort,
    progress: Progress<'_>,
) -> Vec<Option<Stored<Key<20>>>> {
    let lanes = network.clients.len() / 2;
    let progress = |share| progress(Phase::Announcing, share);
    let deeds = perform(network, lanes, trials.len(), progress, |network, at| {
        deeds::announce(&mut network.simulation, trials[at].writer, trials[at].info_hash, effort)
    });
    let ends = deeds.into_iter().map(|deed| match deed.end {
        Some(Event::Stored { stored, .. }) => Some(stored),
        _ => None,
    });
    ends.collect()
}

fn wait(network: &mut Network, time: Duration, progress: Progress<'_>) {
    for step in (0..STEPS).filter(|_| time > Duration::ZERO) {
        progress(Phase::Waiting, f64::from(step) / f64::from(STEPS));
        network.run_for(time / STEPS);
    }
}

fn search(
    network: &mut Network,
    trials: &[Trial],
    scenario: &Scenario,
    recorder: Option<Recorder>,
    tally: &mut Tally,
    progress: Progress<'_>,
) -> Option<Observed> {
    let census = network.simulation.census();
    let lookout = Lookout::new(&mut network.simulation, recorder);
    let lanes = network.clients.len() / 2;
    let progress = |share| progress(Phase::Searching, share);
    let deeds = perform(network, lanes, trials.len(), progress, |network, at| {
        deeds::search(&mut network.simulation, trials[at].reader, trials[at].info_hash, scenario.reader)
    });
    let mut seen = lookout.seen();
    for (trial, deed) in trials.iter().zip(&deeds) {
        let truth = census.closest(&trial.info_hash, scenario.config.k, Some(trial.reader));
        let hidden = [trial.writer, trial.reader].map(|node| network.simulation.nat(node).is_some());
        tally.searched(seen.first(deed), hidden);
        if let Some(Event::LookupDone { report, .. }) = &deed.end {
            tally.ended(report, truth.iter().filter(|contact| report.closest.contains(contact)).count());
        }
        let size = network.simulation.node(trial.reader).and_then(|node| node.network_size());
        tally.judged(truth.len(), size.map(|size| size.nodes));
    }
    seen.recorder.take().map(Recorder::finish)
}
