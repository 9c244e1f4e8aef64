//! How a node of the overlay behaves: what it answers, and all that it does of its own accord.

mod config;
mod get;
mod hand_over;
mod held;
mod jobs;
mod newcomers;
mod put;
mod report;
mod serve;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use kademlia_core::{
    Contact, Instant, Keyspace, MemoryStorage, Outcome, Reply, Rng, ServeContext, Service, Storage, Table,
    Task, TaskId, Tokens, soonest,
};

pub use config::KvConfig;
pub use report::{Activity, Done, Got, NotPut, Put, Wanted};

use crate::pair::Pair;
use crate::protocol::{ErrorCode, Id, KeyValue, Request, Versioned};
use crate::wall::Wall;
use held::Held;
use jobs::{Job, Running};
use newcomers::Newcomers;
use put::Published;

/// Expired pairs looked at in one timeout. What is left then comes at the next, [`EXPIRY_PAUSE`] later.
const EXPIRY_WORK: usize = 4_096;
/// Least time between two timeouts for expiry, so that it goes in batches. Expired pairs are not handed out meanwhile.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);
/// Whom this node's own pairs count against.
const OURSELVES: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A node's behaviour, over any store of pairs.
///
/// # Contract
/// A state machine without I/O and without a clock. The host starts operations with [`put`](Self::put),
/// [`remove`](Self::remove) and [`get`](Self::get), and is called back once for each; the engine carries out what the
/// service wants done. What is held of others is bounded by the store, what is held of the host by
/// [`KvConfig::publications`] and the engine's limit of lookups. Every operation ends, at the latest with the engine's
/// deadlines.
#[derive(Debug)]
pub struct KvService<St = MemoryStorage<Id, Pair>> {
    local: Id,
    config: KvConfig,
    tokens: Tokens,
    rng: Rng,
    held: Held<St>,
    published: Published,
    newcomers: Newcomers,
    jobs: BTreeMap<TaskId, Job>,
    running: Running,
    /// What the host wants, to be begun at once.
    ready: VecDeque<(TaskId, Task<KeyValue>)>,
    next_task: u64,
    activity: Activity,
    /// No timeout for expiry is wanted before.
    rests_until: Instant,
}

impl KvService {
    /// A service with its store in memory; see [`new`](Self::new).
    pub fn in_memory(local: Id, config: KvConfig, seed: [u8; 32], now: Instant) -> Self {
        Self::new(MemoryStorage::new(config.storage), local, config, seed, now)
    }
}

