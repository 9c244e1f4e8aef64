//! Between the engine's clock, which begins anew with every process, and the time of day, which may be wrong.

use std::time::Duration;

use kademlia_core::Instant;

/// Least advance of the time of day over the engine's clock that is followed: by less, clocks differ that are both right.
const LEAST_ADVANCE: u64 = 1_000;

/// One moment on both clocks: when the store was opened, or when it was last [told](Clock::advanced) the time of day. From
/// then on that follows the engine's clock.
///
/// The file counts in milliseconds since 1970. They are rounded so that no record lives longer by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    told: Instant,
    /// The time of day then, rounded down for what is written and up for what is read.
    floor: u64,
    ceil: u64,
    /// When the file was last written, if that lies in the future: the system's clock was ahead then or is behind now.
    ahead: Option<u64>,
}

impl Clock {
    /// A store opened at `now`, so long after 1970, and last written at `written` in the file's time.
    pub(crate) fn new(now: Instant, unix: Duration, written: u64) -> Self {
        let nanos = unix.as_nanos();
        let millis = |nanos: u128| u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX);
        let (floor, ceil) = (millis(nanos), millis(nanos + 999_999));
        Clock { told: now, floor, ceil, ahead: (written > ceil).then_some(written) }
    }

    /// The clock of a store that is told the time of day: `None` if this one will do. The file's time never goes back, for it
    /// could not be told any more what was written before and what after; the next to open it sees that it was ahead.
    pub(crate) fn advanced(self, now: Instant, unix: Duration) -> Option<Self> {
        let next = Clock::new(now, unix, self.ahead.unwrap_or_default());
        (next.floor >= self.to_unix(now).saturating_add(LEAST_ADVANCE)).then_some(next)
    }

    /// In the file's time; `u64::MAX` for never.
    pub(crate) fn to_unix(self, instant: Instant) -> u64 {
        if instant == Instant::NEVER {
            return u64::MAX;
        }
        let passed = u64::try_from(instant.since(self.told).as_millis()).unwrap_or(u64::MAX);
        self.floor.saturating_add(passed).min(u64::MAX - 1)
    }

    /// Whether a record that expires at `unix` had expired when the store was opened.
    pub(crate) fn is_over(self, unix: u64) -> bool {
        unix <= self.ahead.unwrap_or(self.ceil)
    }

    /// Whether what lies in the file, or lay there on opening, was written by a clock that was ahead of this one.
    pub(crate) fn went_back(self) -> bool {
        self.ahead.is_some()
    }

    /// The expiry of a record found in the file, by this clock. If the clock went back, no time has passed since the file was
    /// last written: nobody knows how much it was, and no record may gain any by it.
    pub(crate) fn corrected(self, unix: u64) -> u64 {
        match self.ahead {
            Some(ahead) if unix != u64::MAX => self.floor.saturating_add(unix.saturating_sub(ahead)),
            _ => unix,
        }
    }

    /// When it is `unix`, corrected.
    pub(crate) fn to_instant(self, unix: u64) -> Instant {
        if unix == u64::MAX {
            return Instant::NEVER;
        }
        self.told + Duration::from_millis(unix.saturating_sub(self.ceil))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(50);

    fn wall(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn both_clocks_run_side_by_side() {
        let clock = Clock::new(NOW, wall(1_000_000), 999_000);
        let later = NOW + Duration::from_secs(60);
        assert_eq!(clock.to_unix(later), 1_060_000);
        assert_eq!(clock.to_instant(1_060_000), later);
        assert_eq!(clock.to_unix(Instant::ZERO), 1_000_000, "what lies before is now");
        assert!(clock.is_over(1_000_000) && !clock.is_over(1_000_001) && !clock.went_back());
        assert_eq!(clock.corrected(1_060_000), 1_060_000);
    }

    #[test]
    fn a_record_never_gains_time_by_rounding() {
        let after = |micros| wall(1_000_000) + Duration::from_micros(micros);
        for (opened, closed) in
            (0..2_000).step_by(100).flat_map(|a| (0..3_000).step_by(70).map(move |b| (a, b)))
        {
            let clock = Clock::new(NOW, after(opened), 0);
            let stored = clock.to_unix(NOW + Duration::from_micros(10_000 + closed));
            let found = Clock::new(Instant::ZERO, after(opened + closed), 0).to_instant(stored);
            assert!(found <= Instant::from_micros(10_000), "{opened} {closed}");
            assert!(found >= Instant::from_micros(8_000), "{opened} {closed}");
        }
    }

    #[test]
    fn after_a_clock_went_back_a_record_has_what_time_it_had() {
        let clock = Clock::new(NOW, wall(5_000), 1_000_000);
        assert!(clock.went_back() && clock.is_over(1_000_000));
        assert_eq!(clock.corrected(1_060_000), 65_000);
        assert_eq!(clock.to_instant(65_000), NOW + Duration::from_secs(60));
    }

    #[test]
    fn never_stays_never_and_nothing_overflows() {
        let clock = Clock::new(NOW, wall(5_000), u64::MAX - 1);
        assert_eq!(clock.to_unix(Instant::NEVER), u64::MAX);
        assert_eq!(clock.to_instant(clock.corrected(u64::MAX)), Instant::NEVER);
        assert_eq!(
            clock.to_unix(Instant::from_micros(u64::MAX - 1)),
            5_000 + (u64::MAX - 50_000_001) / 1_000
        );
    }

    #[test]
    fn what_is_told_counts_if_it_is_later_and_not_by_a_trifle() {
        let clock = Clock::new(NOW, wall(1_000_000), 0);
        let later = NOW + Duration::from_secs(60);
        assert!(clock.advanced(later, wall(1_060_999)).is_none());
        assert!(clock.advanced(later, wall(5_000)).is_none(), "the file's time never goes back");
        let slept = clock.advanced(later, wall(9_000_000)).unwrap();
        assert_eq!((slept.to_unix(later), slept.to_instant(9_000_500)), (9_000_000, later + wall(500)));
        let behind = Clock::new(NOW, wall(5_000), 1_000_000);
        assert!(behind.advanced(NOW, wall(900_000)).unwrap().went_back(), "still not what it was");
        assert!(!behind.advanced(NOW, wall(1_000_000)).unwrap().went_back());
    }
}
