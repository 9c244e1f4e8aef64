//! Finding a place for a contact that has answered: in its bucket, or among those that wait for one.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::bucket::Bucket;
use super::entry::{Entry, Quality};
use super::{Insert, Table, diversity, grow};
use crate::contact::Contact;
use crate::key::Keyspace;
use crate::time::Instant;

impl<K: Keyspace> Table<K> {
    /// Gives `entry`, whose contact is not in the table, the place it deserves. Its key may be, at another address.
    /// Who had to leave because of its address is appended to `gone`.
    pub(super) fn admit(&mut self, now: Instant, entry: Entry<K>, gone: &mut Vec<Entry<K>>) -> Insert<K> {
        let moved = self.get(entry.key()).copied();
        if moved.is_some_and(|old| old.quality(now, &self.config) == Quality::Good) {
            return Insert::Refused;
        }
        while let Some(index) = self.obstacle(entry.key(), entry.addr()) {
            let Some(obstacle) = self.entries.get(index) else {
                break;
            };
            let ask = Some(obstacle.contact());
            match obstacle.quality(now, &self.config) {
                Quality::Questionable if moved.is_none() => {
                    self.wait(entry);
                    return Insert::Waiting { ask };
                }
                Quality::Good | Quality::Questionable => return Insert::Refused,
                Quality::Bad => gone.extend(self.take(index)),
            }
        }
        let old = self.position(entry.key()).and_then(|index| self.entries.get_mut(index));
        let insert = match old {
            Some(old) => {
                *old = entry;
                Insert::Updated
            }
            None => self.place(now, entry),
        };
        if !matches!(insert, Insert::Waiting { .. }) {
            self.touch(now, entry.key());
        }
        insert
    }

    /// Puts a newcomer into its bucket: into a free place, that of a bad entry or one made by splitting, in this order.
    fn place(&mut self, now: Instant, entry: Entry<K>) -> Insert<K> {
        let bucket = self.bucket_of(entry.key());
        if !self.has_room(bucket)
            && let Some(bad) =
                self.least_recent(now, bucket, Quality::Bad).and_then(|index| self.entries.get_mut(index))
        {
            return Insert::Replaced(core::mem::replace(bad, entry).contact());
        }
        if self.make_room(entry.key()) {
            self.push(entry);
            return Insert::Added;
        }
        let bucket = self.bucket_of(entry.key());
        let ask =
            self.least_recent(now, bucket, Quality::Questionable).and_then(|index| self.entries.get(index));
        let ask = ask.map(Entry::contact);
        self.wait(entry);
        Insert::Waiting { ask }
    }

    /// Takes the worst out of a bucket that holds more than it may: the bad, and then those not seen for the longest.
    fn shrink(&mut self, bucket: usize) {
        while self.range(bucket).len() > self.capacity(bucket) {
            let range = self.range(bucket);
            let entries = range.clone().zip(&self.entries[range]);
            let worst = entries.max_by_key(|(_, entry)| (entry.is_bad(&self.config), Reverse(entry.seen())));
            let Some(index) = worst.map(|(index, _)| index) else { return };
            if let Some(entry) = self.take(index).filter(|entry| !entry.is_bad(&self.config)) {
                self.wait(entry);
            }
        }
    }

    /// Splits the last bucket for as long as that may help `key`. Only the own bucket is ever split (BEP 5).
    pub(super) fn make_room(&mut self, key: &K) -> bool {
        loop {
            let bucket = self.bucket_of(key);
            if self.has_room(bucket) {
                return true;
            }
            if !self.can_split(bucket) {
                return false;
            }
            let entries = self.range(bucket);
            let tail = &mut self.entries[entries];
            tail.sort_by_key(|entry| self.local.common_prefix(entry.key()) > bucket);
            let stay = tail.iter().filter(|entry| self.local.common_prefix(entry.key()) == bucket).count();
            let stay = u16::try_from(stay).unwrap_or(u16::MAX);
            if let Some(shallow) = self.buckets.last_mut() {
                let deep = Bucket { len: shallow.len - stay, changed: shallow.changed };
                shallow.len = stay;
                self.buckets.push(deep);
            }
            // It was the sibling of the bucket that is split now, and is no longer near.
            if let Some(former) = bucket.checked_sub(1) {
                self.shrink(former);
            }
        }
    }

    /// Keeps a verified contact that has no place now. The oldest give way.
    pub(super) fn wait(&mut self, entry: Entry<K>) {
        if self.config.one_per_ip {
            self.replacements.retain(|waiting| !diversity::same_ip(waiting.addr(), entry.addr()));
        }
        grow(&mut self.replacements);
        self.replacements.push(entry);
        let bucket = self.bucket_of(entry.key());
        if self.config.per_subnet_in_bucket != 0 {
            let limit = self.config.per_subnet_in_bucket;
            self.thin(bucket, limit, |waiting| diversity::same_subnet(waiting.addr(), entry.addr()));
        }
        self.thin(bucket, self.config.replacements, |_| true);
    }

    /// Drops the least recently seen of a bucket's replacements that are `like` one another down to `limit`.
    fn thin(&mut self, bucket: usize, limit: usize, like: impl Fn(&Entry<K>) -> bool) {
        loop {
            let waiting = self.replacements.iter().enumerate();
            let alike =
                waiting.filter(|(_, waiting)| self.bucket_of(waiting.key()) == bucket && like(waiting));
            if alike.clone().count() <= limit {
                return;
            }
            if let Some((oldest, _)) = alike.min_by_key(|(_, waiting)| waiting.seen()) {
                self.replacements.remove(oldest);
            }
        }
    }

    /// Gives a free place in the bucket of `key` to the most recently seen replacement that may have it.
    pub(super) fn promote(&mut self, now: Instant, key: &K) -> Option<Contact<K>> {
        let bucket = self.bucket_of(key);
        if !self.has_room(bucket) {
            return None;
        }
        let waiting = self.replacements.iter().enumerate();
        let (index, _) = waiting
            .filter(|(_, waiting)| self.bucket_of(waiting.key()) == bucket)
            .filter(|(_, waiting)| self.obstacle(waiting.key(), waiting.addr()).is_none())
            .max_by_key(|(_, waiting)| waiting.seen())?;
        let entry = self.replacements.remove(index);
        self.push(entry);
        self.touch(now, entry.key());
        Some(entry.contact())
    }
}
