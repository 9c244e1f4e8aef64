//! Newest wins, stale never does, and what is withdrawn is gone: while nodes come and go, a twentieth of all datagrams is
//! lost, and somebody keeps putting old versions back.

#![allow(clippy::print_stdout, reason = "figures for whoever runs it with --nocapture")]

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use kademlia_core::{Instant, Key, Node, Rng};
use signed_records::{
    Draft, RecordsConfig, RecordsService, ResolveError, SecretKey, SignedRecord, SignedRecords, engine_config,
};
use transport_mem::{Birth, Churn, Churner, LinkModel, Simulation};

use crate::bed::{clock, seconds};
use crate::vigilant::Vigilant;

type Network = Simulation<SignedRecords, RecordsService<Vigilant>>;
/// The version that was the newest when somebody began to look, and what he found.
type Answer = (u64, Result<SignedRecord, ResolveError>);

const STEP: Duration = Duration::from_secs(60);
const TTL: Duration = Duration::from_secs(30 * 60);

/// How large, and how long.
struct Plan {
    seed: u64,
    nodes: usize,
    publishers: usize,
    steps: usize,
    /// Searches in each step.
    searches: usize,
}

fn node(birth: Birth<Key<32>>) -> Node<SignedRecords, RecordsService<Vigilant>> {
    let mut secrets = birth.seed;
    secrets.reverse();
    let (identity, config) = (SecretKey::from_seed(&birth.seed), RecordsConfig::default());
    let service = RecordsService::with_storage(identity, clock(), config, Vigilant::default(), secrets);
    service.into_node(engine_config(), birth.seed, birth.now)
}

struct Author {
    secret: Arc<SecretKey>,
    version: u64,
    /// Earlier versions, kept by somebody who means no good.
    old: Vec<SignedRecord>,
}

struct World {
    network: Network,
    churner: Churner<Key<32>>,
    authors: Vec<Author>,
    rng: Rng,
    answers: (Sender<Answer>, Receiver<Answer>),
}

impl World {
    /// The first nodes publish, one each, and stay; the others come and go.
    fn new(plan: &Plan) -> Self {
        let mut network = Simulation::new(plan.seed, LinkModel::internet().with_loss(0.05)).wire(true);
        network.watch(|_, _| false);
        network.grow(plan.nodes, Duration::from_millis(100), node);
        network.run_for(seconds(60));
        let churn = Churn::with_half_life(seconds(30 * 60));
        let churner = Churner::new(churn, plan.publishers, &mut network);
        let author = |n: usize| {
            let mut seed = [7; 32];
            seed[..8].copy_from_slice(&(n as u64).to_be_bytes());
            Author { secret: Arc::new(SecretKey::from_seed(&seed)), version: 0, old: Vec::new() }
        };
        let authors = (0..plan.publishers).map(author).collect();
        World { network, churner, authors, rng: Rng::from_number(plan.seed), answers: channel() }
    }

    fn publish(&mut self, at: usize) {
        let author = &mut self.authors[at];
        author.version += 1;
        let draft = Draft::endpoint(author.version.to_be_bytes()).unwrap().lasting(TTL);
        let secret = Arc::clone(&author.secret);
        let id = self.network.call(at, |node, now| {
            let service = node.service_mut();
            let id = service.publish(now, secret, draft, |_| {}).unwrap();
            service.publication(id).cloned()
        });
        author.old.push(id.flatten().unwrap());
    }

    fn advance(&mut self) {
        let until = self.network.now() + STEP;
        self.churner.run_until(&mut self.network, until, node);
    }

    /// A random node that is up.
    fn anybody(&mut self) -> usize {
        loop {
            let at = self.rng.below(self.network.len());
            if !self.network.is_down(at) {
                return at;
            }
        }
    }

    /// Somebody looks for some author's endpoint. What he finds is to be the present version at least.
    fn search(&mut self, author: usize) {
        let (at, sender) = (self.anybody(), self.answers.0.clone());
        let Author { secret, version, .. } = &self.authors[author];
        let (public, version) = (secret.public(), *version);
        let done = move |found| drop(sender.send((version, found)));
        self.network.call(at, |node, now| node.service_mut().resolve(now, public, done));
    }

