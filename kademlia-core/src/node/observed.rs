//! Votes of the nodes we asked on the address they saw (T15, B12).

use alloc::collections::VecDeque;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::address::{CompactAddr, wide_subnet};
use crate::config::ObservedConfig;
use crate::time::Instant;

/// Who has heard no vote for so long asks for one: how else should an idle node notice that its address has changed?
const LULL: Duration = Duration::from_secs(60);
/// The same while the last vote speaks against the address agreed on.
const DISPUTE: Duration = Duration::from_secs(10);

/// The external address as the network sees it. Only replies to our own requests vote, one vote a network.
#[derive(Debug)]
pub(super) struct Observed {
    config: ObservedConfig,
    /// Voter's network, and the address it saw; oldest first.
    votes: VecDeque<(IpAddr, CompactAddr)>,
    agreed: Option<SocketAddr>,
    settled_until: Instant,
    /// When the last vote came, or was asked for.
    last: Instant,
}

impl Observed {
    pub(super) fn new(config: ObservedConfig) -> Self {
        Observed {
            config,
            votes: VecDeque::new(),
            agreed: None,
            settled_until: Instant::ZERO,
            last: Instant::ZERO,
        }
    }

    pub(super) fn agreed(&self) -> Option<SocketAddr> {
        self.agreed
    }

    /// When a vote should be asked for; never where nobody votes.
    pub(super) fn due(&self) -> Option<Instant> {
        let (_, last) = self.votes.back()?;
        let disputed = self.agreed.is_some_and(|agreed| agreed.ip() != last.get().ip());
        let soon = (self.last + DISPUTE).max(self.settled_until);
        let late = self.last + LULL;
        Some(if disputed { soon.min(late) } else { late })
    }

    /// A vote was asked for.
    pub(super) fn asked(&mut self, now: Instant) {
        self.last = now;
    }

    /// Counts a vote; gives back the address if this vote changed what is agreed on.
    pub(super) fn vote(&mut self, now: Instant, voter: SocketAddr, seen: SocketAddr) -> Option<SocketAddr> {
        let network = if self.config.one_per_network { wide_subnet(voter.ip()) } else { voter.ip() };
        self.votes.retain(|(other, _)| *other != network || !self.config.one_per_network);
        while self.votes.len() >= self.config.votes.max(1) {
            self.votes.pop_front();
        }
        self.votes.push_back((network, CompactAddr::new(seen)));
        self.last = now;
        if self.agreed.is_some_and(|agreed| agreed.ip() == seen.ip()) || now < self.settled_until {
            return None;
        }
        let agreeing = self.votes.iter().filter(|(_, vote)| vote.get().ip() == seen.ip()).count();
        let enough = self.votes.len() >= self.config.quorum
            && agreeing.saturating_mul(100) > self.votes.len().saturating_mul(self.config.percent);
        if !enough {
            return None;
        }
        self.agreed = Some(seen);
        self.settled_until = now + self.config.settle;
        self.agreed
    }

    pub(super) fn memory(&self) -> usize {
        self.votes.capacity() * size_of::<(IpAddr, CompactAddr)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn voter(n: u8) -> SocketAddr {
        SocketAddr::from(([20 + n, n, 1, 1], 6881))
    }

    fn seen(n: u8) -> SocketAddr {
        SocketAddr::from(([50, 0, 0, n], 6881))
    }

    #[test]
    fn t15_twelve_networks_must_agree_and_one_network_votes_once() {
        let mut observed = Observed::new(Config::default().observed);
        for port in 1..100 {
            let neighbour = SocketAddr::from(([20, 0, 1, port], 6881));
            assert_eq!(observed.vote(Instant::ZERO, neighbour, seen(9)), None, "one /16, one vote");
        }
        for n in 1..11 {
            assert_eq!(observed.vote(Instant::ZERO, voter(n), seen(1)), None);
        }
        assert_eq!(observed.vote(Instant::ZERO, voter(11), seen(1)), Some(seen(1)));
        assert_eq!(observed.agreed(), Some(seen(1)));
    }

    #[test]
    fn t15_votes_are_asked_for_in_a_lull_and_sooner_in_a_dispute() {
        let mut observed = Observed::new(Config::default().observed);
        assert_eq!(observed.due(), None, "nobody votes here");
        let all = (0..12).map(|n| (0, voter(n), seen(1)));
        let later = [(10, voter(1), seen(2)), (4_000, voter(1), seen(2)), (4_005, voter(2), seen(1))];
        let due: Vec<_> = all
            .chain(later)
            .map(|(at, from, address)| {
                observed.vote(Instant::from_secs(at), from, address);
                observed.due().unwrap().as_secs()
            })
            .collect();
        assert_eq!(due[11..], [60, 70, 4_010, 4_065], "within the hour a dispute has time");
        observed.asked(Instant::from_secs(5_000));
        assert_eq!(observed.due(), Some(Instant::from_secs(5_060)));
    }

    #[test]
    fn t15_a_third_of_liars_changes_nothing() {
        let mut observed = Observed::new(Config::default().observed);
        for round in 0..1_000_u64 {
            for n in 0..30 {
                let address = if n % 10 < 3 { seen(9) } else { seen(1) };
                observed.vote(Instant::from_secs(round * 86), voter(n), address);
                assert_ne!(observed.agreed(), Some(seen(9)));
            }
        }
        assert_eq!(observed.agreed(), Some(seen(1)));
    }

    #[test]
    fn t15_a_real_change_is_believed_but_not_twice_an_hour() {
        let mut observed = Observed::new(Config::default().observed);
        let all = |observed: &mut Observed, secs, address| {
            for n in 0..40 {
                observed.vote(Instant::from_secs(secs), voter(n), address);
            }
            observed.agreed()
        };
        assert_eq!(all(&mut observed, 0, seen(1)), Some(seen(1)));
        assert_eq!(all(&mut observed, 1_800, seen(2)), Some(seen(1)), "within the hour");
        assert_eq!(all(&mut observed, 3_600, seen(2)), Some(seen(2)));
    }
}
