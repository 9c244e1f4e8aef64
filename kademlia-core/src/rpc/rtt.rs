//! Round-trip times, and the timeouts derived from them.

use core::cmp::Ordering;
use core::time::Duration;

use crate::config::RpcConfig;

/// Smoothed round trip and its mean deviation over all nodes asked, as RFC 6298 keeps them for one connection.
/// Here the deviation also covers how far nodes lie apart, which is what a timeout for the next stranger needs.
#[derive(Clone, Copy, Debug)]
pub struct RoundTrips {
    smoothed: Option<Duration>,
    median: Duration,
    deviation: Duration,
    initial: Duration,
    min: Duration,
    max: Duration,
}

impl RoundTrips {
    pub(crate) fn new(config: &RpcConfig) -> Self {
        RoundTrips {
            smoothed: None,
            median: Duration::ZERO,
            deviation: Duration::ZERO,
            initial: config.initial_timeout,
            min: config.min_timeout,
            max: config.max_timeout.max(config.min_timeout),
        }
    }

    /// The smoothed round trip; `None` before the first answer.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// About the median round trip; `None` before the first answer.
    pub fn median(&self) -> Option<Duration> {
        self.smoothed.map(|_| self.median)
    }

    pub(crate) fn record(&mut self, measured: Duration) {
        // What took longer than any deadline came after a pause of the host, not of the network.
        let measured = measured.min(self.max * 2);
        match self.smoothed {
            None => {
                self.smoothed = Some(measured);
                self.median = measured;
                self.deviation = measured / 2;
            }
            Some(smoothed) => {
                self.deviation = (self.deviation * 3 + smoothed.abs_diff(measured)) / 4;
                self.smoothed = Some((smoothed * 7 + measured) / 8);
                self.step_median(measured);
            }
        }
    }

    /// A step towards the sample, however far it lies: as many fall above the median as below it (Ma, Muthukrishnan and
    /// Sandler 2013, "Frugal Streaming", with a step in proportion).
    fn step_median(&mut self, measured: Duration) {
        let step = (self.median / 16).max(Duration::from_micros(1));
        match measured.cmp(&self.median) {
            Ordering::Greater => self.median = (self.median + step).min(measured),
            Ordering::Less => self.median = self.median.saturating_sub(step).max(measured),
            Ordering::Equal => {}
        }
    }

    /// After this the request holds no slot any more, but its answer still counts.
    pub(crate) fn soft_timeout(&self) -> Duration {
        self.timeout(2)
    }

    /// After this attempt number `attempt` is over; doubles with each attempt (RFC 6298, section 5.5).
    pub(crate) fn hard_timeout(&self, attempt: u8) -> Duration {
        let doubled = self.timeout(4).saturating_mul(1 << attempt.min(8));
        doubled.min(self.max)
    }

    fn timeout(&self, deviations: u32) -> Duration {
        let timeout = self.smoothed.map_or(self.initial, |smoothed| smoothed + self.deviation * deviations);
        timeout.clamp(self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn after(samples: &[u64]) -> RoundTrips {
        let mut round_trips = RoundTrips::new(&Config::default().rpc);
        for sample in samples {
            round_trips.record(Duration::from_millis(*sample));
        }
        round_trips
    }

    #[test]
    fn the_median_is_not_moved_by_the_tail() {
        assert_eq!(after(&[]).median(), None);
        let samples: Vec<u64> = (0..300).map(|n| if n % 5 == 0 { 3_000 } else { 60 + n % 7 * 10 }).collect();
        let measured = after(&samples);
        let median = measured.median().unwrap().as_millis();
        assert!((80..=115).contains(&median), "{median} ms, of samples whose median is 100");
        assert!(measured.smoothed().unwrap().as_millis() > 300);
    }

    #[test]
    fn timeouts_start_high_follow_the_network_and_stay_in_bounds() {
        let config = Config::default().rpc;
        assert_eq!(after(&[]).hard_timeout(0), config.initial_timeout);
        assert_eq!(after(&[1; 50]).hard_timeout(0), config.min_timeout);
        assert_eq!(after(&[60_000; 50]).hard_timeout(0), config.max_timeout);
        let typical = after(&[80, 120, 100, 90, 250, 110, 95, 105]);
        assert!(typical.soft_timeout() > Duration::from_millis(150));
        assert!(typical.soft_timeout() < typical.hard_timeout(0));
        assert!(typical.hard_timeout(0) < typical.hard_timeout(1));
        assert!(typical.hard_timeout(200) <= config.max_timeout);
    }
}
