//! What this node publishes: each record is signed anew and stored again until it is withdrawn (D5).

use core::fmt;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kademlia_core::{Contact, Effort, Instant, Key, MakeRequest, RenewalConfig, Renewals, Rng, Stored};

use crate::config::RecordsConfig;
use crate::identity::{PublicKey, SecretKey};
use crate::message::Request;
use crate::protocol::SignedRecords;
use crate::record::{Draft, Kind, SignedRecord, Slot};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// Names something that a node publishes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicationId(u64);

/// Why something cannot be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// [`RecordsConfig::publications`].
    #[error("this node publishes as many records as one may")]
    TooMany,
    /// A time to live of less than a second, or of more than [`RecordsConfig::max_ttl`].
    #[error("a record holds for a second at least, and for a day at most")]
    Ttl,
    /// This node's own policy does not let the record in.
    #[error("denied by this node's policy")]
    Denied,
    /// The node has stopped.
    #[error("the node has been shut down")]
    Closed,
}

/// Where a version of a record has got to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    /// Nodes that keep it.
    pub accepted: Vec<Contact<Key<32>>>,
    /// Nodes that do not want it, and why; `None` for a reason that this version of the protocol does not know.
    pub refused: Vec<(Contact<Key<32>>, Option<Refusal>)>,
    /// Nodes that were asked and did not answer.
    pub no_answer: Vec<Contact<Key<32>>>,
}

impl From<Stored<Key<32>>> for Replicas {
    fn from(stored: Stored<Key<32>>) -> Self {
        let refused = stored.refused.into_iter();
        Replicas {
            accepted: stored.accepted,
            refused: refused.map(|(contact, code, _)| (contact, Refusal::from_code(code))).collect(),
            no_answer: stored.no_answer,
        }
    }
}

/// Called once, when the first version has been offered to the nodes closest to it.
pub(crate) type Replicated = Box<dyn FnOnce(Replicas) + Send>;

/// Something that is published.
pub(crate) struct Publication {
    pub(crate) record: SignedRecord,
    /// At how many nodes the last version is.
    pub(crate) replicas: Option<usize>,
    secret: Arc<SecretKey>,
    draft: Draft,
    /// The key that the record is kept under.
    target: Key<32>,
    /// The present version was offered already, so the next offer is for another.
    offered: bool,
    /// It was renewed out of turn, because somebody had a greater number.
    hurried: bool,
    track: Arc<Track>,
    done: Option<Replicated>,
}

/// What a publish under way shares with its publication.
#[derive(Debug, Default)]
struct Track {
    /// Nothing more is to be stored.
    over: AtomicBool,
    /// The greatest number that the nodes on the way had in this place.
    newest: AtomicU64,
}

/// All that one node publishes, and when it is due.
pub(crate) struct Publisher {
    limit: usize,
    max_ttl: Duration,
    renewal: RenewalConfig,
    next: u64,
    items: BTreeMap<PublicationId, Publication>,
    slots: BTreeMap<Slot, PublicationId>,
    targets: BTreeSet<(Key<32>, PublicationId)>,
    renewals: Renewals<PublicationId>,
    rng: Rng,
}

impl Publisher {
    pub(crate) fn new(config: &RecordsConfig, rng: Rng) -> Self {
        Publisher {
            limit: config.publications,
            max_ttl: config.max_ttl,
            renewal: config.renewal,
            next: 0,
            items: BTreeMap::new(),
            slots: BTreeMap::new(),
            targets: BTreeSet::new(),
            renewals: Renewals::new(config.renewal),
            rng,
        }
    }

    /// Publishes from now on; takes the place of what was published in the same slot. `known` is the newest version of
    /// earlier runs, as far as this node has it.
    pub(crate) fn add(
        &mut self,
        now: Instant,
        wall: Timestamp,
        secret: Arc<SecretKey>,
        draft: Draft,
        known: Option<&SignedRecord>,
        done: Option<Replicated>,
    ) -> Result<PublicationId, PublishError> {
        if draft.ttl < Duration::from_secs(1) || draft.ttl > self.max_ttl {
            return Err(PublishError::Ttl);
        }
        let slot = Slot { publisher: secret.public(), subject: draft.subject.clone() };
        let earlier = self.slots.get(&slot).copied();
        if earlier.is_none() && self.items.len() >= self.limit {
            return Err(PublishError::TooMany);
        }
        let earlier = earlier.and_then(|id| self.remove(id));
        let before = earlier.as_ref().map(|earlier| &earlier.record).into_iter().chain(known);
        let least = before.clone().map(|before| before.sequence.saturating_add(1)).max().unwrap_or(0);
        let until = before.map(SignedRecord::expires).max().unwrap_or_default();
        let id = PublicationId(self.next);
        self.next += 1;
        let record = version(&draft, &secret, least, until, wall, self.max_ttl);
        let target = record.target();
        self.slots.insert(slot, id);
        self.targets.insert((target, id));
        self.schedule(now, id, draft.ttl);
        let (replicas, track) = (None, Arc::default());
        let publication = Publication {
            record,
            replicas,
            secret,
            draft,
            target,
            offered: false,
            hurried: false,
            track,
            done,
        };
        self.items.insert(id, publication);
        Ok(id)
    }

