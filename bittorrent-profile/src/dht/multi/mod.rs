//! One host at several addresses (BEP 45).
//!
//! Every address has a node of its own: its own id, far from the others', its own table, transactions, token secret and
//! stores. So to others they are strangers to each other, as they should be; a reply leaves from the socket that was asked,
//! and a write token goes back by the socket it came to, because neither can get to another. Stores are not shared: whoever
//! looks for a key asks the one of us whose id is near it, and no other. What the nodes do share is whom they know.
//!
//! # Which addresses
//! One port to an IP address: others limit what they give to one, and take no second node there into their tables. Specific
//! addresses rather than `0.0.0.0` or `::`, or replies may leave from another address than was asked. For IPv6 at least one
//! in every prefix that is routed and at most one in each /64, which others count as one host; if there are several to
//! choose from there, the current temporary one (RFC 8981).
//!
//! Traffic grows with the number of addresses, and for a day or so with uptime. Take the ports out of connection tracking
//! in firewalls, and forward them statically in NATs: tables of connections overflow first.

mod advice;
mod announcement;
mod ids;

pub use advice::Advice;
pub use announcement::MultiAnnouncement;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use kademlia_core::runtime::{Closed, RequestFailure, Transport};
use kademlia_core::{Effort, Family, Key, Keyspace, LookupReport, Rng, Snapshot};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::builder::{Builder, SpawnError};
use super::{Announce, Dht, DhtState, ItemSearch, Peers, PutError, Stored, announce};
use crate::id::{InfoHash, NodeId};
use crate::item::{Item, PublicKey, Salt, mutable_target};
use crate::node_id;

/// Between the end of one node's lookup and the beginning of the next one's, where several look for the same target.
const SPACING: Duration = Duration::from_secs(5);
/// How often nodes that know few are told of others.
const SHARING: Duration = Duration::from_secs(30);
/// Contacts told at a time.
const SHARED: usize = 16;
/// Who has fewer good entries, and less than half of another's, is told of others.
const FEW: usize = 8;

/// What a snapshot of a node is: one for each family.
type Snapshots = Vec<(Family, Snapshot<Key<20>>)>;

/// Nodes at several addresses of one host. Clones are cheap and share them.
#[derive(Clone, Debug)]
pub struct MultiDht {
    nodes: Arc<Vec<Dht>>,
    rng: Arc<Mutex<Rng>>,
}

impl Builder {
    /// Starts a node on each transport, all of them described alike; see [`MultiDht`]. Each has an id of its own in each
    /// family. It fits the address where that is public, and the [given](Builder::public_ip) public one elsewhere
    /// (BEP 42); without one it is derived from the [given](Builder::node_id) or a random id, so that they differ in
    /// their leading bits. Of what was [remembered](Builder::remember), the first node
    /// takes the first snapshot of its families, the second the second, and so on.
    ///
    /// # Errors
    /// [`SpawnError`]; then none of them runs.
    pub fn spawn_many<T: Transport>(
        mut self,
        transports: impl IntoIterator<Item = T>,
    ) -> Result<MultiDht, SpawnError> {
        let mut rng = Rng::from_seed(self.take_seed()?);
        let remembered = std::mem::take(&mut self.remembered);
        let base = self.node_id.map_or_else(|| Key::random(&mut rng), Key::from);
        let (mut nodes, mut taken) = (Vec::new(), Vec::<(Family, Key<20>)>::new());
        let transports: Vec<T> = transports.into_iter().collect();
        self.siblings = transports.len();
        for (index, transport) in (0..).zip(transports) {
            let own = of_node(&remembered, index);
            let mut node = self.clone();
            for bound in transport.local_addrs()? {
                let family = Family::of(&bound);
                let others: Vec<_> =
                    taken.iter().filter(|(of, _)| *of == family).map(|(_, id)| *id).collect();
                let last = own.iter().find(|(of, _)| *of == family).map(|(_, last)| last.local);
                let last = last.filter(|id| ids::is_far(id, &others, index));
                let public = Some(bound.ip()).filter(is_public).or_else(|| self.public_ip_of(family));
                let id = match (last, public) {
                    (Some(id), Some(ip)) if node_id::verify(ip, &id) => id,
                    (Some(id), None) => id,
                    (_, Some(ip)) => ids::derive(ip, &others, &mut rng),
                    (None, None) => ids::spread(&base, index),
                };
                taken.push((family, id));
                node.own_ids.push((family, id));
            }
            nodes.push(node.remember(own).seed(rng.fork()).spawn(transport)?);
        }
        let nodes = Arc::new(nodes);
        tokio::spawn(share(Arc::downgrade(&nodes)));
        Ok(MultiDht { nodes, rng: Arc::new(Mutex::new(rng)) })
    }
}

