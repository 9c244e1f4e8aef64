//! BEP 51: the info hashes of a whole network, collected by one node that asks every other once in its interval.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Request, Response};
use bittorrent_profile::sweep::{Progress, Step, SweepConfig, Walk};
use bittorrent_profile::{InfoHash, Mainline, MainlineService, ServiceConfig, node_id};
use kademlia_core::{
    Body, Config, Contact, Effort, Event, Family, Instant, Key, Keyspace, LookupId, LookupOptions, Message,
    Node, Protocol, Reach, RequestId, Rng,
};
use transport_mem::{Birth, LinkModel, NodeIndex, Payload, Simulation, Step as Happened, address_v4};

type Net = Simulation<Mainline, MainlineService>;

/// As long as a peer is held.
const DAY: Duration = Duration::from_secs(86_400);
/// Longer than any run here: upkeep is not what is looked at.
const AGES: Duration = Duration::from_secs(100 * 86_400);

fn node(birth: &Birth<Key<20>>, config: &Arc<Config>) -> Node<Mainline, MainlineService> {
    let mut rng = Rng::from_seed(birth.seed);
    let service = ServiceConfig { peer_ttl: DAY, ..ServiceConfig::default() };
    let service = MainlineService::new(service, rng.fork());
    let key = node_id::fit(birth.addr.ip(), &birth.key);
    Node::new(service, key, Arc::clone(config), rng.fork(), birth.now)
}

/// A network of long standing, and one node more that only asks.
fn network(seed: u64, nodes: u32) -> (Net, NodeIndex) {
    let mut config = Config::default();
    (config.table.keepalive, config.table.good_for, config.table.refresh) = (AGES, AGES, AGES);
    let reader = Arc::new(Config { read_only: true, ..config.clone() });
    let config = Arc::new(config);
    let mut simulation = Simulation::new(seed, LinkModel::internet());
    for n in 0..nodes {
        simulation.spawn(address_v4(n), |birth| node(&birth, &config));
    }
    simulation.fill_tables(config.k);
    let sweeper = simulation.spawn(address_v4(nodes), |birth| node(&birth, &reader));
    simulation.watch(move |index, event| index == sweeper || matches!(event, Event::Stored { .. }));
    let routers: Vec<_> = (0..3).map(address_v4).collect();
    simulation.call(sweeper, |node, now| node.bootstrap(now, &routers));
    simulation.run_for(Duration::from_secs(60));
    (simulation, sweeper)
}

/// Every hash is announced to the eight closest nodes, as deployed clients do. By one of their neighbours, which has the
/// shortest way to them.
fn announce_all(simulation: &mut Net, nodes: u32, hashes: usize, rng: &mut Rng) -> BTreeSet<InfoHash> {
    let all: BTreeSet<InfoHash> = (0..hashes).map(|_| <Key<20>>::random(rng).into()).collect();
    let census = simulation.census();
    let places: BTreeMap<_, _> = (0..nodes).map(|n| (address_v4(n), n as NodeIndex)).collect();
    for chunk in all.iter().collect::<Vec<_>>().chunks(1_000) {
        for info_hash in chunk {
            let info_hash = **info_hash;
            let make = Box::new(move |_: &Contact<Key<20>>, response: &Response| {
                let port = NonZeroU16::new(6_881);
                let token = response.token?;
                Some(Request::AnnouncePeer { implied_port: false, info_hash, port, seed: false, token })
            });
            let options = LookupOptions { effort: Some(Effort::Plain), ..LookupOptions::default() };
            let request = Request::get_peers(info_hash, Families::NONE);
            let neighbour = census.closest(&info_hash.into(), 1, Some(nodes as NodeIndex))[0];
            simulation.call(places[&neighbour.addr], |node, now| {
                node.publish(now, info_hash.into(), request, make, options).unwrap()
            });
        }
        simulation.run_for(Duration::from_secs(30));
    }
    let stored = simulation.take_events();
    let stored = stored
        .iter()
        .filter(|(_, event)| matches!(event, Event::Stored { stored, .. } if !stored.accepted.is_empty()));
    assert_eq!(stored.count(), hashes, "every announcement is kept somewhere");
    all
}

/// Sees to it, on the wire, that nobody is asked again before the time that he named is over.
#[derive(Default)]
struct Watchman {
    requests: u64,
    /// When each node was asked last, and when it may be asked again.
    nodes: BTreeMap<NodeIndex, (Instant, Instant)>,
    asked_early: u64,
}

impl Watchman {
    fn see(&mut self, now: Instant, step: &Happened<'_, Mainline>) {
        let Happened::Delivered { from, to, payload: Payload::Message(message), .. } = step else { return };
        match &**message {
            Message { body: Body::Request { request: Request::SampleInfohashes { .. }, .. }, .. } => {
                self.requests += 1;
                let (asked, again) = self.nodes.entry(*to).or_insert((now, now));
                self.asked_early += u64::from(now < *again);
                *asked = now;
            }
            Message {
                body: Body::Response { response: Response { samples: Some(samples), .. }, .. },
                ..
            } => {
                let (asked, again) = self.nodes.entry(*from).or_insert((now, now));
                *again = *asked + samples.interval;
            }
            _ => {}
        }
    }
}

