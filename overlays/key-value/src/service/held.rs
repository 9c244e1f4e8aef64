//! The pairs that a node holds, and when it is its turn to publish each again.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::time::Duration;

use kademlia_core::{Instant, NoRoom, Rng, Storage};

use crate::pair::Pair;
use crate::protocol::Id;
use crate::wall::Wall;

/// Turns of pairs that the store has given up are kept up to so many, and as many as there are pairs.
const IDLE_TURNS: usize = 64;

/// A store, and a turn for each of its keys.
#[derive(Debug)]
pub(super) struct Held<St> {
    store: St,
    /// By which pairs are dated. It never goes back: what was dated before would live longer.
    calendar: Wall,
    turns: BTreeMap<Id, Instant>,
    order: BTreeSet<(Instant, Id)>,
    /// Those that the store brought along and that have not had a turn.
    strays: BTreeSet<Id>,
    rng: Rng,
    /// What one query found, kept for its room.
    found: Vec<Pair>,
}

impl<St: Storage<Id, Pair>> Held<St> {
    /// What was in the store before, a database's, has its turn within `pause`.
    pub(super) fn new(
        mut store: St,
        local: Id,
        calendar: Wall,
        now: Instant,
        pause: Duration,
        seed: [u8; 32],
    ) -> Self {
        let mut rng = Rng::from_seed(seed);
        store.recenter(local);
        let mut keys = Vec::new();
        store.sample_keys(now, usize::MAX, &mut rng, &mut keys);
        let (turns, order, strays) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        let mut held = Held { store, calendar, turns, order, strays, rng, found: Vec::new() };
        for key in keys {
            let turn = now + pause.mul_f64(held.rng.unit());
            held.set_turn(key, turn);
            held.strays.insert(key);
        }
        held
    }

    pub(super) fn store(&self) -> &St {
        &self.store
    }

    pub(super) fn calendar(&self) -> Wall {
        self.calendar
    }

    /// It is as late as `wall` shows: what is held is that much older, if the engine's clock has missed something.
    pub(super) fn set_calendar(&mut self, now: Instant, wall: Wall) {
        self.calendar = self.calendar.max(wall);
        self.store.set_clock(now, Duration::from_millis(wall.millis(now)));
    }

    pub(super) fn get(&mut self, now: Instant, key: &Id) -> Option<Pair> {
        self.found.clear();
        self.store.read(now, key, 1, &mut self.rng, &mut self.found);
        let today = self.calendar.millis(now);
        self.found.pop().filter(|pair| pair.expires > today)
    }

    /// The same for who only looks.
    pub(super) fn peek(&self, now: Instant, key: &Id) -> Option<Pair> {
        let mut found = Vec::new();
        // There is one pair under a key, so nothing is left to chance.
        self.store.read(now, key, 1, &mut Rng::from_number(0), &mut found);
        let today = self.calendar.millis(now);
        found.pop().filter(|pair| pair.expires > today)
    }

    pub(super) fn insert(
        &mut self,
        now: Instant,
        key: Id,
        pair: Pair,
        expires: Instant,
    ) -> Result<(), NoRoom> {
        self.store.insert(now, key, pair, expires)?;
        if self.turns.len() > 2 * self.store.keys() + IDLE_TURNS {
            let Held { store, turns, order, strays, .. } = self;
            turns.retain(|key, _| store.has(now, key));
            order.retain(|(_, key)| turns.contains_key(key));
            strays.retain(|key| turns.contains_key(key));
        }
        Ok(())
    }

    /// Gives the key its turn then, in the place of any that it has.
    pub(super) fn set_turn(&mut self, key: Id, turn: Instant) {
        if let Some(before) = self.turns.insert(key, turn) {
            self.order.remove(&(before, key));
        }
        self.order.insert((turn, key));
    }

    /// Takes the turn that is due; and says whether the store brought the pair along, and it is the first.
    pub(super) fn take_turn(&mut self, now: Instant) -> Option<(Id, bool)> {
        let (_, key) = *self.order.first().filter(|(turn, _)| *turn <= now)?;
        self.order.pop_first();
        self.turns.remove(&key);
        Some((key, self.strays.remove(&key)))
    }

