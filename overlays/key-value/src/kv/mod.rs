//! The asynchronous front door (feature `kv`).
//!
//! ```no_run
//! # async fn example(transport: impl kademlia_core::runtime::Transport) -> Result<(), Box<dyn std::error::Error>> {
//! use key_value::Kv;
//!
//! let kv = Kv::builder().bootstrap(["192.0.2.1:7000"]).spawn(transport)?;
//! let put = kv.put("greeting", b"hello").await?;
//! println!("{} nodes keep it", put.copies());
//! if let Some(value) = kv.get("greeting").await? {
//!     println!("{}", String::from_utf8_lossy(&value));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What to expect
//! *Names.* A value is kept under the SHA-256 of its name, at the 20 nodes whose keys are closest to it.
//!
//! *Forgetful.* Nodes forget a value a day after its publisher last published it. A node that [`put`](Kv::put) something
//! publishes it daily, as long as it runs, until it is [withdrawn](Kv::withdraw) or [removed](Kv::remove). Holders
//! come and go; those who stay publish what they hold every hour, and hand it to whoever joins closer to it.
//!
//! *Versions.* Of two values put under one name, the one that was put later stays, by the clocks of those who put them.
//! [`get`](Kv::get) gives the first it finds: mostly the last one put, but perhaps a copy that was cached before.
//! [`get_newest`](Kv::get_newest) asks everybody close to the key.
//!
//! *Trust.* None: the Kademlia paper has no owners. Anybody may put under any name, and remove. Nobody can store in
//! another's name, fill a node's memory, or have it flood a third one; but whoever needs to know who wrote a value signs it.

mod builder;
mod error;
mod wall_clock;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kademlia_core::runtime::{Closed, Handle, RequestFailure, Shell};
use kademlia_core::{
    Family, Instant, LookupOptions, LookupReport, MemoryStorage, Node, Protocol, Snapshot, Storage,
};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

pub use builder::{Builder, SpawnError};
pub use error::{GetError, PutError, StoreError};

use crate::dump::NodeDump;
use crate::pair::{Pair, Value};
use crate::protocol::{Id, KeyValue, Request, Response, Versioned, key_of};
use crate::service::{Done, Got, KvService, NotPut, Put, Wanted};

/// The runtime's door to a node.
pub type KvHandle<St> = Handle<KeyValue, KvService<St>>;

/// A node that runs. Clones are cheap and share it; when the last clone is gone, it stops.
pub struct Kv<St = MemoryStorage<Id, Pair>> {
    inner: Arc<Inner<St>>,
}

struct Inner<St> {
    handle: KvHandle<St>,
    bound: SocketAddr,
    key: Id,
    /// Finding the way in, and keeping the calendar right.
    helpers: [AbortHandle; 2],
}

impl<St> Drop for Inner<St> {
    fn drop(&mut self) {
        self.helpers.iter().for_each(AbortHandle::abort);
    }
}

impl<St> Clone for Kv<St> {
    fn clone(&self) -> Self {
        Kv { inner: Arc::clone(&self.inner) }
    }
}

impl<St> std::fmt::Debug for Kv<St> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kv {{ key: {:?}, bound: {} }}", self.inner.key, self.inner.bound)
    }
}

/// What a pinged node says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Its key.
    pub key: Id,
    /// The round trip; `None` if the ping had to be repeated.
    pub round_trip: Option<Duration>,
}

impl Kv {
    /// Starts describing a node.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A key for a new node that is to keep it: for [`Builder::key`].
    ///
    /// # Errors
    /// [`SpawnError::Random`].
    pub fn random_key() -> Result<Id, SpawnError> {
        builder::system_seed().map(Id::new)
    }
}

/// Values, by their names.
impl<St: Storage<Id, Pair> + Send + 'static> Kv<St> {
    /// Publishes a value under a name, now and once a day, in the place of any that is there. Waits for the first
    /// publish; if the node has not found its way into the network yet, that begins when it has.
    ///
    /// # Errors
    /// Why nothing was put. That nobody took it is no error but in the report.
    pub async fn put(&self, name: &str, value: impl AsRef<[u8]>) -> Result<Put, PutError> {
        self.put_version(key_of(name), value, None).await
    }

    /// [`put`](Self::put) under a key, and with a version of the caller's choice: milliseconds since 1970.
    ///
    /// # Errors
    /// Why nothing was put.
    pub async fn put_version(
        &self,
        key: Id,
        value: impl AsRef<[u8]>,
        version: Option<u64>,
    ) -> Result<Put, PutError> {
        let value = Value::new(value.as_ref())?;
        self.publish(move |service, now, done| service.put(now, key, value, version, done)).await
    }

    /// The first value found under a name; `None` if there is none, or it was removed.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, GetError> {
        let got = self.lookup_value(key_of(name), Wanted::First).await?;
        Ok(got.value().map(|value| value.as_bytes().to_vec()))
    }

    /// The newest value that the nodes close to a name's key have.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn get_newest(&self, name: &str) -> Result<Option<Vec<u8>>, GetError> {
        let got = self.lookup_value(key_of(name), Wanted::Newest).await?;
        Ok(got.value().map(|value| value.as_bytes().to_vec()))
    }

    /// Takes back the value under a name, whoever put it: this node publishes it no longer, and those who hold it are told
    /// that it is gone.
    ///
    /// # Errors
    /// Why nobody was told.
    pub async fn remove(&self, name: &str) -> Result<Put, PutError> {
        let key = key_of(name);
        self.publish(move |service, now, done| service.remove(now, key, None, done)).await
    }

    /// Publishes the value under a name no longer, and tells nobody: it is forgotten within a day. False if this node
    /// did not publish it.
    ///
    /// # Errors
    /// [`Closed`] if the node was shut down.
    pub async fn withdraw(&self, name: &str) -> Result<bool, Closed> {
        let key = key_of(name);
        self.with(move |node, _| node.service_mut().withdraw(&key)).await
    }

    async fn publish(
        &self,
        begin: impl FnOnce(&mut KvService<St>, Instant, Done<Result<Put, NotPut>>) + Send + 'static,
    ) -> Result<Put, PutError> {
        let (done, ended) = oneshot::channel();
        let done = Box::new(move |result| drop(done.send(result)));
        self.with(move |node, now| begin(node.service_mut(), now, done)).await?;
        Ok(ended.await.map_err(|_| Closed)??)
    }
}

