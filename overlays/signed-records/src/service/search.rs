//! Looking for records in the network (D3, D4).

use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use kademlia_core::{Effort, Instant, Key, LookupLimit, LookupOptions, LookupReport, Storage};

use super::RecordsService;
use crate::findings::{Findings, Page, Query};
use crate::identity::PublicKey;
use crate::message::Request;
use crate::record::{Kind, SignedRecord, StoredRecord};

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The newest of each publisher and subject, verified, ordered by publisher.
    pub records: Vec<SignedRecord>,
    /// Nodes asked.
    pub asked: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// Length of the longest chain of referrals that led to one of the closest nodes.
    pub hops: usize,
    /// From start to end.
    pub took: Duration,
}

/// Why nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// Nobody has such a record.
    #[error("no matching records")]
    NoRecords,
    /// There were records, but all have expired or are older than what this node has seen.
    #[error("only stale records")]
    Stale,
    /// Too many operations are under way.
    #[error("too many operations at once")]
    Busy,
    /// The node has stopped.
    #[error("the node has been shut down")]
    Closed,
}

/// Why there is no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nobody has any record of the publisher.
    #[error("no matching records")]
    NoRecords,
    /// The publisher has records, but no endpoint among them.
    #[error("no endpoint")]
    NoEndpoint,
    /// There were records, but all have expired or are older than what this node has seen.
    #[error("only stale records")]
    Stale,
    /// Too many operations are under way.
    #[error("too many operations at once")]
    Busy,
    /// The node has stopped.
    #[error("the node has been shut down")]
    Closed,
}

impl From<FindError> for ResolveError {
    fn from(error: FindError) -> Self {
        match error {
            FindError::NoRecords => ResolveError::NoRecords,
            FindError::Stale => ResolveError::Stale,
            FindError::Busy => ResolveError::Busy,
            FindError::Closed => ResolveError::Closed,
        }
    }
}

type Result<T> = core::result::Result<T, FindError>;
type Ended = Box<dyn FnOnce(Result<Found>) + Send>;

/// A search under way, after its lookup.
struct Search {
    query: Query,
    findings: Arc<Mutex<Findings>>,
    report: LookupReport<Key<32>>,
    /// Lists that go on, the nearest node's last.
    pages: Vec<Page>,
    /// Replies that may still be asked for.
    turns: usize,
    done: Ended,
}

