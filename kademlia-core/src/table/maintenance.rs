//! Keeping the table fresh, moving it to another key, and looking after it.

use alloc::vec::Vec;
use core::cmp::Reverse;

use super::bucket::Bucket;
use super::entry::{Entry, Quality, Stamp};
use super::{Table, diversity};
use crate::contact::Contact;
use crate::key::Keyspace;
use crate::rng::Rng;
use crate::time::Instant;

/// How many contacts a table holds, by quality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Good entries.
    pub good: usize,
    /// Questionable entries.
    pub questionable: usize,
    /// Bad entries.
    pub bad: usize,
    /// Verified contacts that wait for a place.
    pub replacements: usize,
}

impl Counts {
    /// Entries that are not bad.
    pub fn alive(&self) -> usize {
        self.good + self.questionable
    }
}

impl<K: Keyspace> Table<K> {
    /// The entry that should be asked whether it is still there: the one that fell due first. It falls due
    /// [`keepalive`](crate::TableConfig::keepalive) after it was last [`asked`](Self::asked), answered or failed;
    /// much sooner while in doubt; ever later once bad.
    pub fn due(&self, now: Instant) -> Option<Contact<K>> {
        let (at, entry) = self.first_due()?;
        (at <= now).then(|| entry.contact())
    }

    /// The entry that falls [`due`](Self::due) first, even if it is not yet.
    pub fn upcoming(&self) -> Option<Contact<K>> {
        self.first_due().map(|(_, entry)| entry.contact())
    }

    fn first_due(&self) -> Option<(Instant, &Entry<K>)> {
        let entries = self.entries.iter().filter_map(|entry| Some((entry.due(&self.config)?, entry)));
        entries.min_by_key(|&(at, _)| at)
    }

    /// An entry at random, due or not: good for finding out whether anybody is there at all.
    pub fn anybody(&self, rng: &mut Rng) -> Option<Contact<K>> {
        self.entries.get(rng.below(self.entries.len())).map(Entry::contact)
    }

    /// Makes every entry that is not good [`due`](Self::due): after a long silence, some may be back.
    pub fn doubt(&mut self, now: Instant) {
        for entry in &mut self.entries {
            if entry.quality(now, &self.config) != Quality::Good {
                entry.doubt();
            }
        }
    }

    /// When [`due`](Self::due) will next name an entry.
    pub fn next_due(&self) -> Option<Instant> {
        self.entries.iter().filter_map(|entry| entry.due(&self.config)).min()
    }

    /// A random key in the range of the bucket that has been unchanged the longest, if that is longer than
    /// [`refresh`](crate::TableConfig::refresh) (BEP 5). The bucket counts as changed now. A table without
    /// entries has nobody to ask and no need of it.
    pub fn refresh(&mut self, now: Instant, rng: &mut Rng) -> Option<K> {
        let at = self.next_refresh().filter(|&at| at <= now)?;
        let last = self.buckets.len() - 1;
        let index =
            self.buckets.iter().position(|bucket| bucket.changed.after(self.config.refresh) == Some(at))?;
        self.buckets.get_mut(index)?.changed = Stamp::new(now);
        let own = index == last;
        Some(if own { self.local.random_within(index, rng) } else { self.local.random_beside(index, rng) })
    }

    /// When [`refresh`](Self::refresh) will next name a key.
    pub fn next_refresh(&self) -> Option<Instant> {
        let stale = self.buckets.iter().filter_map(|bucket| bucket.changed.after(self.config.refresh)).min();
        stale.filter(|_| !self.is_empty())
    }

