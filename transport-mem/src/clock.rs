//! A host's own clock, which may run fast or slow, and jump (T21).

use std::time::Duration;

use kademlia_core::Instant;

/// A clock that is set while somebody reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jump {
    /// It shows a later time at once; at most [`Instant::NEVER`], where it then stays.
    Forward(Duration),
    /// It shows an earlier time at once; at least [`Instant::ZERO`].
    Back(Duration),
}

/// The rate of a clock without skew.
const MILLION: u64 = 1_000_000;

/// Showed `shown` at virtual time `since`, and runs on from there at `rate` millionths of virtual time.
/// Whole numbers throughout, so that it shows the same on every machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Clock {
    since: Instant,
    shown: Instant,
    rate: u64,
}

impl Clock {
    /// A clock that shows virtual time.
    pub(crate) const TRUE: Clock = Clock { since: Instant::ZERO, shown: Instant::ZERO, rate: MILLION };

    /// What it shows at virtual time `now`. Before its last change it showed what it did then.
    pub(crate) fn read(&self, now: Instant) -> Instant {
        let elapsed = u128::from(now.as_micros().saturating_sub(self.since.as_micros()));
        let run = elapsed * u128::from(self.rate) / u128::from(MILLION);
        Instant::from_micros(self.shown.as_micros().saturating_add(u64::try_from(run).unwrap_or(u64::MAX)))
    }

    /// The first virtual time from its last change on at which it shows `deadline` or more; [`Instant::NEVER`] if
    /// that is out of reach.
    pub(crate) fn when(&self, deadline: Instant) -> Instant {
        // Also where it shows `NEVER` already: that is no time, and a clock that ran out is not always right.
        if deadline == Instant::NEVER {
            return Instant::NEVER;
        }
        let missing = u128::from(deadline.as_micros().saturating_sub(self.shown.as_micros()));
        if missing == 0 {
            return self.since;
        }
        if self.rate == 0 {
            return Instant::NEVER;
        }
        let needed = (missing * u128::from(MILLION)).div_ceil(u128::from(self.rate));
        let needed = u64::try_from(needed).unwrap_or(u64::MAX);
        Instant::from_micros(self.since.as_micros().saturating_add(needed))
    }

    /// From `now` on it gains this many millionths of virtual time, or loses them; at −1,000,000 and below it stands.
    pub(crate) fn set_skew(&mut self, now: Instant, ppm: i32) {
        let rate = MILLION.saturating_add_signed(ppm.into());
        *self = Clock { since: now, shown: self.read(now), rate };
    }

    /// At `now` it is set.
    pub(crate) fn jump(&mut self, now: Instant, jump: Jump) {
        let shown = self.read(now);
        let shown = match jump {
            Jump::Forward(by) => shown + by,
            Jump::Back(by) => shown - by,
        };
        *self = Clock { since: now, shown, rate: self.rate };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn skew_gains_and_loses_and_changes_nothing_at_once() {
        let mut clock = Clock::TRUE;
        clock.set_skew(Instant::from_secs(100), 200);
        assert_eq!(clock.read(Instant::from_secs(100)), Instant::from_secs(100));
        assert_eq!(clock.read(Instant::from_secs(10_100)), Instant::from_secs(10_102));
        clock.set_skew(Instant::from_secs(10_100), -500_000);
        assert_eq!(clock.read(Instant::from_secs(10_102)), Instant::from_secs(10_103));
        clock.set_skew(Instant::from_secs(10_102), i32::MIN);
        assert_eq!(clock.read(Instant::NEVER), Instant::from_secs(10_103), "it stands");
        assert_eq!(clock.when(Instant::from_secs(10_104)), Instant::NEVER);
    }

    #[test]
    fn t21_jumps_saturate_at_both_ends_of_time() {
        let mut clock = Clock::TRUE;
        clock.jump(at(5), Jump::Back(Duration::from_secs(3_600)));
        assert_eq!((clock.read(at(5)), clock.read(at(7))), (Instant::ZERO, at(2)));
        assert_eq!(clock.when(at(10)), at(15));
        clock.jump(at(7), Jump::Forward(Duration::from_micros(u64::MAX)));
        assert_eq!(clock.read(at(8)), Instant::NEVER);
        assert_eq!((clock.when(at(10)), clock.when(Instant::NEVER)), (at(7), Instant::NEVER), "long past");
        clock.jump(at(9), Jump::Back(Duration::from_micros(u64::MAX - 9)));
        assert_eq!(clock.read(at(9)), at(9));
        assert_eq!(clock.when(Instant::NEVER), Instant::NEVER);
    }

    proptest! {
        #[test]
        fn a_deadline_is_reached_when_it_says_and_not_a_microsecond_before(
            since in 0..1_u64 << 50,
            shown in 0..1_u64 << 50,
            ppm in -999_999..i32::MAX,
            ahead in 0..1_u64 << 40,
        ) {
            let mut clock = Clock::TRUE;
            clock.jump(at(0), Jump::Forward(Duration::from_micros(shown)));
            clock.set_skew(at(since), ppm);
            let deadline = clock.read(at(since)) + Duration::from_micros(ahead);
            let due = clock.when(deadline);
            prop_assert!(clock.read(due) >= deadline && due >= at(since));
            prop_assert!(due == at(since) || clock.read(due - Duration::from_micros(1)) < deadline);
        }
    }
}
