//! What a search brings home: the newest of what is believed, and a word on the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kademlia_core::{Contact, Key, Verdict};

use crate::authority::Authority;
use crate::identity::PublicKey;
use crate::message::Response;
use crate::record::{Kind, SignedRecord, Slot};
use crate::refusal::Refusal;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) target: Key<32>,
    pub(crate) kind: Option<Kind>,
    /// The first match will do.
    pub(crate) first: bool,
}

/// A list that goes on: whom to ask, and after which publisher.
pub(crate) type Page = (Contact<Key<32>>, PublicKey);

/// The answers so far, merged (D4).
#[derive(Debug)]
pub(crate) struct Findings {
    query: Query,
    authority: Arc<Authority>,
    /// Records at most.
    most: usize,
    newest: BTreeMap<Slot, SignedRecord>,
    /// Where something was found that no longer holds.
    stale: BTreeSet<Slot>,
    pub(crate) pages: Vec<Page>,
}

impl Findings {
    pub(crate) fn new(query: Query, authority: Arc<Authority>, most: usize) -> Self {
        Findings {
            query,
            authority,
            most,
            newest: BTreeMap::new(),
            stale: BTreeSet::new(),
            pages: Vec::new(),
        }
    }

    /// A node answered: what it knows is merged with what is there.
    pub(crate) fn take(&mut self, from: &Contact<Key<32>>, response: &Response) -> Verdict {
        for record in &response.records {
            if self.offer(record) && self.query.first {
                return Verdict::Finish;
            }
        }
        if let Some(last) = response.records.last().filter(|_| response.more) {
            self.pages.push((*from, last.publisher));
        }
        Verdict::Pass
    }

    /// Takes a record if it is believed and newer than what is there; gives back whether it is a match.
    pub(crate) fn offer(&mut self, record: &SignedRecord) -> bool {
        if self.query.kind.is_some_and(|kind| record.subject.kind() != kind) {
            return false;
        }
        let slot = record.slot();
        let known = self.newest.get(&slot);
        // Before the signature: what twenty nodes hold is verified once.
        let old = known.is_some_and(|known| known.sequence >= record.sequence);
        if old || (known.is_none() && self.newest.len() >= self.most) {
            return false;
        }
        let checked = self.authority.check(&self.query.target, record);
        match checked.and_then(|()| self.authority.witness(record)) {
            Ok(()) => {
                self.newest.insert(slot, record.clone());
                !record.is_withdrawal()
            }
            Err(refusal) => {
                if matches!(refusal, Refusal::Expired | Refusal::Stale) && self.stale.len() < self.most {
                    self.stale.insert(slot);
                }
                false
            }
        }
    }

    /// Whether there was something that no longer holds, and nothing newer in its place, be it a withdrawal.
    pub(crate) fn is_stale(&self) -> bool {
        self.stale.iter().any(|slot| !self.newest.contains_key(slot))
    }

