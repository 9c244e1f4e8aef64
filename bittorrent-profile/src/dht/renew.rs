//! Announcing peers until withdrawn.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Effort, Instant, RenewalConfig, Renewals, Rng};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant as Clock, sleep_until};

use super::announce::{Announced, Port, once};
use super::{Dht, Inner};
use crate::id::InfoHash;

/// How a round of announcing went.
type Round = Result<Announced, RequestFailure>;

/// An announcement that is renewed until it is dropped or withdrawn (C4). Nodes forget it half an hour later;
/// the protocol has no way to take it back sooner.
#[derive(Debug)]
pub struct Announcement {
    rounds: watch::Receiver<Option<Round>>,
    number: u64,
    dht: Dht,
}

impl Announcement {
    pub(super) fn new(dht: Dht, info_hash: InfoHash, port: Port) -> Self {
        let (sender, rounds) = watch::channel(None);
        let number = dht.inner.announcer.add(info_hash, port, sender);
        Announcement { rounds, number, dht }
    }

    /// Waits for the next round to end, the first one if none has, and tells who took it. Rounds that ended while
    /// nobody waited are passed over but for the last. `None` once the node has stopped.
    pub async fn round(&mut self) -> Option<Round> {
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

/// Everything that one `Dht` announces, and one task that does it in its time.
#[derive(Debug)]
pub(super) struct Announcer {
    state: Mutex<State>,
    changed: Notify,
    epoch: Clock,
}

#[derive(Debug)]
struct State {
    renewals: Renewals<u64>,
    wanted: BTreeMap<u64, Wanted>,
    last: u64,
    rng: Rng,
}

#[derive(Debug)]
struct Wanted {
    info_hash: InfoHash,
    port: Port,
    rounds: watch::Sender<Option<Round>>,
    /// While it is being announced.
    task: Option<AbortHandle>,
}

impl Announcer {
    pub(super) fn new(config: RenewalConfig, seed: [u8; 32]) -> Arc<Self> {
        let state = State {
            renewals: Renewals::new(config),
            wanted: BTreeMap::new(),
            last: 0,
            rng: Rng::from_seed(seed),
        };
        Arc::new(Announcer { state: Mutex::new(state), changed: Notify::new(), epoch: Clock::now() })
    }

    fn add(&self, info_hash: InfoHash, port: Port, rounds: watch::Sender<Option<Round>>) -> u64 {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.wanted.insert(number, Wanted { info_hash, port, rounds, task: None });
        state.renewals.insert(self.now(), number);
        self.changed.notify_one();
        number
    }

    fn remove(&self, number: u64) {
        let mut state = self.lock();
        state.renewals.remove(&number);
        if let Some(task) = state.wanted.remove(&number).and_then(|wanted| wanted.task) {
            task.abort();
        }
    }

    /// Announces what falls due, until the `Dht` is gone.
    pub(super) async fn run(self: Arc<Self>, dht: Weak<Inner>) {
        loop {
            let due = self.lock().renewals.poll_timeout();
            let due = due.map(|due| self.epoch + due.since(Instant::ZERO));
            tokio::select! {
                () = self.changed.notified() => {}
                () = sleep_until(due.unwrap_or(self.epoch)), if due.is_some() => {}
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
                let round = announce(Arc::clone(inner), number, wanted.info_hash, wanted.port, effort);
                wanted.task = Some(tokio::spawn(round).abort_handle());
            }
        }
    }

    fn ended(&self, number: u64, effort: Effort, round: Result<(Announced, usize), RequestFailure>) {
        let mut state = self.lock();
        let state = &mut *state;
        let Some(wanted) = state.wanted.get_mut(&number) else { return };
        wanted.task = None;
        let (requests, accepted) =
            round.as_ref().map_or((0, false), |(round, requests)| (*requests, !round.accepted.is_empty()));
        if matches!(round, Err(RequestFailure::Closed(_))) {
            // Whoever waits for a round learns that there will be none.
            state.renewals.remove(&number);
            state.wanted.remove(&number);
            return;
        }
        wanted.rounds.send_replace(Some(round.map(|(announced, _)| announced)));
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

async fn announce(inner: Arc<Inner>, number: u64, info_hash: InfoHash, port: Port, effort: Effort) {
    let round = once(&inner, info_hash, port, effort).await;
    inner.announcer.ended(number, effort, round);
}
