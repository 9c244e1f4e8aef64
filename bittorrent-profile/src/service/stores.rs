//! The peers and the items that a node holds, in one budget of memory.

use kademlia_core::{Instant, Key, NoRoom, Rng, Storage, StorageLimits};

use crate::item::{Item, ItemStore, StoredItem};
use crate::peers::{Peer, PeerStore};

/// For so many peers of one subnet there is one item: it is ten times as long, and one subnet shall not have more than a
/// hundredth of the budget (T7).
const ITEMS_PER_PEERS: usize = 4;

/// Both stores together never hold more than `bytes` (T7). Either may use what the other leaves; when both want more, a
/// quarter is the items' and the rest the peers', and who is over his part gives way.
#[derive(Debug)]
pub(super) struct Stores<P, I> {
    peers: P,
    items: I,
    bytes: usize,
}

impl Stores<PeerStore, ItemStore> {
    pub(super) fn in_memory(limits: StorageLimits) -> Self {
        let of_items = StorageLimits { per_subnet: limits.per_subnet.div_ceil(ITEMS_PER_PEERS), ..limits };
        Self::new(PeerStore::new(limits), ItemStore::new(of_items), limits.bytes)
    }
}

impl<P: Storage<Key<20>, Peer>, I: Storage<Key<20>, StoredItem>> Stores<P, I> {
    pub(super) fn new(peers: P, items: I, bytes: usize) -> Self {
        Stores { peers, items, bytes }
    }

    pub(super) fn peers(&self) -> &P {
        &self.peers
    }

    pub(super) fn items(&self) -> &I {
        &self.items
    }

    /// The store of peers, with `local` as its center and all the room that it may have at the moment.
    pub(super) fn peers_mut(&mut self, local: Key<20>) -> &mut P {
        self.peers.recenter(local);
        self.peers.set_limit(self.peers_limit());
        &mut self.peers
    }

    /// The store of items, likewise.
    pub(super) fn items_mut(&mut self, local: Key<20>) -> &mut I {
        self.items.recenter(local);
        self.items.set_limit(self.items_limit());
        &mut self.items
    }

    pub(super) fn insert_peer(
        &mut self,
        now: Instant,
        local: Key<20>,
        target: Key<20>,
        peer: Peer,
        expires: Instant,
    ) -> Result<(), NoRoom> {
        self.peers_mut(local).insert(now, target, peer, expires)?;
        self.items.set_limit(self.items_limit());
        Ok(())
    }

    pub(super) fn insert_item(
        &mut self,
        now: Instant,
        local: Key<20>,
        item: StoredItem,
        expires: Instant,
    ) -> Result<(), NoRoom> {
        let target = item.item().target();
        self.items_mut(local).insert(now, target, item, expires)?;
        self.peers.set_limit(self.peers_limit());
        Ok(())
    }

    /// The item under `target`, if there is one.
    pub(super) fn item(&self, now: Instant, target: &Key<20>, rng: &mut Rng) -> Option<Item> {
        let mut found = Vec::new();
        self.items.read(now, target, 1, rng, &mut found);
        found.pop().map(StoredItem::into_item)
    }

    fn items_share(&self) -> usize {
        self.bytes / 4
    }

    fn peers_limit(&self) -> usize {
        self.bytes.saturating_sub(self.items.bytes()).max(self.bytes - self.items_share())
    }

    fn items_limit(&self) -> usize {
        self.bytes.saturating_sub(self.peers.bytes()).max(self.items_share())
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        kademlia_core::soonest([self.peers.next_expiry(), self.items.next_expiry()])
    }

    /// Removes what has expired, looking at about `work` records of each kind.
    pub(super) fn expire(&mut self, now: Instant, work: usize) {
        self.peers.expire(now, work);
        self.items.expire(now, work);
    }
}
