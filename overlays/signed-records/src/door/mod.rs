//! The asynchronous front door (feature `runtime`).

mod builder;
mod wall;

pub use builder::{Builder, SpawnError};

use core::fmt;
use core::net::SocketAddr;
use std::sync::Arc;

use kademlia_core::runtime::{Closed, Handle};
use kademlia_core::{Contact, Family, Health, Instant, Key, LookupReport, MemoryStorage, Node, Storage};
use tokio::sync::{Mutex, oneshot};
use tokio::task::{AbortHandle, JoinHandle};

use crate::identity::{PublicKey, SecretKey};
use crate::peers::SeenPeer;
use crate::protocol::SignedRecords;
use crate::publisher::{PublishError, Replicas};
use crate::record::{Draft, Kind, SignedRecord, StoredRecord};
use crate::service::{AskError, FindError, Found, Pong, RecordsService, ResolveError, candidates};
use crate::status::Status;

type Memory = MemoryStorage<Key<32>, StoredRecord>;
type Callback<T> = Box<dyn FnOnce(T) + Send>;

/// A node of the signed-record overlay that runs. Clones are cheap and share it; when the last one is gone, it stops.
pub struct Records<S = Memory> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    handle: Handle<SignedRecords, RecordsService<S>>,
    identity: PublicKey,
    bound: SocketAddr,
    /// Whoever closes waits for its end; further ones wait for them.
    driver: Mutex<Option<JoinHandle<()>>>,
    /// Finding the way in, and keeping the clock right.
    helpers: [AbortHandle; 2],
}

impl<S> Drop for Inner<S> {
    fn drop(&mut self) {
        self.stop_helpers();
    }
}

impl<S> Inner<S> {
    fn stop_helpers(&self) {
        for helper in &self.helpers {
            helper.abort();
        }
    }
}

impl<S> Clone for Records<S> {
    fn clone(&self) -> Self {
        Records { inner: Arc::clone(&self.inner) }
    }
}

impl<S> fmt::Debug for Records<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records {{ {:?} on {} }}", self.inner.identity, self.inner.bound)
    }
}

/// A record that has begun to spread.
#[derive(Debug)]
pub struct Publishing {
    replicas: oneshot::Receiver<Replicas>,
}

impl Publishing {
    /// Waits until the first version was offered to the nodes closest to its key. There is no need to: it spreads, and is
    /// renewed, whether or not somebody waits.
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down, or the record withdrawn or replaced, before.
    pub async fn replicated(self) -> Result<Replicas, Closed> {
        self.replicas.await.map_err(|_| Closed)
    }
}

impl Records {
    /// Starts describing a node.
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl<S: Storage<Key<32>, StoredRecord> + Send + 'static> Records<S> {
    /// Publishes from now on, until it is [withdrawn](Self::withdraw), in the place of what was published about the same.
    /// When this returns the record is in this node's own store, and others begin to get it in the background.
    ///
    /// # Errors
    /// [`PublishError`].
    pub async fn publish(
        &self,
        publisher: impl Into<Arc<SecretKey>>,
        draft: Draft,
    ) -> Result<Publishing, PublishError> {
        let (publisher, (sender, replicas)) = (publisher.into(), oneshot::channel());
        let done = move |stored| drop(sender.send(stored));
        let published =
            self.on_service(move |service, now| service.publish(now, publisher, draft, done)).await;
        published.map_err(|Closed| PublishError::Closed)??;
        Ok(Publishing { replicas })
    }

    /// Withdraws everything that one publisher publishes through this node; gives back how much that was.
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down.
    pub async fn withdraw(&self, publisher: PublicKey) -> Result<usize, Closed> {
        self.on_service(move |service, now| service.withdraw(now, publisher)).await
    }

    /// Records under a key, as soon as one is found that is verified and let in.
    ///
    /// # Errors
    /// [`FindError`].
    pub async fn find(&self, target: Key<32>, kind: Option<Kind>) -> Result<Found, FindError> {
        let found = self.finish(move |service, now, done| service.find(now, target, kind, done)).await;
        found.unwrap_or(Err(FindError::Closed))
    }

    /// The records under a key that the closest nodes have: of each publisher and subject the newest.
    ///
    /// # Errors
    /// [`FindError`].
    pub async fn aggregate(&self, target: Key<32>, kind: Option<Kind>) -> Result<Found, FindError> {
        let found = self.finish(move |service, now, done| service.aggregate(now, target, kind, done)).await;
        found.unwrap_or(Err(FindError::Closed))
    }

