//! A walk through the keyspace as a stream (BEP 51).

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::Stream;
use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Contact, Family, Instant, Key, LookupOptions, Protocol, Rng};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant as Clock, sleep, sleep_until};

use super::{Dht, MainlineHandle};
use crate::id::InfoHash;
use crate::krpc::{Families, Request, Response};
use crate::mainline::Mainline;
use crate::sweep::{Progress, Step, SweepConfig, Walk};

/// Info hashes that wait for the reader. When there are more, the walk waits for the reader too.
const WAITING: usize = 1_024;
/// Until a lookup for which there was no room is tried again.
const PAUSE: Duration = Duration::from_secs(5);

/// An info hash, and the first node that told of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collected {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Who holds it.
    pub from: Contact<Key<20>>,
}

/// A sweep that runs: a stream of different info hashes, as nodes tell of them, that ends when the keyspace is done.
/// Dropping it ends the sweep. It goes on only as fast as it is read.
pub struct Sweep {
    collected: mpsc::Receiver<Collected>,
    progress: Vec<(Family, watch::Receiver<Progress>)>,
}

impl Dht {
    /// Collects the info hashes of the whole network, or rather, of as much of it as there is time for: asks every node in
    /// the order of the keyspace for samples, [`SweepConfig::rate`] of them a second in each network that this node is in.
    /// No node is asked twice within its interval.
    pub fn sweep(&self, config: SweepConfig) -> Sweep {
        let (sender, collected) = mpsc::channel(WAITING);
        let mut progress = Vec::new();
        for (family, _, reach) in &self.inner.families {
            let (told, reader) = watch::channel(Progress::default());
            let seed = self.inner.rng.lock().unwrap_or_else(PoisonError::into_inner).fork();
            let walk = Walk::new(*family, *reach, config, &mut Rng::from_seed(seed));
            tokio::spawn(run(self.inner.handle.clone(), *family, walk, sender.clone(), told));
            progress.push((*family, reader));
        }
        Sweep { collected, progress }
    }
}

impl Sweep {
    /// The next info hash; `None` when the keyspace is done, nobody was found at all, or the node was shut down.
    pub async fn next(&mut self) -> Option<Collected> {
        self.collected.recv().await
    }

    /// How far it has come in each network.
    pub fn progress(&self) -> Vec<(Family, Progress)> {
        self.progress.iter().map(|(family, progress)| (*family, *progress.borrow())).collect()
    }
}

impl Stream for Sweep {
    type Item = Collected;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Collected>> {
        self.collected.poll_recv(cx)
    }
}

impl fmt::Debug for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

/// Something that the walk waited for.
enum Ended {
    Asked(SocketAddr, Result<(Contact<Key<20>>, Box<Response>), RequestFailure>),
    Found(Key<20>, Result<Vec<Contact<Key<20>>>, RequestFailure>),
}

async fn run(
    handle: MainlineHandle,
    family: Family,
    mut walk: Walk,
    collected: mpsc::Sender<Collected>,
    progress: watch::Sender<Progress>,
) {
    let epoch = Clock::now();
    let mut running = JoinSet::new();
    loop {
        let until = match walk.poll(Instant::ZERO + epoch.elapsed()) {
            Step::Ask(contact, target) => {
                running.spawn(ask(handle.clone(), contact, target));
                continue;
            }
            Step::Find(target) => {
                running.spawn(find(handle.clone(), family, target));
                continue;
            }
            Step::Wait(until) => Some(epoch + until.since(Instant::ZERO)),
            Step::Rest => None,
            Step::Done => break,
        };
        progress.send_replace(walk.progress());
        let ended = tokio::select! {
            () = collected.closed() => return,
            Some(ended) = running.join_next() => ended,
            () = sleep_until(until.unwrap_or(epoch)), if until.is_some() => continue,
        };
        let now = Instant::ZERO + epoch.elapsed();
        match ended {
            Ok(
                Ended::Asked(_, Err(RequestFailure::Closed(_)))
                | Ended::Found(_, Err(RequestFailure::Closed(_))),
            )
            | Err(_) => return,
            Ok(Ended::Asked(addr, Err(_))) => walk.failed(addr),
            Ok(Ended::Asked(addr, Ok((from, response)))) => {
                for info_hash in walk.answered(now, addr, &response) {
                    if collected.send(Collected { info_hash, from }).await.is_err() {
                        return;
                    }
                }
            }
            Ok(Ended::Found(target, found)) => walk.found(now, &target, &found.unwrap_or_default()),
        }
    }
    progress.send_replace(walk.progress());
}

async fn ask(handle: MainlineHandle, contact: Contact<Key<20>>, target: Key<20>) -> Ended {
    let request = Request::SampleInfohashes { target, want: Families::NONE };
    let answered = handle.request(contact.addr, Some(contact.key), request).await;
    Ended::Asked(contact.addr, answered.map(|answered| (answered.from, answered.response.into())))
}

async fn find(handle: MainlineHandle, family: Family, target: Key<20>) -> Ended {
    loop {
        let found = look_up(&handle, family, target).await;
        if !matches!(found, Err(RequestFailure::Limit(_))) {
            return Ended::Found(target, found);
        }
        sleep(PAUSE).await;
    }
}

async fn look_up(
    handle: &MainlineHandle,
    family: Family,
    target: Key<20>,
) -> Result<Vec<Contact<Key<20>>>, RequestFailure> {
    let request = Mainline::find_node(target);
    let search = handle.lookup(family, target, request, LookupOptions::default()).await?;
    Ok(search.finish().await?.closest)
}