/// The `index`th snapshot of each family.
fn of_node(remembered: &Snapshots, index: u32) -> Snapshots {
    let nth = |family| {
        let own = remembered.iter().filter(move |(of, _)| *of == family);
        own.zip(0..).find(|(_, n)| *n == index).map(|(snapshot, _)| snapshot.clone())
    };
    [Family::V4, Family::V6].into_iter().filter_map(nth).collect()
}

/// Whether others see a socket bound here at this very address.
fn is_public(ip: &IpAddr) -> bool {
    kademlia_core::Reach::Global.admits(SocketAddr::new(*ip, 1)) && !node_id::is_exempt(*ip)
}

impl MultiDht {
    /// The nodes, in the order of their transports. Whatever a node does alone goes through here.
    pub fn nodes(&self) -> &[Dht] {
        &self.nodes
    }

    /// The node that looks for `target`: of those whose link is up, the one whose id is nearest. It is the same one every
    /// time, so that no target is asked for from several sockets at once, and others' nodes there know it best.
    pub async fn nearest(&self, target: &Key<20>) -> Option<&Dht> {
        let active = self.active().await;
        let (index, _) = active.into_iter().min_by(|(_, a), (_, b)| target.cmp_distance(a, b))?;
        self.nodes.get(index)
    }

    /// A node whose link is up, at random: for what is done once, and by whom does not matter.
    pub async fn any(&self) -> Option<&Dht> {
        let active = self.active().await;
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let (index, _) = active.get(rng.below(active.len()))?;
        self.nodes.get(*index)
    }

    /// Looks for peers that share a torrent, through the [nearest](Self::nearest) node. `None` if there is no node.
    pub async fn get_peers(&self, info_hash: InfoHash) -> Option<Peers> {
        Some(self.nearest(&info_hash.into()).await?.get_peers(info_hash))
    }

    /// Announces that this host shares a torrent at all its addresses: one lookup after the other, each from its own socket
    /// with tokens of its own, and each beginning with the nodes that the ones before have found. By the number of the
    /// node, those with a link that is down left out.
    pub async fn announce_once(
        &self,
        info_hash: InfoHash,
        announce: impl Into<Announce>,
    ) -> BTreeMap<usize, Result<Stored, RequestFailure>> {
        let (announce, mut near, mut rounds) = (announce.into(), Vec::new(), BTreeMap::new());
        for (index, _) in self.active().await {
            let Some(dht) = self.nodes.get(index) else { continue };
            if !rounds.is_empty() {
                sleep(SPACING).await;
            }
            let round = announce::once_near(&dht.inner, info_hash, announce, Effort::Hardened, &near).await;
            if let Ok(stored) = &round {
                near = stored.responders().copied().collect();
            }
            rounds.insert(index, round);
        }
        rounds
    }

    /// Announces at all addresses, and again and again, until the announcement is dropped. They begin one after the other,
    /// and each goes its own way then, at times of its own.
    pub fn announce(&self, info_hash: InfoHash, announce: impl Into<Announce>) -> MultiAnnouncement {
        MultiAnnouncement::new(self.nodes.to_vec(), info_hash, announce.into())
    }

    /// Puts an item once, through [any](Self::any) node. `None` if there is no node.
    ///
    /// # Errors
    /// Why it could not be tried.
    pub async fn put(&self, item: impl Into<Item>) -> Option<Result<Stored, PutError>> {
        let item = item.into();
        Some(self.any().await?.put(item).await)
    }

    /// Looks for an immutable item through the [nearest](Self::nearest) node. `None` if there is no node.
    pub async fn get(&self, target: Key<20>) -> Option<ItemSearch> {
        Some(self.nearest(&target).await?.get(target))
    }

    /// Looks for the newest version of an owner's item through the [nearest](Self::nearest) node. `None` if there is no
    /// node.
    pub async fn get_mutable(&self, key: PublicKey, salt: Salt) -> Option<ItemSearch> {
        Some(self.nearest(&mutable_target(&key, &salt)).await?.get_mutable(key, salt))
    }

