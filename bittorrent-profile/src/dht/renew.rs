//! Storing again and again until withdrawn.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Effort, Instant, RenewalConfig, Renewals, Rng};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant as Clock, sleep_until};

use super::announce::{Announce, once};
use super::topic::Lines;
use super::{Dht, Inner, Stored};
use crate::id::InfoHash;

/// How a round of announcing went.
type Announced = Result<Stored, RequestFailure>;

/// An announcement that is renewed until it is dropped or withdrawn (C4). Nodes forget it half an hour later;
/// the protocol has no way to take it back sooner.
#[derive(Debug)]
pub struct Announcement {
    rounds: watch::Receiver<Option<Announced>>,
    number: u64,
    dht: Dht,
}

impl Announcement {
    pub(super) fn new(dht: Dht, info_hash: InfoHash, announce: Announce) -> Self {
        let (sender, rounds) = watch::channel(None);
        let number = dht.inner.announcer.add(None, move |inner, effort| {
            let sender = sender.clone();
            Box::pin(async move {
                let round = once(&inner, info_hash, announce, effort).await;
                let outcome = Outcome::of(&round, |round| (round.messages, !round.accepted.is_empty()));
                if outcome.is_some() {
                    sender.send_replace(Some(round));
                }
                outcome
            })
        });
        Announcement { rounds, number, dht }
    }

    /// Waits for the next round to end, the first one if none has, and tells who took it. Rounds that ended while
    /// nobody waited are passed over but for the last. `None` once the node has stopped.
    pub async fn round(&mut self) -> Option<Announced> {
        self.rounds.changed().await.ok()?;
        self.rounds.borrow_and_update().clone()
    }

    /// Ends the renewal. Dropping does the same.
    pub fn withdraw(self) {}
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.dht.inner.announcer.remove(self.number);
    }
}

/// What a round took, and what follows from it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) requests: usize,
    /// Whether anybody keeps the thing now.
    pub(super) accepted: bool,
    /// How soon the next round comes, if not as before.
    pub(super) interval: Option<Duration>,
}

impl Outcome {
    /// What `figures` says of a round that was made: its requests, and whether anybody keeps the thing now. `None` once the
    /// node has stopped.
    pub(super) fn of<T>(
        round: &Result<T, RequestFailure>,
        figures: impl FnOnce(&T) -> (usize, bool),
    ) -> Option<Self> {
        let (requests, accepted) = match round {
            Ok(round) => figures(round),
            Err(RequestFailure::Closed(_)) => return None,
            Err(_) => (0, false),
        };
        Some(Outcome { requests, accepted, interval: None })
    }
}

/// One round for one thing. `None` once the node has stopped: there will be no further ones.
type Round = Pin<Box<dyn Future<Output = Option<Outcome>> + Send>>;

/// Makes a round.
type Work = Box<dyn Fn(Arc<Inner>, Effort) -> Round + Send>;

/// Everything that one `Dht` stores again and again, and one task that does it in its time and within one budget.
pub(super) struct Announcer {
    state: Mutex<State>,
    changed: Notify,
    epoch: Clock,
}

struct State {
    /// The node has stopped: nothing is stored any more.
    has_stopped: bool,
    renewals: Renewals<u64>,
    wanted: BTreeMap<u64, Wanted>,
    last: u64,
    rng: Rng,
}

struct Wanted {
    work: Work,
    /// While a round is made.
    task: Option<AbortHandle>,
}

impl Announcer {
    pub(super) fn new(config: RenewalConfig, seed: [u8; 32]) -> Arc<Self> {
        let state = State {
            has_stopped: false,
            renewals: Renewals::new(config),
            wanted: BTreeMap::new(),
            last: 0,
            rng: Rng::from_seed(seed),
        };
        Arc::new(Announcer { state: Mutex::new(state), changed: Notify::new(), epoch: Clock::now() })
    }

    /// Adds a thing, to be stored as soon as the budget allows and then once an interval, the configured one if none is
    /// given. Whatever `work` owns is dropped when the thing is withdrawn or the node has stopped.
    pub(super) fn add(
        &self,
        interval: Option<Duration>,
        work: impl Fn(Arc<Inner>, Effort) -> Round + Send + 'static,
    ) -> u64 {
        let mut state = self.lock();
        let state = &mut *state;
        state.last += 1;
        let number = state.last;
        if state.has_stopped {
            return number;
        }
        state.wanted.insert(number, Wanted { work: Box::new(work), task: None });
        state.renewals.insert(self.now(), number, &mut state.rng);
        if let Some(interval) = interval {
            state.renewals.set_interval(&number, interval);
        }
        self.changed.notify_one();
        number
    }

    /// Withdraws a thing, even in the middle of a round.
    pub(super) fn remove(&self, number: u64) {
        let mut state = self.lock();
        state.renewals.remove(&number);
        if let Some(task) = state.wanted.remove(&number).and_then(|wanted| wanted.task) {
            task.abort();
        }
    }

    /// Stores what falls due, until the `Dht` is gone or, as `ended` tells, its node has stopped.
    pub(super) async fn run(self: Arc<Self>, dht: Weak<Inner>, ended: Lines) {
        loop {
            let due = self.lock().renewals.poll_timeout();
            let due = due.map(|due| self.epoch + due.since(Instant::ZERO));
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(due.unwrap_or(self.epoch)), if due.is_some() => {}
                () = ended.closed() => {
                    // Whoever waits for a round learns that there will be none.
                    let mut state = self.lock();
                    state.has_stopped = true;
                    let wanted = std::mem::take(&mut state.wanted);
                    drop(state);
                    drop(wanted);
                    return;
                }
            }
            let Some(inner) = dht.upgrade() else { return };
            self.start_due(&inner);
        }
    }

    /// Wakes the task, so that it sees that the `Dht` is gone.
    pub(super) fn stop(&self) {
        self.changed.notify_one();
    }

    fn start_due(&self, inner: &Arc<Inner>) {
        let mut state = self.lock();
        let state = &mut *state;
        while let Some((number, effort)) = state.renewals.poll(self.now()) {
            if let Some(wanted) = state.wanted.get_mut(&number) {
                let (inner, round) = (Arc::clone(inner), (wanted.work)(Arc::clone(inner), effort));
                let task = async move { inner.announcer.ended(number, effort, round.await) };
                wanted.task = Some(tokio::spawn(task).abort_handle());
            }
        }
    }

    fn ended(&self, number: u64, effort: Effort, outcome: Option<Outcome>) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(Outcome { requests, accepted, interval }) = outcome else {
            // Whoever waits for a round learns that there will be none.
            state.renewals.remove(&number);
            state.wanted.remove(&number);
            return;
        };
        let Some(wanted) = state.wanted.get_mut(&number) else { return };
        wanted.task = None;
        if let Some(interval) = interval {
            state.renewals.set_interval(&number, interval);
        }
        state.renewals.ended(self.now(), number, effort, requests, accepted, &mut state.rng);
        self.changed.notify_one();
    }

    fn now(&self) -> Instant {
        let elapsed: Duration = self.epoch.elapsed();
        Instant::ZERO + elapsed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Announcer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Announcer {{ things: {} }}", self.lock().wanted.len())
    }
}
