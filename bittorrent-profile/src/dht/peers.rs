//! Searches for peers, shared by all who look for the same torrent at the same time.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Family, LookupOptions, Reach};
use tokio::sync::watch;

use super::log::{Found, Log, PeersSummary, State};
use super::{Dht, MainlineHandle, either};
use crate::id::InfoHash;
use crate::krpc::{Families, Request};

/// What is looked for: a torrent, and whether rather without its seeds (BEP 33).
type Sought = (InfoHash, bool);

/// The searches that run, and those that finished a moment ago.
#[derive(Clone, Debug)]
pub(super) struct Searches {
    logs: Arc<Mutex<HashMap<Sought, watch::Sender<Log>>>>,
    requery: Duration,
}

impl Searches {
    pub(super) fn new(requery: Duration) -> Self {
        Searches { logs: Arc::default(), requery }
    }

    /// Joins the search for `info_hash`, rather without seeds if `noseed` says so, or starts it.
    pub(super) fn join(&self, info_hash: InfoHash, noseed: bool, dht: &Dht) -> Peers {
        let sought = (info_hash, noseed);
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(log) = logs.get(&sought)
            && log.borrow().state != State::Abandoned
        {
            return Peers::new(log.subscribe());
        }
        let (log, reader) = watch::channel(Log::default());
        logs.insert(sought, log.clone());
        let search = search(dht.inner.handle.clone(), dht.inner.families.clone(), sought, log.clone());
        let this = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                failure = search => {
                    let is_done = failure.is_none();
                    log.send_modify(|log| log.end(failure));
                    // Who could not search at all may try again at once.
                    if is_done {
                        tokio::time::sleep(this.requery).await;
                    }
                }
                // The last reader left: dropping the search cancels its lookups.
                () = log.closed() => log.send_modify(|log| log.state = State::Abandoned),
            }
            this.forget(sought, &log);
        });
        Peers::new(reader)
    }

    fn forget(&self, sought: Sought, log: &watch::Sender<Log>) {
        let mut logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        if logs.get(&sought).is_some_and(|current| current.same_channel(log)) {
            logs.remove(&sought);
        }
    }
}

/// Looks in both networks at once, as far as the node is in them. Gives back why it could look in none.
async fn search(
    handle: MainlineHandle,
    families: Vec<(Family, SocketAddr, Reach)>,
    sought: Sought,
    log: watch::Sender<Log>,
) -> Option<RequestFailure> {
    let reach_of = |family| families.iter().find(|(of, _, _)| *of == family).map(|(_, _, reach)| *reach);
    let one = async |family| match reach_of(family) {
        Some(reach) => search_family(&handle, family, reach, sought, &log).await,
        None => Err(RequestFailure::NoFamily),
    };
    either(tokio::join!(one(Family::V4), one(Family::V6))).err()
}

async fn search_family(
    handle: &MainlineHandle,
    family: Family,
    reach: Reach,
    (info_hash, noseed): Sought,
    log: &watch::Sender<Log>,
) -> Result<(), RequestFailure> {
    let request = Request::GetPeers { info_hash, noseed, scrape: false, want: Families::NONE };
    let options = LookupOptions { answers: true, ..LookupOptions::default() };
    let mut search = handle.lookup(family, info_hash.into(), request, options).await?;
    while let Some(answer) = search.next().await {
        let progress = search.progress().await?;
        log.send_if_modified(|log| {
            if let Some(report) = progress {
                log.progress(family, &report);
            }
            log.add(answer.from, &answer.response.values, reach)
        });
    }
    let report = search.finish().await?;
    log.send_modify(|log| log.progress(family, &report));
    Ok(())
}

type Changed = Pin<Box<dyn Future<Output = watch::Receiver<Log>> + Send + Sync>>;

/// The peers of a torrent, each once, as they are found; after the last one, [`finish`](Self::finish) tells what the
/// search took. When nobody reads a search any more, it is cancelled.
pub struct Peers {
    log: watch::Receiver<Log>,
    changed: Option<Changed>,
    read: usize,
}

impl Peers {
    fn new(log: watch::Receiver<Log>) -> Self {
        Peers { log, changed: None, read: 0 }
    }

    /// The next peer; `None` when the search has ended.
    pub async fn next(&mut self) -> Option<Found> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// Reads to the end.
    pub async fn finish(mut self) -> PeersSummary {
        while self.next().await.is_some() {}
        self.summary()
    }

    /// What the search found and took so far; complete once [`next`](Self::next) has given `None`.
    pub fn summary(&self) -> PeersSummary {
        self.log.borrow().summary()
    }

    /// How many nodes have named a peer so far; 0 of one that is not among those found. One who lies in many places
    /// counts many times: a measure of how widely a peer is stored, not of how true it is.
    pub fn sources(&self, peer: &SocketAddr) -> usize {
        self.log.borrow().sources(peer)
    }
}

impl Stream for Peers {
    type Item = Found;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Found>> {
        loop {
            if let Some(changed) = &mut self.changed {
                self.log = ready!(changed.as_mut().poll(cx));
                self.changed = None;
            }
            let read = self.read;
            let (next, ended) = {
                let seen = self.log.borrow_and_update();
                (seen.found(read), seen.state != State::Running)
            };
            if next.is_some() || ended || self.log.has_changed().is_err() {
                self.read += usize::from(next.is_some());
                return Poll::Ready(next);
            }
            let mut log = self.log.clone();
            self.changed = Some(Box::pin(async move {
                let _ = log.changed().await;
                log
            }));
        }
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peers {{ read: {} }}", self.read)
    }
}