    /// The newest endpoint of a publisher.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn resolve(&self, publisher: PublicKey) -> Result<SignedRecord, ResolveError> {
        let found = self.finish(move |service, now, done| service.resolve(now, publisher, done)).await;
        found.unwrap_or(Err(ResolveError::Closed))
    }

    /// The nodes closest to a key.
    ///
    /// # Errors
    /// [`FindError`].
    pub async fn closest(&self, target: Key<32>) -> Result<LookupReport<Key<32>>, FindError> {
        let found = self.finish(move |service, _, done| service.closest(target, done)).await;
        found.unwrap_or(Err(FindError::Closed))
    }

    /// Asks whoever is at `to` for a sign of life.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ping(&self, to: SocketAddr) -> Result<Pong, AskError> {
        self.ask(move |service, _, done| service.ping(to, done)).await
    }

    /// Asks whoever is at `to` to prove who it is.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ping_identity(&self, to: SocketAddr) -> Result<PublicKey, AskError> {
        self.ask(move |service, _, done| service.ping_identity(to, done)).await
    }

    /// The contacts that one peer knows closest to a key.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn find_node_at(
        &self,
        to: SocketAddr,
        target: Key<32>,
    ) -> Result<Vec<Contact<Key<32>>>, AskError> {
        self.ask(move |service, _, done| service.find_node_at(to, target, done)).await
    }

    /// The records that one peer has under a key, as many as fit one reply.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn find_value_at(
        &self,
        to: SocketAddr,
        target: Key<32>,
        kind: Option<Kind>,
    ) -> Result<Vec<SignedRecord>, AskError> {
        self.ask(move |service, _, done| service.find_value_at(to, target, kind, done)).await
    }

    /// Stores a record at one peer; gives back who took it.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn store_at(&self, to: SocketAddr, record: SignedRecord) -> Result<Contact<Key<32>>, AskError> {
        self.ask(move |service, _, done| service.store_at(to, record, done)).await
    }

    /// Whether a peer reaches this node at `claimed`, an address of this host as the peer sees it; see
    /// [`RecordsService::probe`] for what that says.
    ///
    /// # Errors
    /// [`AskError`]. That no echo came is none.
    pub async fn probe(&self, peer: SocketAddr, claimed: SocketAddr) -> Result<bool, AskError> {
        self.ask(move |service, _, done| service.probe(peer, claimed, done)).await
    }

    /// Joins through these hosts, of which no more than the addresses is known: they are asked who they are.
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down.
    pub async fn bootstrap(&self, hosts: Vec<SocketAddr>) -> Result<(), Closed> {
        self.inner.handle.bootstrap(hosts).await
    }

    /// Joins through these contacts, for instance the [candidates](Self::candidates) of an earlier run. Somebody else at
    /// their addresses does not count.
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down.
    pub async fn add_contacts(&self, contacts: Vec<Contact<Key<32>>>) -> Result<(), Closed> {
        self.on_node(move |node, now| node.add_contacts(now, &contacts)).await
    }

    /// Waits until the node has found its way into the network.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down first.
    pub async fn bootstrapped(&self) -> Result<(), Closed> {
        self.inner.handle.bootstrapped().await
    }

    /// Contacts to try at the next cold start, the best first.
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down.
    pub async fn candidates(&self) -> Result<Vec<Contact<Key<32>>>, Closed> {
        self.on_node(|node, now| candidates(node, now)).await
    }

    /// Peers that answered in the last seven days, for [`Builder::remember`].
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down.
    pub async fn seen(&self) -> Result<Vec<SeenPeer>, Closed> {
        self.on_service(|service, _| service.seen().copied().collect()).await
    }

    /// How requests to this address went lately (D9).
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down.
    pub async fn health(&self, addr: SocketAddr) -> Result<Health, Closed> {
        self.on_node(move |node, _| node.health(addr)).await
    }

    /// Whether a peer stands behind the same external address as this node (D10).
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down.
    pub async fn is_hairpin(&self, addr: SocketAddr) -> Result<bool, Closed> {
        self.on_service(move |service, _| service.is_hairpin(addr)).await
    }

    /// How the node is doing.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn status(&self) -> Result<Status, Closed> {
        self.on_node(Status::of).await
    }

    /// The node's own public key.
    pub fn identity(&self) -> PublicKey {
        self.inner.identity
    }

    /// The address the node's socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.bound
    }

    /// The runtime's own door, for what has no method here.
    pub fn handle(&self) -> &Handle<SignedRecords, RecordsService<S>> {
        &self.inner.handle
    }

    /// Stops everything, and waits until it has stopped and the storage is closed. Whoever waits for something gets an
    /// error. To close again does no harm (D12).
    pub async fn close(&self) {
        self.inner.stop_helpers();
        self.inner.handle.shutdown().await;
        if let Some(driver) = self.inner.driver.lock().await.take() {
            let _ = driver.await;
        }
    }

    /// Runs `work` on the node.
    async fn on_node<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Node<SignedRecords, RecordsService<S>>, Instant) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let family = Family::of(&self.inner.bound);
        let result = self
            .inner
            .handle
            .with(move |shell, now| shell.stack.node_mut(family).map(|node| work(node, now)));
        result.await?.ok_or(Closed)
    }

    async fn on_service<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut RecordsService<S>, Instant) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        self.on_node(move |node, now| work(node.service_mut(), now)).await
    }

    /// Begins an operation and waits for its end.
    async fn finish<T: Send + 'static>(
        &self,
        begin: impl FnOnce(&mut RecordsService<S>, Instant, Callback<T>) + Send + 'static,
    ) -> Result<T, Closed> {
        let (sender, ended) = oneshot::channel();
        let done: Callback<T> = Box::new(move |result| drop(sender.send(result)));
        self.on_service(move |service, now| begin(service, now, done)).await?;
        ended.await.map_err(|_| Closed)
    }

    async fn ask<T: Send + 'static>(
        &self,
        begin: impl FnOnce(&mut RecordsService<S>, Instant, Callback<Result<T, AskError>>) + Send + 'static,
    ) -> Result<T, AskError> {
        self.finish(begin).await.unwrap_or(Err(AskError::Closed))
    }
}
