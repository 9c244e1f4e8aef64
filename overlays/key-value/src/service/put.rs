//! Publishing, again and again, and taking back.

use std::collections::BTreeMap;

use kademlia_core::{
    Effort, Instant, LookupReport, Outcome, RenewalConfig, Renewals, Storage, Stored, Table, Task, TaskId,
};

use super::jobs::Job;
use super::report::{Done, NotPut, Put};
use super::{KvService, OURSELVES};
use crate::pair::{Pair, Value};
use crate::protocol::{ErrorCode, Id, KeyValue, Versioned};

type PutDone = Done<Result<Put, NotPut>>;

/// What this node publishes.
#[derive(Debug)]
pub(super) struct Published {
    items: BTreeMap<Id, Publication>,
    renewals: Renewals<Id>,
}

struct Publication {
    version: u64,
    value: Value,
    /// Who waits for the next publish.
    waiting: Vec<PutDone>,
}

/// A publish that runs.
pub(super) struct Publishing {
    key: Id,
    version: u64,
    here: Option<Result<(), ErrorCode>>,
    /// What its renewal calls it; `None` for a removal, which is not renewed.
    renewal: Option<Effort>,
    waiting: Vec<PutDone>,
}

impl Published {
    pub(super) fn new(config: RenewalConfig) -> Self {
        Published { items: BTreeMap::new(), renewals: Renewals::new(config) }
    }

    pub(super) fn next_renewal(&self) -> Option<Instant> {
        self.renewals.poll_timeout()
    }
}

impl<St: Storage<Id, Pair>> KvService<St> {
    /// Publishes a value now and once a day until it is [withdrawn](Self::withdraw), [removed](Self::remove) or
    /// superseded. `version` is the publisher's clock in milliseconds since 1970; without it, this node's calendar and at
    /// least one more than what it knows under the key. `done` hears of the first publish.
    pub fn put(&mut self, now: Instant, key: Id, value: Value, version: Option<u64>, done: PutDone) {
        let version = version.unwrap_or_else(|| self.next_version(now, &key));
        let items = &mut self.published.items;
        if items.len() >= self.config.publications && !items.contains_key(&key) {
            return done(Err(NotPut::Full));
        }
        let mut waiting = items.remove(&key).map(|before| before.waiting).unwrap_or_default();
        waiting.push(done);
        items.insert(key, Publication { version, value, waiting });
        self.published.renewals.insert(now, key, &mut self.rng);
    }

    /// Publishes a value no longer. The others forget it within a day of its last publish. False if it was not published
    /// here.
    pub fn withdraw(&mut self, key: &Id) -> bool {
        self.published.renewals.remove(key);
        let Some(publication) = self.published.items.remove(key) else { return false };
        for done in publication.waiting {
            done(Err(NotPut::Withdrawn));
        }
        true
    }

    /// Publishes a value no longer, and tells those who hold it that it is gone. That word lives a day, by when all older
    /// copies have expired.
    pub fn remove(&mut self, now: Instant, key: Id, version: Option<u64>, done: PutDone) {
        let version = version.unwrap_or_else(|| self.next_version(now, &key));
        self.withdraw(&key);
        let item = Versioned { version, value: None, life: self.life() };
        // As for a value that is kept here: the engine tells later who is near, and a removal does no harm.
        let here = self.held.get(now, &key).is_some();
        let here = here.then(|| self.keep(now, key, item.clone(), OURSELVES, self.config.life));
        let task = self.publish(key, item);
        let publishing = Publishing { key, version, here, renewal: None, waiting: vec![done] };
        let id = self.begin(Job::Publish(Box::new(publishing)));
        self.ready.push_back((id, task));
    }

    /// Keys that this node publishes, each with its version and its value.
    pub fn publications(&self) -> impl Iterator<Item = (&Id, u64, &Value)> {
        self.published.items.iter().map(|(key, publication)| (key, publication.version, &publication.value))
    }

    fn next_version(&mut self, now: Instant, key: &Id) -> u64 {
        let published = self.published.items.get(key).map(|publication| publication.version);
        let held = self.held.get(now, key).map(|pair| pair.version);
        let known = published.max(held);
        self.config.wall.millis(now).max(known.map_or(0, |known| known.saturating_add(1)))
    }

    /// Seconds that a pair lives after a publish.
    fn life(&self) -> u32 {
        u32::try_from(self.config.life.as_secs()).unwrap_or(u32::MAX)
    }

    pub(super) fn next_renewal(
        &mut self,
        now: Instant,
        table: &Table<Id>,
    ) -> Option<(TaskId, Task<KeyValue>)> {
        if self.running.publishing >= self.config.publishing {
            return None;
        }
        let (key, effort) = self.published.renewals.poll(now)?;
        let life = self.life();
        let publication = self.published.items.get_mut(&key)?;
        let (version, waiting) = (publication.version, std::mem::take(&mut publication.waiting));
        let item = Versioned { version, value: Some(publication.value.clone()), life };
        let near = self.is_near(now, &key, table);
        let here = near.then(|| self.keep(now, key, item.clone(), OURSELVES, self.config.life));
        self.running.publishing += 1;
        let task = self.publish(key, item);
        let publishing = Publishing { key, version, here, renewal: Some(effort), waiting };
        Some((self.begin(Job::Publish(Box::new(publishing))), task))
    }

    /// A publish ended. One that was superseded is not renewed: it would come back when the newer one is gone.
    pub(super) fn published(&mut self, now: Instant, publishing: Publishing, outcome: Outcome<KeyValue>) {
        let Publishing { key, version, here, renewal, waiting } = publishing;
        let result = match outcome {
            Outcome::Stored(stored) => Ok(Put { key, version, here, stored }),
            Outcome::Limited(limit) => Err(NotPut::Busy(limit)),
            _ => Ok(Put { key, version, here, stored: nothing(key) }),
        };
        if let Some(effort) = renewal {
            self.running.publishing -= 1;
            let accepted = result.as_ref().is_ok_and(|put| !put.stored.accepted.is_empty());
            self.published.renewals.ended(now, key, effort, 0, accepted, &mut self.rng);
            let is_current = self.published.items.get(&key).is_some_and(|kept| kept.version == version);
            if is_current && result.as_ref().is_ok_and(Put::is_superseded) {
                self.withdraw(&key);
            }
        }
        for done in waiting {
            done(result.clone());
        }
    }
}

/// The end of a publish of which nothing was heard.
fn nothing(target: Id) -> Stored<Id> {
    let report = LookupReport {
        target,
        closest: Vec::new(),
        asked: 0,
        answered: 0,
        messages: 0,
        hops: 0,
        took: std::time::Duration::ZERO,
        complete: false,
        crowded: false,
    };
    Stored { accepted: Vec::new(), refused: Vec::new(), no_answer: Vec::new(), report }
}

impl std::fmt::Debug for Publication {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Publication {{ version: {}, value: {:?} }}", self.version, self.value)
    }
}

impl std::fmt::Debug for Publishing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Publishing {{ key: {:?}, version: {} }}", self.key, self.version)
    }
}
