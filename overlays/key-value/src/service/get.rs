//! Looking for values, and leaving copies behind.

use std::time::Duration;

use kademlia_core::{Contact, Instant, Judge, Keyspace, LookupLimit, Outcome, Storage, Task, Verdict};

use super::KvService;
use super::jobs::Job;
use super::report::{Done, Got, Wanted};
use crate::pair::Pair;
use crate::protocol::{Id, KeyValue, Request, Response, Versioned};
use crate::token::Token;

type GetDone = Done<Result<Got, LookupLimit>>;

/// A get that runs.
pub(super) struct Get {
    key: Id,
    /// What this node has itself.
    held: Option<Versioned>,
    found: Vec<(Contact<Id>, Token, Versioned)>,
    /// The closest node so far that has nothing.
    lacking: Option<(Contact<Id>, Token)>,
    done: GetDone,
}

impl Get {
    pub(super) fn answered(&mut self, from: Contact<Id>, response: Response) {
        match response {
            Response::Found { token, item, .. } => self.found.push((from, token, item)),
            Response::Nodes { token, .. } => {
                let is_closer =
                    |(other, _): &(Contact<Id>, Token)| self.key.cmp_distance(&from.key, &other.key).is_lt();
                if self.lacking.as_ref().is_none_or(is_closer) {
                    self.lacking = Some((from, token));
                }
            }
            Response::Pong | Response::Stored => {}
        }
    }
}

impl<St: Storage<Id, Pair>> KvService<St> {
    /// Looks for the value under `key`: here, and if it is not here or the newest is wanted, at the nodes closest to the key.
    /// The closest that lacks it is given a copy (paper, section 2.3).
    pub fn get(&mut self, now: Instant, key: Id, wanted: Wanted, done: GetDone) {
        let today = self.calendar().millis(now);
        let held = self.held.get(now, &key).map(|pair| pair.versioned(today));
        if held.is_some() && wanted == Wanted::First {
            return done(Ok(Got { key, item: held, holders: Vec::new(), cached_at: None, report: None }));
        }
        let request = Request::FindValue { key };
        let judge = judge(wanted, self.latest_version(now));
        let task = Task::Lookup { target: key, request, judge: Some(judge), options: self.options() };
        let get = Get { key, held, found: Vec::new(), lacking: None, done };
        let id = self.begin(Job::Get(Box::new(get)));
        self.ready.push_back((id, task));
    }

    pub(super) fn got(&mut self, now: Instant, get: Get, outcome: Outcome<KeyValue>) {
        let Get { key, held, found, lacking, done } = get;
        let report = match outcome {
            Outcome::Limited(limit) => return done(Err(limit)),
            Outcome::Found(report) => Some(report),
            _ => None,
        };
        let all = held.iter().chain(found.iter().map(|(_, _, item)| item));
        // Of equal ones, that with the longest life.
        let newest = all.max_by(|a, b| (a.version, &a.value, a.life).cmp(&(b.version, &b.value, b.life)));
        let Some(item) = newest.cloned() else {
            return done(Ok(Got { key, item: None, holders: Vec::new(), cached_at: None, report }));
        };
        let (outdated, current): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|(_, _, other)| item.is_newer_than(other.version, other.value.as_ref()));
        let outdated = outdated.into_iter().map(|(to, token, _)| (to, token));
        let lacking = lacking.filter(|_| item.life > 0);
        for (to, token) in lacking.into_iter().chain(outdated).filter(|_| item.life > 0) {
            self.give(to, key, token, item.clone());
        }
        if let (Some((from, ..)), Some(_)) = (current.first(), held) {
            let life = self.config.life.min(Duration::from_secs(item.life.into()));
            // Refused if what is here is as new.
            let _ = self.keep(now, key, item.clone(), from.addr.ip(), life);
        }
        let holders = current.into_iter().map(|(from, ..)| from).collect();
        let cached_at = lacking.map(|(contact, _)| contact);
        done(Ok(Got { key, item: Some(item), holders, cached_at, report }));
    }
}

/// Reports who has a value and who lacks it; ends with the first value, if no other is wanted. Versions that nobody should
/// believe are no values.
fn judge(wanted: Wanted, latest: u64) -> Judge<KeyValue> {
    Box::new(move |_, response: &Response| match (response, wanted) {
        (Response::Found { item, .. }, _) if item.version > latest => Verdict::Pass,
        (Response::Found { .. }, Wanted::First) => Verdict::Finish,
        (Response::Found { .. } | Response::Nodes { .. }, _) => Verdict::Take,
        (Response::Pong | Response::Stored, _) => Verdict::Pass,
    })
}

impl std::fmt::Debug for Get {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Get {{ key: {:?}, found: {} }}", self.key, self.found.len())
    }
}
