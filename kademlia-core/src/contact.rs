//! Where a node is, and who it says it is.

use core::net::SocketAddr;

use crate::key::Keyspace;

/// A node's key and the address it is reached at. Nothing says that the two belong together
/// until the node has answered from that address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Contact<K> {
    /// The node's key.
    pub key: K,
    /// Its socket address.
    pub addr: SocketAddr,
}

impl<K: Keyspace> Contact<K> {
    /// A contact from its two parts.
    pub const fn new(key: K, addr: SocketAddr) -> Self {
        Contact { key, addr }
    }
}

/// Up to `CAP` contacts held inline, so that a reply is built, sent and read without an allocation.
///
/// The default capacity holds two families' k = 8.
#[derive(Clone, Copy)]
pub struct Contacts<K, const CAP: usize = 16> {
    len: u8,
    items: [Contact<K>; CAP],
}

impl<K: Keyspace, const CAP: usize> Contacts<K, CAP> {
    const VACANT: Contact<K> = Contact {
        key: K::ZERO,
        addr: SocketAddr::new(core::net::IpAddr::V4(core::net::Ipv4Addr::UNSPECIFIED), 0),
    };

    /// An empty list.
    pub const fn new() -> Self {
        assert!(CAP <= u8::MAX as usize, "the length is kept in a byte");
        Contacts { len: 0, items: [Self::VACANT; CAP] }
    }

    /// Appends a contact; gives it back if the list is full.
    ///
    /// # Errors
    /// The contact itself, when `CAP` contacts are held already.
    pub fn push(&mut self, contact: Contact<K>) -> Result<(), Contact<K>> {
        let slot = self.items.get_mut(usize::from(self.len)).ok_or(contact)?;
        *slot = contact;
        self.len += 1;
        Ok(())
    }

    /// Empties the list.
    pub fn clear(&mut self) {
        self.len = 0;
    }
}

impl<K: Keyspace, const CAP: usize> Default for Contacts<K, CAP> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, const CAP: usize> core::ops::Deref for Contacts<K, CAP> {
    type Target = [Contact<K>];

    fn deref(&self) -> &[Contact<K>] {
        &self.items[..usize::from(self.len)]
    }
}

/// Contacts past the capacity are left out.
impl<K: Keyspace, const CAP: usize> Extend<Contact<K>> for Contacts<K, CAP> {
    fn extend<I: IntoIterator<Item = Contact<K>>>(&mut self, contacts: I) {
        for contact in contacts {
            if self.push(contact).is_err() {
                return;
            }
        }
    }
}

impl<K: Keyspace, const CAP: usize> FromIterator<Contact<K>> for Contacts<K, CAP> {
    fn from_iter<I: IntoIterator<Item = Contact<K>>>(contacts: I) -> Self {
        let mut list = Self::new();
        list.extend(contacts);
        list
    }
}

impl<K: PartialEq, const CAP: usize> PartialEq for Contacts<K, CAP> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<K: Eq, const CAP: usize> Eq for Contacts<K, CAP> {}

impl<K: core::fmt::Debug, const CAP: usize> core::fmt::Debug for Contacts<K, CAP> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn a_full_list_gives_the_contact_back_and_keeps_what_it_has() {
        let contact = |n: u8| Contact::new(Key::new([n]), SocketAddr::from(([192, 0, 2, n], 1)));
        let mut list: Contacts<Key<1>, 2> = [1, 2, 3].map(contact).into_iter().collect();
        assert_eq!(&*list, [contact(1), contact(2)]);
        assert_eq!(list.push(contact(4)), Err(contact(4)));
        list.clear();
        assert!(list.is_empty());
    }
}
