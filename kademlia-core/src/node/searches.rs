//! What a node searches for: what runs, and what waits.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use core::fmt;
use core::net::SocketAddr;

use super::LookupOptions;
use crate::config::LookupConfig;
use crate::contact::Contact;
use crate::lookup::{Effort, Lookup, LookupId, LookupReport, Queue};
use crate::protocol::Protocol;
use crate::publish::{MakeRequest, Publish};
use crate::task::{Judge, Verdict};
use crate::time::{Instant, soonest};

/// Searches of the engine's own that may run at once.
pub(super) const OWN: usize = 4;

/// What a search is for, and so what its end means.
#[derive(Debug)]
pub(super) enum Purpose<P: Protocol> {
    /// A lookup of the host's or the service's.
    Find(Watch<P>),
    /// The host's publish.
    Publish(Box<Publish<P>>),
    /// Looking up the own key on the way in.
    Join,
    /// Filling or refreshing a bucket.
    Refresh,
}

/// Which answers of a lookup are reported: those the judge says, or all, or none.
pub(super) struct Watch<P: Protocol> {
    pub(super) answers: bool,
    pub(super) judge: Option<Judge<P>>,
}

impl<P: Protocol> Watch<P> {
    pub(super) fn judge(&mut self, from: &Contact<P::Key>, response: &P::Response) -> Verdict {
        match &mut self.judge {
            Some(judge) => judge(from, response),
            None if self.answers => Verdict::Take,
            None => Verdict::Pass,
        }
    }

    /// Whether anybody wants answers.
    pub(super) fn wants_answers(&self) -> bool {
        self.answers || self.judge.is_some()
    }
}

impl<P: Protocol> fmt::Debug for Watch<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watch {{ answers: {}, judge: {} }}", self.answers, self.judge.is_some())
    }
}

/// A search that waits for its turn.
#[derive(Debug)]
pub(super) struct Plan<P: Protocol> {
    pub(super) target: P::Key,
    pub(super) request: P::Request,
    pub(super) options: LookupOptions,
    pub(super) purpose: Purpose<P>,
}

impl<P: Protocol> Plan<P> {
    /// A lookup, with a judge or without.
    pub(super) fn find(
        target: P::Key,
        request: P::Request,
        judge: Option<Judge<P>>,
        options: LookupOptions,
    ) -> Self {
        let watch = Watch { answers: options.answers, judge };
        Plan { target, request, options, purpose: Purpose::Find(watch) }
    }

    /// The host's publish.
    pub(super) fn publish(
        target: P::Key,
        request: P::Request,
        make: MakeRequest<P>,
        options: LookupOptions,
    ) -> Self {
        Plan { target, request, options, purpose: Purpose::Publish(Box::new(Publish::new(make))) }
    }
}

/// A search that runs.
#[derive(Debug)]
pub(super) struct Search<P: Protocol> {
    pub(super) lookup: Lookup<P::Key>,
    pub(super) request: P::Request,
    pub(super) options: LookupOptions,
    pub(super) effort: Effort,
    pub(super) purpose: Purpose<P>,
}

impl<P: Protocol> Search<P> {
    /// The request that stores at `to`.
    pub(super) fn stored_request(&self, to: SocketAddr) -> Option<P::Request> {
        match &self.purpose {
            Purpose::Publish(publish) => publish.request(to).cloned(),
            _ => None,
        }
    }

    /// The nodes that are looked for: as many as its options or, without a word from them, `k` say.
    pub(super) fn wanted(&self, k: usize) -> usize {
        self.options.k.unwrap_or(k).max(1)
    }

    fn memory(&self) -> usize {
        let stores = match &self.purpose {
            Purpose::Publish(publish) => publish.memory(),
            _ => 0,
        };
        size_of::<(LookupId, Box<Self>)>() + size_of::<Self>() + self.lookup.memory() + stores
    }

    /// When it wants to go on by itself.
    fn poll_timeout(&self) -> Option<Instant> {
        soonest([self.deadline(), self.lookup.launch_at()])
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.purpose {
            Purpose::Publish(publish) if publish.is_storing() => None,
            _ => Some(self.lookup.deadline()),
        }
    }
}

/// All searches of a node.
#[derive(Debug)]
pub(super) struct Searches<P: Protocol> {
    /// Boxed: a map keeps room for eleven, and in most nodes none runs.
    pub(super) running: BTreeMap<LookupId, Box<Search<P>>>,
    pub(super) queue: Queue<Plan<P>>,
    places: usize,
}

impl<P: Protocol> Searches<P> {
    pub(super) fn new(config: &LookupConfig) -> Self {
        Searches { running: BTreeMap::new(), queue: Queue::new(config.waiting), places: config.running }
    }

    pub(super) fn get_mut(&mut self, id: LookupId) -> Option<&mut Search<P>> {
        self.running.get_mut(&id).map(Box::as_mut)
    }

    /// Lookups do not wait for `addr` before they ask somebody else.
    pub(super) fn unreachable(&mut self, addr: SocketAddr) {
        for search in self.running.values_mut() {
            search.lookup.stalled(addr);
        }
    }

    pub(super) fn remove(&mut self, id: LookupId) {
        if self.running.remove(&id).is_none() {
            self.queue.remove(id);
        }
    }

    /// Checks that the limits hold. The engine's own searches, at most two for joining and a rename each and one that
    /// refreshes, need no place.
    pub(super) fn check(&self, waiting: usize) -> Result<(), &'static str> {
        if self.queue.len() > waiting {
            return Err("more searches wait than may");
        }
        if self.running.len() > self.places + OWN { Err("more searches run than may") } else { Ok(()) }
    }

    pub(super) fn progress(&self, now: Instant, id: LookupId, k: usize) -> Option<LookupReport<P::Key>> {
        let search = self.running.get(&id).filter(|search| search.deadline().is_some())?;
        Some(LookupReport { complete: false, ..search.lookup.report(now, search.wanted(k)) })
    }

    pub(super) fn has_place(&self) -> bool {
        self.running.len() < self.places
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        // Without a place, patience that ran out can only wait for a search to end, which is a deadline itself.
        let impatient = if self.has_place() { self.queue.poll_timeout() } else { None };
        soonest(self.running.values().map(|search| search.poll_timeout()).chain([impatient]))
    }

    pub(super) fn memory(&self) -> usize {
        self.running.values().map(|search| search.memory()).sum::<usize>() + self.queue.memory()
    }
}
