//! Votes of the nodes we asked on the address they saw (T15, B12).

use alloc::collections::VecDeque;
use core::net::SocketAddr;
use core::time::Duration;

use crate::address::{CompactAddr, wide_subnet};
use crate::config::ObservedConfig;
use crate::time::Instant;

/// Who has heard no vote for so long asks for one: how else should an idle node notice that its address has changed?
const LULL: Duration = Duration::from_secs(60);
/// The same while the last vote speaks against the address agreed on.
const DISPUTE: Duration = Duration::from_secs(10);
/// The same after [`DOUBTED`] votes in a row against it: where three in ten lie, that is one chance in 120.
const HURRY: Duration = Duration::from_secs(1);
const DOUBTED: u32 = 4;
/// After so many strangers are asked, whom a lookup meets: one's own table may be mostly liars, if they were there first. Not
/// sooner, or liars would have lookups made and steer them to each other.
const DENIED: u32 = 12;
/// After so many, votes for it are no more than memories of those who were not asked again.
const DISOWNED: u32 = 40;

/// The external address as the network sees it. Only replies to our own requests vote, one vote a network.
#[derive(Debug)]
pub(super) struct Observed {
    config: ObservedConfig,
    /// Voter's network, or its address where those count, and the address it saw; oldest first.
    votes: VecDeque<(CompactAddr, CompactAddr)>,
    agreed: Option<SocketAddr>,
    settled_until: Instant,
    /// When the last vote came, or was asked for.
    last: Instant,
    /// Votes in a row that were not for the address agreed on, if any is.
    against: u32,
    /// Lookups since then that were to bring votes, and when the next one may be.
    lookups: u32,
    next_lookup: Instant,
}

impl Observed {
    pub(super) fn new(config: ObservedConfig) -> Self {
        Observed {
            config,
            votes: VecDeque::new(),
            agreed: None,
            settled_until: Instant::ZERO,
            last: Instant::ZERO,
            against: 0,
            lookups: 0,
            next_lookup: Instant::ZERO,
        }
    }

    pub(super) fn agreed(&self) -> Option<SocketAddr> {
        self.agreed
    }

    /// When a vote should be asked for; never where nobody votes.
    pub(super) fn due(&self) -> Option<Instant> {
        self.votes.back()?;
        let late = self.last + LULL;
        let soon = match self.against {
            0 => late,
            1..DOUBTED => self.last + DISPUTE,
            DOUBTED..DENIED => self.last + HURRY,
            _ => self.next_lookup,
        };
        Some(soon.max(self.settled_until).min(late))
    }

    /// Whether those whom a lookup meets should be asked now, rather than our own table.
    pub(super) fn wants_strangers(&self, now: Instant) -> bool {
        self.against >= DENIED && now >= self.next_lookup.max(self.settled_until)
    }

    /// A vote was asked for.
    pub(super) fn asked(&mut self, now: Instant) {
        self.last = now;
    }

    /// A lookup was started for votes. Further ones come ever later, up to 10 min: who is told two things by as many never
    /// comes to a result.
    pub(super) fn looked(&mut self, now: Instant) {
        self.lookups = (self.lookups + 1).min(240);
        self.next_lookup = now + DISPUTE.saturating_mul(1 + self.lookups / 4);
    }

    /// Counts a vote; gives back the address if this vote changed what is agreed on.
    pub(super) fn vote(&mut self, now: Instant, voter: SocketAddr, seen: SocketAddr) -> Option<SocketAddr> {
        let network = SocketAddr::new(wide_subnet(voter.ip()), 0);
        let voter = CompactAddr::new(if self.config.one_per_network { network } else { voter });
        self.votes.retain(|(other, _)| *other != voter);
        while self.votes.len() >= self.config.votes.max(1) {
            self.votes.pop_front();
        }
        self.votes.push_back((voter, CompactAddr::new(seen)));
        self.last = now;
        if self.agreed.is_some_and(|agreed| agreed.ip() == seen.ip()) {
            self.calm();
            return None;
        }
        // As long as too few have voted, there is nothing to be against.
        let enough = self.agreed.is_some() || self.votes.len() >= self.config.quorum;
        self.against = self.against.saturating_add(enough.into());
        if let Some(agreed) = self.agreed.filter(|_| self.against >= DISOWNED) {
            self.votes.retain(|(_, vote)| vote.get().ip() != agreed.ip());
        }
        if now < self.settled_until {
            return None;
        }
        let votes = || self.votes.iter().map(|(_, vote)| vote.get()).filter(|vote| vote.ip() == seen.ip());
        let agreeing = votes().count();
        let agreed = self.votes.len() >= self.config.quorum
            && agreeing.saturating_mul(100) > self.votes.len().saturating_mul(self.config.percent);
        if !agreed {
            return None;
        }
        // The last of them may have lied about the port, which is another question.
        let support = |vote: &SocketAddr| votes().filter(|other| other == vote).count();
        self.agreed = votes().max_by_key(support);
        self.settled_until = now + self.config.settle;
        self.calm();
        self.agreed
    }