/// The paper's procedures: lookups, and the four requests to one node.
impl<St: Storage<Id, Pair> + Send + 'static> Kv<St> {
    /// Looks for the nodes closest to a key.
    ///
    /// # Errors
    /// Why it could not be tried.
    pub async fn lookup_node(&self, target: Id) -> Result<LookupReport<Id>, RequestFailure> {
        let options = self.with(|node, _| node.service().config().effort).await?;
        let options = LookupOptions { effort: Some(options), ..LookupOptions::default() };
        let request = KeyValue::find_node(target);
        let search = self.inner.handle.lookup(self.family(), target, request, options).await?;
        Ok(search.finish().await?)
    }

    /// Looks for the value under a key, and tells all about it.
    ///
    /// # Errors
    /// Why it is not known.
    pub async fn lookup_value(&self, key: Id, wanted: Wanted) -> Result<Got, GetError> {
        let (done, ended) = oneshot::channel();
        let done = Box::new(move |result| drop(done.send(result)));
        self.with(move |node, now| node.service_mut().get(now, key, wanted, done)).await?;
        Ok(ended.await.map_err(|_| Closed)??)
    }

    /// PING to whoever is at `addr`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ping(&self, addr: SocketAddr) -> Result<Pong, RequestFailure> {
        let answered = self.inner.handle.request(addr, None, Request::Ping).await?;
        Ok(Pong { key: answered.from.key, round_trip: answered.round_trip })
    }

    /// STORE at whoever is at `addr`, after a FIND_NODE for his token. He keeps it a day; nobody publishes it again but
    /// him. `version` is in milliseconds since 1970, and by default the present.
    ///
    /// # Errors
    /// Why he did not.
    pub async fn store(
        &self,
        addr: SocketAddr,
        key: Id,
        value: impl AsRef<[u8]>,
        version: Option<u64>,
    ) -> Result<(), StoreError> {
        let value = Value::new(value.as_ref())?;
        let token = self.find_node(addr, key).await?.token().ok_or(StoreError::NoToken)?;
        let item = self.with(move |node, now| {
            let config = node.service().config();
            let version = version.unwrap_or_else(|| config.wall.millis(now));
            let life = u32::try_from(config.life.as_secs()).unwrap_or(u32::MAX);
            Versioned { version, value: Some(value), life }
        });
        let item = item.await.map_err(RequestFailure::from)?;
        self.inner.handle.request(addr, None, Request::Store { key, token, item }).await?;
        Ok(())
    }

    /// FIND_NODE to whoever is at `addr`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn find_node(&self, addr: SocketAddr, target: Id) -> Result<Response, RequestFailure> {
        Ok(self.inner.handle.request(addr, None, Request::FindNode { target }).await?.response)
    }

    /// FIND_VALUE to whoever is at `addr`.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn find_value(&self, addr: SocketAddr, key: Id) -> Result<Response, RequestFailure> {
        Ok(self.inner.handle.request(addr, None, Request::FindValue { key }).await?.response)
    }
}

/// The node.
impl<St: Storage<Id, Pair> + Send + 'static> Kv<St> {
    /// Its key.
    pub fn key(&self) -> Id {
        self.inner.key
    }

    /// The address its socket is bound to.
    pub fn local_addr(&self) -> SocketAddr {
        self.inner.bound
    }

    /// Waits until it has found its way into the network: until others know it, for the first of all.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down first.
    pub async fn bootstrapped(&self) -> Result<(), Closed> {
        self.inner.handle.bootstrapped().await
    }

    /// Who it is, whom it knows and what it holds.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn dump(&self) -> Result<NodeDump, Closed> {
        let bound = self.inner.bound;
        self.with(move |node, now| NodeDump::of(node, Some(bound), now)).await
    }

    /// What is worth keeping for the next run, for [`Builder::remember`]: its key and good contacts.
    ///
    /// # Errors
    /// [`Closed`] if it was shut down.
    pub async fn snapshot(&self) -> Result<Snapshot<Id>, Closed> {
        self.with(|node, now| node.snapshot(now)).await
    }

    /// The runtime's own door, for what has no method here.
    pub fn handle(&self) -> &KvHandle<St> {
        &self.inner.handle
    }

    /// Stops the node and waits until it has stopped. Whoever waits for something gets [`Closed`].
    pub async fn shutdown(&self) {
        self.inner.handle.shutdown().await;
    }

    fn family(&self) -> Family {
        Family::of(&self.inner.bound)
    }

    /// Runs `work` on the node.
    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Node<KeyValue, KvService<St>>, Instant) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let family = self.family();
        let work = move |shell: &mut Shell<KeyValue, KvService<St>>, now| {
            shell.stack.node_mut(family).map(|node| work(node, now))
        };
        // There is a node of the family of the address that it is bound to.
        self.inner.handle.with(work).await?.ok_or(Closed)
    }
}
