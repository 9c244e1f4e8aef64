//! How many searches run at once, and how many wait.

use alloc::collections::VecDeque;

use super::LookupId;
use crate::time::Instant;

/// Too many lookups wait already. Ours, and nobody else's, to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{waiting} lookups are waiting already")]
pub struct LookupLimit {
    /// The limit that was reached.
    pub waiting: usize,
}

/// Searches that wait for their turn, first come first served. Bounded; a search that waited too long is let in.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    waiting: VecDeque<(LookupId, Instant, T)>,
    limit: usize,
}

impl<T> Queue<T> {
    pub(crate) fn new(limit: usize) -> Self {
        Queue { waiting: VecDeque::new(), limit }
    }

    /// Appends a search that is let in at `latest` even if bootstrap has not ended.
    pub(crate) fn push(&mut self, id: LookupId, latest: Instant, search: T) -> Result<(), LookupLimit> {
        if self.waiting.len() >= self.limit {
            return Err(LookupLimit { waiting: self.limit });
        }
        self.waiting.push_back((id, latest, search));
        Ok(())
    }

    /// The first in line; while `joining`, only if its patience has run out.
    pub(crate) fn pop(&mut self, now: Instant, joining: bool) -> Option<(LookupId, T)> {
        let (_, latest, _) = self.waiting.front()?;
        if joining && *latest > now {
            return None;
        }
        let first = self.waiting.pop_front().map(|(id, _, search)| (id, search));
        self.settle();
        first
    }

    /// An empty queue gives back the room that a rush took.
    fn settle(&mut self) {
        if self.waiting.is_empty() {
            self.waiting.shrink_to(0);
        }
    }

    pub(crate) fn memory(&self) -> usize {
        self.waiting.capacity() * size_of::<(LookupId, Instant, T)>()
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(crate) fn remove(&mut self, id: LookupId) -> Option<T> {
        let at = self.waiting.iter().position(|(waiting, _, _)| *waiting == id)?;
        let removed = self.waiting.remove(at).map(|(_, _, search)| search);
        self.settle();
        removed
    }

    /// When the first in line loses its patience.
    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, latest, _)| *latest)
    }
}
