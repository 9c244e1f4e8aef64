//! Lookups of a node to whom everybody lies, late, twice or never: P6, P8, P20, P23, P24, P26, P30, T14.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Request, Response, Token};
use bittorrent_profile::{InfoHash, Mainline};
use kademlia_core::{
    Cause, Config, Contact, Effort, Event, Instant, Key, Keyspace, LookupId, LookupOptions, LookupReport,
    Message, Rng,
};
use tests::engine::LOCAL;
use transport_mem::address_v4;

use crate::field::{Field, Sent};

/// Addresses of this many different strangers.
const STRANGERS: usize = 3_000;

/// Everybody but the node.
struct World {
    field: Field,
    rng: Rng,
    target: Key<20>,
    /// Under which keys each address was named to the node.
    named: BTreeMap<SocketAddr, Vec<Key<20>>>,
    /// What is on its way to the node.
    flying: BTreeMap<(Instant, u32), (SocketAddr, Message<Mainline>)>,
    launched: u32,
    /// How often each address was asked by each lookup, under each key.
    asked: BTreeMap<(LookupId, SocketAddr, Key<20>), u32>,
    /// Requests of lookups.
    messages: usize,
    /// Requests that store.
    storing: BTreeMap<SocketAddr, u32>,
    /// Requests of maintenance.
    checks: usize,
    steps: u32,
    /// Most memory held beyond the table.
    most: usize,
    loss: f64,
}

impl World {
    fn new(seed: u64) -> Self {
        let field = Field::new(seed, 100, Config::default());
        let mut rng = Rng::from_number(!seed);
        let named = field.neighbours.iter().map(|(addr, key)| (*addr, vec![*key])).collect();
        World {
            field,
            target: Key::random(&mut rng),
            named,
            flying: BTreeMap::new(),
            launched: 0,
            asked: BTreeMap::new(),
            messages: 0,
            storing: BTreeMap::new(),
            checks: 0,
            steps: 0,
            most: 0,
            loss: [0.0, 0.1, 0.5][rng.below(3)],
            rng,
        }
    }

    /// What the node holds beyond its table, which grows by those who answer.
    fn memory(&self) -> usize {
        self.field.node.memory() - self.field.node.table().memory()
    }

    fn start(&mut self, effort: Effort, publish: bool) -> LookupId {
        let (now, target) = (self.field.now, self.target);
        let info_hash = InfoHash::from(target);
        let request = Request::get_peers(info_hash, Families::NONE);
        let options = LookupOptions { answers: true, effort: Some(effort), ..LookupOptions::default() };
        let started = if publish {
            let make = Box::new(move |_: &Contact<Key<20>>, response: &Response| {
                let token = response.token?;
                Some(Request::AnnouncePeer {
                    implied_port: false,
                    info_hash,
                    port: NonZeroU16::new(1),
                    seed: false,
                    token,
                })
            });
            self.field.node.publish(now, target, request, make, options)
        } else {
            self.field.node.lookup(now, target, request, options)
        };
        let sent = self.field.drain();
        self.take(sent);
        started.expect("few lookups")
    }

    /// Anybody: new or named before, under a key near the target or not, at an address of their own or a stolen one.
    fn anybody(&mut self) -> Contact<Key<20>> {
        let near = self.rng.below(150);
        let key = self.target.random_within(near, &mut self.rng);
        let stranger = address_v4(u32::try_from(self.rng.below(STRANGERS)).unwrap());
        let old = |rng: &mut Rng, named: &BTreeMap<SocketAddr, Vec<Key<20>>>| {
            let at = rng.below(named.len());
            named.iter().nth(at).map(|(addr, keys)| (*addr, keys[0])).unwrap()
        };
        match self.rng.below(10) {
            0 => Contact::new(key, old(&mut self.rng, &self.named).0),
            1 => Contact::new(old(&mut self.rng, &self.named).1, stranger),
            2 => {
                let (addr, key) = old(&mut self.rng, &self.named);
                Contact::new(key, addr)
            }
            3 => {
                let [.., host] = self.rng.next_u32().to_be_bytes();
                Contact::new(key, SocketAddr::from(([200, 1, 1, host], 6_881)))
            }
            4 => {
                let martians =
                    [[10, 0, 0, 1], [127, 0, 0, 1], [0, 0, 0, 0], [224, 0, 0, 1], [192, 168, 0, 1]];
                let port = if self.rng.chance(0.5) { 0 } else { 6_881 };
                Contact::new(key, SocketAddr::from((martians[self.rng.below(martians.len())], port)))
            }
            5 => Contact::new(LOCAL, stranger),
            _ => Contact::new(key, stranger),
        }
    }

