//! Some of the info hashes that a node holds (BEP 51).

use core::time::Duration;

use kademlia_core::{Instant, Key, Rng, Storage};

use crate::id::InfoHash;
use crate::krpc::{MAX_SAMPLES, Samples};
use crate::peers::Peer;

/// How long a choice stands when it is not all there is: who wants the rest has to come back, not ask again (P45).
const PARTIAL: Duration = Samples::MAX_INTERVAL;
/// How long it stands when it is all there is; only what is new can be missing from it.
const WHOLE: Duration = Duration::from_secs(5 * 60);

/// The choice that everybody is told until it is made anew.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    chosen: Vec<Key<20>>,
    until: Option<Instant>,
}

impl Sampler {
    /// At most [`MAX_SAMPLES`] of the info hashes in `peers`: the same for everyone until the interval in the answer is over, but
    /// for those that nobody shares any more.
    pub(super) fn sample(
        &mut self,
        now: Instant,
        peers: &impl Storage<Key<20>, Peer>,
        rng: &mut Rng,
    ) -> Samples {
        if self.until.is_none_or(|until| until <= now) {
            self.chosen.clear();
            peers.sample_keys(now, MAX_SAMPLES, rng, &mut self.chosen);
            let stands = if peers.keys() > self.chosen.len() { PARTIAL } else { WHOLE };
            self.until = Some(now + stands);
        }
        let live = self.chosen.iter().filter(|target| peers.has(now, target));
        let info_hashes = live.copied().map(InfoHash::from).collect();
        let interval = self.until.map(|until| until.since(now)).unwrap_or_default();
        Samples { interval, num: peers.keys() as u64, info_hashes }
    }
}
