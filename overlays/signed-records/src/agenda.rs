//! What a service has asked its node to do, and what it will do with the outcome.

use core::fmt;
use core::net::SocketAddr;
use std::collections::{BTreeMap, VecDeque};

use kademlia_core::{
    Answered, Failure, Instant, Judge, Key, LookupLimit, LookupOptions, LookupReport, MakeRequest, Outcome,
    Stored, Task, TaskId,
};

use crate::message::Request;
use crate::protocol::SignedRecords;
use crate::service::RecordsService;

/// What comes next, once it is known how the task went.
type Then<S, T> = Box<dyn FnOnce(&mut RecordsService<S>, Instant, T) + Send>;

/// The three sorts of task, and what follows each.
enum Waiting<S> {
    Request(Then<S, Result<Answered<SignedRecords>, Failure>>),
    Lookup(Then<S, Result<LookupReport<Key<32>>, LookupLimit>>),
    Publish(Then<S, Result<Stored<Key<32>>, LookupLimit>>),
}

/// Tasks to be begun, in order, and those under way.
pub(crate) struct Agenda<S> {
    next: u64,
    queue: VecDeque<(TaskId, Task<SignedRecords>)>,
    waiting: BTreeMap<TaskId, Waiting<S>>,
}

impl<S> Agenda<S> {
    pub(crate) const fn new() -> Self {
        Agenda { next: 0, queue: VecDeque::new(), waiting: BTreeMap::new() }
    }

    /// Tasks begun or to be begun.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the node should fetch something.
    pub(crate) fn is_urgent(&self) -> bool {
        !self.queue.is_empty()
    }

    pub(crate) fn pop(&mut self) -> Option<(TaskId, Task<SignedRecords>)> {
        self.queue.pop_front()
    }

    fn push(&mut self, task: Task<SignedRecords>, waiting: Waiting<S>) {
        let id = TaskId(self.next);
        self.next += 1;
        self.queue.push_back((id, task));
        self.waiting.insert(id, waiting);
    }

    /// Asks one node.
    pub(crate) fn ask(
        &mut self,
        to: SocketAddr,
        expected: Option<Key<32>>,
        request: Request,
        then: impl FnOnce(&mut RecordsService<S>, Instant, Result<Answered<SignedRecords>, Failure>)
        + Send
        + 'static,
    ) {
        self.push(Task::Request { to, expected, request }, Waiting::Request(Box::new(then)));
    }

    /// Asks the nodes closest to a target.
    pub(crate) fn look(
        &mut self,
        target: Key<32>,
        request: Request,
        judge: Option<Judge<SignedRecords>>,
        options: LookupOptions,
        then: impl FnOnce(&mut RecordsService<S>, Instant, Result<LookupReport<Key<32>>, LookupLimit>)
        + Send
        + 'static,
    ) {
        let task = Task::Lookup { target, request, judge, options };
        self.push(task, Waiting::Lookup(Box::new(then)));
    }

    /// Stores at the nodes closest to a target.
    pub(crate) fn store(
        &mut self,
        target: Key<32>,
        request: Request,
        make: MakeRequest<SignedRecords>,
        options: LookupOptions,
        then: impl FnOnce(&mut RecordsService<S>, Instant, Result<Stored<Key<32>>, LookupLimit>) + Send + 'static,
    ) {
        let task = Task::Publish { target, request, make, options };
        self.push(task, Waiting::Publish(Box::new(then)));
    }
}

impl<S> RecordsService<S> {
    /// A task ended: whoever waits for it goes on. Answers of lookups went to their judges.
    pub(crate) fn proceed(&mut self, now: Instant, task: TaskId, outcome: Outcome<SignedRecords>) {
        if matches!(outcome, Outcome::Answer { .. }) {
            return;
        }
        match (self.agenda.waiting.remove(&task), outcome) {
            (Some(Waiting::Request(then)), Outcome::Requested(result)) => then(self, now, result),
            (Some(Waiting::Lookup(then)), Outcome::Found(report)) => then(self, now, Ok(report)),
            (Some(Waiting::Lookup(then)), Outcome::Limited(limit)) => then(self, now, Err(limit)),
            (Some(Waiting::Publish(then)), Outcome::Stored(stored)) => then(self, now, Ok(stored)),
            (Some(Waiting::Publish(then)), Outcome::Limited(limit)) => then(self, now, Err(limit)),
            // The engine ends a task as it was begun.
            _ => {}
        }
    }
}

impl<S> fmt::Debug for Agenda<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Agenda {{ to begin: {}, waiting: {} }}", self.queue.len(), self.waiting.len())
    }
}