    /// The records found, ordered by publisher. Withdrawn ones are none.
    pub(crate) fn records(&mut self) -> Vec<SignedRecord> {
        let newest = core::mem::take(&mut self.newest);
        newest.into_values().filter(|record| !record.is_withdrawal()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RecordsConfig;
    use crate::identity::SecretKey;
    use crate::record::{Draft, Topic};
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn findings(first: bool, kind: Option<Kind>) -> Findings {
        let authority = Authority::new(&RecordsConfig::default(), None);
        authority.set_time(NOW);
        let query = Query { target: topic().key(), kind, first };
        Findings::new(query, Arc::new(authority), 100)
    }

    fn topic() -> Topic {
        Topic::new("weather").unwrap()
    }

    fn record(publisher: u8, sequence: u64, at: Timestamp) -> SignedRecord {
        Draft::topic(topic(), "x").unwrap().sign(&SecretKey::from_seed(&[publisher; 32]), sequence, at)
    }

    fn answer(records: Vec<SignedRecord>) -> Response {
        Response { records, ..Response::default() }
    }

    fn node(n: u8) -> Contact<Key<32>> {
        Contact::new(Key::new([n; 32]), core::net::SocketAddr::from(([192, 0, 2, n], 1)))
    }

    #[test]
    fn fs_d4_answers_are_merged_and_of_each_slot_the_newest_stays() {
        let mut findings = findings(false, None);
        let (old, new, other) = (record(1, 5, NOW), record(1, 6, NOW), record(2, 1, NOW));
        for records in [vec![old.clone(), other.clone()], vec![new.clone()], vec![old, other.clone()]] {
            assert_eq!(findings.take(&node(1), &answer(records)), Verdict::Pass);
        }
        let mut expected = vec![new, other];
        expected.sort_by_key(SignedRecord::slot);
        assert!(!findings.is_stale());
        assert_eq!(findings.records(), expected);
    }

    #[test]
    fn fs_d4_the_first_match_ends_a_search_and_what_is_false_does_not() {
        let mut findings = findings(true, Some(Kind::Topic));
        let mut forged = record(1, 9, NOW);
        forged.sequence = 10;
        let late = record(1, 9, NOW.before(Draft::TTL));
        let elsewhere = Draft::endpoint("x").unwrap().sign(&SecretKey::from_seed(&[1; 32]), 9, NOW);
        let withdrawal = Draft::withdrawal(crate::Subject::Topic(topic()));
        let withdrawal = withdrawal.sign(&SecretKey::from_seed(&[3; 32]), 9, NOW);
        let answer = |record| answer(vec![record]);
        for other in [forged, late, elsewhere, withdrawal] {
            assert_eq!(findings.take(&node(1), &answer(other)), Verdict::Pass);
        }
        assert!(findings.is_stale(), "one had expired");
        assert_eq!(findings.take(&node(2), &answer(record(1, 9, NOW))), Verdict::Finish);
        assert_eq!(findings.records().len(), 1);
    }

    #[test]
    fn fs_d4_a_withdrawal_takes_the_place_of_what_it_withdraws() {
        let mut findings = findings(false, None);
        let publisher = SecretKey::from_seed(&[1; 32]);
        let gone = Draft::withdrawal(crate::Subject::Topic(topic())).sign(&publisher, 2, NOW);
        findings.take(&node(1), &answer(vec![record(1, 1, NOW)]));
        findings.take(&node(1), &answer(vec![gone.clone()]));
        findings.take(&node(1), &answer(vec![record(1, 1, NOW)]));
        assert_eq!(findings.records(), []);
        // The next search meets the withdrawn one first, from somebody who has not heard.
        let mut findings = Findings::new(findings.query, Arc::clone(&findings.authority), 100);
        findings.take(&node(1), &answer(vec![record(1, 1, NOW)]));
        assert!(findings.is_stale());
        findings.take(&node(2), &answer(vec![gone]));
        assert!(!findings.is_stale(), "withdrawn, and not stale");
        assert_eq!(findings.records(), []);
    }

    #[test]
    fn fs_d2_nothing_older_than_what_an_earlier_search_found_is_believed() {
        let authority = Arc::new(Authority::new(&RecordsConfig::default(), None));
        authority.set_time(NOW);
        let query = Query { target: topic().key(), kind: None, first: false };
        let search = |sequence| {
            let mut findings = Findings::new(query, Arc::clone(&authority), 100);
            findings.take(&node(1), &answer(vec![record(1, sequence, NOW)]));
            let stale = findings.is_stale();
            (findings.records().len(), stale)
        };
        assert_eq!([5, 4, 5, 6].map(search), [(1, false), (0, true), (1, false), (1, false)]);
    }

    #[test]
    fn fs_d4_what_did_not_fit_one_reply_is_remembered_and_all_is_bounded() {
        let mut findings = findings(false, None);
        findings.most = 3;
        let mut records: Vec<_> = (1..=5).map(|publisher| record(publisher, 1, NOW)).collect();
        records.sort_by_key(SignedRecord::slot);
        let last = records.last().unwrap().publisher;
        findings.take(&node(7), &Response { more: true, ..answer(records) });
        assert_eq!(findings.pages, [(node(7), last)]);
        assert_eq!(findings.records().len(), 3);
    }
}
