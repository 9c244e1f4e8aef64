//! How large a simulated network may be: makes one, lets it run, looks up in it, and prints what that took.
//!
//! `cargo run --release -p transport-mem --example scale -- [nodes] [seed] [minutes] [filled]`: with `filled`, tables are
//! filled by the oracle; otherwise the network grows as networks do.
#![allow(clippy::print_stdout, reason = "a program with a report")]

#[path = "../tests/overlay/mod.rs"]
mod overlay;

use std::sync::Arc;
use std::time::{Duration, Instant};

use kademlia_core::{Config, Event, Key, Keyspace, LookupOptions, Rng};
use overlay::{Request, Tiny, node};
use transport_mem::{LinkModel, Simulation, address_v4};

type Net = Simulation<Tiny<20>, Tiny<20>>;

const LOOKUPS: usize = 1_000;

fn main() {
    let filled = std::env::args().any(|argument| argument == "filled");
    let mut arguments = std::env::args().skip(1).map_while(|argument| argument.parse::<u64>().ok());
    let count = arguments.next().and_then(|count| usize::try_from(count).ok()).unwrap_or(10_000).max(1);
    let seed = arguments.next().unwrap_or(1);
    let minutes = arguments.next().unwrap_or(60);

    let mut simulation = Net::new(seed, LinkModel::internet());
    // All others would count as memory of the nodes.
    simulation.watch(|_, event| matches!(event, Event::LookupDone { .. }));
    let empty = resident();
    if filled {
        fill(&mut simulation, count);
    } else {
        grow(&mut simulation, count);
    }
    report(&simulation, empty);
    phase("running", &mut simulation, |simulation| {
        simulation.run_for(Duration::from_secs(60 * minutes));
    });
    report(&simulation, empty);
    phase("looking up", &mut simulation, |simulation| {
        look_up(simulation, seed);
    });
    println!("trace {:016x}", simulation.trace_hash());
}

/// A network in which everybody joined through others.
fn grow(simulation: &mut Net, count: usize) {
    let config = Arc::new(Config::default());
    phase("growing", simulation, |simulation| {
        simulation.grow(count, Duration::from_millis(100), |birth| node(birth, &config));
        simulation.run_for(Duration::from_secs(60));
    });
}

/// A network of strangers who are introduced by the oracle once they are as old as the entries of a table may be.
fn fill(simulation: &mut Net, count: usize) {
    let config = Arc::new(Config::default());
    phase("spawning", simulation, |simulation| {
        for number in 0..u32::try_from(count).unwrap_or(u32::MAX) {
            simulation.spawn(address_v4(number), |birth| node(birth, &config));
        }
        simulation.run_for(config.table.good_for);
    });
    phase("filling", simulation, |simulation| simulation.fill_tables(config.k));
}

/// Runs one part of the simulation and prints how fast it went.
fn phase(name: &str, simulation: &mut Net, run: impl FnOnce(&mut Net)) {
    let (started, now, before) = (Instant::now(), simulation.now(), simulation.traffic());
    run(simulation);
    let (took, after) = (started.elapsed().as_secs_f64(), simulation.traffic());
    let events = after.delivered + after.timeouts - before.delivered - before.timeouts;
    println!(
        "{name}: {:?} of virtual time in {took:.2} s; {events} events, {:.0} events/s; {} messages",
        simulation.now().since(now),
        events as f64 / took,
        after.sent - before.sent,
    );
}

fn report(simulation: &Net, empty: usize) {
    let joined = simulation.nodes().filter(|(_, node)| node.is_bootstrapped()).count();
    let contacts: usize = simulation.nodes().map(|(_, node)| node.table().len()).sum();
    let memory: usize = simulation.nodes().map(|(_, node)| node.memory()).sum();
    let count = simulation.len();
    println!(
        "  {joined} of {count} nodes joined, {:.1} contacts and {} bytes a node by their own account, {} bytes of RSS a node",
        contacts as f64 / count as f64,
        memory / count,
        resident().saturating_sub(empty) / count,
    );
}

/// Lookups for random keys from random nodes, all at once, compared with the truth.
fn look_up(simulation: &mut Net, seed: u64) {
    let mut rng = Rng::from_number(seed);
    for _ in 0..LOOKUPS {
        let (from, target) = (rng.below(simulation.len()), Key::random(&mut rng));
        simulation.call(from, |node, now| {
            node.lookup(now, target, Request::FindNode(target), LookupOptions::default()).is_ok()
        });
    }
    simulation.run_for(Duration::from_secs(30));
    let census = simulation.census();
    let (mut done, mut exact, mut messages, mut hops, mut took) = (0, 0, 0, 0, Vec::new());
    for (from, event) in simulation.take_events() {
        if let Event::LookupDone { report, .. } = event {
            done += 1;
            exact += u32::from(report.closest == census.closest(&report.target, 8, Some(from)));
            messages += report.messages;
            hops += report.hops;
            took.push(report.took);
        }
    }
    took.sort_unstable();
    let average = |sum: usize| sum as f64 / f64::from(done.max(1));
    println!(
        "  {exact} of {done} lookups exact, {:.1} messages, {:.2} hops, median {:?}, p99 {:?}",
        average(messages),
        average(hops),
        took.get(took.len() / 2).copied().unwrap_or_default(),
        took.get(took.len() * 99 / 100).copied().unwrap_or_default(),
    );
}

/// Resident memory of this process in bytes; 0 where the system does not say.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<usize>().ok()).unwrap_or(0) * 1_024
}
