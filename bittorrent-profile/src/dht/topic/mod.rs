//! Subscribing and publishing (BEP 50).

mod demux;
mod member;

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use kademlia_core::runtime::Closed;
use kademlia_core::{Instant, Key, Rng};
use tokio::sync::{oneshot, watch};

pub(super) use demux::{Demultiplexer, Lines};

use super::Dht;
use crate::item::{MutableItem, PublicKey, RawValue, Salt, SecretKey};
use crate::pubsub::{Topic, TopicNode};
use member::{Membership, State};

/// The topics that one `Dht` is in.
#[derive(Debug)]
pub(super) struct Topics {
    lines: Lines,
    members: Mutex<(BTreeMap<Key<20>, Weak<Membership>>, Rng)>,
}

impl Topics {
    pub(super) fn new(lines: Lines, seed: [u8; 32]) -> Self {
        Topics { lines, members: Mutex::new((BTreeMap::new(), Rng::from_seed(seed))) }
    }

    /// The membership that there is, or a new one.
    fn join(&self, dht: &Dht, topic: Topic) -> Arc<Membership> {
        let mut members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
        let (members, rng) = &mut *members;
        if let Some(member) = members.get(&topic.target()).and_then(Weak::upgrade) {
            return member;
        }
        members.retain(|_, member| member.strong_count() > 0);
        let member = Membership::new(dht.clone(), &self.lines, topic, Rng::from_seed(rng.fork()));
        members.insert(topic.target(), Arc::downgrade(&member));
        member
    }

    /// Has no topic have anything to do with this address any more, or has all of them treat it as any other again.
    pub(super) async fn set_blocked(&self, ip: IpAddr, is_blocked: bool) {
        let members: Vec<_> = {
            let members = self.members.lock().unwrap_or_else(PoisonError::into_inner);
            members.0.values().filter_map(Weak::upgrade).collect()
        };
        for member in members {
            // One whose node is gone hears nobody.
            let _ =
                member.commands.send(Box::new(move |node, now| node.set_blocked(now, ip, is_blocked))).await;
        }
    }
}

impl Dht {
    /// Subscribes to the item that `key` publishes under `salt`: each new version is pushed here, seconds after it was
    /// published, by others who have subscribed.
    ///
    /// This host joins an overlay of the subscribers' own, on the same socket, and announces that in the main DHT. It passes
    /// new versions on to its neighbours there, which no [read-only](super::Builder::server) node could: for a topic every
    /// node answers. One behind a NAT that lets nobody in still asks now and then, and gets versions a minute later.
    pub fn subscribe(&self, key: PublicKey, salt: Salt) -> Subscription {
        let member = self.inner.topics.join(self, Topic::new(key, salt));
        let state = member.state.clone();
        Subscription { member, state, changed: None, given: None }
    }
}

/// Why a version was not published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Only who has the secret key of the topic can.
    #[error("the topic is another key's")]
    NotTheOwner,
    /// The item is another topic's, not authentic, or not newer than the latest version: take a higher number.
    #[error("not an authentic version of this topic's that is newer than the latest")]
    NotNewer,
    /// There is no number beyond the latest version's.
    #[error("the latest version has the highest number there is")]
    NoNumber,
    /// The node has stopped.
    #[error(transparent)]
    Closed(#[from] Closed),
}

/// A subscription to a topic: a stream of its versions, each newer than the one before; the latest one known comes first. A
/// reader that falls behind misses those that are superseded meanwhile, never the latest.
///
/// When the last subscription to a topic is dropped, this host leaves it. The announcement in the main DHT is not renewed
/// then, and what others still send is not answered.
pub struct Subscription {
    member: Arc<Membership>,
    state: watch::Receiver<State>,
    changed: Option<Changed>,
    /// The version given last.
    given: Option<i64>,
}

type Changed = Pin<Box<dyn Future<Output = watch::Receiver<State>> + Send + Sync>>;

impl Subscription {
    /// The topic.
    pub fn topic(&self) -> Topic {
        self.member.topic
    }

    /// The next version; `None` when the node has stopped.
    pub async fn next(&mut self) -> Option<Arc<MutableItem>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_next(cx)).await
    }

    /// The latest version known.
    pub fn latest(&self) -> Option<Arc<MutableItem>> {
        self.state.borrow().latest.clone()
    }

    /// How many others this host knows in the topic's overlay, and would tell of a new version.
    ///
    /// # Errors
    /// [`Closed`] if the node has stopped.
    pub async fn neighbours(&self) -> Result<usize, Closed> {
        self.with(|node, _| node.neighbours().count()).await
    }

    /// Publishes a value as the next version, and gives back its number, as soon as it is on its way. Waits first until
    /// others have been looked for, so that the number is the next one.
    ///
    /// The version lives as long as a subscriber does. To keep it beyond, put it as an item of the main DHT as well.
    ///
    /// # Errors
    /// Why it was not published.
    pub async fn publish(&self, owner: &SecretKey, value: RawValue) -> Result<i64, PublishError> {
        if owner.public() != self.topic().key() {
            return Err(PublishError::NotTheOwner);
        }
        let mut state = self.state.clone();
        state.wait_for(|state| state.settled || state.latest.is_some()).await.map_err(|_| Closed)?;
        loop {
            let latest = self.with(|node, _| node.latest().map(|latest| latest.seq)).await?;
            let seq = latest.map_or(Some(1), |latest| latest.checked_add(1));
            let seq = seq.ok_or(PublishError::NoNumber)?;
            let item = MutableItem::sign(owner, self.topic().salt(), seq, value.clone());
            match self.offer(item).await {
                Ok(()) => return Ok(seq),
                // A version of the same owner's came in between.
                Err(PublishError::NotNewer) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Publishes a version that is signed already, under a number of its own.
    ///
    /// # Errors
    /// Why it was not published.
    pub async fn offer(&self, item: MutableItem) -> Result<(), PublishError> {
        let item = Arc::new(item);
        let published = self.with(move |node, now| node.publish(now, item)).await?;
        published.then_some(()).ok_or(PublishError::NotNewer)
    }

    async fn with<R: Send + 'static>(
        &self,
        work: impl FnOnce(&mut TopicNode, Instant) -> R + Send + 'static,
    ) -> Result<R, Closed> {
        let (sender, receiver) = oneshot::channel();
        let command = Box::new(move |node: &mut TopicNode, now| {
            let _ = sender.send(work(node, now));
        });
        self.member.commands.send(command).await.map_err(|_| Closed)?;
        receiver.await.map_err(|_| Closed)
    }
}

impl Stream for Subscription {
    type Item = Arc<MutableItem>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(changed) = &mut self.changed {
                self.state = ready!(changed.as_mut().poll(cx));
                self.changed = None;
            }
            let latest = self.state.borrow_and_update().latest.clone();
            if let Some(item) = latest.filter(|latest| Some(latest.seq) > self.given) {
                self.given = Some(item.seq);
                return Poll::Ready(Some(item));
            }
            if self.state.has_changed().is_err() {
                return Poll::Ready(None);
            }
            let mut state = self.state.clone();
            self.changed = Some(Box::pin(async move {
                let _ = state.changed().await;
                state
            }));
        }
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("topic", &self.member.topic).field("given", &self.given).finish()
    }
}
