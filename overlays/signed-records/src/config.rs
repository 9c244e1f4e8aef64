//! Every constant of this overlay's service, with its overflow rule.

use core::time::Duration;

use kademlia_core::{Config, RenewalConfig, StorageLimits};

/// How a [`RecordsService`](crate::RecordsService) behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecordsConfig {
    /// How far ahead of our clock a record's may be. Beyond it the record is one from the future.
    pub skew: Duration,
    /// Longest time to live that is taken from others.
    pub max_ttl: Duration,
    /// Keys with records of others (D2: 100,000). At the limit, records under further keys are refused as
    /// [`Full`](crate::Refusal::Full).
    pub keys: usize,
    /// Limits of the store in memory; one that brings its own storage brings its own limits.
    pub storage: StorageLimits,
    /// Records that this node publishes; more are an error.
    pub publications: usize,
    /// How often published records are renewed, unless a quarter of their time to live is less.
    pub renewal: RenewalConfig,
    /// Pause between two launches of a lookup until round trips have been measured, then their median (D3: 200 ms).
    pub stagger: Duration,
    /// Records that one search collects; more are left out.
    pub found: usize,
    /// Further replies that one search asks its nodes for where a list did not fit the first.
    pub pages: usize,
    /// Operations that run at once; more are refused.
    pub operations: usize,
    /// How long a probe waits for its echo.
    pub probe: Duration,
    /// Time between two echoes to one IP address.
    pub echo_pause: Duration,
    /// Echoes in a minute, to all addresses together. Addresses are remembered for no longer than a minute or the pause.
    pub echoes: usize,
    /// Peers remembered; the one not heard for the longest gives way.
    pub seen: usize,
    /// Greatest sequence numbers remembered of records that were read, so that nothing older is believed afterwards; the one
    /// that expires first gives way.
    pub marks: usize,
}

impl Default for RecordsConfig {
    fn default() -> Self {
        RecordsConfig {
            skew: Duration::from_secs(60),
            max_ttl: Duration::from_secs(24 * 60 * 60),
            keys: 100_000,
            // Room for 100,000 keys with a record of average size each, so that the number of keys is what is reached.
            storage: StorageLimits { bytes: 128 << 20, per_key: 1_000, per_source: 64, per_subnet: 1_024 },
            publications: 1_024,
            // Ten times what the core allows: a person waits for the first offer of each record, and few publish many.
            renewal: RenewalConfig { budget: 200, ..RenewalConfig::default() },
            stagger: Duration::from_millis(200),
            found: 1_024,
            pages: 64,
            operations: 1_024,
            probe: Duration::from_secs(5),
            echo_pause: Duration::from_secs(10),
            echoes: 60,
            seen: 8_192,
            marks: 4_096,
        }
    }
}

impl RecordsConfig {
    /// For networks in which many nodes share one host, like [`Config::private_network`]: nothing is counted per IP
    /// address or subnet.
    #[must_use]
    pub fn private_network(mut self) -> Self {
        self.storage.per_source = 0;
        self.storage.per_subnet = 0;
        self.echo_pause = Duration::ZERO;
        self
    }
}

/// What the engine is configured with by default: the paper's k = 20, and a memory for the health of peers.
pub fn engine_config() -> Config {
    let mut config = Config { k: 20, ..Config::default() };
    config.health = 4_096;
    config.inbound.datagram = crate::codec::MAX_DATAGRAM;
    config
}
