//! How requests to others went lately.

use alloc::collections::{BTreeMap, BTreeSet};
use core::net::SocketAddr;

use crate::address::CompactAddr;
use crate::time::Instant;

/// What is known of a peer from the outcomes of our own requests to it; nothing that it sends of its own accord counts.
/// Ordered from the first to be asked to the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Health {
    /// It answered the last request.
    Good,
    /// No outcome is remembered.
    #[default]
    Unknown,
    /// It left the last request unanswered while others answered.
    Bad,
}

/// The last outcome at each of the addresses asked last, up to a limit; the oldest gives way.
#[derive(Debug)]
pub(crate) struct HealthLog {
    limit: usize,
    known: BTreeMap<CompactAddr, (Health, Instant)>,
    order: BTreeSet<(Instant, CompactAddr)>,
}

impl HealthLog {
    pub(crate) fn new(limit: usize) -> Self {
        HealthLog { limit, known: BTreeMap::new(), order: BTreeSet::new() }
    }

    pub(crate) fn record(&mut self, now: Instant, addr: SocketAddr, health: Health) {
        if self.limit == 0 {
            return;
        }
        let addr = CompactAddr::new(addr);
        if let Some((_, before)) = self.known.insert(addr, (health, now)) {
            self.order.remove(&(before, addr));
        }
        self.order.insert((now, addr));
        while self.known.len() > self.limit {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.known.remove(&oldest);
        }
    }

    pub(crate) fn of(&self, addr: SocketAddr) -> Health {
        if self.limit == 0 {
            return Health::Unknown;
        }
        self.known.get(&CompactAddr::new(addr)).map_or(Health::Unknown, |(health, _)| *health)
    }

    pub(crate) fn memory(&self) -> usize {
        self.known.len() * (size_of::<(CompactAddr, Health, Instant)>() + size_of::<(Instant, CompactAddr)>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fs_d9_the_last_outcome_counts_and_the_oldest_gives_way() {
        let addr = |n| SocketAddr::from(([10, 0, 0, n], 1));
        let mut log = HealthLog::new(2);
        log.record(Instant::ZERO, addr(1), Health::Bad);
        log.record(Instant::from_micros(1), addr(2), Health::Good);
        log.record(Instant::from_micros(2), addr(1), Health::Good);
        assert_eq!(
            (log.of(addr(1)), log.of(addr(2)), log.of(addr(3))),
            (Health::Good, Health::Good, Health::Unknown)
        );
        log.record(Instant::from_micros(3), addr(3), Health::Bad);
        assert_eq!((log.of(addr(2)), log.of(addr(3))), (Health::Unknown, Health::Bad));
        assert_eq!(log.known.len(), log.order.len());
    }

    #[test]
    fn without_room_nothing_is_remembered() {
        let mut log = HealthLog::new(0);
        log.record(Instant::ZERO, SocketAddr::from(([10, 0, 0, 1], 1)), Health::Good);
        assert_eq!((log.of(SocketAddr::from(([10, 0, 0, 1], 1))), log.memory()), (Health::Unknown, 0));
    }
}
