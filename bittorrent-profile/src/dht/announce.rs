//! Announcing peers, once or until withdrawn.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Contact, Key, LookupOptions, MakeRequest, Rng, Stored};
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::{Dht, Inner};
use crate::id::InfoHash;
use crate::krpc::{Families, Request, Response};
use crate::mainline::Mainline;
use crate::node_id;

/// Where the announced peer takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// At this port.
    Number(NonZeroU16),
    /// At the UDP port that the announcement is seen to come from.
    Implied,
}

/// Who took an announcement, node by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Nodes that keep it.
    pub accepted: Vec<Contact<Key<20>>>,
    /// Nodes that refused, with the error they gave.
    pub refused: Vec<(Contact<Key<20>>, i64, String)>,
    /// Nodes that did not answer.
    pub no_answer: Vec<Contact<Key<20>>>,
    /// Nodes asked on the way to them.
    pub asked: usize,
}

impl Announced {
    fn add(&mut self, stored: Stored<Key<20>>) {
        self.accepted.extend(stored.accepted);
        self.refused.extend(stored.refused);
        self.no_answer.extend(stored.no_answer);
        self.asked += stored.report.asked;
    }
}

/// Announces in every network that the node is in.
pub(super) async fn once(
    inner: &Inner,
    info_hash: InfoHash,
    port: Port,
) -> Result<Announced, RequestFailure> {
    let mut announced = Announced::default();
    for (family, bound, _) in &inner.families {
        let make = make_request(info_hash, port, *bound, inner.strict_bep42);
        let request = Request::GetPeers { info_hash, want: Families::NONE };
        let options = LookupOptions::default();
        let stored = inner.handle.publish(*family, info_hash.into(), request, make, options).await?;
        announced.add(stored);
    }
    Ok(announced)
}

/// To whoever gave a token (A7, BEP 33.5); if strict, only where the id fits the address (42.5).
fn make_request(
    info_hash: InfoHash,
    port: Port,
    bound: SocketAddr,
    strict_bep42: bool,
) -> MakeRequest<Mainline> {
    Box::new(move |from: &Contact<Key<20>>, response: &Response| {
        let fits = !strict_bep42 || node_id::verify(from.addr.ip(), &from.key);
        let token = response.token.filter(|_| fits)?;
        let (implied_port, port) = match port {
            Port::Number(port) => (false, Some(port)),
            // Whoever honours the flag ignores the port, but libtorrent refuses announcements without one.
            Port::Implied => (true, NonZeroU16::new(bound.port())),
        };
        Some(Request::AnnouncePeer { implied_port, info_hash, port, token })
    })
}

/// An announcement that is renewed until it is dropped or withdrawn (C4). Nodes forget it half an hour later;
/// the protocol has no way to take it back sooner.
#[derive(Debug)]
pub struct Announcement {
    rounds: watch::Receiver<Option<Result<Announced, RequestFailure>>>,
    task: AbortHandle,
}

impl Announcement {
    /// Waits for the next round to end, the first one if none has, and tells who took it. Rounds that ended while
    /// nobody waited are passed over but for the last.
    pub async fn round(&mut self) -> Option<Result<Announced, RequestFailure>> {
        self.rounds.changed().await.ok()?;
        self.rounds.borrow_and_update().clone()
    }

    /// Ends the renewal. Dropping does the same.
    pub fn withdraw(self) {}
}

impl Drop for Announcement {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Announces, and again after each interval, an eighth sooner or later, so that nodes started together drift apart.
pub(super) fn keep(dht: Dht, info_hash: InfoHash, port: Port) -> Announcement {
    let (sender, rounds) = watch::channel(None);
    let task = tokio::spawn(async move {
        // Jitter need not be secret, only different: the info hash and the socket's port are.
        let own_port = dht.local_addrs().first().map_or(0, SocketAddr::port);
        let [a, b, c, d, ..] = info_hash.to_bytes();
        let mut rng =
            Rng::from_number(u64::from(u32::from_be_bytes([a, b, c, d])) << 16 | u64::from(own_port));
        loop {
            let round = once(&dht.inner, info_hash, port).await;
            let pause = match &round {
                Err(RequestFailure::Closed(_)) => return,
                Ok(announced) if announced.accepted.is_empty() => dht.inner.renewal.min(RETRY),
                _ => dht.inner.renewal,
            };
            if sender.send(Some(round)).is_err() {
                return;
            }
            tokio::time::sleep(rng.jittered(pause)).await;
        }
    });
    Announcement { rounds, task: task.abort_handle() }
}

/// Pause after a round that nobody accepted.
const RETRY: Duration = Duration::from_secs(60);
