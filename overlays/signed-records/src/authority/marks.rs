//! The greatest sequence numbers seen.

use std::collections::{BTreeMap, BTreeSet};

use crate::record::{SignedRecord, Slot};
use crate::time::Timestamp;

/// For each slot the greatest number read, until the record that bore it expires: its publisher lets no earlier version
/// outlive it, so from then on an earlier one has expired, too. Bounded; the mark that expires first gives way.
#[derive(Debug)]
pub(super) struct Marks {
    limit: usize,
    known: BTreeMap<Slot, (u64, Timestamp)>,
    order: BTreeSet<(Timestamp, Slot)>,
}

impl Marks {
    pub(super) fn new(limit: usize) -> Self {
        Marks { limit, known: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Remembers the record's number, unless a greater one is known: then false.
    pub(super) fn witness(&mut self, record: &SignedRecord, now: Timestamp) -> bool {
        let slot = record.slot();
        if let Some((sequence, until)) = self.known.get(&slot).copied() {
            if sequence > record.sequence && until > now {
                return false;
            }
            self.order.remove(&(until, slot.clone()));
        }
        let until = record.expires();
        self.order.insert((until, slot.clone()));
        self.known.insert(slot, (record.sequence, until));
        while self.known.len() > self.limit {
            let Some((_, first)) = self.order.pop_first() else { break };
            self.known.remove(&first);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::identity::SecretKey;
    use crate::record::Draft;

    fn record(publisher: u8, sequence: u64, seconds: u64) -> SignedRecord {
        let draft = Draft::endpoint("x").unwrap().lasting(Duration::from_secs(seconds));
        draft.sign(&SecretKey::from_seed(&[publisher; 32]), sequence, Timestamp::default())
    }

    #[test]
    fn fs_d2_what_is_older_than_the_newest_read_is_stale_until_that_expires() {
        let mut marks = Marks::new(10);
        let at = |seconds: u64| Timestamp::from_millis(seconds * 1_000);
        assert!(marks.witness(&record(1, 5, 100), at(1)));
        assert!(marks.witness(&record(1, 5, 100), at(2)), "the same again");
        assert!(!marks.witness(&record(1, 4, 100), at(3)));
        assert!(marks.witness(&record(2, 4, 100), at(3)), "somebody else's");
        assert!(marks.witness(&record(1, 4, 200), at(100)), "the newer one has expired");
    }

    #[test]
    fn fs_d2_the_marks_are_bounded_and_what_expires_first_is_forgotten_first() {
        let mut marks = Marks::new(2);
        for (publisher, seconds) in [(1, 300), (2, 100), (3, 200)] {
            assert!(marks.witness(&record(publisher, 9, seconds), Timestamp::default()));
        }
        let mut is_known = |publisher| !marks.witness(&record(publisher, 1, 100), Timestamp::default());
        assert_eq!([1, 3, 2].map(&mut is_known), [true, true, false]);
        assert_eq!(marks.known.len(), marks.order.len());
    }
}
