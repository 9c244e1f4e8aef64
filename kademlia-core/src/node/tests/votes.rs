//! P48 over arbitrary votes.

use alloc::collections::VecDeque;
use core::time::Duration;

use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use super::super::observed::Observed;
use super::*;
use crate::address::wide_subnet;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p48_the_address_changes_by_quorum_only_and_once_an_hour(
        votes in proptest::collection::vec((0..160_u8, 0..3_u8, 0..900_u32), 1..300), one_sided: bool,
    ) {
        let config = Config::default().observed;
        let mut observed = Observed::new(config);
        let (mut now, mut changed, mut denials) = (Instant::ZERO, None, 0);
        let mut model: VecDeque<(core::net::IpAddr, u8)> = VecDeque::new();
        for (at, (voter, seen, pause)) in votes.into_iter().enumerate() {
            // In half of all histories all agree, and later all on something else.
            let seen = if one_sided { u8::from(at > 60) + seen / 2 } else { seen };
            now = now + Duration::from_secs(pause.into());
            // Two hosts of each /16.
            let from = SocketAddr::from(([20, voter / 2, voter, 1], 6881));
            let network = wide_subnet(from.ip());
            model.retain(|(other, _)| *other != network);
            while model.len() >= config.votes {
                model.pop_front();
            }
            model.push_back((network, seen));
            let before = observed.agreed();
            denials = if before == Some(address(seen)) { 0 } else { denials + 1 };
            // Nobody says so any more.
            model.retain(|(_, vote)| denials < 40 || before != Some(address(*vote)));
            let told = observed.vote(now, from, address(seen));
            let agreeing = model.iter().filter(|(_, vote)| *vote == seen).count();
            let quorum = model.len() >= 12 && agreeing * 100 > model.len() * 66;
            let settled = changed.is_none_or(|at: Instant| now.since(at) >= Duration::from_secs(3_600));
            let new = before != Some(address(seen));
            prop_assert_eq!(told.is_some(), quorum && settled && new, "{} of {}", agreeing, model.len());
            prop_assert_eq!(observed.agreed(), if told.is_some() { Some(address(seen)) } else { before });
            if told.is_some() {
                denials = 0;
                changed = Some(now);
            }
            prop_assert!(observed.memory() <= 4_096);
        }
    }
}
