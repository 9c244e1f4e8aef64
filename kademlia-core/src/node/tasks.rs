//! What the service wants done, and what it hears of it.

use core::net::SocketAddr;

use super::searches::Plan;
use super::{Event, Failure, Node};
use crate::lookup::{LookupId, LookupLimit};
use crate::protocol::Protocol;
use crate::rpc::{Cause, RequestId};
use crate::service::Service;
use crate::task::{Outcome, Task, TaskId, Work};
use crate::time::Instant;

/// Tasks begun in one turn: a service that never has enough cannot hold up its node.
const PER_TURN: usize = 64;

impl<P: Protocol, S: Service<P>> Node<P, S> {
    /// Lets the service hear of what it asked for, and ask for more.
    pub(super) fn run_tasks(&mut self, now: Instant) {
        for _ in 0..PER_TURN {
            self.hand_outcomes(now);
            let Some((id, task)) = self.service.poll_task(now, &self.table) else { return };
            self.begin(now, id, task);
        }
        self.hand_outcomes(now);
    }

    fn hand_outcomes(&mut self, now: Instant) {
        while let Some((task, outcome)) = self.tasks.outcomes.pop_front() {
            self.service.handle_outcome(now, task, outcome, &self.table);
        }
        self.tasks.outcomes.shrink_to(0);
    }

    fn begin(&mut self, now: Instant, task: TaskId, what: Task<P>) {
        match what {
            Task::Request { to, expected, request } => {
                let id = RequestId::from(self.take_id());
                self.tasks.begin(Work::Request(id), task);
                self.send_request(now, id, to, expected, request);
            }
            Task::Lookup { target, request, judge, options } => {
                self.begin_search(now, task, Plan::find(target, request, judge, options));
            }
            Task::Publish { target, request, make, options } => {
                self.begin_search(now, task, Plan::publish(target, request, make, options));
            }
        }
    }

    fn begin_search(&mut self, now: Instant, task: TaskId, plan: Plan<P>) {
        let id = LookupId::from(self.take_id());
        self.tasks.begin(Work::Lookup(id), task);
        if let Err(limit) = self.enqueue_as(now, id, plan) {
            self.refuse(task, id, limit);
        }
    }

    fn refuse(&mut self, task: TaskId, id: LookupId, limit: LookupLimit) {
        self.tasks.forget(Work::Lookup(id));
        self.tasks.outcomes.push_back((task, Outcome::Limited(limit)));
    }

    pub(super) fn send_request(
        &mut self,
        now: Instant,
        id: RequestId,
        to: SocketAddr,
        expected: Option<P::Key>,
        request: P::Request,
    ) {
        let sendable = self.admits(to);
        if sendable && self.ask(now, to, expected, Cause::Request(id), request.clone()) {
            self.requests.insert(id, request);
        } else {
            self.emit(Event::Requested { request: id, result: Err(Failure::NotSent) });
        }
    }

    /// Tells whoever began it: the service or the host.
    pub(super) fn emit(&mut self, event: Event<P>) {
        if let Some(event) = self.tasks.take(event) {
            self.events.push_back(event);
        }
    }
}
