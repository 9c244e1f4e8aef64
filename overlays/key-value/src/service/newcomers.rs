//! Contacts that have just entered the table, and which of our pairs belong to them (paper, section 2.5).

use std::collections::VecDeque;

use kademlia_core::{Contact, Instant, Keyspace, Storage, Table};

use super::config::KvConfig;
use super::held::Held;
use crate::pair::Pair;
use crate::protocol::Id;
use crate::token::Token;

/// Pairs looked at in one turn: work per input is bounded.
const WORK: usize = 64;

/// A newcomer, and what it is to get.
#[derive(Debug)]
pub(super) struct Newcomer {
    pub(super) contact: Contact<Id>,
    pub(super) keys: VecDeque<Id>,
    /// Its own, once it has given one.
    pub(super) token: Option<Token>,
    /// The last key that was looked at.
    last: Option<Id>,
}

/// Those whose turn has not come yet.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    waiting: VecDeque<Newcomer>,
}

impl Newcomers {
    /// One more waits, unless there are `most`: then the next republishing has to do for it.
    pub(super) fn add(&mut self, contact: Contact<Id>, most: usize) {
        let known = self.waiting.iter().any(|newcomer| newcomer.contact == contact);
        if !known && self.waiting.len() < most {
            self.waiting.push_back(Newcomer { contact, keys: VecDeque::new(), token: None, last: None });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Looks at some more pairs for the first who waits. Gives him back once all have been looked at, or he gets as many
    /// as one may.
    pub(super) fn survey<St: Storage<Id, Pair>>(
        &mut self,
        now: Instant,
        held: &Held<St>,
        table: &Table<Id>,
        config: &KvConfig,
    ) -> Option<Newcomer> {
        let most = config.per_newcomer;
        let newcomer = self.waiting.front_mut()?;
        let mut seen = 0;
        for (key, _) in held.keys_after(newcomer.last).take(WORK) {
            seen += 1;
            newcomer.last = Some(key);
            if is_ours_to_give(now, &key, &newcomer.contact, table, config) {
                newcomer.keys.push_back(key);
            }
        }
        let is_done = seen < WORK || newcomer.keys.len() >= most;
        newcomer.keys.truncate(most);
        if is_done { self.waiting.pop_front() } else { None }
    }
}

/// Whether the newcomer is one of the k nodes closest to the key, and of all others that we know, fewer than `givers` are
/// closer than we are: so a few nodes hand the pair over and not twenty.
fn is_ours_to_give(
    now: Instant,
    key: &Id,
    newcomer: &Contact<Id>,
    table: &Table<Id>,
    config: &KvConfig,
) -> bool {
    let mut others = Vec::with_capacity(config.k);
    table.closest_good(now, key, config.k, Some(newcomer.key), &mut others);
    let local = table.local();
    let closer_than =
        |to: &Id| others.iter().filter(|other| key.cmp_distance(&other.key, to).is_lt()).count();
    let we_are_closer = key.cmp_distance(&local, &newcomer.key).is_lt();
    closer_than(&local) < config.givers && closer_than(&newcomer.key) + usize::from(we_are_closer) < config.k
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use kademlia_core::{Key, MemoryStorage};

    use super::*;
    use crate::protocol::KeyValue;
    use crate::wall::Wall;

    fn contact(n: u8) -> Contact<Id> {
        Contact::new(key(n), SocketAddr::from(([20, n, 0, 1], 1)))
    }

    /// Far apart in the first byte, so that this byte decides.
    fn key(n: u8) -> Id {
        let mut key = [0; 32];
        key[0] = n;
        Key::new(key)
    }

    fn table(local: u8, others: &[u8]) -> Table<Id> {
        let mut table = Table::new(key(local), 20, KeyValue::config().table);
        for other in others {
            table.answered(Instant::ZERO, contact(*other), None);
        }
        table
    }

    #[test]
    fn fs_e4_the_closest_holders_give_and_only_to_one_of_the_k_closest() {
        let now = Instant::ZERO;
        let gives = |local, others: &[u8], k, givers| {
            let config = KvConfig { k, givers, ..KvConfig::default() };
            is_ours_to_give(now, &key(0), &contact(8), &table(local, others), &config)
        };
        assert!(gives(2, &[8], 2, 1), "alone with the newcomer");
        assert!(gives(2, &[8, 4, 16], 3, 1), "we are the closest, then 4, then 8");
        assert!(!gives(2, &[8, 4, 16], 2, 1), "it is only the third");
        assert!(!gives(4, &[8, 2, 16], 3, 1), "2 is closer than we are");
        assert!(gives(4, &[8, 2, 16], 3, 2), "and may be dead");
        assert!(gives(16, &[8, 32], 1, 1), "closer than we are itself");
    }

    fn held() -> Held<MemoryStorage<Id, Pair>> {
        let store = MemoryStorage::default();
        Held::new(store, key(0), Wall::default(), Instant::ZERO, Duration::ZERO, [1; 32])
    }

    #[test]
    fn a_survey_is_done_in_bounded_steps_and_ends() {
        let mut held = held();
        for n in 0..200 {
            held.set_turn(key(n), Instant::NEVER);
        }
        let (table, mut newcomers) = (table(255, &[]), Newcomers::default());
        newcomers.add(contact(8), 2);
        newcomers.add(contact(8), 2);
        newcomers.add(contact(9), 2);
        newcomers.add(contact(10), 2);
        assert_eq!(newcomers.waiting.len(), 2);
        let mut survey = |per_newcomer| {
            let config = KvConfig { per_newcomer, ..KvConfig::default() };
            newcomers.survey(Instant::ZERO, &held, &table, &config)
        };
        assert!((0..3).all(|_| survey(1_000).is_none()));
        assert_eq!(survey(1_000).map(|newcomer| newcomer.keys.len()), Some(200));
        assert_eq!(survey(10).map(|newcomer| newcomer.keys.len()), Some(10));
        assert!(newcomers.is_empty());
    }
}
