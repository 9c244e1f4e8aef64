//! Collecting info hashes from the whole network (BEP 51), without I/O: whom to ask what, and when.
//!
//! A [`Walk`] goes through the keyspace in order. It asks every node that it hears of once for samples, and chooses the
//! targets so that the answers name the nodes it has not heard of. What lies behind it is done with, so it needs no more
//! memory for a network of ten million nodes than for one of ten thousand: of nodes behind it remembers eight bytes, for
//! as long as they must not be asked again.
//!
//! The order is that of the keys XOR a random one: every walk begins somewhere else, and whoever is interrupted and begins
//! anew does not ask the same nodes first each time.

mod frontier;
mod memory;
mod waiting;

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;

use kademlia_core::{Contact, Family, Instant, Key, Keyspace, Reach, Rng};

use crate::id::InfoHash;
use crate::krpc::{Response, Samples};
use frontier::Frontier;
use memory::{Asked, Secret, Seen};
use waiting::{Again, Fresh};

/// Nodes behind the frontier that wait to be asked, below which it moves on.
const BACKLOG: usize = 8;
/// At most so many requests in a row serve the backlog alone, however long that is: nobody holds the walk up by inventing
/// nodes.
const PATIENCE: u32 = 8;
/// Requests about the frontier in flight: two answers make a region known, and more would use up whom the next one needs.
const ABOUT_FRONTIER: usize = 2;
/// Whoever has not answered for so long is likely dead, and keeps nobody else from being asked about the same.
const SLOW: Duration = Duration::from_secs(1);
/// Pause after a lookup that nobody answered; it doubles each time, up to the most.
const FIND_AGAIN: Duration = Duration::from_secs(5);
const FIND_AGAIN_MOST: Duration = Duration::from_secs(300);
/// So many of them in a row, and nobody heard ever, end the walk.
const GIVE_UP: u32 = 6;
/// A node is never asked again sooner, whatever interval it gives.
const LEAST_PAUSE: Duration = Duration::from_secs(3_600);
/// A node that does not know the method is left alone for as long as the longest interval.
const UNABLE_PAUSE: Duration = Samples::MAX_INTERVAL;

/// How a [`Walk`] goes about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepConfig {
    /// Requests per second at most, in the long run and at any time; at least one. By default 10, which sees a million nodes
    /// in a day. A walk finds some twenty nodes a second, whatever more is allowed.
    pub rate: u32,
    /// Requests in flight; at least one.
    pub outstanding: usize,
    /// How often at most a node is asked that holds more than it tells at once, always after its interval, and as long as it
    /// tells something new; at least once. With more than 1 a sweep lasts hours.
    pub rounds: u32,
    /// Nodes remembered for having been asked. At the limit the walk rests until the first may be forgotten: at 10 requests
    /// per second it never comes to that.
    pub nodes: usize,
    /// Info hashes remembered for having been told. At the limit those told longest ago are forgotten, and told again if
    /// they are heard again.
    pub hashes: usize,
}

impl Default for SweepConfig {
    fn default() -> Self {
        SweepConfig { rate: 10, outstanding: 64, rounds: 1, nodes: 1 << 20, hashes: 1 << 20 }
    }
}

/// What a [`Walk`] wants done next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Ask this contact for samples, with this target, and report how it ended: [`Walk::answered`] or [`Walk::failed`].
    Ask(Contact<Key<20>>, Key<20>),
    /// Look up the contacts nearest to this target, and report them: [`Walk::found`].
    Find(Key<20>),
    /// Nothing until then, unless something is reported before.
    Wait(Instant),
    /// Nothing until something is reported.
    Rest,
    /// The whole keyspace is done; or, if [`Progress::coverage`] is 0, two and a half minutes went by in which nobody was
    /// found at all.
    Done,
}

/// How far a [`Walk`] has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// The share of the keyspace whose nodes have been asked, 0 to 1.
    pub coverage: f64,
    /// Requests for samples.
    pub requests: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Answers that had samples, empty ones included.
    pub sampled: u64,
    /// Requests that failed.
    pub failed: u64,
    /// Lookups beside them.
    pub lookups: u64,
    /// Different info hashes told.
    pub hashes: u64,
    /// Info hashes in all answers, each as often as it was in one.
    pub heard: u64,
    /// Nodes that hold more and wait to be asked again.
    pub waiting: usize,
}

