//! The asynchronous front door to the Mainline DHT (feature `dht`).
//!
//! ```no_run
//! # async fn example(transport: impl kademlia_core::runtime::Transport) -> Result<(), Box<dyn std::error::Error>> {
//! use bittorrent_profile::Dht;
//!
//! let dht = Dht::builder().bootstrap(Dht::ROUTERS).spawn(transport)?;
//! let mut peers = dht.get_peers("d2474e86c95b19b8bcfdb92bc12c9d44667cfa36".parse()?);
//! while let Some(found) = peers.next().await {
//!     println!("{}", found.peer);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What to expect of a DHT
//! *Sloppy.* Peers are stored at nodes close to an info hash, as whoever announces finds them: most clients store at the
//! eight closest, this one at 32 or more, along paths that share nobody. Nodes come and go, so a search may miss a peer and
//! find one that has left. Ask again later; connect to several.
//!
//! *Forgetful.* Nodes forget a peer after about 30 minutes. [`Dht::announce`] repeats itself until it is withdrawn.
//!
//! *Ports.* An announcement names the port where peers connect, over TCP or uTP: [`Port::Number`]. That need not be the
//! port of the DHT's own socket. Behind a NAT that rewrites ports, and if peers connect to the same UDP socket,
//! [`Port::Implied`] lets the storing node note the port it sees.
//!
//! *Reachability.* A node behind a NAT can ask but is seldom asked. By default a `Dht` says so and answers nobody
//! (BEP 43): nothing has to be opened for it. To give back what it takes, forward its UDP port and call
//! [`Builder::server`]; a server is asked a few times a second.
//!
//! *Bans.* Asking one node the same again and again gets an address banned there. Searches for one info hash at the same
//! time share one lookup, and a search repeated within [`Builder::requery`] gets the answers that are at hand.
//!
//! # Values
//! Besides peers, nodes keep values of up to 1,000 bytes (BEP 44). An immutable one is found under its hash:
//!
//! ```no_run
//! # async fn example(dht: bittorrent_profile::Dht) -> Result<(), Box<dyn std::error::Error>> {
//! use bittorrent_profile::item::{Item, RawValue};
//!
//! let item = Item::from(RawValue::string("Hello World!")?);
//! let stored = dht.put(item.clone()).await?;
//! println!("{} on {} nodes", item.target(), stored.accepted.len());
//! let found = dht.get(item.target()).finish().await.found;
//! # Ok(())
//! # }
//! ```
//!
//! A mutable one is found under its owner's public key, and only he can put the next version. [`Dht::get_mutable`] streams
//! versions, each newer than the one before; [`Dht::update`] changes what is there, whoever else does at the same time:
//!
//! ```no_run
//! # async fn example(dht: bittorrent_profile::Dht) -> Result<(), Box<dyn std::error::Error>> {
//! use bittorrent_profile::item::{RawValue, Salt, SecretKey};
//!
//! let owner = SecretKey::generate()?;
//! let visits = |old: Option<&RawValue>| old.and_then(|old| old.deserialize().ok()).unwrap_or(0);
//! let updated = dht
//!     .update(&owner, Salt::default(), |old| RawValue::serialize(&(visits(old) + 1_i64)).ok())
//!     .await?;
//! // Nodes forget it after two hours, unless somebody keeps it alive.
//! let keeping = dht.keep(updated.item)?;
//! # Ok(())
//! # }
//! ```
//!
//! *Nothing is secret, and nothing stays.* Whoever knows the hash or the public key reads the value, and whoever has it can
//! [keep](Dht::keep) it. What nobody keeps is gone after two hours, and nothing can be deleted. *Nothing is certain either:*
//! nodes do not vote. A change made with [`Dht::update`] is safe once that returns, as long as all writers use it; [its
//! documentation](Dht::update) says what else it takes.
//!
//! [`Dht::resolve`] and [`Dht::publish_torrent`] are BEP 46: links to torrents that change.

mod announce;
mod builder;
mod changes;
mod items;
mod log;
mod multi;
mod network;
mod peers;
mod renew;
mod sample;
mod scrape;
mod state;
mod stored;
mod sweep;
mod topic;

