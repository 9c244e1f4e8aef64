//! Cases from strategies: drawn from the kit's seed, and shrunk if they break a law.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};

use kademlia_core::{Protocol, Rng, Service};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

use super::{Kit, Law, Proof};

/// What `work` gives, or the text of its panic as what was not expected.
pub(super) fn unless_it_panics<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("no panic, but there was: {}", text.unwrap_or("one without a text"))
    })
}

/// Steps by which a case is made smaller.
const SHRINKS: u32 = 1_000;

impl<P: Protocol, S: Service<P> + Send + 'static> Kit<P, S> {
    /// Tries so many cases. `holds` says what was expected of one that breaks the law.
    pub(super) fn try_cases<T: Strategy>(
        &self,
        law: Law,
        cases: u32,
        strategy: &T,
        holds: impl Fn(&T::Value) -> Result<(), String>,
    ) -> Proof
    where
        T::Value: Debug,
    {
        let ended = self.runner(law, cases).run(strategy, |value| {
            unless_it_panics(|| holds(&value)).unwrap_or_else(Err).map_err(TestCaseError::fail)
        });
        match ended {
            Ok(()) => Ok(format!("{cases} cases")),
            Err(TestError::Fail(reason, case)) => {
                Err(self.violation(law, format!("{case:?}"), reason.message()))
            }
            Err(TestError::Abort(reason)) => {
                Err(self.violation(law, reason.message(), "a strategy that gives values"))
            }
        }
    }

    /// So many values.
    pub(super) fn draw<T: Strategy>(&self, law: Law, strategy: &T, count: usize) -> Vec<T::Value> {
        let mut runner = self.runner(law, 1);
        (0..count).filter_map(|_| strategy.new_tree(&mut runner).ok()).map(|tree| tree.current()).collect()
    }

    /// Requests as the overlay's nodes ask them.
    pub(super) fn draw_requests(&self, law: Law, count: usize) -> Vec<P::Request> {
        self.draw(law, &self.requests, count)
    }

    /// Everything random about a law, from the seed.
    pub(super) fn rng(&self, law: Law) -> Rng {
        Rng::from_number(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ law as u64)
    }

    fn runner(&self, law: Law, cases: u32) -> TestRunner {
        let config =
            Config { cases, failure_persistence: None, max_shrink_iters: SHRINKS, ..Config::default() };
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &self.rng(law).fork()))
    }
}
