//! A table that does everything the long way: one list, no order, a scan for every question.

use core::cmp::Reverse;

use super::*;
use crate::address::subnet;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Known<const N: usize> {
    pub(super) contact: Contact<Key<N>>,
    pub(super) failures: u8,
    pub(super) seen: Instant,
    pub(super) checked: Instant,
}

#[derive(Debug)]
pub(super) struct Model<const N: usize> {
    pub(super) local: Key<N>,
    pub(super) k: usize,
    pub(super) config: TableConfig,
    pub(super) depth: usize,
    pub(super) entries: Vec<Known<N>>,
    pub(super) waiting: Vec<Known<N>>,
}

impl<const N: usize> Model<N> {
    pub(super) fn new(local: Key<N>, k: usize, config: TableConfig) -> Self {
        Model { local, k, config, depth: 1, entries: Vec::new(), waiting: Vec::new() }
    }

    pub(super) fn bucket(&self, key: &Key<N>) -> usize {
        self.local.common_prefix(key).min(self.depth - 1)
    }

    fn mates(&self, key: &Key<N>) -> Vec<Known<N>> {
        let in_bucket = |known: &&Known<N>| self.bucket(&known.contact.key) == self.bucket(key);
        self.entries.iter().filter(in_bucket).copied().collect()
    }

    pub(super) fn quality(&self, known: &Known<N>, now: Instant) -> Quality {
        if known.failures >= self.config.bad_after {
            Quality::Bad
        } else if known.failures > 0 || now.since(known.seen) > self.config.good_for {
            Quality::Questionable
        } else {
            Quality::Good
        }
    }

    fn get(&self, key: &Key<N>) -> Option<Known<N>> {
        self.entries.iter().find(|known| known.contact.key == *key).copied()
    }

    fn remove(&mut self, key: &Key<N>) {
        self.entries.retain(|known| known.contact.key != *key);
    }

    fn obstacle(&self, contact: &Contact<Key<N>>) -> Option<Known<N>> {
        let ip = contact.addr.ip();
        let others = |list: &[Known<N>]| -> Vec<Known<N>> {
            list.iter().filter(|known| known.contact.key != contact.key).copied().collect()
        };
        let crowd = |list: Vec<Known<N>>, limit: usize| {
            let near =
                others(&list).into_iter().filter(|known| subnet(known.contact.addr.ip()) == subnet(ip));
            let full = limit != 0 && near.clone().count() >= limit;
            near.min_by_key(|known| (Reverse(known.failures), known.seen)).filter(|_| full)
        };
        let at_address = |known: &Known<N>| {
            known.contact.addr == contact.addr || (self.config.one_per_ip && known.contact.addr.ip() == ip)
        };
        let holder = others(&self.entries).into_iter().find(at_address);
        holder
            .or_else(|| crowd(self.mates(&contact.key), self.config.per_subnet_in_bucket))
            .or_else(|| crowd(self.entries.clone(), self.config.per_subnet))
    }

    pub(super) fn capacity(&self, bucket: usize) -> usize {
        if bucket + 2 < self.depth { self.k } else { self.k.max(self.config.near) }
    }

    fn is_full(&self, key: &Key<N>) -> bool {
        self.mates(key).len() == self.capacity(self.bucket(key))
    }

    fn room(&mut self, key: &Key<N>) -> bool {
        while self.is_full(key) {
            if self.bucket(key) + 1 != self.depth || self.depth == Key::<N>::BITS {
                return false;
            }
            self.depth += 1;
            if self.depth > 2 {
                self.shrink(self.depth - 3);
            }
        }
        true
    }

    fn shrink(&mut self, bucket: usize) {
        let mut mates = self.entries.clone();
        mates.retain(|known| self.bucket(&known.contact.key) == bucket);
        mates.sort_by_key(|known| (known.failures >= self.config.bad_after, Reverse(known.seen)));
        let surplus = mates.split_off(self.k.min(mates.len()));
        for known in surplus.into_iter().rev() {
            self.remove(&known.contact.key);
            if known.failures < self.config.bad_after {
                self.wait(known);
            }
        }
    }

    fn wait(&mut self, known: Known<N>) {
        let ip = known.contact.addr.ip();
        if self.config.one_per_ip {
            self.waiting.retain(|other| other.contact.addr.ip() != ip);
        }
        self.waiting.push(known);
        let per_subnet = match self.config.per_subnet_in_bucket {
            0 => usize::MAX,
            limit => limit,
        };
        self.thin(&known, per_subnet, |other| subnet(other.contact.addr.ip()) == subnet(ip));
        self.thin(&known, self.config.replacements, |_| true);
    }

    fn thin(&mut self, like: &Known<N>, limit: usize, alike: impl Fn(&Known<N>) -> bool) {
        let bucket = self.bucket(&like.contact.key);
        let mut group = self.waiting.clone();
        group.retain(|known| self.bucket(&known.contact.key) == bucket && alike(known));
        group.sort_by_key(|known| Reverse(known.seen));
        for surplus in group.iter().skip(limit) {
            self.waiting.retain(|known| known != surplus);
        }
    }

    fn promote(&mut self, key: &Key<N>) -> Option<Contact<Key<N>>> {
        if self.is_full(key) {
            return None;
        }
        let fits = |known: &&Known<N>| {
            self.bucket(&known.contact.key) == self.bucket(key) && self.obstacle(&known.contact).is_none()
        };
        let next = *self.waiting.iter().filter(fits).max_by_key(|known| known.seen)?;
        self.waiting.retain(|known| *known != next);
        self.entries.push(next);
        Some(next.contact)
    }

