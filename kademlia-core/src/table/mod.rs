//! The routing table: verified contacts, many near the own key and few far from it.
//!
//! Buckets are those of BEP 5: one at first, split whenever the one that covers the own key is full, so that bucket i
//! holds contacts that share exactly i leading bits with the own key and the last bucket all others. The entries of
//! all buckets lie in one vector in the order of their buckets, so that an idle node costs what it knows and a walk
//! over the table is a walk over memory. Insertion moves the entries behind it, a few kilobytes.
//!
//! The one way in is [`Table::answered`]: the contact answered a request of ours from its address, so neither can be
//! forged (T3). Who is in the way of a newcomer stays if it is good, is asked first if it is questionable (the newcomer
//! waits among the replacements) and goes if it is bad. Addresses not to be spoken to, the node's own among them,
//! are filtered before they get here.

mod admission;
mod bucket;
mod diversity;
mod entry;
mod maintenance;

use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::{ControlFlow, Range};
use core::time::Duration;

pub use bucket::BucketView;
pub use entry::{Entry, Quality};
pub use maintenance::Counts;

use self::bucket::Bucket;
use self::entry::Stamp;
use crate::address::CompactAddr;
use crate::config::TableConfig;
use crate::contact::Contact;
use crate::key::Keyspace;
use crate::time::Instant;

/// The contacts a node knows. See the [module](self) for its rules.
#[derive(Clone, Debug)]
pub struct Table<K> {
    local: K,
    k: u16,
    config: TableConfig,
    /// Never empty.
    buckets: Vec<Bucket>,
    /// In the order of their buckets.
    entries: Vec<Entry<K>>,
    /// Verified contacts without a place, of all buckets.
    replacements: Vec<Entry<K>>,
}

/// What became of a contact that answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insert<K> {
    /// It is new and has a place.
    Added,
    /// It was there; its times, or its address, are now up to date.
    Updated,
    /// It has the place of this one, which was bad or is no longer found at its address.
    Replaced(Contact<K>),
    /// It is kept as a replacement.
    Waiting {
        /// The questionable entry that should be asked now: if it fails for good, its place is free.
        ask: Option<Contact<K>>,
    },
    /// It is not kept: its key or address belongs to a good entry or to ourselves, or its subnet has enough.
    Refused,
}

impl<K: Keyspace> Table<K> {
    /// An empty table around `local`. A `k` of 0 counts as 1, above 65,535 as that.
    pub fn new(local: K, k: usize, config: TableConfig) -> Self {
        Table {
            local,
            k: u16::try_from(k).unwrap_or(u16::MAX).max(1),
            config,
            buckets: alloc::vec![Bucket { len: 0, changed: Stamp::ZERO }],
            entries: Vec::new(),
            replacements: Vec::new(),
        }
    }

    /// A contact answered a request of ours from this address; `rtt` if that was a first attempt.
    pub fn answered(&mut self, now: Instant, contact: Contact<K>, rtt: Option<Duration>) -> Insert<K> {
        if contact.key == self.local {
            return Insert::Refused;
        }
        if let Some(entry) = self.find(&contact).and_then(|index| self.entries.get_mut(index)) {
            entry.answered(now, rtt);
            self.touch(now, &contact.key);
            return Insert::Updated;
        }
        let entry = Entry::new(contact, now, rtt);
        self.replacements.retain(|waiting| *waiting.key() != contact.key && waiting.addr() != entry.addr());
        // A verified answer under another key: whoever was at this address is gone (BEP 45 evicts such an entry, too).
        let stale = self.entries.iter().position(|other| other.addr() == entry.addr());
        let mut gone: Vec<Entry<K>> = stale.and_then(|index| self.take(index)).into_iter().collect();
        let insert = self.admit(now, entry, &mut gone);
        for gone in &gone {
            self.promote(now, gone.key());
        }
        match (insert, gone.last()) {
            (Insert::Added, Some(gone)) => Insert::Replaced(gone.contact()),
            _ => insert,
        }
    }

    /// A contact sent us a request. If it is known, it stays good (BEP 5); otherwise nothing happens and the answer is no.
    pub fn queried_by(&mut self, now: Instant, contact: &Contact<K>) -> bool {
        let entry = match self.find(contact) {
            Some(index) => self.entries.get_mut(index),
            None => self.replacements.iter_mut().find(|waiting| waiting.is(contact)),
        };
        entry.map(|entry| entry.queried_us(now)).is_some()
    }

