//! The course of a scenario: build, look around, announce, let things go wrong, search.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Request, Response};
use bittorrent_profile::{InfoHash, Mainline};
use kademlia_core::{
    Contact, Effort, Event, Instant, Key, Keyspace, LookupId, LookupOptions, LookupReport, Stored,
};
use transport_mem::{Census, NodeIndex, Step};

use crate::attack::Attack;
use crate::figures::{Figures, Spread};
use crate::network::{Net, Network};
use crate::observed::{Observed, Recorder};
use crate::outcome::Outcome;
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

/// A lookup or a publish.
struct Deed {
    begun: Instant,
    call: Option<Call>,
    end: Option<Event<Mainline>>,
}

type Call = (NodeIndex, LookupId);
type Progress<'a> = &'a mut dyn FnMut(Phase, f64);

const PORT: NonZeroU16 = NonZeroU16::new(51_413).expect("not zero");
/// Lookups that each client has made before: a node in use knows the network's size.
const FORMER: usize = 8;
/// From one deed of a client to its next: a few run at a time.
const PACE: Duration = Duration::from_secs(1);
/// Longer than any deed takes, in steps of [`PACE`].
const PATIENCE: usize = 60;

/// Lives through a scenario, and watches the search of one trial if told to.
pub(crate) fn run(
    scenario: &Scenario,
    observed: Option<usize>,
    progress: Progress<'_>,
) -> (Outcome, Option<Observed>) {
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
    let mut outcome = Outcome { trials: trials.len(), ..Outcome::default() };
    let stored = announce(&mut network, &trials, scenario.writer, &mut outcome, progress);
    network.leave(scenario.churn);
    wait(&mut network, scenario.wait, progress);
    let recorder = observed.and_then(|at| {
        let trial = trials.get(at)?;
        let holders = stored.get(at)?.as_ref().map(|stored| stored.accepted.clone()).unwrap_or_default();
        Recorder::new(&network.simulation, at, trial.reader, trial.info_hash, holders)
    });
    let observed = search(&mut network, &trials, scenario, recorder, &mut outcome, progress);
    take_stock(&network.simulation, &mut outcome);
    (outcome, observed)
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
    perform(network, Phase::LookingAround, clients.len(), FORMER * clients.len(), progress, |network, at| {
        let target = Key::random(&mut network.rng);
        start(&mut network.simulation, clients[at % clients.len()], target, effort)
    });
}

fn announce(
    network: &mut Network,
    trials: &[Trial],
    effort: Effort,
    outcome: &mut Outcome,
    progress: Progress<'_>,
) -> Vec<Option<Stored<Key<20>>>> {
    let lanes = network.clients.len() / 2;
    let deeds = perform(network, Phase::Announcing, lanes, trials.len(), progress, |network, at| {
        publish(&mut network.simulation, trials[at].writer, trials[at].info_hash, effort)
    });
    let ends = deeds.into_iter().map(|deed| match deed.end {
        Some(Event::Stored { stored, .. }) => Some(stored),
        _ => None,
    });
    let all: Vec<_> = ends.collect();
    let stored = all.iter().flatten();
    outcome.announcements = figures(stored.clone().map(|stored| {
        (&stored.report, stored.accepted.len() + stored.refused.len() + stored.no_answer.len())
    }));
    outcome.holders = Spread::of(stored.map(|stored| stored.accepted.len()));
    all
}

fn wait(network: &mut Network, time: Duration, progress: Progress<'_>) {
    const STEPS: u32 = 100;
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
    outcome: &mut Outcome,
    progress: Progress<'_>,
) -> Option<Observed> {
    let census = network.simulation.census();
    let lookout = Lookout::watch(&mut network.simulation, recorder);
    let lanes = network.clients.len() / 2;
    let deeds = perform(network, Phase::Searching, lanes, trials.len(), progress, |network, at| {
        start(&mut network.simulation, trials[at].reader, trials[at].info_hash, scenario.reader)
    });
    let mut seen = lock(&lookout);
    let first = |deed: &Deed| Some(seen.firsts.get(&deed.call?)?.since(deed.begun));
    let firsts: Vec<_> = deeds.iter().map(first).collect();
    outcome.lost = (0..trials.len()).filter(|at| firsts[*at].is_none()).collect();
    outcome.found = trials.len() - outcome.lost.len();
    outcome.first = Spread::of(firsts.into_iter().flatten());
    assess(&network.simulation, &census, trials, &deeds, scenario.config.k, outcome);
    seen.recorder.take().map(|recorder| recorder.finish())
}

/// What the searches' reports say.
fn assess(
    simulation: &Net,
    census: &Census<Key<20>>,
    trials: &[Trial],
    deeds: &[Deed],
    k: usize,
    outcome: &mut Outcome,
) {
    let (mut reports, mut sizes) = (Vec::new(), Vec::new());
    let (mut exact, mut possible) = (0, 0);
    for (trial, deed) in trials.iter().zip(deeds) {
        let truth = census.closest(&trial.info_hash, k, Some(trial.reader));
        possible += truth.len();
        if let Some(Event::LookupDone { report, .. }) = &deed.end {
            exact += truth.iter().filter(|contact| report.closest.contains(contact)).count();
            outcome.crowded += usize::from(report.crowded);
            reports.push(report);
        }
        let size = simulation.node(trial.reader).and_then(|node| node.network_size());
        sizes.extend(size.map(|size| whole(size.nodes)));
    }
    outcome.searches = figures(reports.into_iter().map(|report| (report, 0)));
    outcome.recall = exact as f64 / possible.max(1) as f64;
    outcome.size = Spread::of(sizes).p50 as f64;
}

