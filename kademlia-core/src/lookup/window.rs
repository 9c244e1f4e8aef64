//! Which of a path's candidates have to answer, and so who is found.

use core::net::IpAddr;

use super::candidates::Candidate;
use crate::address::{subnet, wide_subnet};

/// What a path looks for, besides the nearest.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// Nodes wanted.
    pub(crate) k: usize,
    /// Beyond k: everybody whose distance to the target begins with at most this number…
    pub(crate) radius: u64,
    /// …up to so many in all.
    pub(crate) most: usize,
    /// Also the k closest whose keys are bound to their addresses.
    pub(crate) bound: bool,
    /// Nodes of one /24 or /64; 0 for no limit.
    pub(crate) per_subnet: usize,
    /// Nodes of one /16 or /32; 0 for no limit.
    pub(crate) per_wide_subnet: usize,
    /// Of those wanted, the healthy are asked first; those in bad health only where too few others are left.
    pub(crate) healthy_first: bool,
}

/// A walk over candidates from nearest to farthest that takes in whoever the rules want. The nearer of two goes before
/// the farther, so that nobody is kept out by those who are not in the result themselves.
pub(super) struct Window {
    rules: Rules,
    plain: usize,
    bound: usize,
}

impl Window {
    pub(super) fn new(rules: Rules) -> Self {
        Window { rules, plain: 0, bound: 0 }
    }

    /// Whether nobody at this distance or farther is wanted any more.
    pub(super) fn is_full(&self, distance: u64) -> bool {
        let plain = self.plain >= self.rules.k && !self.is_dense(distance);
        plain && (!self.rules.bound || self.bound >= self.rules.k)
    }

    /// Whether the candidate would be taken in, if its subnet has room.
    pub(super) fn wants<K>(&self, candidate: &Candidate<K>) -> bool {
        let bound = self.rules.bound && candidate.is_bound() && self.bound < self.rules.k;
        bound || self.plain < self.rules.k || self.is_dense(candidate.distance())
    }

    /// Whether `members`, whom the window has taken in, are enough from the networks of `ip`.
    pub(super) fn is_crowded(&self, ip: IpAddr, members: &(impl Iterator<Item = IpAddr> + Clone)) -> bool {
        let Rules { per_subnet, per_wide_subnet, .. } = self.rules;
        let reached = |limit: usize, network: fn(IpAddr) -> IpAddr| {
            let alike = |member: &IpAddr| network(*member) == network(ip);
            limit != 0 && members.clone().filter(alike).count() >= limit
        };
        reached(per_subnet, subnet) || reached(per_wide_subnet, wide_subnet)
    }

    pub(super) fn take<K>(&mut self, candidate: &Candidate<K>) {
        if self.plain < self.rules.k || self.is_dense(candidate.distance()) {
            self.plain += 1;
        }
        self.bound += usize::from(candidate.is_bound());
    }

    fn is_dense(&self, distance: u64) -> bool {
        distance < self.rules.radius && self.plain < self.rules.most
    }
}