pub use announce::{Announce, Port};
pub use builder::{Builder, SpawnError};
#[cfg(feature = "serde")]
pub use items::{GetValueError, PutValueError};
pub use items::{
    ItemSearch, ItemSummary, KeepRound, Keeping, PutError, ResolveError, ResolvedTorrent, UpdateError,
    Updated,
};
pub use log::{Found, PeersSummary};
pub use multi::{Advice, MultiAnnouncement, MultiDht};
pub use peers::Peers;
pub use renew::Announcement;
pub use sample::Sampled;
pub use scrape::Scraped;
pub use state::{DhtState, FamilyState};
pub use stored::Stored;
pub use sweep::{Collected, Sweep};
pub use topic::{PublishError, Subscription};

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kademlia_core::runtime::{Closed, Handle, RequestFailure};
use kademlia_core::{
    Contact, Effort, Family, Key, LookupOptions, LookupReport, Protocol, Reach, Rng, Snapshot,
};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

use crate::id::{InfoHash, NodeId};
use crate::krpc::Version;
use crate::mainline::Mainline;
use crate::service::MainlineService;
use crate::strictness::Strictness;
use peers::Searches;
use renew::Announcer;
use topic::Topics;

/// The runtime's door to a Mainline node.
pub type MainlineHandle = Handle<Mainline, MainlineService>;

/// A Mainline DHT node that runs. Clones are cheap and share it; when the last clone and the last search,
/// announcement and subscription made from it are gone, it stops.
#[derive(Clone, Debug)]
pub struct Dht {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    handle: MainlineHandle,
    families: Vec<(Family, SocketAddr, Reach)>,
    strictness: Strictness,
    announcer: Arc<Announcer>,
    searches: Searches,
    /// Items kept alive.
    shelf: items::Shelf,
    /// For pauses.
    rng: Mutex<Rng>,
    /// Turns of scrapes.
    scrapes: Semaphore,
    topics: Topics,
    resolving: AbortHandle,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.resolving.abort();
        self.announcer.stop();
    }
}

/// What a pinged node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Its id.
    pub id: NodeId,
    /// The round trip; `None` if the ping had to be repeated.
    pub round_trip: Option<Duration>,
    /// Its program, if it says.
    pub version: Option<Version>,
}

impl Dht {
    /// Well-known hosts that let anybody in.
    pub const ROUTERS: [&'static str; 4] = [
        "router.bittorrent.com:6881",
        "dht.transmissionbt.com:6881",
        "dht.libtorrent.org:25401",
        "router.utorrent.com:6881",
    ];

    /// Starts describing a node.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Looks for peers that share a torrent. Returns at once; if the node has not found its way into the network yet,
    /// the search starts when it has.
    pub fn get_peers(&self, info_hash: InfoHash) -> Peers {
        self.inner.searches.join(info_hash, false, self)
    }

    /// Like [`get_peers`](Self::get_peers), for those who have all of the torrent and look for whom to give it to: nodes
    /// are asked to name those first who do not have all of it (BEP 33: `noseed`). Some nodes do not heed it.
    pub fn get_downloaders(&self, info_hash: InfoHash) -> Peers {
        self.inner.searches.join(info_hash, true, self)
    }

    /// Announces that this host shares a torrent, and again and again, until the announcement is dropped. A [`Port`] is
    /// enough; [`Port::seeding`] says that the host has all of the torrent.
    pub fn announce(&self, info_hash: InfoHash, announce: impl Into<Announce>) -> Announcement {
        Announcement::new(self.clone(), info_hash, announce.into())
    }

    /// Announces once.
    ///
    /// # Errors
    /// Why it could not be tried. That nobody accepted is no error but an empty [`Stored::accepted`].
    pub async fn announce_once(
        &self,
        info_hash: InfoHash,
        announce: impl Into<Announce>,
    ) -> Result<Stored, RequestFailure> {
        announce::once(&self.inner, info_hash, announce.into(), Effort::Hardened).await
    }