impl<St: Storage<Id, Pair>> KvService<St> {
    /// The service of the node whose key is `local`. What the store holds already is published again within the hour.
    ///
    /// `seed` has to come from the operating system's random source: the token secret is drawn from it. Never the node's
    /// own seed, and never one that was used before.
    pub fn new(store: St, local: Id, config: KvConfig, seed: [u8; 32], now: Instant) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut secret = [0; 16];
        rng.fill(&mut secret);
        KvService {
            local,
            config,
            tokens: Tokens::new(&secret),
            held: Held::new(store, local, config.wall, now, config.republish, rng.fork()),
            published: Published::new(config.renewal),
            newcomers: Newcomers::default(),
            jobs: BTreeMap::new(),
            running: Running::default(),
            ready: VecDeque::new(),
            next_task: 0,
            activity: Activity::default(),
            rests_until: Instant::ZERO,
            rng,
        }
    }

    /// How it behaves.
    pub fn config(&self) -> &KvConfig {
        &self.config
    }

    /// Sets the calendar right, when it is `now`: the engine's clock stands still while the machine sleeps, and does not follow
    /// when the system's is set. Versions go by it from now on. What is held gets older if it advances, and no younger if
    /// it goes back.
    pub fn set_wall(&mut self, now: Instant, wall: Wall) {
        self.config.wall = wall;
        self.held.set_calendar(now, wall);
    }

    /// The calendar that pairs are dated by: [`KvConfig::wall`], unless that was set back.
    pub fn calendar(&self) -> Wall {
        self.held.calendar()
    }

    /// The pairs held.
    pub fn store(&self) -> &St {
        self.held.store()
    }

    /// What is held under `key`.
    pub fn pair(&self, now: Instant, key: &Id) -> Option<Pair> {
        self.held.peek(now, key)
    }

    /// Every pair held at `now`, in the order of their keys, and when it is this node's turn to publish it.
    pub fn pairs(&self, now: Instant) -> impl Iterator<Item = (Id, Pair, Instant)> {
        self.held
            .keys_after(None)
            .filter_map(move |(key, turn)| Some((key, self.held.peek(now, &key)?, turn)))
    }

    /// What it has done of its own accord.
    pub fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Keeps an item for `life`, unless there is a newer one. Whoever stores what is here already prolongs its life, if he
    /// says so, and puts off our turn: he has told the others too (paper, section 2.5).
    fn keep(
        &mut self,
        now: Instant,
        key: Id,
        item: Versioned,
        source: IpAddr,
        life: Duration,
    ) -> Result<(), ErrorCode> {
        if item.version > self.latest_version(now) {
            return Err(ErrorCode::FromFuture);
        }
        if item.life == 0 {
            return Err(ErrorCode::Expired);
        }
        let calendar = self.calendar();
        let expires =
            calendar.millis(now).saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
        let held = self.held.get(now, &key);
        if held.as_ref().is_some_and(|held| is_newer(held, &item)) {
            return Err(ErrorCode::Outdated);
        }
        let same = held.filter(|held| held.version == item.version && held.value == item.value);
        let source = same.as_ref().map_or(source, |same| same.source);
        if same.is_none_or(|same| same.expires < expires) {
            let pair = Pair { version: item.version, value: item.value, expires, source };
            let until = calendar.instant(expires);
            self.held.insert(now, key, pair, until).map_err(|_| ErrorCode::NoRoom)?;
        }
        let pause = self.rng.jittered(self.config.republish);
        self.held.set_turn(key, now + pause);
        Ok(())
    }

    /// Versions beyond are not to be believed.
    fn latest_version(&self, now: Instant) -> u64 {
        let ahead = u64::try_from(self.config.ahead.as_millis()).unwrap_or(u64::MAX);
        self.config.wall.millis(now).saturating_add(ahead)
    }

    /// Whether this node is one of the k closest to `key`, as far as it knows.
    fn is_near(&self, now: Instant, key: &Id, table: &Table<Id>) -> bool {
        if self.config.read_only {
            return false;
        }
        let mut closest: Vec<Contact<Id>> = Vec::with_capacity(self.config.k);
        table.closest_good(now, key, self.config.k, None, &mut closest);
        let farthest = closest.last().filter(|_| closest.len() >= self.config.k);
        farthest.is_none_or(|farthest| key.cmp_distance(&self.local, &farthest.key).is_lt())
    }
}

fn is_newer(held: &Pair, item: &Versioned) -> bool {
    (held.version, &held.value) > (item.version, &item.value)
}

impl<St: Storage<Id, Pair>> Service<KeyValue> for KvService<St> {
    fn serve(&mut self, request: Request, cx: &ServeContext<'_, KeyValue>) -> Reply<KeyValue> {
        self.answer(request, cx)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let expiry = self.held.next_expiry().map(|due| due.max(self.rests_until));
        soonest([self.next_job(), expiry])
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.rests_until <= now && self.held.next_expiry().is_some_and(|due| due <= now) {
            self.held.expire(now, EXPIRY_WORK);
            self.rests_until = now + EXPIRY_PAUSE;
        }
    }

    fn poll_task(&mut self, now: Instant, table: &Table<Id>) -> Option<(TaskId, Task<KeyValue>)> {
        self.next_task(now, table)
    }

    fn handle_outcome(&mut self, now: Instant, task: TaskId, outcome: Outcome<KeyValue>, _: &Table<Id>) {
        self.job_went(now, task, outcome);
    }

    fn contact_added(&mut self, _: Instant, contact: &Contact<Id>, _: &Table<Id>) {
        if !self.held.is_empty() {
            self.newcomers.add(*contact, self.config.newcomers);
        }
    }
}

#[cfg(test)]
mod tests;
