//! The calendar, for a state machine that reads no clock.

use core::time::Duration;

use kademlia_core::Instant;

/// What Unix time was at the engine's zero: turns the engine's instants into dates that outlive a restart, and back. Of two
/// calendars the greater is ahead of the other.
///
/// Only a node's own records are dated with its own calendar; what travels is a span. Nodes need no common clock, but for
/// versions ([`Versioned`](crate::Versioned)), where an hour more or less does no harm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wall {
    zero: u64,
}

impl Wall {
    /// `millis` are the milliseconds since 1970 at the engine's zero.
    pub const fn at_zero(millis: u64) -> Self {
        Wall { zero: millis }
    }

    /// The calendar of an engine whose zero was `now` ago, if it is now so many milliseconds after 1970.
    pub fn now_is(millis: u64, now: Instant) -> Self {
        Wall { zero: millis.saturating_sub(now.as_micros() / 1_000) }
    }

    /// Milliseconds since 1970 at `now`.
    pub const fn millis(self, now: Instant) -> u64 {
        self.zero.saturating_add(now.as_micros() / 1_000)
    }

    /// The instant of a date; the engine's zero for one before it.
    pub fn instant(self, millis: u64) -> Instant {
        Instant::ZERO + Duration::from_millis(millis.saturating_sub(self.zero))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_instants_are_one_another_and_nothing_overflows() {
        let wall = Wall::at_zero(1_700_000_000_000);
        let now = Instant::from_secs(5);
        assert_eq!(wall.millis(now), 1_700_000_005_000);
        assert_eq!(wall.instant(1_700_000_005_000), now);
        assert_eq!(wall.instant(3), Instant::ZERO);
        assert_eq!(Wall::now_is(1_700_000_005_000, now), wall);
        assert_eq!(Wall::at_zero(u64::MAX).millis(now), u64::MAX);
        assert_eq!(Wall::default().instant(u64::MAX), Instant::NEVER);
    }
}
