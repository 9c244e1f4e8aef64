//! Values outlive their holders: a network in which everybody is replaced within the hour, again and again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use kademlia_core::{Instant, LookupLimit};
use key_value::{Got, Id, KvConfig, NotPut, Put, Wanted, key_of};
use transport_mem::{Churn, Churner, LinkModel, NodeIndex};

use crate::network::{Ending, HOUR, MINUTE, Network};

/// What was found of what should be there.
#[derive(Debug, Default)]
struct Tally {
    gets: usize,
    found: usize,
    /// Gets that never ended because their node was replaced: they say nothing.
    abandoned: usize,
    hops: usize,
    messages: usize,
}

/// A get under way: when it began, the key, and its end.
type Getting = (Instant, Id, Ending<Result<Got, LookupLimit>>);

/// A network, values in it, and whoever looks for them.
struct Life {
    network: Network,
    /// What was put, and when.
    values: Vec<(Id, Instant)>,
    /// Puts that have not ended; they never do if their node goes first.
    puts: Vec<(Id, Ending<Result<Put, NotPut>>)>,
    names: BTreeMap<Id, String>,
    /// Keys of the nodes that held a value first.
    first_holders: BTreeSet<Id>,
    gets: VecDeque<Getting>,
    tally: Tally,
}

impl Life {
    fn new(seed: u64, nodes: usize, loss: f64) -> Self {
        let mut network = Network::empty(seed, LinkModel::internet().with_loss(loss), KvConfig::default());
        network.grow(nodes);
        network.run_for(10 * MINUTE);
        Life {
            network,
            values: Vec::new(),
            puts: Vec::new(),
            names: BTreeMap::new(),
            first_holders: BTreeSet::new(),
            gets: VecDeque::new(),
            tally: Tally::default(),
        }
    }

    fn put(&mut self) {
        let name = format!("value {}", self.names.len());
        let (key, at) = (key_of(&name), self.network.any_node());
        let ending = self.network.begin_put(at, key, name.as_bytes());
        self.names.insert(key, name);
        self.puts.push((key, ending));
    }

    fn note_holders(&mut self) {
        for (key, _) in &self.values {
            for index in self.network.holders(key) {
                self.first_holders.extend(self.network.simulation.node(index).map(|node| node.local()));
            }
        }
    }

    /// Somebody looks for a value that was put at least an hour ago.
    fn get(&mut self) {
        let now = self.network.now();
        let old = self.values.iter().take_while(|(_, put)| now.since(*put) >= HOUR).count();
        if old == 0 {
            return;
        }
        let (key, _) = self.values[self.network.rng.below(old)];
        let at = self.network.any_node();
        let ending = self.network.begin_get(at, key, Wanted::First);
        self.gets.push_back((now, key, ending));
    }

    /// Looks at what has ended, and at gets that have had a minute.
    fn settle(&mut self, all: bool) {
        let now = self.network.now();
        let values = &mut self.values;
        self.puts.retain(|(key, ending)| {
            let put = ending.try_recv();
            if put.as_ref().is_ok_and(|put| put.as_ref().is_ok_and(|put| put.copies() > 0)) {
                values.push((*key, now));
            }
            matches!(put, Err(TryRecvError::Empty))
        });
        while self.gets.front().is_some_and(|(begun, _, _)| all || now.since(*begun) >= MINUTE) {
            let Some((begun, key, ending)) = self.gets.pop_front() else { return };
            match ending.try_recv() {
                Ok(got) => {
                    let got = got.unwrap();
                    let expected = &self.names[&key];
                    self.tally.gets += 1;
                    let report = got.report.as_ref();
                    self.tally.hops += report.map_or(0, |report| report.hops);
                    self.tally.messages += report.map_or(0, |report| report.messages);
                    match got.value() {
                        Some(value) => {
                            assert_eq!(value.as_bytes(), expected.as_bytes());
                            self.tally.found += 1;
                        }
                        None => {
                            let holders = self.network.holders(&key).len();
                            println!("not found at {begun:?}: {expected}, held by {holders} now");
                        }
                    }
                }
                Err(_) => self.tally.abandoned += 1,
            }
        }
    }

    /// Everybody who is there now is replaced within the hour, one after the other in random order, by nodes with other
    /// keys and addresses that know nothing. Meanwhile there are so many puts and gets.
    fn generation(&mut self, puts: usize, gets: usize) {
        let mut doomed: Vec<NodeIndex> = self.network.simulation.nodes().map(|(index, _)| index).collect();
        for last in (1..doomed.len()).rev() {
            doomed.swap(last, self.network.rng.below(last + 1));
        }
        let (steps, mut gone) = (3_600, 0);
        for step in 0..steps {
            let share = |count: usize| (step + 1) * count / steps - step * count / steps;
            for _ in 0..share(doomed.len()) {
                self.network.replace(doomed[gone]);
                gone += 1;
            }
            (0..share(puts)).for_each(|_| self.put());
            (0..share(gets)).for_each(|_| self.get());
            self.network.run_for(Duration::from_secs(1));
            self.settle(false);
        }
    }
}

