//! Items held for others.

use core::net::IpAddr;

use kademlia_core::{Key, MemoryStorage, Record};

use crate::item::{Item, MutableItem};

/// The items in memory, one under each target.
pub type ItemStore = MemoryStorage<Key<20>, StoredItem>;

/// An item, and who put it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredItem {
    item: Item,
    source: IpAddr,
}

impl StoredItem {
    /// `item` as received from `source`, whom it counts against.
    pub const fn new(item: Item, source: IpAddr) -> Self {
        StoredItem { item, source }
    }

    /// The item.
    pub const fn item(&self) -> &Item {
        &self.item
    }

    /// The item alone.
    pub fn into_item(self) -> Item {
        self.item
    }
}

impl Record for StoredItem {
    /// A target has one item.
    type Slot = ();

    fn slot(&self) {}

    fn source(&self) -> IpAddr {
        self.source
    }

    fn heap_bytes(&self) -> usize {
        let of_its_own = match self.item {
            Item::Immutable(_) => 0,
            Item::Mutable(_) => 2 * size_of::<usize>() + size_of::<MutableItem>(),
        };
        of_its_own + self.item.value().heap_bytes()
    }
}