    /// Somebody puts an old version to some node near its key, and one far from it.
    fn replay(&mut self) {
        let author = self.rng.below(self.authors.len());
        let old = self.rng.below(self.authors[author].old.len());
        let record = self.authors[author].old[old].clone();
        let near = self.network.closest_live(&record.target(), 20, None);
        let goals = [
            near[self.rng.below(near.len())].addr,
            self.network.address(self.rng.below(self.network.len())).unwrap(),
        ];
        let at = self.anybody();
        for goal in goals {
            let record = record.clone();
            self.network.call(at, |node, _| node.service_mut().store_at(goal, record, |_| {}));
        }
    }

    /// Endpoints of an author that any live node would give out.
    fn copies(&mut self, author: usize) -> usize {
        let target = self.authors[author].secret.public().key();
        let nodes: Vec<_> = self.network.nodes().map(|(at, _)| at).collect();
        let held =
            |at: &usize| self.network.call(*at, |node, now| node.service_mut().held(now, &target, None));
        let held = nodes.iter().filter_map(held).flatten();
        held.filter(|record| !record.is_withdrawal()).count()
    }
}

fn run(plan: &Plan) {
    let mut world = World::new(plan);
    (0..plan.publishers).for_each(|at| world.publish(at));
    world.advance();
    for _ in 0..plan.steps {
        // Each publishes a new version every half an hour or so. It has a minute to spread before it is looked for.
        for at in 0..plan.publishers {
            if world.rng.below(15) == 0 {
                world.publish(at);
            }
        }
        world.replay();
        world.advance();
        for _ in 0..plan.searches {
            let author = world.rng.below(plan.publishers);
            world.search(author);
        }
        world.advance();
    }
    let (mut newest, mut older, mut missed) = (0, 0, Vec::new());
    while let Ok((version, found)) = world.answers.1.try_recv() {
        match found {
            Ok(record) if record.payload().unwrap() >= &version.to_be_bytes()[..] => newest += 1,
            Ok(_) => older += 1,
            Err(error) => missed.push(error),
        }
    }
    let all = newest + older + missed.len();
    println!(
        "{} nodes, seed {}: newest in {newest} of {all}, older in {older}, {missed:?}",
        plan.nodes, plan.seed
    );
    assert!(all >= plan.searches * plan.steps * 9 / 10);
    assert_eq!(older, 0, "nobody believes what is no longer so");
    assert!(newest * 1_000 >= all * 999, "{newest} of {all}, {missed:?}");
    forget(plan, &mut world);
}

/// Half of the authors withdraw; the others go on. Old versions keep being put back meanwhile.
fn forget(plan: &Plan, world: &mut World) {
    let gone = 0..plan.publishers / 2;
    for at in gone.clone() {
        let public = world.authors[at].secret.public();
        world.network.call(at, |node, now| node.service_mut().withdraw(now, public));
    }
    let until: Instant = world.network.now() + TTL;
    while world.network.now() < until {
        world.replay();
        world.advance();
    }
    for author in gone.clone() {
        assert_eq!(world.copies(author), 0, "author {author} has withdrawn");
        world.search(author);
    }
    for author in gone.end..plan.publishers {
        assert!(world.copies(author) >= 10, "author {author} has not");
    }
    world.advance();
    while let Ok((_, found)) = world.answers.1.try_recv() {
        assert_eq!(found, Err(ResolveError::NoRecords));
    }
}

#[test]
fn fs_d2_newest_wins_while_a_hundred_nodes_come_and_go() {
    run(&Plan { seed: 1, nodes: 100, publishers: 10, steps: 45, searches: 20 });
}

#[test]
#[ignore = "full size: docs/results/regenerate.sh runs it"]
fn fs_d2_newest_wins_in_999_of_1000_while_a_thousand_nodes_come_and_go() {
    run(&Plan { seed: 1, nodes: 1_000, publishers: 100, steps: 60, searches: 100 });
}