/// Three generations; gives back what was found of values put an hour before or earlier.
fn three_generations(seed: u64, nodes: usize, values: usize, gets: usize) -> Tally {
    let mut life = Life::new(seed, nodes, 0.05);
    (0..values).for_each(|_| life.put());
    life.network.run_for(2 * MINUTE);
    life.settle(false);
    assert_eq!(life.values.len(), values);
    life.note_holders();
    for generation in 1..=4 {
        // The first is as old as the values then have to be.
        life.generation(values, gets);
        let tally = &life.tally;
        println!("after {generation} generations: {} of {} found", tally.found, tally.gets);
    }
    life.network.run_for(MINUTE);
    life.settle(true);
    let alive =
        life.network.simulation.nodes().filter(|(_, node)| life.first_holders.contains(&node.local()));
    assert_eq!(alive.count(), 0, "every original holder is gone");
    assert!(!life.first_holders.is_empty());
    let activity: Vec<_> =
        life.network.simulation.nodes().map(|(_, node)| *node.service().activity()).collect();
    let sum = |of: fn(&key_value::Activity) -> u64| activity.iter().map(of).sum::<u64>();
    let (traffic, tally) = (life.network.simulation.traffic(), life.tally);
    println!(
        "seed {seed}, {nodes} nodes: {} of {} gets found their value, {} abandoned, {:.1} messages and {:.2} hops a get; \
         of those alive: {} turns used, {} passed, {} pairs handed over, {} cached; {traffic:?}",
        tally.found,
        tally.gets,
        tally.abandoned,
        tally.messages as f64 / tally.gets as f64,
        tally.hops as f64 / tally.gets as f64,
        sum(|activity| activity.republished),
        sum(|activity| activity.passed),
        sum(|activity| activity.handed_over),
        sum(|activity| activity.cached),
    );
    tally
}

/// Hosts that come and go as those of file sharers do, half of them up at any time; nobody has a database. Gives back what
/// was found of values put an hour before or earlier, in so many hours.
fn with_churn(seed: u64, hosts: usize, half_life: Duration, gets: usize) -> Tally {
    let mut life = Life::new(seed, hosts, 0.05);
    for index in (0..hosts).step_by(2) {
        life.network.simulation.crash(index);
    }
    let mut churner = Churner::new(Churn::with_half_life(half_life), 0, &mut life.network.simulation);
    for minute in 0..180 {
        life.put();
        (0..gets).for_each(|_| life.get());
        life.network.churn(&mut churner, MINUTE);
        // Gets that began this minute have a minute more.
        if minute > 0 {
            life.settle(false);
        }
    }
    let lost = life.values.iter().filter(|(key, _)| life.network.holders(key).is_empty()).count();
    let (tally, values) = (life.tally, life.values.len());
    println!(
        "seed {seed}, {hosts} hosts, half-life {half_life:?}: {} of {} gets found their value, {lost} of {values} values lost",
        tally.found, tally.gets
    );
    tally
}

#[test]
fn fs_e4_values_survive_where_hosts_come_and_go() {
    let tally = with_churn(1, 120, HOUR, 4);
    assert!(tally.gets >= 400);
    assert!(tally.found * 1_000 >= tally.gets * 999, "{} of {}", tally.found, tally.gets);
}

#[test]
fn fs_e4_values_outlive_three_generations_of_holders() {
    let tally = three_generations(1, 60, 30, 200);
    assert!(tally.gets >= 500);
    assert_eq!(tally.found, tally.gets);
}

#[test]
#[ignore = "full size: docs/results/regenerate.sh runs it"]
fn fs_e4_values_outlive_three_generations_of_a_thousand_nodes() {
    let tally = three_generations(2, 1_000, 120, 2_000);
    assert!(tally.gets >= 5_000);
    assert!(tally.found * 1_000 >= tally.gets * 999, "{} of {}", tally.found, tally.gets);
}

#[test]
#[ignore = "full size: docs/results/regenerate.sh runs it"]
fn fs_e4_values_survive_where_a_thousand_hosts_come_and_go() {
    let tally = with_churn(2, 1_000, 30 * MINUTE, 20);
    assert!(tally.gets >= 2_000);
    assert!(tally.found * 1_000 >= tally.gets * 999, "{} of {}", tally.found, tally.gets);
}