/// A walk through the keyspace of one network. Performs no I/O and reads no clock: time is an argument, and
/// [`poll`](Self::poll) says what to do. Bounded by [`SweepConfig`]: at its defaults about 60 MB.
#[derive(Debug)]
pub struct Walk {
    config: SweepConfig,
    family: Family,
    reach: Reach,
    /// Keys are walked through in the order of their distance from this one.
    start: Key<20>,
    frontier: Frontier,
    fresh: Fresh,
    again: Again,
    asking: BTreeMap<SocketAddr, Asking>,
    /// The point that a lookup runs for.
    finding: Option<Key<20>>,
    /// Lookups in a row that nobody answered, and when to try the next.
    unanswered: u32,
    find_at: Instant,
    asked: Asked,
    seen: Seen,
    /// Requests since the last one for the frontier's sake.
    for_backlog: u32,
    next: Instant,
    progress: Progress,
}

/// A request that runs. Keys and points are distances from the start.
#[derive(Clone, Copy, Debug)]
struct Asking {
    key: Key<20>,
    target: Key<20>,
    round: u32,
    sent: Instant,
}

impl Walk {
    /// A walk among the nodes of one family, as far as `reach` goes. It begins with a lookup.
    pub fn new(family: Family, reach: Reach, config: SweepConfig, rng: &mut Rng) -> Self {
        let mut secret = || Secret(rng.next_u64(), rng.next_u64());
        Walk {
            config,
            family,
            reach,
            asked: Asked::new(config.nodes, secret()),
            seen: Seen::new(config.hashes, secret()),
            start: Key::random(rng),
            frontier: Frontier::new(),
            fresh: Fresh::default(),
            again: Again::default(),
            asking: BTreeMap::new(),
            finding: None,
            unanswered: 0,
            find_at: Instant::ZERO,
            for_backlog: 0,
            next: Instant::ZERO,
            progress: Progress::default(),
        }
    }

    /// What to do next. To be called until it gives none of [`Step::Ask`] and [`Step::Find`], and again after every report.
    pub fn poll(&mut self, now: Instant) -> Step {
        if self.asking.len() >= self.config.outstanding.max(1) {
            return Step::Rest;
        }
        if now < self.next {
            return Step::Wait(self.next);
        }
        if let Err(until) = self.asked.make_room(now) {
            return Step::Wait(until);
        }
        if let Some((addr, key, round)) = self.again.take_due(now) {
            return self.ask(now, addr, Asking { key, target: key, round, sent: now });
        }
        while let Some((key, addr, target)) = self.choose(now) {
            if !self.asked.contains(addr) {
                return self.ask(now, addr, Asking { key, target, round: 1, sent: now });
            }
        }
        match self.frontier.at() {
            _ if !self.asking.is_empty() || self.finding.is_some() => Step::Rest,
            // Whoever has never heard anybody has no such network.
            Some(_) if self.unanswered >= GIVE_UP && self.progress.answered == 0 => Step::Done,
            Some(_) if now < self.find_at => Step::Wait(self.find_at),
            Some(at) => {
                self.finding = Some(at);
                self.pace(now);
                self.progress.lookups += 1;
                Step::Find(at.distance(&self.start))
            }
            None => self.again.next_due().map_or(Step::Done, Step::Wait),
        }
    }

    /// Who is asked next, and about which point. Whoever stands behind the frontier is asked about himself, which finds
    /// neighbours that nobody has named; but now and then, and always when few wait there, somebody near the frontier is
    /// asked about that.
    fn choose(&mut self, now: Instant) -> Option<(Key<20>, SocketAddr, Key<20>)> {
        let serve_backlog = self.fresh.behind() >= BACKLOG && self.for_backlog < PATIENCE;
        let is_about_frontier =
            |asking: &&Asking| asking.target != asking.key && now.since(asking.sent) < SLOW;
        let enough = self.asking.values().filter(is_about_frontier).count() >= ABOUT_FRONTIER;
        match self.frontier.at() {
            Some(_) if enough && self.fresh.behind() == 0 => None,
            Some(at) if !enough && !serve_backlog => {
                self.for_backlog = 0;
                let (key, addr) = self.fresh.take_nearest(&at, &self.frontier)?;
                Some((key, addr, at))
            }
            _ => {
                self.for_backlog += 1;
                let (key, addr) = self.fresh.take_first(&self.frontier)?;
                Some((key, addr, key))
            }
        }
    }

