//! Ten thousand node-hours: a large network whose nodes come and go (the Gates' "every change").

use std::collections::BTreeMap;
use std::fmt::Write;
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bittorrent_profile::Mainline;
use kademlia_core::{Cause, Config, Event, Key, LookupId};
use tests::{Network, settled_node};
use transport_mem::{Churn, Churner, LinkModel, NodeIndex, Step};

const MINUTE: Duration = Duration::from_secs(60);

/// Nodes that stay, and announce and search.
const CLIENTS: usize = 16;
const PORT: NonZeroU16 = NonZeroU16::new(51_413).unwrap();
/// Announcements a minute, and the minutes after which each is searched for.
const TRIALS: u32 = 4;
const LATER: u32 = 10;

/// Messages of one cause: all, and those to nobody.
type Tally = BTreeMap<&'static str, [u64; 2]>;

fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::Reply => "reply",
        Cause::Lookup(_) => "lookup",
        Cause::Store(_) => "store",
        Cause::Request(_) => "request",
        Cause::Join => "join",
        Cause::Verify => "verify",
        Cause::Keepalive => "keepalive",
        _ => "other",
    }
}

fn tally(network: &mut Network) -> Arc<Mutex<Tally>> {
    let tally = Arc::new(Mutex::new(Tally::new()));
    let counted = Arc::clone(&tally);
    network.simulation.observe(move |_, step: &Step<'_, Mainline>| {
        let (cause, dead) = match step {
            Step::Delivered { cause: Some(cause), .. } | Step::Lost { cause: Some(cause), .. } => {
                (*cause, false)
            }
            Step::Vanished { cause: Some(cause), .. } => (*cause, true),
            _ => return,
        };
        let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counted.entry(name(cause)).or_default();
        count[0] += 1;
        count[1] += u64::from(dead);
    });
    tally
}

/// What is announced and searched for meanwhile.
#[derive(Default)]
struct Searches {
    announced: Vec<Key<20>>,
    running: Vec<(NodeIndex, LookupId)>,
    messages: Vec<usize>,
    found: usize,
    ended: usize,
}

impl Searches {
    /// A few announcements, and searches for those of some minutes ago, by others.
    fn start(&mut self, network: &mut Network, minute: u32) {
        for trial in 0..TRIALS {
            let client = ((minute * TRIALS + trial) as usize) % CLIENTS;
            let info_hash = network.any_key();
            self.announced.push(info_hash);
            network.announce(client, info_hash, PORT);
            if let Some(earlier) = minute.checked_sub(LATER) {
                let info_hash = self.announced[(earlier * TRIALS + trial) as usize];
                self.running.push(network.get_peers((client + CLIENTS / 2) % CLIENTS, info_hash));
            }
        }
    }

    fn collect(&mut self, network: &mut Network) {
        network.run_for(Duration::ZERO);
        for search in self.running.drain(..) {
            self.found += usize::from(network.answers(search).iter().any(|answer| !answer.values.is_empty()));
            let report = network.ended_lookup(search).expect("a minute is more than any takes");
            self.messages.push(report.messages);
            self.ended += 1;
        }
    }
}

/// So many hosts, half of whom are up at any time, for so long; how many node-hours it was, what was found, and what the
/// live ones sent in the second half.
fn churn(hosts: u32, minutes: u32) -> (f64, Searches, String) {
    let mut network = Network::filled(7, hosts, LinkModel::internet());
    let config = Arc::new(Config::default());
    for index in (CLIENTS..network.simulation.len()).step_by(2) {
        network.simulation.crash(index);
    }
    network.simulation.watch(|node, event| {
        node < CLIENTS && matches!(event, Event::Answer { .. } | Event::LookupDone { .. })
    });
    let tally = tally(&mut network);
    let mut churner = Churner::new(Churn::with_half_life(30 * MINUTE), CLIENTS, &mut network.simulation);
    let (mut node_minutes, mut first_half) = (0.0, 0.0);
    let mut searches = Searches::default();
    for minute in 0..minutes {
        if minute == minutes / 2 {
            first_half = node_minutes;
            tally.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let live = |network: &Network| network.simulation.nodes().count() as f64;
        let before = live(&network);
        searches.start(&mut network, minute);
        let until = network.simulation.now() + MINUTE;
        churner.run_until(&mut network.simulation, until, |birth| settled_node(&birth, Arc::clone(&config)));
        searches.collect(&mut network);
        node_minutes += (before + live(&network)) / 2.0;
    }
    let tally = std::mem::take(&mut *tally.lock().unwrap_or_else(PoisonError::into_inner));
    let counted = node_minutes - first_half;
    let mut table = String::new();
    for (cause, [all, dead]) in &tally {
        let (rate, share) = (*all as f64 / counted, 100.0 * *dead as f64 / *all as f64);
        let _ = writeln!(
            table,
            "  {cause:>9}: {rate:6.2} messages a node and minute, {share:4.1} % of them to nobody"
        );
    }
    let good: Vec<_> = {
        let now = network.simulation.now();
        network.simulation.nodes().map(|(_, node)| node.table().counts(now)).collect()
    };
    let joined = network.simulation.nodes().filter(|(_, node)| node.is_bootstrapped()).count();
    let with_eight = good.iter().filter(|counts| counts.good >= 8).count();
    let _ = writeln!(table, "  {joined} of {} have joined, {with_eight} know eight good nodes", good.len());
    assert!(joined * 100 >= good.len() * 95 && with_eight * 100 >= good.len() * 95, "{table}");
    let Searches { found, ended, messages, .. } = &mut searches;
    messages.sort_unstable();
    let (median, most) = (messages[messages.len() / 2], messages[messages.len() - 1]);
    let _ = writeln!(
        table,
        "  {found} of {ended} announcements found {LATER} minutes later; messages p50 {median}, most {most}"
    );
    (node_minutes / 60.0, searches, table)
}

#[test]
fn p46_nodes_that_come_and_go_find_their_way_in() {
    let (hours, searches, table) = churn(600, 20);
    println!("{hours:.0} node-hours with churn:\n{table}");
    assert_eq!((searches.found, searches.ended), (40, 40));
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn ten_thousand_node_hours_with_churn() {
    let (hours, searches, table) = churn(20_000, 60);
    println!("{hours:.0} node-hours with churn:\n{table}");
    assert!(hours >= 10_000.0, "{hours}");
    assert!(searches.ended == 200 && searches.found >= 199, "{} of {}", searches.found, searches.ended);
}