    /// A keepalive was sent to the contact: it is not [`due`](Self::due) again for a while, whatever comes of it.
    pub fn asked(&mut self, now: Instant, contact: &Contact<K>) {
        if let Some(entry) = self.find(contact).and_then(|index| self.entries.get_mut(index)) {
            entry.asked(now);
        }
    }

    /// An exchange with the contact failed, all its retries included. If that makes it bad and a replacement waits,
    /// the most recently seen one takes its place and is returned. Without one it stays: a bad contact may come back.
    pub fn failed(&mut self, now: Instant, contact: &Contact<K>) -> Option<Contact<K>> {
        let Some(index) = self.find(contact) else {
            self.replacements.retain(|waiting| !waiting.is(contact));
            return None;
        };
        let entry = self.entries.get_mut(index)?;
        entry.failed(now);
        if !entry.is_bad(&self.config) {
            return None;
        }
        let bad = self.take(index)?;
        let promoted = self.promote(now, bad.key());
        if promoted.is_none() {
            self.push(bad);
        }
        promoted
    }

    /// An exchange with the contact failed, and so did all others: that says nothing of it. It is asked again soon.
    pub fn unheard(&mut self, now: Instant, contact: &Contact<K>) {
        let config = self.config;
        if let Some(entry) = self.find(contact).and_then(|index| self.entries.get_mut(index)) {
            entry.unheard(now, &config);
        }
    }

    /// Removes whoever is at `ip`, replacements too; gives back which others took their places.
    pub fn remove(&mut self, now: Instant, ip: IpAddr) -> Vec<Contact<K>> {
        let at_ip = |entry: &Entry<K>| entry.addr().get().ip() == ip;
        self.replacements.retain(|waiting| !at_ip(waiting));
        let mut promoted = Vec::new();
        while let Some(gone) = self.entries.iter().position(at_ip).and_then(|index| self.take(index)) {
            promoted.extend(self.promote(now, gone.key()));
        }
        promoted
    }

    /// Whether a sender that has not answered us yet is worth a verification ping: it is unknown, or known to have
    /// been elsewhere and now questionable, and an answer would give it a place or have a questionable entry asked.
    pub fn wants(&self, now: Instant, contact: &Contact<K>) -> bool {
        if contact.key == self.local {
            return false;
        }
        let is_good = |entry: &Entry<K>| entry.quality(now, &self.config) == Quality::Good;
        let place = match self.get(&contact.key) {
            Some(entry) => !entry.is(contact) && !is_good(entry),
            None => {
                let bucket = self.bucket_of(&contact.key);
                self.has_room(bucket)
                    || self.can_split(bucket)
                    || !self.entries_of(bucket).iter().all(is_good)
            }
        };
        let waits = |table: &Self| table.replacements.iter().any(|waiting| *waiting.key() == contact.key);
        // Whoever writes from the address of an entry under another key has perhaps changed its key (BEP 42).
        let in_the_way = |entry: &Entry<K>| is_good(entry) && entry.contact().addr != contact.addr;
        // The bucket is checked first: it is the cheap part, and a stranger's packet gets us here.
        let obstacle = |table: &Self| table.obstacle(&contact.key, CompactAddr::new(contact.addr));
        place
            && !waits(self)
            && obstacle(self).and_then(|index| self.entries.get(index)).is_none_or(|entry| !in_the_way(entry))
    }
}

/// Where things are.
impl<K: Keyspace> Table<K> {
    fn bucket_of(&self, key: &K) -> usize {
        self.local.common_prefix(key).min(self.buckets.len() - 1)
    }

    fn range(&self, bucket: usize) -> Range<usize> {
        let len = |bucket: &Bucket| usize::from(bucket.len);
        let start = self.buckets.iter().take(bucket).map(len).sum();
        start..start + self.buckets.get(bucket).map_or(0, len)
    }

    fn entries_of(&self, bucket: usize) -> &[Entry<K>] {
        &self.entries[self.range(bucket)]
    }

    fn position(&self, key: &K) -> Option<usize> {
        let range = self.range(self.bucket_of(key));
        let at = self.entries[range.clone()].iter().position(|entry| entry.key() == key)?;
        Some(range.start + at)
    }

    fn find(&self, contact: &Contact<K>) -> Option<usize> {
        self.position(&contact.key)
            .filter(|&index| self.entries.get(index).is_some_and(|entry| entry.is(contact)))
    }

