//! What is to be done, in which order, and what becomes of it.

use kademlia_core::{
    Contact, Instant, LookupOptions, MakeRequest, Outcome, Storage, Table, Task, TaskId, soonest,
};

use super::KvService;
use super::get::Get;
use super::newcomers::Newcomer;
use super::put::Publishing;
use crate::pair::Pair;
use crate::protocol::{Id, KeyValue, Request, Response, Versioned};
use crate::token::Token;

/// What a task is for.
#[derive(Debug)]
pub(super) enum Job {
    /// A put, a removal or a renewal.
    Publish(Box<Publishing>),
    /// A pair of somebody else's, published again.
    Republish,
    Get(Box<Get>),
    /// A newcomer is asked for its token, or given a pair.
    HandOver(Box<Newcomer>),
    /// A copy for who lacked it.
    Cache,
}

/// How many of each kind run.
#[derive(Debug, Default)]
pub(super) struct Running {
    pub(super) publishing: usize,
    pub(super) republishing: usize,
    pub(super) handing: usize,
}

impl<St: Storage<Id, Pair>> KvService<St> {
    /// When there is something to be done: at once is in the past.
    pub(super) fn next_job(&self) -> Option<Instant> {
        let may = |running, most: usize| (running < most).then_some(());
        let Running { publishing, republishing, handing } = self.running;
        let now = |is_waiting: bool| is_waiting.then_some(Instant::ZERO);
        soonest([
            now(!self.ready.is_empty()),
            may(publishing, self.config.publishing).and_then(|()| self.published.next_renewal()),
            may(republishing, self.config.republishing).and_then(|()| self.held.next_turn()),
            may(handing, self.config.handing).and_then(|()| now(!self.newcomers.is_empty())),
        ])
    }

    /// The host's wishes first, then renewals, then what others published, then newcomers.
    pub(super) fn next_task(&mut self, now: Instant, table: &Table<Id>) -> Option<(TaskId, Task<KeyValue>)> {
        let ready = self.ready.pop_front();
        ready
            .or_else(|| self.next_renewal(now, table))
            .or_else(|| self.next_republish(now, table))
            .or_else(|| self.next_hand_over(now, table))
    }

    /// A pair whose turn it is (paper, section 2.5). Who is no longer among the closest leaves it to those who are: not every
    /// cached copy of a popular pair is published. But what a database has kept over a restart is published once in any
    /// case: the node may go by another key now, and the others may have lost theirs.
    fn next_republish(&mut self, now: Instant, table: &Table<Id>) -> Option<(TaskId, Task<KeyValue>)> {
        while self.running.republishing < self.config.republishing {
            let (key, is_stray) = self.held.take_turn(now)?;
            let Some(pair) = self.held.get(now, &key) else { continue };
            let pause = self.rng.jittered(self.config.republish);
            self.held.set_turn(key, now + pause);
            if !is_stray && !self.is_near(now, &key, table) {
                self.activity.passed += 1;
                continue;
            }
            self.running.republishing += 1;
            self.activity.republished += 1;
            let item = pair.versioned(self.calendar().millis(now));
            let task = self.publish(key, item);
            return Some((self.begin(Job::Republish), task));
        }
        None
    }

    pub(super) fn begin(&mut self, job: Job) -> TaskId {
        self.next_task += 1;
        let id = TaskId(self.next_task);
        self.jobs.insert(id, job);
        id
    }

    /// A lookup of the nodes closest to the key, and a STORE to each.
    pub(super) fn publish(&self, key: Id, item: Versioned) -> Task<KeyValue> {
        let make: MakeRequest<KeyValue> = Box::new(move |_, response: &Response| {
            Some(Request::Store { key, token: response.token()?, item: item.clone() })
        });
        Task::Publish {
            target: key,
            request: Request::FindNode { target: key },
            make,
            options: self.options(),
        }
    }

    /// A STORE to one node, begun at once.
    pub(super) fn give(&mut self, to: Contact<Id>, key: Id, token: Token, item: Versioned) {
        self.activity.cached += 1;
        let task = store_at(&to, key, token, item);
        let id = self.begin(Job::Cache);
        self.ready.push_back((id, task));
    }

    pub(super) fn options(&self) -> LookupOptions {
        LookupOptions { effort: Some(self.config.effort), ..LookupOptions::default() }
    }

    pub(super) fn job_went(&mut self, now: Instant, task: TaskId, outcome: Outcome<KeyValue>) {
        if let Outcome::Answer { from, response } = outcome {
            if let Some(Job::Get(get)) = self.jobs.get_mut(&task) {
                get.answered(from, response);
            }
            return;
        }
        match self.jobs.remove(&task) {
            Some(Job::Publish(publishing)) => self.published(now, *publishing, outcome),
            Some(Job::Republish) => self.running.republishing -= 1,
            Some(Job::Get(get)) => self.got(now, *get, outcome),
            Some(Job::HandOver(newcomer)) => self.handed_over(now, *newcomer, outcome),
            Some(Job::Cache) | None => {}
        }
    }
}

/// A STORE to one node.
pub(super) fn store_at(to: &Contact<Id>, key: Id, token: Token, item: Versioned) -> Task<KeyValue> {
    Task::Request { to: to.addr, expected: Some(to.key), request: Request::Store { key, token, item } }
}
