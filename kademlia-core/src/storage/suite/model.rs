//! A store as a list of records, every figure counted afresh whenever it is asked for.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::net::IpAddr;

use super::{Note, store_key};
use crate::key::Key;
use crate::storage::counts::{source, subnet};
use crate::storage::{NoRoom, Placed, Storage, StorageLimits};
use crate::time::Instant;

/// What a store accounts with, in bytes, measured on the store.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tariff {
    key: usize,
    record: usize,
    source: usize,
    subnet: usize,
}

impl Tariff {
    /// An empty store without limits is filled with four records.
    pub(super) fn of(mut store: impl Storage<Key<1>, Note>) -> Self {
        let hosts = [1, 2].map(|host| IpAddr::from([192, 0, 2, host]));
        let mut last = 0;
        let [first, record, key_and_record, source_and_record] =
            [(0, 0, hosts[0]), (0, 1, hosts[0]), (1, 0, hosts[0]), (1, 1, hosts[1])].map(
                |(key, slot, from)| {
                    let placed =
                        store.insert(Instant::ZERO, store_key(key), Note::new(slot, from), Instant::NEVER);
                    assert_eq!(placed, Ok(Placed::New));
                    store.bytes() - core::mem::replace(&mut last, store.bytes())
                },
            );
        let (key, source) = (key_and_record - record, source_and_record - record);
        Tariff { key, record, source, subnet: first - key_and_record - source }
    }

    /// What a key with one record from a host of its own takes.
    pub(super) fn one(&self) -> usize {
        self.key + self.record + self.source + self.subnet
    }
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) limits: StorageLimits,
    pub(super) center: u8,
    tariff: Tariff,
    /// In the order of keys and slots.
    held: Vec<(u8, Note, Instant)>,
}

impl Model {
    pub(super) fn new(limits: StorageLimits, tariff: Tariff) -> Self {
        Model { limits, center: 0, tariff, held: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn keys(&self) -> BTreeSet<u8> {
        self.held.iter().map(|(key, ..)| *key).collect()
    }

    pub(super) fn under(&self, key: u8) -> impl Iterator<Item = &(u8, Note, Instant)> {
        self.held.iter().filter(move |held| held.0 == key)
    }

    pub(super) fn live(&self, now: Instant, key: u8) -> Vec<Note> {
        self.under(key).filter(|(_, _, expires)| *expires > now).map(|(_, note, _)| note.clone()).collect()
    }

    pub(super) fn first_expiry(&self) -> Option<Instant> {
        self.held.iter().map(|(_, _, expires)| *expires).min()
    }

    pub(super) fn bytes(&self) -> usize {
        let groups = |group: fn(IpAddr) -> IpAddr| {
            self.held.iter().map(|(_, note, _)| group(note.source)).collect::<BTreeSet<_>>().len()
        };
        let counts = groups(source) * self.tariff.source + groups(subnet) * self.tariff.subnet;
        self.keys().into_iter().map(|key| self.weight(key)).sum::<usize>() + counts
    }

    /// Whether nobody holds more than the limits allow.
    pub(super) fn is_fair(&self) -> bool {
        let within = |limit, counted: &dyn Fn(&(u8, Note, Instant)) -> usize| {
            self.held.iter().all(|held| limit == 0 || counted(held) <= limit)
        };
        within(self.limits.per_key, &|held| self.under(held.0).count())
            && within(self.limits.per_source, &|held| self.counted(held.1.source, source))
            && within(self.limits.per_subnet, &|held| self.counted(held.1.source, subnet))
    }

    pub(super) fn insert(
        &mut self,
        now: Instant,
        key: u8,
        note: &Note,
        expires: Instant,
    ) -> Result<Placed, NoRoom> {
        self.held.retain(|(held_key, _, expires)| *held_key != key || *expires > now);
        let replaced = self.under(key).find(|(_, held, _)| held.slot == note.slot).map(|held| held.1.source);
        if replaced.is_none_or(|old| source(old) != source(note.source)) {
            if self.counted(note.source, source) >= self.limits.per_source {
                return Err(NoRoom::Source);
            }
            if self.counted(note.source, subnet) >= self.limits.per_subnet {
                return Err(NoRoom::Subnet);
            }
        }
        if replaced.is_none() && self.under(key).count() >= self.limits.per_key {
            return Err(NoRoom::Key);
        }
        let mut with = self.with(key, note, expires);
        let farther = self.keys().into_iter().filter(|far| far ^ self.center > key ^ self.center);
        let freeable: usize = farther.map(|far| self.weight(far)).sum();
        if with.bytes().saturating_sub(self.limits.bytes) > freeable {
            return Err(NoRoom::Bytes);
        }
        with.shrink();
        *self = with;
        Ok(if replaced.is_some() { Placed::Renewed } else { Placed::New })
    }

    pub(super) fn remove(&mut self, key: u8, slot: u8) -> bool {
        let before = self.held.len();
        self.held.retain(|held| (held.0, held.1.slot) != (key, slot));
        self.held.len() < before
    }

    pub(super) fn expire(&mut self, now: Instant) {
        self.held.retain(|(_, _, expires)| *expires > now);
    }

    /// The eviction rule: of the key farthest from the center the record in the last slot, until the rest fits.
    pub(super) fn shrink(&mut self) {
        while self.bytes() > self.limits.bytes {
            let farthest = self.keys().into_iter().max_by_key(|key| key ^ self.center);
            let Some(last) = self.held.iter().rposition(|held| Some(held.0) == farthest) else {
                return;
            };
            self.held.remove(last);
        }
    }

    fn weight(&self, key: u8) -> usize {
        self.tariff.key + self.under(key).map(|(_, note, _)| self.tariff.record + note.heap).sum::<usize>()
    }

    fn counted(&self, ip: IpAddr, group: fn(IpAddr) -> IpAddr) -> usize {
        self.held.iter().filter(|(_, note, _)| group(note.source) == group(ip)).count()
    }

    /// The same list with the record in its slot, whatever the limits.
    fn with(&self, key: u8, note: &Note, expires: Instant) -> Model {
        let mut with = self.clone();
        with.remove(key, note.slot);
        with.held.push((key, note.clone(), expires));
        with.held.sort_by_key(|(key, note, _)| (*key, note.slot));
        with
    }
}
