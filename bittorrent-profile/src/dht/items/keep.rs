//! Keeping items alive: nodes forget them after two hours, so they are put again every hour (44.9).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kademlia_core::Effort;
use kademlia_core::runtime::RequestFailure;
use tokio::sync::watch;
use tokio::time::Instant;

use super::get::Reader;
use super::put::{Cas, PutError, store};
use super::survey::Survey;
use crate::dht::renew::Outcome;
use crate::dht::{Dht, Inner, Stored};
use crate::item::Item;

/// From one round to the next, an eighth sooner or later (44.9).
const INTERVAL: Duration = Duration::from_secs(3_600);
/// How long other nodes keep an item at most (44.9).
const TTL: Duration = Duration::from_secs(2 * 3_600);

/// How one round of keeping an item went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeepRound {
    /// The version kept now: a newer one, if there was one.
    pub item: Item,
    /// Nodes that had it at the beginning.
    pub copies: usize,
    /// Who took it; `None` if there were copies enough.
    pub stored: Option<Stored>,
    /// Requests that it took.
    pub messages: usize,
}

type Round = Result<KeepRound, RequestFailure>;

/// An item that is kept alive until this is dropped or withdrawn. Nodes forget the item two hours later; the protocol has
/// no way to take it back sooner.
#[derive(Debug)]
pub struct Keeping {
    rounds: watch::Receiver<Option<Round>>,
    item: Arc<Mutex<Item>>,
    number: u64,
    dht: Dht,
}

impl Dht {
    /// Keeps an item alive, one's own or anybody's: no key is needed. Every hour it is looked for, and put again unless
    /// more than eight nodes have it, the eight nearest among them, and this node put it the last time (44.9). A newer
    /// version that is found takes its place; an older one never does.
    ///
    /// All that a node keeps alive and announces shares one budget of requests
    /// ([`renewal_budget`](crate::dht::Builder::renewal_budget)).
    ///
    /// # Errors
    /// [`PutError::Unsigned`].
    pub fn keep(&self, item: impl Into<Item>) -> Result<Keeping, PutError> {
        let item = item.into();
        if !item.is_authentic() {
            return Err(PutError::Unsigned);
        }
        let (sender, rounds) = watch::channel(None);
        let item = Arc::new(Mutex::new(item));
        let kept = Arc::new(Kept { item: Arc::clone(&item), last: Mutex::new(None) });
        let number = self.inner.announcer.add(Some(INTERVAL), move |inner, effort| {
            let (sender, kept) = (sender.clone(), Arc::clone(&kept));
            Box::pin(async move {
                let round = kept.round(&inner, effort).await;
                let accepted =
                    |round: &KeepRound| round.stored.as_ref().is_none_or(|all| !all.accepted.is_empty());
                let outcome = Outcome::of(&round, |round| (round.messages, accepted(round)));
                let outcome = Outcome { interval: Some(interval_after(&round)), ..outcome? };
                sender.send_replace(Some(round));
                Some(outcome)
            })
        });
        self.inner.shelf.lock().insert(number, Arc::clone(&item));
        Ok(Keeping { rounds, item, number, dht: self.clone() })
    }

    /// All items kept at present, each in the newest version known: to be written down, and
    /// [kept](Self::keep) again by the next run ([`Item::to_bencode`]).
    pub fn kept(&self) -> Vec<Item> {
        let mut kept: Vec<Item> = Vec::new();
        for item in self.inner.shelf.lock().values() {
            let item = lock(item).clone();
            match kept.iter_mut().find(|other| other.target() == item.target()) {
                Some(other) if other.seq() < item.seq() => *other = item,
                Some(_) => {}
                None => kept.push(item),
            }
        }
        kept
    }
}

impl Keeping {
    /// Waits for the next round to end, the first one if none has. Rounds that ended while nobody waited are passed over
    /// but for the last. `None` once the node has stopped.
    pub async fn round(&mut self) -> Option<Round> {
        self.rounds.changed().await.ok()?;
        self.rounds.borrow_and_update().clone()
    }

    /// The version kept at present.
    pub fn item(&self) -> Item {
        lock(&self.item).clone()
    }

    /// Keeps the item no longer. Dropping does the same.
    pub fn withdraw(self) {}
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.dht.inner.announcer.remove(self.number);
        self.dht.inner.shelf.lock().remove(&self.number);
    }
}

/// All items that a node keeps.
#[derive(Debug, Default)]
pub(in crate::dht) struct Shelf(Mutex<BTreeMap<u64, Arc<Mutex<Item>>>>);

impl Shelf {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Mutex<Item>>>> {
        lock(&self.0)
    }
}

/// One item that is kept.
struct Kept {
    item: Arc<Mutex<Item>>,
    /// When this node last put it and somebody took it.
    last: Mutex<Option<Instant>>,
}

impl Kept {
    async fn round(&self, inner: &Inner, effort: Effort) -> Round {
        let known = lock(&self.item).clone();
        let (survey, took) =
            Reader::of(inner).read(Survey::beyond(&known), Some(effort), |_, _, _| {}).await?;
        let item = self.adopt(&survey);
        let copies = survey.holders();
        if survey.has_copies_enough() && self.may_rest() {
            return Ok(KeepRound { item, copies, stored: None, messages: took.messages });
        }
        let stored = store(inner, &item, Cas::None, effort).await?;
        let stands = !stored.accepted.is_empty();
        *lock(&self.last) = stands.then(Instant::now);
        let messages = took.messages + stored.messages;
        Ok(KeepRound { item, copies, stored: Some(stored), messages })
    }

    /// The newest version there is, kept from now on.
    fn adopt(&self, survey: &Survey) -> Item {
        let mut item = lock(&self.item);
        if let Some(newest) = survey.newest().filter(|newest| newest.seq() >= item.seq()) {
            item.clone_from(newest);
        }
        item.clone()
    }

    /// Whether what this node put last will still be there in the next round. How old the copies of others are nobody
    /// says, and if all who keep an item relied on each other's it would be gone one day: so nobody rests twice in a row,
    /// and after a rest the next round comes in half the time.
    fn may_rest(&self) -> bool {
        let longest = INTERVAL / 2 + INTERVAL / 16;
        let last = lock(&self.last).take();
        last.is_some_and(|last| last.elapsed() + longest + SLACK < TTL)
    }
}

/// A round may take so long, and start so late.
const SLACK: Duration = Duration::from_secs(10 * 60);

fn interval_after(round: &Round) -> Duration {
    match round {
        Ok(KeepRound { stored: None, .. }) => INTERVAL / 2,
        _ => INTERVAL,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