    pub(crate) fn get(&self, id: PublicationId) -> Option<&Publication> {
        self.items.get(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Publication> {
        self.items.values()
    }

    /// What one publisher publishes, withdrawals that are still on their way left out.
    pub(crate) fn of(&self, publisher: PublicKey) -> Vec<(Arc<SecretKey>, Draft)> {
        let own = self
            .items
            .values()
            .filter(|item| item.record.publisher == publisher && !item.record.is_withdrawal());
        own.map(|item| (Arc::clone(&item.secret), item.draft.clone())).collect()
    }

    /// The records under a key.
    pub(crate) fn under(&self, key: &Key<32>, kind: Option<Kind>) -> impl Iterator<Item = &SignedRecord> {
        let all = (*key, PublicationId(0))..=(*key, PublicationId(u64::MAX));
        let items = self.targets.range(all).filter_map(|(_, id)| self.items.get(id));
        let records = items.map(|item| &item.record);
        records.filter(move |record| kind.is_none_or(|kind| record.subject.kind() == kind))
    }

    /// To be stored as soon as possible, and again several times while a version holds.
    fn schedule(&mut self, now: Instant, id: PublicationId, ttl: Duration) {
        self.renewals.insert(now, id, &mut self.rng);
        self.renewals.set_interval(&id, self.renewal.interval.min(ttl / 4));
    }

    /// Stops publishing. What was stored stays there until it expires.
    fn remove(&mut self, id: PublicationId) -> Option<Publication> {
        let item = self.items.remove(&id)?;
        item.track.over.store(true, Ordering::Relaxed);
        self.renewals.remove(&id);
        self.slots.remove(&item.record.slot());
        self.targets.remove(&(item.target, id));
        Some(item)
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.renewals.poll_timeout()
    }

    /// The next publication to be stored now, in its newest version, and how hard to try.
    pub(crate) fn poll(&mut self, now: Instant, wall: Timestamp) -> Option<(PublicationId, Effort)> {
        loop {
            let (id, effort) = self.renewals.poll(now)?;
            let Some(item) = self.items.get_mut(&id) else { continue };
            if item.record.is_withdrawal() && item.record.expires() <= wall {
                self.remove(id);
                continue;
            }
            // A withdrawal has nothing to keep alive; it is repeated as it is until somebody has it.
            if item.offered && (item.hurried || !item.record.is_withdrawal()) {
                let newest = item.record.sequence.max(item.track.newest.load(Ordering::Relaxed));
                let (least, until) = (newest.saturating_add(1), item.record.expires());
                item.record = version(&item.draft, &item.secret, least, until, wall, self.max_ttl);
            }
            item.offered = true;
            return Some((id, effort));
        }
    }

    /// Makes the requests that store the present version.
    pub(crate) fn make(&self, id: PublicationId) -> Option<MakeRequest<SignedRecords>> {
        let item = self.items.get(&id)?;
        let (record, track, key) = (item.record.clone(), Arc::clone(&item.track), item.target);
        Some(Box::new(move |_, response| {
            if track.over.load(Ordering::Relaxed) {
                return None;
            }
            let newer = |other: &&SignedRecord| {
                other.sequence >= record.sequence && other.slot() == record.slot() && **other != record
            };
            for other in response.records.iter().filter(newer).filter(|other| other.is_authentic()) {
                track.newest.fetch_max(other.sequence, Ordering::Relaxed);
            }
            let token = response.token?;
            Some(Request::Store { key, record: record.clone(), token })
        }))
    }

    /// A version was offered to others.
    pub(crate) fn offered(
        &mut self,
        now: Instant,
        id: PublicationId,
        effort: Effort,
        replicas: Replicas,
        requests: usize,
    ) {
        let is_stored = !replicas.accepted.is_empty();
        self.renewals.ended(now, id, effort, requests, is_stored, &mut self.rng);
        let Some(item) = self.items.get_mut(&id) else { return };
        item.replicas = Some(replicas.accepted.len());
        if let Some(done) = item.done.take() {
            done(replicas);
        }
        let overtaken = item.track.newest.load(Ordering::Relaxed) >= item.record.sequence;
        // Once a turn: of two nodes that publish under one key, both would hurry for ever.
        item.hurried = overtaken && !item.hurried;
        if item.hurried {
            let ttl = item.draft.ttl;
            self.schedule(now, id, ttl);
        } else if item.record.is_withdrawal() && is_stored {
            self.remove(id);
        }
    }
}

/// The next version of a record: a number greater than any before, and by the clock's if that is greater still, so that it
/// grows over runs that remember nothing. It does not expire before the earlier one does, for `until` that could be
/// brought back by whoever kept it.
fn version(
    draft: &Draft,
    secret: &SecretKey,
    least: u64,
    until: Timestamp,
    wall: Timestamp,
    max_ttl: Duration,
) -> SignedRecord {
    let left = until.since(wall);
    let whole = Duration::from_secs(left.as_secs() + u64::from(left.subsec_nanos() > 0));
    let draft = draft.clone().lasting(draft.ttl.max(whole).min(max_ttl));
    draft.sign(secret, least.max(wall.as_millis()), wall)
}

impl fmt::Debug for Publication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Publication {{ {}, sequence: {} }}", self.record.subject, self.record.sequence)
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.items.values()).finish()
    }
}

#[cfg(test)]
mod tests;