    /// The last vote is for the address agreed on.
    fn calm(&mut self) {
        (self.against, self.lookups) = (0, 0);
    }

    pub(super) fn memory(&self) -> usize {
        self.votes.capacity() * size_of::<(CompactAddr, CompactAddr)>()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::config::Config;

    fn voter(n: u8) -> SocketAddr {
        SocketAddr::from(([20 + n, n, 1, 1], 6881))
    }

    fn seen(n: u8) -> SocketAddr {
        SocketAddr::from(([50, 0, 0, n], 6881))
    }

    fn agreed_by_thirty() -> Observed {
        let mut observed = Observed::new(Config::default().observed);
        for n in 0..30 {
            observed.vote(Instant::ZERO, voter(n), seen(1));
        }
        observed
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
    fn t15_where_networks_do_not_count_an_address_votes_once() {
        let mut observed = Observed::new(Config::default().private_network().observed);
        let voter = |n| SocketAddr::from(([127, 0, 0, 1], n));
        for _ in 0..100 {
            assert_eq!(observed.vote(Instant::ZERO, voter(1), seen(9)), None);
        }
        assert_eq!(observed.vote(Instant::ZERO, voter(2), seen(9)), None);
        assert_eq!(observed.vote(Instant::ZERO, voter(3), seen(9)), Some(seen(9)));
    }

    #[test]
    fn t15_one_voter_does_not_choose_the_port() {
        let mut observed = Observed::new(Config::default().observed);
        for n in 0..11 {
            observed.vote(Instant::ZERO, voter(n), seen(1));
        }
        let elsewhere = SocketAddr::new(seen(1).ip(), 1);
        assert_eq!(observed.vote(Instant::ZERO, voter(11), elsewhere), Some(seen(1)));
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
    fn t15_who_is_denied_by_everybody_asks_faster_and_then_strangers_and_ever_less_in_vain() {
        let mut observed = agreed_by_thirty();
        let day = Instant::from_secs(86_400);
        let pauses = (0..14).map(|n| {
            let (address, strangers) = (seen(2 + n % 2), observed.wants_strangers(day));
            observed.vote(day, voter(n), address);
            (strangers, observed.due().unwrap().since(day).as_secs())
        });
        let expected = [10, 10, 10, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0];
        let pauses: Vec<_> = pauses.collect();
        assert_eq!(pauses.iter().map(|(_, pause)| *pause).collect::<Vec<_>>(), expected);
        assert_eq!(pauses.iter().position(|(strangers, _)| *strangers), Some(12));
        let mut spent = Duration::ZERO;
        for lookups in 1..=100 {
            observed.looked(day + spent);
            assert!(!observed.wants_strangers(day + spent));
            spent = observed.next_lookup.since(day);
            assert!(spent >= DISPUTE * lookups);
        }
        assert!(spent > Duration::from_secs(3 * 3_600), "a hundred in {spent:?}");
        observed.vote(day + spent, voter(1), seen(1));
        assert_eq!(observed.due(), Some(day + spent + LULL), "a single word for it ends the dispute");
    }

    #[test]
    fn t15_old_votes_do_not_outlive_their_address_where_few_networks_are_left_to_ask() {
        let mut observed = agreed_by_thirty();
        // Ten of the thirty are gone, and one of the others lies.
        let day = Instant::from_secs(86_400);
        let told: Vec<_> = (0..60)
            .filter_map(|n| observed.vote(day, voter(n % 20), if n % 20 == 0 { seen(3) } else { seen(2) }))
            .collect();
        assert_eq!(told, [seen(2)]);
        let votes =
            |address: SocketAddr| observed.votes.iter().filter(|(_, vote)| vote.get() == address).count();
        assert_eq!((votes(seen(1)), votes(seen(2))), (0, 19));
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