    fn obstacle(&self, key: &K, addr: CompactAddr) -> Option<usize> {
        let bucket = self.range(self.bucket_of(key));
        diversity::obstacle(&self.entries, &bucket, &self.config, key, addr)
    }

    fn has_room(&self, bucket: usize) -> bool {
        self.buckets.get(bucket).is_some_and(|held| usize::from(held.len) < self.capacity(bucket))
    }

    /// Entries that may be in a bucket: k, and in the last two perhaps more.
    fn capacity(&self, bucket: usize) -> usize {
        let k = usize::from(self.k);
        if bucket + 2 < self.buckets.len() { k } else { k.max(self.config.near) }
    }

    fn can_split(&self, bucket: usize) -> bool {
        bucket + 1 == self.buckets.len() && self.buckets.len() < K::BITS
    }

    fn least_recent(&self, now: Instant, bucket: usize, quality: Quality) -> Option<usize> {
        let range = self.range(bucket);
        let entries = range.clone().zip(&self.entries[range]);
        let alike = entries.filter(|(_, entry)| entry.quality(now, &self.config) == quality);
        alike.min_by_key(|(_, entry)| entry.seen()).map(|(index, _)| index)
    }

    fn touch(&mut self, now: Instant, key: &K) {
        let bucket = self.bucket_of(key);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.changed = Stamp::new(now);
        }
    }

    /// Appends to the entry's bucket, which has room.
    fn push(&mut self, entry: Entry<K>) {
        let bucket = self.bucket_of(entry.key());
        let end = self.range(bucket).end;
        grow(&mut self.entries);
        self.entries.insert(end, entry);
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.len += 1;
        }
    }

    fn take(&mut self, index: usize) -> Option<Entry<K>> {
        let bucket = self.bucket_of(self.entries.get(index)?.key());
        if let Some(bucket) = self.buckets.get_mut(bucket) {
            bucket.len -= 1;
        }
        Some(self.entries.remove(index))
    }
}

/// Makes room for one more in steps of an eighth: doubling would leave half of an idle node's memory unused.
fn grow<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact((list.len() / 8).max(4));
    }
}

/// Reading.
impl<K: Keyspace> Table<K> {
    /// The own key.
    pub fn local(&self) -> K {
        self.local
    }

    /// Number of entries, of any quality; replacements do not count.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Number of buckets, at least 1.
    pub fn depth(&self) -> usize {
        self.buckets.len()
    }

    /// The entry with this key.
    pub fn get(&self, key: &K) -> Option<&Entry<K>> {
        self.position(key).and_then(|index| self.entries.get(index))
    }

    /// Whether there is an entry with this key and this address.
    pub fn contains(&self, contact: &Contact<K>) -> bool {
        self.find(contact).is_some()
    }

    /// The up to `n` good entries closest to `target`, nearest first, without `except`: what is handed out (BEP 5).
    pub fn closest_good(
        &self,
        now: Instant,
        target: &K,
        n: usize,
        except: Option<K>,
        out: &mut impl Extend<Contact<K>>,
    ) {
        let is_good = |entry: &Entry<K>| entry.quality(now, &self.config) == Quality::Good;
        self.nearest(target, n, |entry| is_good(entry) && Some(*entry.key()) != except, out);
    }

    /// The up to `n` entries closest to `target` that are not bad, nearest first: where own lookups start.
    pub fn closest(&self, now: Instant, target: &K, n: usize, out: &mut impl Extend<Contact<K>>) {
        self.nearest(target, n, |entry| entry.quality(now, &self.config) != Quality::Bad, out);
    }

    fn nearest(
        &self,
        target: &K,
        n: usize,
        eligible: impl Fn(&Entry<K>) -> bool,
        out: &mut impl Extend<Contact<K>>,
    ) {
        let mut left = n;
        let _ = bucket::by_distance(&self.local, target, &self.buckets, &self.entries, |entries| {
            left -= bucket::nearest(entries, target, left, &eligible, out);
            if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    }

    /// All entries, in the order of their buckets.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<K>> {
        self.entries.iter()
    }

    /// The buckets, farthest first.
    pub fn buckets(&self) -> impl Iterator<Item = BucketView<'_, K>> {
        let mut rest = self.entries.as_slice();
        self.buckets.iter().enumerate().map(move |(index, bucket)| {
            let (entries, deeper) = rest.split_at(bucket.len.into());
            rest = deeper;
            BucketView { index, changed: bucket.changed.instant(), entries }
        })
    }
}

#[cfg(test)]
mod tests;