    pub(super) fn answered(&mut self, now: Instant, contact: Contact<Key<N>>) -> Insert<Key<N>> {
        let fresh = Known { contact, failures: 0, seen: now, checked: now };
        if contact.key == self.local {
            return Insert::Refused;
        }
        if let Some(known) = self.entries.iter_mut().find(|known| known.contact == contact) {
            *known = fresh;
            return Insert::Updated;
        }
        self.waiting.retain(|known| known.contact.key != contact.key && known.contact.addr != contact.addr);
        let stale = self.entries.iter().find(|known| known.contact.addr == contact.addr).copied();
        if let Some(stale) = stale {
            self.remove(&stale.contact.key);
        }
        let mut freed = Vec::from_iter(stale);
        let insert = self.admit(now, fresh, &mut freed);
        for gone in &freed {
            self.promote(&gone.contact.key);
        }
        match (insert, freed.last()) {
            (Insert::Added, Some(gone)) => Insert::Replaced(gone.contact),
            _ => insert,
        }
    }

    fn admit(&mut self, now: Instant, fresh: Known<N>, freed: &mut Vec<Known<N>>) -> Insert<Key<N>> {
        let key = fresh.contact.key;
        let moved = self.get(&key);
        if moved.is_some_and(|old| self.quality(&old, now) == Quality::Good) {
            return Insert::Refused;
        }
        while let Some(obstacle) = self.obstacle(&fresh.contact) {
            match self.quality(&obstacle, now) {
                Quality::Bad => {
                    self.remove(&obstacle.contact.key);
                    freed.push(obstacle);
                }
                Quality::Questionable if moved.is_none() => {
                    self.wait(fresh);
                    return Insert::Waiting { ask: Some(obstacle.contact) };
                }
                _ => return Insert::Refused,
            }
        }
        if moved.is_some() {
            self.remove(&key);
            self.entries.push(fresh);
            return Insert::Updated;
        }
        let least_recent = |model: &Self, quality| {
            let mates = model.mates(&key).into_iter().filter(|known| model.quality(known, now) == quality);
            mates.min_by_key(|known| known.seen)
        };
        if self.is_full(&key)
            && let Some(bad) = least_recent(self, Quality::Bad)
        {
            self.remove(&bad.contact.key);
            self.entries.push(fresh);
            return Insert::Replaced(bad.contact);
        }
        if self.room(&key) {
            self.entries.push(fresh);
            return Insert::Added;
        }
        let ask = least_recent(self, Quality::Questionable).map(|known| known.contact);
        self.wait(fresh);
        Insert::Waiting { ask }
    }

    pub(super) fn failed(&mut self, now: Instant, contact: &Contact<Key<N>>) -> Option<Contact<Key<N>>> {
        self.waiting.retain(|known| known.contact != *contact);
        let known = self.entries.iter_mut().find(|known| known.contact == *contact)?;
        known.failures += 1;
        known.checked = now;
        let bad = *known;
        if bad.failures < self.config.bad_after {
            return None;
        }
        self.remove(&contact.key);
        let promoted = self.promote(&contact.key);
        if promoted.is_none() {
            self.entries.push(bad);
        }
        promoted
    }

    pub(super) fn wants(&self, now: Instant, contact: &Contact<Key<N>>) -> bool {
        let is_good = |known: &Known<N>| self.quality(known, now) == Quality::Good;
        let waits = self.waiting.iter().any(|known| known.contact.key == contact.key);
        let mates = self.mates(&contact.key);
        let splits = self.bucket(&contact.key) + 1 == self.depth && self.depth < Key::<N>::BITS;
        let place = match self.get(&contact.key) {
            Some(known) => known.contact.addr != contact.addr && !is_good(&known),
            None => splits || !self.is_full(&contact.key) || mates.iter().any(|known| !is_good(known)),
        };
        contact.key != self.local
            && !waits
            && place
            && !self
                .obstacle(contact)
                .is_some_and(|known| is_good(&known) && known.contact.addr != contact.addr)
    }

    pub(super) fn rename(&mut self, local: Key<N>) {
        self.local = local;
        self.depth = 1;
        let mut all = core::mem::take(&mut self.entries);
        let mut waiting = core::mem::take(&mut self.waiting);
        all.sort_by_key(|known| (known.failures >= self.config.bad_after, Reverse(known.seen)));
        waiting.sort_by_key(|known| Reverse(known.seen));
        all.append(&mut waiting);
        all.retain(|known| known.contact.key != local);
        for known in all {
            if self.room(&known.contact.key) && self.obstacle(&known.contact).is_none() {
                self.entries.push(known);
            } else if known.failures < self.config.bad_after {
                self.wait(known);
            }
        }
    }

    /// The contacts of the given qualities, nearest to the target first.
    pub(super) fn sorted(&self, now: Instant, target: &Key<N>, worst: Quality) -> Vec<Contact<Key<N>>> {
        let fit = self.entries.iter().filter(|known| self.quality(known, now) <= worst);
        let mut contacts: Vec<_> = fit.map(|known| known.contact).collect();
        contacts.sort_by_key(|contact| contact.key.distance(target));
        contacts
    }
}