/// What the walk waits for.
#[derive(Default)]
struct Running {
    requests: BTreeMap<RequestId, std::net::SocketAddr>,
    lookup: Option<(LookupId, Key<20>)>,
}

/// Walks through the keyspace; gives what was found.
fn sweep(simulation: &mut Net, sweeper: NodeIndex, config: SweepConfig) -> (BTreeSet<InfoHash>, Progress) {
    let mut walk = Walk::new(Family::V4, Reach::Global, config, &mut Rng::from_number(51));
    let (mut running, mut found) = (Running::default(), BTreeSet::new());
    loop {
        let now = simulation.now();
        match walk.poll(now) {
            Step::Ask(contact, target) => {
                let request = Request::SampleInfohashes { target, want: Families::NONE };
                let id = simulation
                    .call(sweeper, |node, now| node.request(now, contact.addr, Some(contact.key), request))
                    .unwrap();
                running.requests.insert(id, contact.addr);
            }
            Step::Find(target) => {
                let options = LookupOptions::default();
                let id = simulation
                    .call(sweeper, |node, now| node.lookup(now, target, Mainline::find_node(target), options))
                    .unwrap();
                running.lookup = Some((id.unwrap(), target));
            }
            Step::Wait(until) if running.requests.is_empty() && running.lookup.is_none() => {
                simulation.run_until(until);
            }
            Step::Wait(_) | Step::Rest => simulation.run_for(Duration::from_millis(5)),
            Step::Done => return (found, walk.progress()),
        }
        let now = simulation.now();
        for event in simulation.events(sweeper) {
            match event {
                Event::Requested { request, result } => {
                    let Some(addr) = running.requests.remove(&request) else { continue };
                    match result {
                        Ok(answered) => found.extend(walk.answered(now, addr, &answered.response)),
                        Err(_) => walk.failed(addr),
                    }
                }
                Event::LookupDone { lookup, report } => {
                    if let Some((_, target)) = running.lookup.take_if(|(id, _)| *id == lookup) {
                        walk.found(now, &target, &report.closest);
                    }
                }
                _ => {}
            }
        }
    }
}

/// Sweeps a network; prints what it took, and gives the share of the hashes that was collected.
fn collected(nodes: u32, hashes: usize, rounds: u32, loss: f64) -> f64 {
    let (mut simulation, sweeper) = network(51, nodes);
    let mut rng = Rng::from_number(15);
    let all = announce_all(&mut simulation, nodes, hashes, &mut rng);
    let watchman = Arc::new(Mutex::new(Watchman::default()));
    let seen = Arc::clone(&watchman);
    simulation.observe(move |now, step| seen.lock().unwrap().see(now, step));
    simulation.links_mut().model_mut().loss = loss;
    let started = simulation.now();
    let config = SweepConfig { rate: 50, outstanding: 200, rounds, ..SweepConfig::default() };
    let (found, progress) = sweep(&mut simulation, sweeper, config);
    assert!(found.is_subset(&all));
    let share = found.len() as f64 / all.len() as f64;
    let watchman = watchman.lock().unwrap();
    println!(
        "{nodes} nodes, {hashes} hashes, up to {rounds} rounds, loss {loss}: {:.2} % collected with {:.2} requests a hash ({} requests, {} answered, {} lookups, {} nodes asked, {} hashes heard) in {:.1} h",
        100.0 * share,
        progress.requests as f64 / found.len() as f64,
        progress.requests,
        progress.answered,
        progress.lookups,
        watchman.nodes.len(),
        progress.heard,
        simulation.now().since(started).as_secs_f64() / 3_600.0,
    );
    let reached = watchman.nodes.len() as f64 / f64::from(nodes);
    assert!(reached >= 0.99 * (1.0 - 1.5 * loss), "{} nodes asked", watchman.nodes.len());
    assert_eq!(watchman.asked_early, 0, "51.2: no node is asked twice within its interval");
    assert!(watchman.requests <= progress.requests, "none is repeated");
    share
}

#[test]
fn bep51_51_2_a_sweep_collects_what_a_small_network_holds() {
    assert!(collected(400, 2_000, 2, 0.0) >= 0.99);
}

#[test]
fn bep51_51_2_a_sweep_with_loss_asks_nobody_twice() {
    assert!(collected(300, 600, 2, 0.05) >= 0.97);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn bep51_51_2_a_sweep_of_ten_thousand_nodes_collects_fifty_thousand_hashes() {
    assert!(collected(10_000, 50_000, 2, 0.0) >= 0.99);
}