    pub(super) fn next_turn(&self) -> Option<Instant> {
        self.order.first().map(|(turn, _)| *turn)
    }

    /// The keys after `last`, all of them after none, each with its turn. Some may have expired.
    pub(super) fn keys_after(&self, last: Option<Id>) -> impl Iterator<Item = (Id, Instant)> {
        let start = last.map_or(Bound::Unbounded, Bound::Excluded);
        self.turns.range((start, Bound::Unbounded)).map(|(key, turn)| (*key, *turn))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }

    pub(super) fn expire(&mut self, now: Instant, work: usize) {
        self.store.expire(now, work);
    }

    pub(super) fn next_expiry(&self) -> Option<Instant> {
        self.store.next_expiry()
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use kademlia_core::{Key, MemoryStorage, StorageLimits};

    use super::*;
    use crate::pair::Value;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn pair() -> Pair {
        let value = Some(Value::new(&[1; 100]).unwrap());
        Pair { version: 1, value, expires: 0, source: IpAddr::from([8, 8, 8, 8]) }
    }

    fn held(bytes: usize) -> Held<MemoryStorage<Id, Pair>> {
        let limits = StorageLimits { bytes, per_source: 0, per_subnet: 0, ..StorageLimits::default() };
        let store = MemoryStorage::new(limits);
        Held::new(store, Key::new([0; 32]), Wall::default(), Instant::ZERO, HOUR, [1; 32])
    }

    #[test]
    fn turns_come_in_their_order_and_a_later_one_replaces_the_earlier() {
        let (mut held, at) = (held(1 << 20), Instant::from_secs);
        let [a, b] = [1, 2].map(|n| Key::new([n; 32]));
        held.set_turn(a, at(1));
        held.set_turn(b, at(2));
        held.set_turn(a, at(3));
        assert_eq!((held.next_turn(), held.take_turn(at(1))), (Some(at(2)), None));
        assert_eq!(held.take_turn(at(9)), Some((b, false)));
        assert_eq!(held.take_turn(at(9)), Some((a, false)));
        assert!(held.is_empty() && held.next_turn().is_none());
    }

    #[test]
    fn turns_of_pairs_that_were_driven_out_are_bounded() {
        let mut held = held(10_000);
        for n in (0..5_000_u16).rev() {
            let [high, low] = n.to_be_bytes();
            let mut key = [0; 32];
            (key[0], key[1]) = (high, low);
            // Ever nearer, so that each drives another out.
            let key = Key::new(key);
            held.insert(Instant::ZERO, key, pair(), Instant::NEVER).unwrap();
            held.set_turn(key, Instant::from_secs(n.into()));
            assert!(held.turns.len() <= 2 * held.store.keys() + IDLE_TURNS + 1);
            assert_eq!(held.turns.len(), held.order.len());
        }
        assert!(held.store.keys() < 100);
    }

    #[test]
    fn what_a_database_brings_along_has_its_turn_within_the_hour() {
        let mut store = held(1 << 20).store;
        for n in 0..100 {
            store.insert(Instant::ZERO, Key::new([n; 32]), pair(), Instant::NEVER).unwrap();
        }
        let mut held =
            Held::new(store, Key::new([3; 32]), Wall::default(), Instant::from_secs(7), HOUR, [1; 32]);
        assert_eq!(held.keys_after(None).count(), 100);
        let turns: Vec<_> = held.keys_after(None).map(|(_, turn)| turn).collect();
        assert!(turns.iter().all(|turn| turn.since(Instant::from_secs(7)) <= HOUR));
        assert!(turns.iter().max() > Some(&Instant::from_secs(1_800)), "spread over it");
        assert_eq!(held.keys_after(Some(Key::new([98; 32]))).count(), 1);
        let (first, is_stray) = held.take_turn(Instant::NEVER).unwrap();
        held.set_turn(first, Instant::ZERO);
        assert_eq!((is_stray, held.take_turn(Instant::NEVER)), (true, Some((first, false))));
    }
}