    /// The nodes closest to `target`, in each network that this node is in.
    ///
    /// # Errors
    /// Why it could be tried in no network.
    pub async fn find_node(&self, target: NodeId) -> Result<Vec<LookupReport<Key<20>>>, RequestFailure> {
        let one = async |family| {
            let request = Mainline::find_node(target.into());
            let options = LookupOptions::default();
            let search = self.inner.handle.lookup(family, target.into(), request, options).await?;
            Ok(search.finish().await?)
        };
        Ok(either(tokio::join!(one(Family::V4), one(Family::V6)))?.collect())
    }

    /// Asks whoever is at `addr` for a sign of life.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ping(&self, addr: SocketAddr) -> Result<Pong, RequestFailure> {
        let answered = self.inner.handle.request(addr, None, Mainline::ping()).await?;
        let (id, version) = (answered.from.key.into(), answered.response.version);
        Ok(Pong { id, round_trip: answered.round_trip, version })
    }

    /// Waits until the node has found its way into the network.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down first.
    pub async fn bootstrapped(&self) -> Result<(), Closed> {
        self.inner.handle.bootstrapped().await
    }

    /// How the node is doing.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn state(&self) -> Result<DhtState, Closed> {
        let bound = self.inner.families.clone();
        self.inner.handle.with(move |shell, now| DhtState::of(&shell.stack, &bound, now)).await
    }

    /// What is worth keeping for the next run, for [`Builder::remember`]: ids and good contacts.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn snapshots(&self) -> Result<Vec<(Family, Snapshot<Key<20>>)>, Closed> {
        self.inner.handle.snapshots().await
    }

    /// Tells the node of others, for instance from a torrent's `nodes` or a peer's PORT message (BEP 5). They are asked
    /// before they are trusted: as a way into the network if there is none yet, and with a ping otherwise.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn add_nodes(&self, addrs: Vec<SocketAddr>) -> Result<(), Closed> {
        builder::add_nodes(&self.inner.handle, addrs).await
    }

    /// Tells the node of contacts remembered from an earlier run.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn add_contacts(&self, contacts: Vec<Contact<Key<20>>>) -> Result<(), Closed> {
        self.inner.handle.add_contacts(contacts).await
    }

    /// Has nothing more to do with this address, in topics either: it is sent nothing and not heard. The peers and items that it has left
    /// here stay for their time.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn block(&self, ip: IpAddr) -> Result<(), Closed> {
        self.inner.handle.block(ip).await?;
        self.inner.topics.set_blocked(ip, true).await;
        Ok(())
    }

    /// Undoes [`block`](Self::block).
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn unblock(&self, ip: IpAddr) -> Result<(), Closed> {
        self.inner.handle.unblock(ip).await?;
        self.inner.topics.set_blocked(ip, false).await;
        Ok(())
    }

    /// The addresses the node's sockets are bound to.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.inner.families.iter().map(|(_, addr, _)| *addr).collect()
    }

    /// The runtime's own door, for what has no method here.
    pub fn handle(&self) -> &MainlineHandle {
        &self.inner.handle
    }

    /// Stops the node and waits until it has stopped.
    pub async fn shutdown(&self) {
        self.inner.handle.shutdown().await;
    }
}

impl Inner {
    /// Where the socket of one family is bound.
    fn bound(&self, family: Family) -> Result<SocketAddr, RequestFailure> {
        let bound = self.families.iter().find(|(of, _, _)| *of == family).map(|(_, bound, _)| *bound);
        bound.ok_or(RequestFailure::NoFamily)
    }
}

/// What came of the same in the networks of IPv4 and of IPv6: one that failed leaves the other's outcome as it is.
///
/// # Errors
/// Why it failed in both.
fn either<T>(
    (v4, v6): (Result<T, RequestFailure>, Result<T, RequestFailure>),
) -> Result<impl Iterator<Item = T>, RequestFailure> {
    match (v4, v6) {
        (Err(RequestFailure::NoFamily), Err(failure)) | (Err(failure), Err(_)) => Err(failure),
        (v4, v6) => Ok(v4.into_iter().chain(v6)),
    }
}

#[cfg(test)]
mod tests;
