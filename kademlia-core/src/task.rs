//! What a service does of its own accord, and what it hears of it.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use core::fmt;
use core::net::SocketAddr;

use crate::contact::Contact;
use crate::lookup::{LookupId, LookupLimit, LookupReport};
use crate::node::{Answered, Event, Failure, LookupOptions};
use crate::protocol::Protocol;
use crate::publish::{MakeRequest, Stored};
use crate::rpc::RequestId;

/// Names a task; chosen by the service that gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

/// Something that a service wants its node to do: republish what it holds, hand it over, ask somebody. The same as the
/// host's commands, but the outcome goes to [`Service::handle_outcome`](crate::Service::handle_outcome).
pub enum Task<P: Protocol> {
    /// Ask one node one thing; see [`Node::request`](crate::Node::request).
    Request {
        /// Whom.
        to: SocketAddr,
        /// The key it has to answer under, if that is known.
        expected: Option<P::Key>,
        /// What.
        request: P::Request,
    },
    /// Ask the nodes closest to a target; see [`Node::find`](crate::Node::find) and [`Node::lookup`](crate::Node::lookup).
    Lookup {
        /// Where.
        target: P::Key,
        /// What.
        request: P::Request,
        /// What is reported and what ends the lookup; without it, the options say.
        judge: Option<Judge<P>>,
        /// How.
        options: LookupOptions,
    },
    /// Store at the closest nodes; see [`Node::publish`](crate::Node::publish).
    Publish {
        /// Where.
        target: P::Key,
        /// What the lookup asks.
        request: P::Request,
        /// Makes the storing request from a node's answer.
        make: MakeRequest<P>,
        /// How.
        options: LookupOptions,
    },
}

/// How a task went. Every task ends with exactly one outcome that is no [`Answer`](Self::Answer).
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<P: Protocol> {
    /// An answer to a lookup, as it arrives; more follow.
    Answer {
        /// Who answered.
        from: Contact<P::Key>,
        /// The answer.
        response: P::Response,
    },
    /// A lookup ended.
    Found(LookupReport<P::Key>),
    /// A publish ended.
    Stored(Stored<P::Key>),
    /// A single request ended.
    Requested(Result<Answered<P>, Failure>),
    /// A lookup or a publish could not begin: too many wait.
    Limited(LookupLimit),
}

/// Looks at every answer of a lookup: the predicate of a search for values.
pub type Judge<P> =
    Box<dyn FnMut(&Contact<<P as Protocol>::Key>, &<P as Protocol>::Response) -> Verdict + Send>;

/// What an answer means to a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing of interest: not reported.
    Pass,
    /// Reported; the lookup goes on.
    Take,
    /// Reported, and the lookup ends with it.
    Finish,
}

impl<P: Protocol> fmt::Debug for Task<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Task::Request { to, request, .. } => write!(f, "Request {{ to: {to}, request: {request:?} }}"),
            Task::Lookup { target, request, .. } => write!(f, "Lookup {{ {target:?}, {request:?} }}"),
            Task::Publish { target, request, .. } => write!(f, "Publish {{ {target:?}, {request:?} }}"),
        }
    }
}

/// A piece of work that the engine does for a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Work {
    Lookup(LookupId),
    Request(RequestId),
}

/// Whose work is whose, and the outcomes that the service has not seen yet.
#[derive(Debug)]
pub(crate) struct Tasks<P: Protocol> {
    owners: BTreeMap<Work, TaskId>,
    pub(crate) outcomes: VecDeque<(TaskId, Outcome<P>)>,
}

impl<P: Protocol> Tasks<P> {
    pub(crate) fn new() -> Self {
        Tasks { owners: BTreeMap::new(), outcomes: VecDeque::new() }
    }

    pub(crate) fn begin(&mut self, work: Work, task: TaskId) {
        self.owners.insert(work, task);
    }

    /// The work was given up; nothing comes of it.
    pub(crate) fn forget(&mut self, work: Work) {
        self.owners.remove(&work);
    }

    /// Keeps what the service should hear; gives back what is the host's.
    pub(crate) fn take(&mut self, event: Event<P>) -> Option<Event<P>> {
        let (work, ends) = match &event {
            Event::Answer { lookup, .. } => (Work::Lookup(*lookup), false),
            Event::LookupDone { lookup, .. } | Event::Stored { lookup, .. } => (Work::Lookup(*lookup), true),
            Event::Requested { request, .. } => (Work::Request(*request), true),
            _ => return Some(event),
        };
        let owner = if ends { self.owners.remove(&work) } else { self.owners.get(&work).copied() };
        let Some(task) = owner else { return Some(event) };
        let outcome = match event {
            Event::Answer { from, response, .. } => Outcome::Answer { from, response },
            Event::LookupDone { report, .. } => Outcome::Found(report),
            Event::Stored { stored, .. } => Outcome::Stored(stored),
            Event::Requested { result, .. } => Outcome::Requested(result),
            other => return Some(other),
        };
        self.outcomes.push_back((task, outcome));
        None
    }

    pub(crate) fn memory(&self) -> usize {
        self.owners.len() * size_of::<(Work, TaskId)>()
            + self.outcomes.capacity() * size_of::<(TaskId, Outcome<P>)>()
    }
}