    /// Takes another own key and puts every contact where it belongs now (T15). Where there are too many for a bucket,
    /// the most recently seen stay and the others wait as replacements; who has the new key is dropped.
    pub fn rename(&mut self, now: Instant, local: K) {
        if local == self.local {
            return;
        }
        self.local = local;
        self.buckets.clear();
        self.buckets.push(Bucket { len: 0, changed: Stamp::new(now) });
        let mut entries = core::mem::take(&mut self.entries);
        let mut waiting = core::mem::take(&mut self.replacements);
        entries.sort_by_key(|entry| (entry.is_bad(&self.config), Reverse(entry.seen())));
        waiting.sort_by_key(|entry| Reverse(entry.seen()));
        for entry in entries.into_iter().chain(waiting).filter(|entry| *entry.key() != local) {
            if self.make_room(entry.key()) && self.obstacle(entry.key(), entry.addr()).is_none() {
                self.push(entry);
            } else if !entry.is_bad(&self.config) {
                self.wait(entry);
            }
        }
    }

    /// Entries by quality at `now`.
    pub fn counts(&self, now: Instant) -> Counts {
        let mut counts = Counts { replacements: self.replacements.len(), ..Counts::default() };
        for entry in &self.entries {
            match entry.quality(now, &self.config) {
                Quality::Good => counts.good += 1,
                Quality::Questionable => counts.questionable += 1,
                Quality::Bad => counts.bad += 1,
            }
        }
        counts
    }

    /// Bytes held on the heap.
    pub fn memory(&self) -> usize {
        (self.entries.capacity() + self.replacements.capacity()) * size_of::<Entry<K>>()
            + self.buckets.capacity() * size_of::<Bucket>()
    }

    /// Checks the table's invariants (P8, P10, P12), in time quadratic in its size: for tests and simulations.
    ///
    /// # Errors
    /// The first rule found broken.
    pub fn check(&self) -> Result<(), &'static str> {
        let rule = |holds: bool, broken: &'static str| if holds { Ok(()) } else { Err(broken) };
        rule((1..=K::BITS).contains(&self.buckets.len()), "the number of buckets is out of range")?;
        let lens: usize = self.buckets.iter().map(|bucket| usize::from(bucket.len)).sum();
        rule(lens == self.entries.len(), "the buckets do not add up to the entries")?;
        for bucket in self.buckets() {
            rule(bucket.entries.len() <= self.capacity(bucket.index), "a bucket holds more than it may")?;
            let in_place = |entry: &Entry<K>| self.bucket_of(entry.key()) == bucket.index;
            rule(bucket.entries.iter().all(in_place), "an entry is in the wrong bucket")?;
        }
        let everyone: Vec<&Entry<K>> = self.entries.iter().chain(&self.replacements).collect();
        for (index, entry) in everyone.iter().enumerate() {
            rule(*entry.key() != self.local, "the own key is in the table")?;
            let unique = everyone[..index].iter().all(|other| other.key() != entry.key());
            rule(unique, "a key is in the table twice")?;
        }
        for entry in &self.entries {
            rule(!self.is_crowded(entry), "an IP address or a subnet has too many entries")?;
        }
        let waiting =
            |index| self.replacements.iter().filter(move |entry| self.bucket_of(entry.key()) == index);
        let bounded = (0..self.buckets.len()).all(|index| waiting(index).count() <= self.config.replacements);
        rule(bounded, "too many replacements wait for one bucket")
    }

    /// Whether more entries share this one's address or subnet, itself included, than may.
    fn is_crowded(&self, entry: &Entry<K>) -> bool {
        let exceeds = |count: usize, limit: usize| limit != 0 && count > limit;
        let alike = |other: &&Entry<K>| diversity::same_subnet(other.addr(), entry.addr());
        let bucket = self.entries_of(self.bucket_of(entry.key()));
        let at_address = self.entries.iter().filter(|other| other.addr() == entry.addr()).count();
        let at_ip =
            self.entries.iter().filter(|other| diversity::same_ip(other.addr(), entry.addr())).count();
        at_address > 1
            || (self.config.one_per_ip && at_ip > 1)
            || exceeds(bucket.iter().filter(alike).count(), self.config.per_subnet_in_bucket)
            || exceeds(self.entries.iter().filter(alike).count(), self.config.per_subnet)
    }
}