impl<S: Storage<Key<32>, StoredRecord> + 'static> RecordsService<S> {
    /// Looks for records under a key until the first that is verified and let in. What this node has itself counts.
    pub fn find(
        &mut self,
        now: Instant,
        target: Key<32>,
        kind: Option<Kind>,
        done: impl FnOnce(Result<Found>) + Send + 'static,
    ) {
        self.search(now, Query { target, kind, first: true }, Box::new(done));
    }

    /// Collects the records under a key from the k nodes closest to it: of each publisher and subject the newest.
    pub fn aggregate(
        &mut self,
        now: Instant,
        target: Key<32>,
        kind: Option<Kind>,
        done: impl FnOnce(Result<Found>) + Send + 'static,
    ) {
        self.search(now, Query { target, kind, first: false }, Box::new(done));
    }

    /// The newest endpoint of a publisher, as the k nodes closest to its key know it.
    pub fn resolve(
        &mut self,
        now: Instant,
        publisher: PublicKey,
        done: impl FnOnce(core::result::Result<SignedRecord, ResolveError>) + Send + 'static,
    ) {
        // All types, so that no endpoint and no publisher are told apart.
        self.aggregate(now, publisher.key(), None, move |found| {
            let is_endpoint = |record: &SignedRecord| record.subject.kind() == Kind::Endpoint;
            done(match found {
                Ok(found) => found.records.into_iter().find(is_endpoint).ok_or(ResolveError::NoEndpoint),
                Err(error) => Err(error.into()),
            });
        });
    }

    /// The nodes closest to a key.
    pub fn closest(
        &mut self,
        target: Key<32>,
        done: impl FnOnce(Result<LookupReport<Key<32>>>) + Send + 'static,
    ) {
        if self.is_busy() {
            return done(Err(FindError::Busy));
        }
        let options = self.options(Effort::Dense);
        self.agenda.look(target, Request::FindNode { target }, None, options, |_, _, report| {
            done(report.map_err(|_| FindError::Busy));
        });
    }

    /// Launches one after the other, healthy nodes first (D3).
    pub(super) fn options(&self, effort: Effort) -> LookupOptions {
        LookupOptions {
            effort: Some(effort),
            stagger: Some(self.config.stagger),
            healthy_first: true,
            ..LookupOptions::default()
        }
    }

    fn search(&mut self, now: Instant, query: Query, done: Ended) {
        if self.is_busy() {
            return done(Err(FindError::Busy));
        }
        let Query { target, kind, first } = query;
        let mut findings = Findings::new(query, Arc::clone(&self.authority), self.config.found);
        let mut matched = false;
        for record in self.held(now, &target, kind) {
            matched |= findings.offer(&record);
        }
        if first && matched {
            return done(Ok(found(findings.records(), None)));
        }
        let findings = Arc::new(Mutex::new(findings));
        let shared = Arc::clone(&findings);
        let judge = Box::new(move |from: &_, response: &_| lock(&shared).take(from, response));
        let options = self.options(Effort::Dense);
        let request = Request::Find { target, kind, after: None };
        self.agenda.look(target, request, Some(judge), options, move |service, _, report| {
            service.looked(query, findings, done, report);
        });
    }

    /// The lookup ended. Lists that did not fit one reply are read on, the nearest node's first.
    fn looked(
        &mut self,
        query: Query,
        findings: Arc<Mutex<Findings>>,
        done: Ended,
        report: core::result::Result<LookupReport<Key<32>>, LookupLimit>,
    ) {
        let Ok(report) = report else { return done(Err(FindError::Busy)) };
        let mut pages = core::mem::take(&mut lock(&findings).pages);
        let rank = |page: &Page| report.closest.iter().position(|contact| *contact == page.0);
        pages.retain(|page| !query.first && rank(page).is_some());
        pages.sort_by_key(|page| core::cmp::Reverse(rank(page)));
        let turns = self.config.pages;
        self.turn(Search { query, findings, report, pages, turns, done });
    }

    fn turn(&mut self, mut search: Search) {
        let Some((contact, after)) = search.pages.pop().filter(|_| search.turns > 0) else {
            return search.finish();
        };
        search.turns -= 1;
        let Query { target, kind, .. } = search.query;
        let request = Request::Find { target, kind, after: Some(after) };
        self.agenda.ask(contact.addr, Some(contact.key), request, move |service, _, answer| {
            if let Ok(answered) = answer {
                let mut findings = lock(&search.findings);
                findings.take(&answered.from, &answered.response);
                // A list that does not advance is none.
                let next = findings.pages.pop().filter(|(_, next)| *next > after);
                drop(findings);
                search.pages.extend(next);
            }
            service.turn(search);
        });
    }
}

impl Search {
    fn finish(self) {
        let mut findings = lock(&self.findings);
        let (stale, records) = (findings.is_stale(), findings.records());
        drop(findings);
        (self.done)(match (records.is_empty(), stale) {
            (false, _) => Ok(found(records, Some(&self.report))),
            (true, true) => Err(FindError::Stale),
            (true, false) => Err(FindError::NoRecords),
        });
    }
}

fn found(records: Vec<SignedRecord>, report: Option<&LookupReport<Key<32>>>) -> Found {
    Found {
        records,
        asked: report.map_or(0, |report| report.asked),
        answered: report.map_or(0, |report| report.answered),
        hops: report.map_or(0, |report| report.hops),
        took: report.map_or(Duration::ZERO, |report| report.took),
    }
}

/// Findings are whole after every step of theirs.
fn lock(findings: &Mutex<Findings>) -> std::sync::MutexGuard<'_, Findings> {
    findings.lock().unwrap_or_else(PoisonError::into_inner)
}
