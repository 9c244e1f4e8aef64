//! Between the engine's clock, which begins anew with every process, and the time of day, which may be wrong.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kademlia_core::Instant;

/// When the store was opened, on both clocks. From then on the time of day follows the engine's clock, whatever is done
/// to the system's.
///
/// The file counts in milliseconds since 1970. They are rounded so that no record lives longer by it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    opened: Instant,
    /// The time of day then, rounded down for what is written and up for what is read.
    floor: u64,
    ceil: u64,
    /// When the file was last written, if that lies in the future: the system's clock was ahead then or is behind now.
    ahead: Option<u64>,
}

impl Clock {
    /// A store opened at `now` and `wall`, last written at `written` in the file's time.
    pub(crate) fn new(now: Instant, wall: SystemTime, written: u64) -> Self {
        let nanos = wall.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let millis = |nanos: u128| u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX);
        let (floor, ceil) = (millis(nanos), millis(nanos + 999_999));
        Clock { opened: now, floor, ceil, ahead: (written > ceil).then_some(written) }
    }

    /// In the file's time; `u64::MAX` for never.
    pub(crate) fn to_unix(self, instant: Instant) -> u64 {
        if instant == Instant::NEVER {
            return u64::MAX;
        }
        let passed = u64::try_from(instant.since(self.opened).as_millis()).unwrap_or(u64::MAX);
        self.floor.saturating_add(passed).min(u64::MAX - 1)
    }

    /// Whether a record that expires at `unix` had expired when the store was opened.
    pub(crate) fn is_over(self, unix: u64) -> bool {
        unix <= self.ahead.unwrap_or(self.ceil)
    }

    /// Whether what lies in the file was written by a clock that was ahead of this one.
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
        self.opened + Duration::from_millis(unix.saturating_sub(self.ceil))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant::from_secs(50);

    fn wall(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
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
        let before_1970 = Clock::new(NOW, UNIX_EPOCH - Duration::from_secs(9), 0);
        assert_eq!(before_1970.to_unix(NOW), 0);
    }
}
