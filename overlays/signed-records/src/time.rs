//! Wall-clock time, which records carry. The crate never reads a clock: whoever makes a service says what its zero is.

use core::fmt;
use core::time::Duration;

use kademlia_core::Instant;

/// Milliseconds since 1970-01-01 00:00 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// So many milliseconds after 1970-01-01 00:00 UTC.
    pub const fn from_millis(millis: u64) -> Self {
        Timestamp(millis)
    }

    /// Milliseconds since 1970-01-01 00:00 UTC.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if that lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// `time` later, or the end of time.
    #[must_use]
    pub fn after(self, time: Duration) -> Self {
        Timestamp(self.0.saturating_add(millis(time)))
    }

    /// `time` earlier, or the beginning of time.
    #[must_use]
    pub fn before(self, time: Duration) -> Self {
        Timestamp(self.0.saturating_sub(millis(time)))
    }
}

/// Seconds since 1970, with three decimals.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1_000, self.0 % 1_000)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What the wall clock shows when the engine's shows zero. From there on the engine's instants advance it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    zero: Timestamp,
}

impl Clock {
    /// A clock that shows `wall` at the engine's `now`.
    pub fn new(now: Instant, wall: Timestamp) -> Self {
        Clock { zero: wall.before(now.since(Instant::ZERO)) }
    }

    /// What it shows at `now`.
    pub fn at(&self, now: Instant) -> Timestamp {
        self.zero.after(now.since(Instant::ZERO))
    }

    /// When it shows `wall`: the engine's zero at the earliest.
    pub fn when(&self, wall: Timestamp) -> Instant {
        Instant::ZERO + wall.since(self.zero)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_runs_with_the_engine_and_stops_at_the_ends_of_time() {
        let clock = Clock::new(Instant::from_secs(10), Timestamp::from_millis(1_000_000));
        assert_eq!(clock.at(Instant::from_secs(11)), Timestamp::from_millis(1_001_000));
        assert_eq!(clock.when(Timestamp::from_millis(1_001_000)), Instant::from_secs(11));
        assert_eq!(clock.when(Timestamp::default()), Instant::ZERO);
        let late = Clock::new(Instant::ZERO, Timestamp::from_millis(u64::MAX));
        assert_eq!(late.at(Instant::NEVER), Timestamp::from_millis(u64::MAX));
        assert_eq!(Timestamp::from_millis(12_345).to_string(), "12.345");
    }
}
