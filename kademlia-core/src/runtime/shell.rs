//! The nodes, and everybody who waits for something from them.

use std::collections::HashMap;

use tokio::sync::{mpsc, oneshot};

use super::search::Answer;
use crate::address::Family;
use crate::dual::DualStack;
use crate::lookup::{LookupId, LookupReport};
use crate::node::{Answered, Event, Failure};
use crate::protocol::Protocol;
use crate::publish::Stored;
use crate::rpc::RequestId;
use crate::service::Service;
use crate::time::Instant;

/// How a single request ends.
type Outcome<P> = Result<Answered<P>, Failure>;

/// What a [`Handle`](super::Handle)'s commands work on, between two turns of the driver's loop.
pub struct Shell<P: Protocol, S> {
    /// The nodes.
    pub stack: DualStack<P, S>,
    pub(super) searches: HashMap<(Family, LookupId), Watcher<P>>,
    pub(super) stores: HashMap<(Family, LookupId), oneshot::Sender<Stored<P::Key>>>,
    pub(super) requests: HashMap<(Family, RequestId), oneshot::Sender<Outcome<P>>>,
    pub(super) joiners: Vec<oneshot::Sender<()>>,
    pub(super) listeners: Vec<mpsc::Sender<(Family, Event<P>)>>,
    pub(super) stop: Option<oneshot::Sender<()>>,
}

/// Who waits for a lookup: one channel for its answers, which may overflow, and one for its end, which may not.
pub(super) struct Watcher<P: Protocol> {
    pub(super) answers: mpsc::Sender<Answer<P>>,
    pub(super) report: oneshot::Sender<LookupReport<P::Key>>,
}

impl<P: Protocol, S: Service<P>> Shell<P, S> {
    pub(super) fn new(stack: DualStack<P, S>) -> Self {
        Shell {
            stack,
            searches: HashMap::new(),
            stores: HashMap::new(),
            requests: HashMap::new(),
            joiners: Vec::new(),
            listeners: Vec::new(),
            stop: None,
        }
    }

    /// Whether any node found its way into the network.
    pub fn is_bootstrapped(&self) -> bool {
        self.stack.nodes().any(|(_, node)| node.is_bootstrapped())
    }

    pub(super) fn cancel(&mut self, now: Instant, family: Family, id: LookupId) {
        self.searches.remove(&(family, id));
        self.stores.remove(&(family, id));
        if let Some(node) = self.stack.node_mut(family) {
            node.cancel(now, id);
        }
    }

    /// Hands every event to who waits for it. Never waits itself: what a channel has no room for is lost to its reader.
    pub(super) fn dispatch(&mut self, now: Instant) {
        while let Some((family, event)) = self.stack.poll_event() {
            self.listeners.retain(|listener| !listener.is_closed());
            for listener in &self.listeners {
                let _ = listener.try_send((family, event.clone()));
            }
            self.deliver(now, family, event);
        }
    }

    fn deliver(&mut self, now: Instant, family: Family, event: Event<P>) {
        match event {
            Event::Bootstrapped => {
                for joiner in self.joiners.drain(..) {
                    let _ = joiner.send(());
                }
            }
            Event::Answer { lookup, from, response } => {
                let Some(watcher) = self.searches.get(&(family, lookup)) else { return };
                if let Err(mpsc::error::TrySendError::Closed(_)) =
                    watcher.answers.try_send(Answer { family, from, response })
                {
                    self.cancel(now, family, lookup);
                }
            }
            Event::LookupDone { lookup, report } => {
                if let Some(watcher) = self.searches.remove(&(family, lookup)) {
                    let _ = watcher.report.send(report);
                }
            }
            Event::Stored { lookup, stored } => {
                if let Some(waiting) = self.stores.remove(&(family, lookup)) {
                    let _ = waiting.send(stored);
                }
            }
            Event::Requested { request, result } => {
                if let Some(waiting) = self.requests.remove(&(family, request)) {
                    let _ = waiting.send(result);
                }
            }
            Event::External(_) | Event::Renamed { .. } => {}
        }
    }
}

impl<P: Protocol, S> std::fmt::Debug for Shell<P, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (searches, requests) = (self.searches.len(), self.requests.len());
        write!(f, "Shell {{ searches: {searches}, requests: {requests} }}")
    }
}
