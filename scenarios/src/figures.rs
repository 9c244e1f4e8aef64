//! What many lookups cost, in a few numbers.

use std::time::Duration;

/// How a quantity is spread over many lookups.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread<T> {
    /// Half lie at or below.
    pub p50: T,
    /// 19 of 20 lie at or below.
    pub p95: T,
    /// 99 of 100 lie at or below.
    pub p99: T,
    /// The greatest.
    pub max: T,
}

impl<T: Ord + Copy + Default> Spread<T> {
    /// Of any number of samples; all zero of none.
    pub fn of(samples: impl IntoIterator<Item = T>) -> Self {
        let mut sorted: Vec<T> = samples.into_iter().collect();
        sorted.sort_unstable();
        let at = |percent: usize| {
            let index = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(index).copied().unwrap_or_default()
        };
        Spread { p50: at(50), p95: at(95), p99: at(99), max: at(100) }
    }
}

/// What lookups of one kind took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Requests, retries included.
    pub messages: Spread<usize>,
    /// Length of the longest chain of referrals.
    pub hops: Spread<usize>,
    /// From start to end, in virtual time.
    pub took: Spread<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        let spread = Spread::of(1..=200_u32);
        assert_eq!((spread.p50, spread.p95, spread.p99, spread.max), (100, 190, 198, 200));
        assert_eq!(Spread::of([7_u32]), Spread { p50: 7, p95: 7, p99: 7, max: 7 });
        assert_eq!(Spread::<u32>::of([]), Spread::default());
    }
}