#[allow(clippy::cast_possible_truncation, reason = "saturates")]
fn whole(number: f64) -> u64 {
    number as u64
}

fn take_stock(simulation: &Net, outcome: &mut Outcome) {
    let traffic = simulation.traffic();
    let bytes: usize = simulation.nodes().map(|(_, node)| node.memory()).sum();
    outcome.nodes = simulation.nodes().count();
    outcome.bytes_per_node = bytes / outcome.nodes.max(1);
    outcome.events = traffic.delivered + traffic.timeouts;
    outcome.lasted = simulation.now().since(Instant::ZERO);
    outcome.trace = simulation.trace_hash();
}

/// Starts `count` deeds, `lanes` of them at a time, and lets time pass until all have ended.
fn perform(
    network: &mut Network,
    phase: Phase,
    lanes: usize,
    count: usize,
    progress: Progress<'_>,
    mut start: impl FnMut(&mut Network, usize) -> Option<Call>,
) -> Vec<Deed> {
    let mut deeds: Vec<Deed> = Vec::with_capacity(count);
    let mut running = BTreeMap::new();
    let mut patience = PATIENCE;
    while deeds.len() < count || (!running.is_empty() && patience > 0) {
        if deeds.len() == count {
            patience -= 1;
        }
        for at in deeds.len()..count.min(deeds.len() + lanes.max(1)) {
            let begun = network.simulation.now();
            let call = start(network, at);
            running.extend(call.map(|call| (call, at)));
            deeds.push(Deed { begun, call, end: None });
        }
        network.run_for(PACE);
        for (node, event) in network.simulation.take_events() {
            if let Event::LookupDone { lookup, .. } | Event::Stored { lookup, .. } = &event
                && let Some(at) = running.remove(&(node, *lookup))
            {
                deeds[at].end = Some(event);
            }
        }
        progress(phase, (deeds.len() - running.len()) as f64 / count as f64);
    }
    deeds
}

fn figures<'a>(reports: impl Iterator<Item = (&'a LookupReport<Key<20>>, usize)> + Clone) -> Figures {
    Figures {
        messages: Spread::of(reports.clone().map(|(report, more)| report.messages + more)),
        hops: Spread::of(reports.clone().map(|(report, _)| report.hops)),
        took: Spread::of(reports.map(|(report, _)| report.took)),
    }
}

fn start(simulation: &mut Net, from: NodeIndex, info_hash: Key<20>, effort: Effort) -> Option<Call> {
    let request = Request::GetPeers { info_hash: InfoHash::from(info_hash), want: Families::NONE };
    let options = LookupOptions { answers: true, effort: Some(effort), ..LookupOptions::default() };
    let id = simulation.call(from, |node, now| node.lookup(now, info_hash, request, options).ok());
    Some((from, id.flatten()?))
}

fn publish(simulation: &mut Net, from: NodeIndex, key: Key<20>, effort: Effort) -> Option<Call> {
    let info_hash = InfoHash::from(key);
    let request = Request::GetPeers { info_hash, want: Families::NONE };
    let make = Box::new(move |_: &Contact<Key<20>>, response: &Response| {
        let token = response.token?;
        Some(Request::AnnouncePeer { implied_port: false, info_hash, port: Some(PORT), token })
    });
    let options = LookupOptions { effort: Some(effort), ..LookupOptions::default() };
    let id = simulation.call(from, |node, now| node.publish(now, key, request, make, options).ok());
    Some((from, id.flatten()?))
}

/// Sees what happens during the searches.
#[derive(Default)]
struct Lookout {
    /// When each lookup was first told of a peer. Attackers tell of none.
    firsts: BTreeMap<Call, Instant>,
    recorder: Option<Recorder>,
}

impl Lookout {
    fn watch(simulation: &mut Net, recorder: Option<Recorder>) -> Arc<Mutex<Lookout>> {
        let lookout = Arc::new(Mutex::new(Lookout { recorder, ..Lookout::default() }));
        let shared = Arc::clone(&lookout);
        simulation.observe(move |now, step| {
            let mut lookout = lock(&shared);
            if let Step::Event { node, event: Event::Answer { lookup, response, .. } } = step
                && !response.values.is_empty()
            {
                lookout.firsts.entry((*node, *lookup)).or_insert(now);
            }
            if let Some(recorder) = &mut lookout.recorder {
                recorder.see(now, step);
            }
        });
        lookout
    }
}

fn lock(lookout: &Mutex<Lookout>) -> MutexGuard<'_, Lookout> {
    lookout.lock().unwrap_or_else(PoisonError::into_inner)
}