    /// What somebody answers.
    fn answer(&mut self) -> Response {
        let named: Vec<_> = (0..self.rng.below(17)).map(|_| self.anybody()).collect();
        for contact in &named {
            let keys = self.named.entry(contact.addr).or_default();
            if !keys.contains(&contact.key) {
                keys.push(contact.key);
            }
        }
        let values = (0..self.rng.below(101)).map(|_| self.anybody().addr).collect();
        let token = self.rng.chance(0.8).then(|| Token::from_array([7; 8]));
        Response { nodes: named.into_iter().collect(), values, token, ..Response::default() }
    }

    /// Notes what the node sends, and lets it be answered, once, twice, late, under a wrong key, or never.
    fn take(&mut self, sent: Vec<Sent>) {
        for one in sent.into_iter().filter(Sent::is_request) {
            match one.cause {
                Cause::Lookup(_) => self.messages += 1,
                Cause::Store(_) => *self.storing.entry(one.to).or_default() += 1,
                _ => self.checks += 1,
            }
            let keys = self.named.get(&one.to).cloned().unwrap_or_default();
            let Some(key) = keys.get(self.rng.below(keys.len())).copied() else { continue };
            if let Cause::Lookup(id) = one.cause {
                *self.asked.entry((id, one.to, key)).or_default() += 1;
            }
            let copies = 1 + u32::from(self.rng.chance(0.1));
            for _ in 0..copies {
                if self.rng.chance(self.loss) {
                    continue;
                }
                let slow = if self.rng.chance(0.2) { 8_000 } else { 300 };
                let at = self.field.now + Duration::from_millis(1 + self.rng.below(slow) as u64);
                let response = self.answer();
                self.launched += 1;
                self.flying.insert((at, self.launched), (one.to, one.answer(key, response)));
            }
        }
        self.most = self.most.max(self.memory());
    }

    /// The next thing that happens. False if nothing will.
    fn step(&mut self) -> bool {
        let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
        let Some(at) = kademlia_core::soonest([arrival, self.field.node.poll_timeout()]) else {
            return false;
        };
        self.field.now = self.field.now.max(at);
        let sent = if arrival == Some(at) {
            let (_, (from, message)) = self.flying.pop_first().expect("it is there");
            self.field.receive(from, message)
        } else {
            self.field.node.handle_timeout(self.field.now);
            self.field.drain()
        };
        self.take(sent);
        self.steps += 1;
        // In time quadratic in the table's size: not at every step.
        if self.steps.is_multiple_of(8) {
            assert_eq!(self.field.node.check(), Ok(()), "P8");
        }
        true
    }

    /// Until the lookup has ended.
    fn report(&mut self) -> LookupReport<Key<20>> {
        loop {
            for event in self.field.events.drain(..) {
                match event {
                    Event::LookupDone { report, .. } => return report,
                    Event::Stored { stored, .. } => return stored.report,
                    _ => {}
                }
            }
            assert!(self.step(), "P4: nothing is due, and the lookup has not ended");
        }
    }
}

const EFFORTS: [Effort; 4] = [Effort::Plain, Effort::Dense, Effort::Reinforced, Effort::Hardened];

