//! Giving newcomers what belongs to them.

use kademlia_core::{Failure, Instant, Outcome, Storage, Table, Task, TaskId};

use super::KvService;
use super::jobs::{Job, store_at};
use super::newcomers::Newcomer;
use crate::pair::Pair;
use crate::protocol::{ErrorCode, Id, KeyValue, Request};

impl<St: Storage<Id, Pair>> KvService<St> {
    /// The next newcomer, asked for its token, if there is anything for it.
    pub(super) fn next_hand_over(
        &mut self,
        now: Instant,
        table: &Table<Id>,
    ) -> Option<(TaskId, Task<KeyValue>)> {
        if self.running.handing >= self.config.handing {
            return None;
        }
        let newcomer = self.newcomers.survey(now, &self.held, table, &self.config)?;
        if newcomer.keys.is_empty() {
            return None;
        }
        self.running.handing += 1;
        let contact = newcomer.contact;
        let request = Request::FindNode { target: contact.key };
        let id = self.begin(Job::HandOver(Box::new(newcomer)));
        Some((id, Task::Request { to: contact.addr, expected: Some(contact.key), request }))
    }

    /// The newcomer gave its token, or took a pair: the next one, until there is none left or it wants no more.
    pub(super) fn handed_over(&mut self, now: Instant, mut newcomer: Newcomer, outcome: Outcome<KeyValue>) {
        match outcome {
            Outcome::Requested(Ok(answered)) => match answered.response.token() {
                Some(token) => newcomer.token = Some(token),
                None => self.activity.handed_over += 1,
            },
            // It has a newer version of this one.
            Outcome::Requested(Err(Failure::Refused { code, .. }))
                if code == i64::from(ErrorCode::Outdated) => {}
            _ => newcomer.keys.clear(),
        }
        let next = self.next_to_hand_over(now, &mut newcomer);
        match (next, newcomer.token) {
            (Some((key, pair)), Some(token)) => {
                let item = pair.versioned(self.calendar().millis(now));
                let task = store_at(&newcomer.contact, key, token, item);
                let id = self.begin(Job::HandOver(Box::new(newcomer)));
                self.ready.push_back((id, task));
            }
            _ => self.running.handing -= 1,
        }
    }

    fn next_to_hand_over(&mut self, now: Instant, newcomer: &mut Newcomer) -> Option<(Id, Pair)> {
        while let Some(key) = newcomer.keys.pop_front() {
            if let Some(pair) = self.held.get(now, &key) {
                return Some((key, pair));
            }
        }
        None
    }
}
