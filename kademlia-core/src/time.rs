//! The engine's clock: a number that the host hands in.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

/// Microseconds since the host's zero. Printable, comparable across runs, and generable by a property test;
/// arithmetic saturates, so that no host's clock can make the engine panic.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The host's zero.
    pub const ZERO: Instant = Instant(0);
    /// Later than any other; a deadline that never comes.
    pub const NEVER: Instant = Instant(u64::MAX);

    /// `micros` microseconds after the host's zero.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// `secs` seconds after the host's zero.
    pub const fn from_secs(secs: u64) -> Self {
        Instant(secs.saturating_mul(1_000_000))
    }

    /// Microseconds since the host's zero.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Whole seconds since the host's zero.
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Time passed since `earlier`; zero if that lies in the future.
    #[must_use]
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_add(micros(duration)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Instant;

    fn sub(self, duration: Duration) -> Instant {
        Instant(self.0.saturating_sub(micros(duration)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

/// The earliest of the deadlines that exist. The one way deadlines are combined:
/// `Option::min` would let `None`, "no deadline", win over every deadline.
pub fn soonest(deadlines: impl IntoIterator<Item = Option<Instant>>) -> Option<Instant> {
    deadlines.into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::NEVER + Duration::MAX, Instant::NEVER);
        assert_eq!(Instant::ZERO - Duration::from_secs(1), Instant::ZERO);
        assert_eq!(Instant::ZERO.since(Instant::NEVER), Duration::ZERO);
    }

    #[test]
    fn soonest_ignores_what_has_no_deadline() {
        let (early, late) = (Instant::from_secs(1), Instant::from_secs(2));
        assert_eq!(soonest([None, Some(late), Some(early)]), Some(early));
        assert_eq!(soonest([None, None]), None);
    }
}