/// One lookup or publish against everybody.
fn endure(seed: u64) -> (usize, usize) {
    let mut world = World::new(seed);
    let effort = EFFORTS[world.rng.below(4)];
    let publish = world.rng.chance(0.3);
    let before = world.memory();
    let begun = world.field.now;
    world.start(effort, publish);
    let report = world.report();
    let limits = Config::default();
    assert!(report.took <= limits.lookup.time, "P23, seed {seed}: {report:?}");
    assert!(world.field.now.since(begun) <= limits.lookup.time + Duration::from_secs(6) * 25, "seed {seed}");
    assert_eq!(world.messages, report.messages, "seed {seed}: what it says it took");
    let most = match effort {
        Effort::Reinforced => limits.lookup.reinforced_messages,
        _ => limits.lookup.messages,
    };
    assert!(world.messages <= most, "P23, seed {seed}: {} messages", world.messages);
    let attempts = u32::from(limits.rpc.retries) + 1;
    let mut by_address = BTreeMap::new();
    for ((id, addr, _), count) in &world.asked {
        *by_address.entry((*id, *addr)).or_insert(0) += count;
    }
    assert!(by_address.values().all(|count| *count <= attempts), "P24, seed {seed}");
    assert!(world.storing.values().all(|count| *count <= attempts), "P24, seed {seed}");
    let target = world.target;
    assert!(
        report.closest.is_sorted_by(|a, b| target.cmp_distance(&a.key, &b.key).is_lt()),
        "P26, seed {seed}"
    );
    let asked: BTreeSet<_> = world.asked.keys().map(|(_, addr, _)| *addr).collect();
    assert!(report.closest.iter().all(|found| asked.contains(&found.addr)), "P26, seed {seed}");
    (world.messages, world.most.saturating_sub(before))
}

fn endure_all(seeds: std::ops::Range<u64>) {
    let (mut most_messages, mut most_memory) = (0, 0);
    for seed in seeds {
        let (messages, memory) = endure(seed);
        most_messages = most_messages.max(messages);
        most_memory = most_memory.max(memory);
        assert!(memory <= 64 << 10, "T14, seed {seed}: {memory} bytes");
    }
    println!("at most {most_messages} messages and {most_memory} bytes for a lookup");
}

#[test]
fn p6_p8_p20_p23_p24_p26_t14_a_lookup_ends_within_its_bounds_whatever_it_is_told() {
    endure_all(0..300);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn p6_p8_p20_p23_p24_p26_t14_ten_thousand_lookups_end_within_their_bounds() {
    endure_all(0..10_000);
}

#[test]
fn p30_whatever_is_cancelled_leaves_nothing_behind() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        // The first lookup leaves a little room behind, and what it learnt of the network's size.
        world.start(Effort::Dense, false);
        world.report();
        let before = world.memory();
        let started: Vec<_> = (0..1 + world.rng.below(4))
            .map(|_| {
                let effort = EFFORTS[world.rng.below(4)];
                let publish = world.rng.chance(0.5);
                world.start(effort, publish)
            })
            .collect();
        // Some are over by then, some look, and some store.
        for _ in 0..world.rng.below(400) {
            world.step();
        }
        for id in started {
            let now = world.field.now;
            world.field.node.cancel(now, id);
        }
        world.field.drain();
        // Entries in doubt may have been asked whether they are still there.
        let outstanding = world.field.node.outstanding();
        assert!(outstanding <= world.checks, "seed {seed}: {outstanding} requests");
        // Those that were over by then may have left their word on the network's size: at most 32 numbers twice.
        let left = world.memory().saturating_sub(before);
        assert!(left <= 512 + 512 * outstanding, "seed {seed}: {left} bytes");
        // What arrives now finds nobody who waits for it.
        world.field.events.clear();
        while let Some(((at, _), (from, message))) = world.flying.pop_first() {
            world.field.now = world.field.now.max(at);
            world.field.receive(from, message);
        }
        assert_eq!(world.field.events, [], "seed {seed}");
    }
}
