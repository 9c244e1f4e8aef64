//! P1, P3, P8, P23: whatever can go wrong, in random combinations.

use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kademlia_core::{Event, Keyspace, LookupOptions, Protocol, Service};

use super::{Kit, Law, Proof};
use crate::link::LinkModel;
use crate::simulation::{Simulation, Traffic};
use crate::swarm;

/// Plans that a network lives through, each in a network of its own.
const PLANS: usize = 12;
const NODES: usize = 20;
/// How long each plan lasts.
const LENGTH: Duration = Duration::from_secs(240);
/// Lookups that node 0, which is spared, begins with each of them.
const LOOKUPS: usize = 8;
/// Steps that are compared to find where two runs part.
const STEPS: usize = 200_000;

pub(super) fn ends<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Ends;
    let mut rng = kit.rng(law);
    let (mut complete, mut datagrams) = (0, 0);
    for _ in 0..PLANS {
        let plan = swarm::draw(rng.next_u64(), LENGTH);
        let mut network = Simulation::new(rng.next_u64(), LinkModel::internet()).wire(true);
        network.grow(NODES, Duration::from_secs(1), &kit.make);
        network.run_for(Duration::from_secs(60));
        network.take_events();
        let watch = kit.watch(&mut network);
        for index in (0..LOOKUPS).map(|_| 0).chain(1..NODES) {
            let target = P::Key::random(&mut rng);
            network.call(index, |node, now| {
                node.lookup(now, target, P::find_node(target), LookupOptions::default()).is_ok()
            });
        }
        network.endure(&plan, &kit.make);
        network.run_for(kit.patience());
        let mut ended = 0;
        for event in network.events(0) {
            if let Event::LookupDone { report, .. } = event {
                kit.is_in_budget(law, &format!("a lookup during this plan: {plan}"), &report)?;
                ended += 1;
                complete += usize::from(report.complete);
            }
        }
        if ended != LOOKUPS {
            let case = format!("{ended} of {LOOKUPS} lookups that ended during this plan: {plan}");
            return Err(kit.violation(law, case, "that each ends, once"));
        }
        datagrams += kit.audit(&network, &watch)?.datagrams;
    }
    Ok(format!("{PLANS} plans, {datagrams} datagrams, {complete} of {} lookups complete", PLANS * LOOKUPS))
}

pub(super) fn determinism<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Determinism;
    let mut hashes = String::new();
    for wire in [true, false] {
        let how = if wire { "bytes" } else { "messages" };
        let (first, again) = (live(kit, wire, None), live(kit, wire, None));
        if first != again {
            let case = format!("the same network twice, in {how}; {}", parting(kit, wire));
            return Err(kit.violation(law, case, "the same trace hash and traffic"));
        }
        let _ = write!(hashes, "{:016x} in {how} ", first.0);
    }
    Ok(format!("twice {hashes}"))
}

type Lines = Arc<Mutex<Vec<String>>>;

/// A small network in which everybody asks what the strategy asks, while things go wrong.
fn live<P: Protocol, S: Service<P> + Send + 'static>(
    kit: &Kit<P, S>,
    wire: bool,
    lines: Option<&Lines>,
) -> (u64, Traffic) {
    let law = Law::Determinism;
    let mut rng = kit.rng(law);
    let mut network = Simulation::new(rng.next_u64(), LinkModel::internet()).wire(wire).trace_contents(true);
    if let Some(lines) = lines.cloned() {
        network.observe(move |now, step| {
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() < STEPS {
                lines.push(format!("{now:?} {step}"));
            }
        });
    }
    network.grow(NODES, Duration::from_secs(1), &kit.make);
    kit.ask_around(&mut network, &mut rng, kit.draw_requests(law, 16 * NODES));
    let plan = swarm::draw(kit.seed, LENGTH);
    network.endure(&plan, &kit.make);
    (network.trace_hash(), network.traffic())
}

/// Where two runs differ first.
fn parting<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>, wire: bool) -> String {
    let lines = || {
        let lines = Lines::default();
        live(kit, wire, Some(&lines));
        std::mem::take(&mut *lines.lock().unwrap_or_else(PoisonError::into_inner))
    };
    let (first, again) = (lines(), lines());
    match first.iter().zip(&again).find(|(first, again)| first != again) {
        Some((first, again)) => format!("they part at «{first}» and «{again}»"),
        None => format!("one of {}, one of {} steps", first.len(), again.len()),
    }
}