    /// The nodes closest to `target`, as the [nearest](Self::nearest) node of ours finds them.
    ///
    /// # Errors
    /// Why it could not be tried.
    pub async fn find_node(&self, target: NodeId) -> Result<Vec<LookupReport<Key<20>>>, RequestFailure> {
        self.nearest(&target.into()).await.ok_or(Closed)?.find_node(target).await
    }

    /// Waits until a node has found its way into the network.
    ///
    /// # Errors
    /// [`Closed`] if all of them were shut down first.
    pub async fn bootstrapped(&self) -> Result<(), Closed> {
        let mut waiting = JoinSet::new();
        for dht in self.nodes.iter() {
            let dht = dht.clone();
            waiting.spawn(async move { dht.bootstrapped().await });
        }
        while let Some(ended) = waiting.join_next().await {
            if matches!(ended, Ok(Ok(()))) {
                return Ok(());
            }
        }
        Err(Closed)
    }

    /// How the nodes are doing, in their order; those that were shut down are left out.
    pub async fn states(&self) -> Vec<DhtState> {
        let mut states = Vec::new();
        for dht in self.nodes.iter() {
            states.extend(dht.state().await.ok());
        }
        states
    }

    /// What is worth keeping for the next run, for [`Builder::remember`], in the order of the nodes.
    ///
    /// # Errors
    /// [`Closed`] if one was shut down.
    pub async fn snapshots(&self) -> Result<Snapshots, Closed> {
        let mut snapshots = Vec::new();
        for dht in self.nodes.iter() {
            snapshots.extend(dht.snapshots().await?);
        }
        Ok(snapshots)
    }

    /// The addresses the nodes' sockets are bound to.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.nodes.iter().flat_map(Dht::local_addrs).collect()
    }

    /// What would be better about these addresses (45.2).
    pub fn advice(&self) -> Vec<Advice> {
        advice::advise(&self.local_addrs())
    }

    /// Stops all nodes and waits until they have stopped.
    pub async fn shutdown(&self) {
        for dht in self.nodes.iter() {
            dht.shutdown().await;
        }
    }

    /// The nodes that have joined and hear others, each with an id; all of them if there is none.
    async fn active(&self) -> Vec<(usize, Key<20>)> {
        let (mut active, mut rest) = (Vec::new(), Vec::new());
        for (index, dht) in self.nodes.iter().enumerate() {
            let nodes = dht.handle().with(|shell, _| {
                let node = |node: &kademlia_core::Node<_, _>| {
                    (node.local(), node.is_bootstrapped() && !node.is_deaf())
                };
                shell.stack.nodes().map(|(_, of_family)| node(of_family)).collect::<Vec<_>>()
            });
            // Of two families, one that is up is enough.
            let best = nodes.await.unwrap_or_default().into_iter().max_by_key(|(_, up)| *up);
            if let Some((id, up)) = best {
                if up { &mut active } else { &mut rest }.push((index, id));
            }
        }
        if active.is_empty() { rest } else { active }
    }
}

/// Whom one node knows, others that know few are told of: a router may be out of reach on one link and not on another.
async fn share(nodes: Weak<Vec<Dht>>) {
    loop {
        sleep(SHARING).await;
        let Some(nodes) = nodes.upgrade() else { return };
        let mut known = Vec::new();
        for dht in nodes.iter() {
            known.push(dht.snapshots().await.unwrap_or_default());
        }
        for family in [Family::V4, Family::V6] {
            let of_family = |node: &Snapshots| {
                node.iter().find(|(of, _)| *of == family).map(|(_, snapshot)| snapshot.contacts.clone())
            };
            let contacts: Vec<_> = known.iter().map(of_family).collect();
            let Some(most) = contacts.iter().flatten().max_by_key(|contacts| contacts.len()) else {
                continue;
            };
            for (dht, own) in nodes.iter().zip(&contacts) {
                if own.as_ref().is_some_and(|own| own.len() < FEW.min(most.len() / 2)) {
                    // From all over the keyspace: the snapshot begins with those near the other's id.
                    let step = most.len().div_ceil(SHARED);
                    let _ = dht.add_contacts(most.iter().step_by(step).copied().collect()).await;
                }
            }
        }
    }
}