    fn ask(&mut self, now: Instant, addr: SocketAddr, asking: Asking) -> Step {
        self.asking.insert(addr, asking);
        // Until the answer says more.
        self.asked.insert(now, addr, LEAST_PAUSE);
        self.pace(now);
        self.progress.requests += 1;
        Step::Ask(Contact::new(asking.key.distance(&self.start), addr), asking.target.distance(&self.start))
    }

    fn pace(&mut self, now: Instant) {
        self.next = now + Duration::from_secs(1) / self.config.rate.max(1);
    }

    /// The node at `addr` answered; gives back the info hashes that are new.
    pub fn answered(&mut self, now: Instant, addr: SocketAddr, response: &Response) -> Vec<InfoHash> {
        let Some(asking) = self.asking.remove(&addr) else { return Vec::new() };
        self.progress.answered += 1;
        if asking.round == 1 {
            self.explore(asking, response.nodes.contacts());
        }
        let Some(samples) = &response.samples else {
            self.asked.insert(now, addr, UNABLE_PAUSE);
            return Vec::new();
        };
        self.progress.sampled += 1;
        let pause = samples.interval.max(LEAST_PAUSE);
        self.asked.insert(now, addr, pause);
        self.progress.heard += samples.info_hashes.len() as u64;
        let new = samples.info_hashes.iter().copied().filter(|info_hash| self.seen.insert(*info_hash));
        let new: Vec<_> = new.collect();
        // Whoever told nothing new the second time has little left that others have not told.
        let is_worth_it = asking.round == 1 || !new.is_empty();
        let holds_more = samples.num > samples.info_hashes.len() as u64;
        if holds_more && is_worth_it && asking.round < self.config.rounds {
            self.again.insert(now + pause, addr, asking.key, asking.round + 1);
        }
        self.progress.hashes += new.len() as u64;
        new
    }

    /// The node at `addr` did not answer, or refused to.
    pub fn failed(&mut self, addr: SocketAddr) {
        self.progress.failed += u64::from(self.asking.remove(&addr).is_some());
    }

    /// The lookup for `target` ended with these; with none, if nobody answered or it could not be made. That says nothing
    /// about the keyspace, and is tried again after a pause.
    pub fn found(&mut self, now: Instant, target: &Key<20>, contacts: &[Contact<Key<20>>]) {
        let target = target.distance(&self.start);
        if self.finding != Some(target) {
            return;
        }
        self.finding = None;
        let found = self.learn(contacts);
        if found.is_empty() {
            self.find_at = now + (FIND_AGAIN * (1 << self.unanswered.min(16))).min(FIND_AGAIN_MOST);
            self.unanswered += 1;
        } else {
            self.unanswered = 0;
            self.frontier.found(&target, &found);
            self.fresh.pass(&self.frontier);
        }
    }

    /// What a node's neighbours say about the way. Those of one that is asked again are known, or were forgotten to make
    /// room.
    fn explore(&mut self, asking: Asking, contacts: &[Contact<Key<20>>]) {
        let named = self.learn(contacts);
        if asking.target == asking.key {
            self.frontier.measure(&asking.key, &named);
        }
        if self.frontier.answered(&asking.target, &asking.key, &named) {
            self.fresh.pass(&self.frontier);
        }
    }

    /// Takes in contacts; gives their distances from the start.
    fn learn(&mut self, contacts: &[Contact<Key<20>>]) -> Vec<Key<20>> {
        let of_family = contacts.iter().filter(|contact| Family::of(&contact.addr) == self.family);
        let mut keys = Vec::new();
        for contact in of_family.filter(|contact| self.reach.admits(contact.addr)) {
            let key = contact.key.distance(&self.start);
            keys.push(key);
            if !self.asked.contains(contact.addr) {
                self.fresh.insert(key, contact.addr, &self.frontier);
            }
        }
        keys
    }

    /// How far it has come.
    pub fn progress(&self) -> Progress {
        let behind = self.fresh.first().map(|first| frontier::share_before(&first));
        let coverage = behind.map_or(self.frontier.share(), |behind| behind.min(self.frontier.share()));
        Progress { coverage, waiting: self.again.len(), ..self.progress }
    }
}

#[cfg(test)]
mod tests;
