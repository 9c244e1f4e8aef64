//! Every constant of the service, with its source and its overflow rule.

use std::time::Duration;

use kademlia_core::{Effort, RenewalConfig, StorageLimits};

use crate::protocol::K;
use crate::wall::Wall;

const HOUR: Duration = Duration::from_secs(60 * 60);

/// How a [`KvService`](crate::KvService) behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvConfig {
    /// The same as the engine's [`Config::k`](kademlia_core::Config::k).
    pub k: usize,
    /// The same as the engine's [`Config::read_only`](kademlia_core::Config::read_only): whom nobody asks need not keep
    /// anything.
    pub read_only: bool,
    /// What the calendar shows at the engine's zero: at first, and then as it was last
    /// [set](crate::KvService::set_wall).
    pub wall: Wall,
    /// How long a pair lives after its publisher last published it. Paper, section 2.3: 24 h. A STORE that claims more gets
    /// this much.
    pub life: Duration,
    /// How often a holder publishes a pair, an eighth sooner or later, if no other holder did (paper, section 2.5: 1 h).
    pub republish: Duration,
    /// How the publisher renews what it published. Daily (paper, section 2.3), less the eighth by which renewals are spread:
    /// none comes after the pair's life.
    pub renewal: RenewalConfig,
    /// Pairs that this node publishes; a further put is refused.
    pub publications: usize,
    /// Puts and renewals at once; the next ones wait.
    pub publishing: usize,
    /// Pairs published for others at once; the next ones wait.
    pub republishing: usize,
    /// Nodes closest to a key that hand its pair to a newcomer. Paper, section 2.5: the closest of all. But if that one is
    /// dead and not known to be, or lacks the pair itself, nobody does: where all nodes are replaced every hour, one pair of 250
    /// was lost within three hours, and with three givers none.
    pub givers: usize,
    /// Newcomers that are being handed pairs at once.
    pub handing: usize,
    /// Newcomers that wait for that; further ones get their pairs at the next republishing.
    pub newcomers: usize,
    /// Pairs that one newcomer is handed; the others come with the next republishing.
    pub per_newcomer: usize,
    /// How far a version may be ahead of our clock. What is farther is refused: it would keep all others out.
    pub ahead: Duration,
    /// The effort of lookups. Plain is the paper's: the k closest, along one path.
    pub effort: Effort,
    /// What the [store in memory](crate::KvService::in_memory) may hold. A source is not a publisher here but any holder that
    /// publishes again, so one of them may fill a quarter.
    pub storage: StorageLimits,
}

impl Default for KvConfig {
    fn default() -> Self {
        KvConfig {
            k: K,
            read_only: false,
            wall: Wall::default(),
            life: 24 * HOUR,
            republish: HOUR,
            renewal: RenewalConfig { interval: 21 * HOUR, retry: Duration::from_secs(60), budget: 0 },
            publications: 10_000,
            publishing: 16,
            republishing: 4,
            givers: 3,
            handing: 2,
            newcomers: 64,
            per_newcomer: 1_000,
            ahead: HOUR,
            effort: Effort::Plain,
            storage: StorageLimits { bytes: 64 << 20, per_key: 1, per_source: 1 << 14, per_subnet: 1 << 16 },
        }
    }
}

impl KvConfig {
    /// For networks in which many nodes share one host, like [`kademlia_core::Config::private_network`]: nothing is
    /// counted per IP address or subnet.
    #[must_use]
    pub fn private_network(mut self) -> Self {
        self.storage.per_source = 0;
        self.storage.per_subnet = 0;
        self
    }
}
