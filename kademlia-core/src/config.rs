//! Every constant of the engine, with its source and its overflow rule. One place (B10).

use core::time::Duration;

use crate::address::Reach;

/// How a node behaves. Shared between nodes; cheap to clone behind an `Arc`.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Bucket size and result size. BEP 5: 8; the Kademlia paper: 20.
    pub k: usize,
    /// Requests a lookup keeps in flight. Kademlia paper, section 2.3: 3.
    pub alpha: usize,
    /// Answer nobody and say so in every request (BEP 43).
    pub read_only: bool,
    /// Addresses that are spoken to and passed on.
    pub reach: Reach,
    /// The routing table's rules.
    pub table: TableConfig,
    /// Outstanding requests and their deadlines.
    pub rpc: RpcConfig,
    /// Lookups and their budgets.
    pub lookup: LookupConfig,
    /// Pings to senders that have not answered us yet (T4).
    pub verify: VerifyConfig,
    /// Votes on our own external address (T15).
    pub observed: ObservedConfig,
    /// Requests served per source.
    pub inbound: InboundConfig,
    /// Answers to strangers.
    pub strangers: StrangerConfig,
    /// Everything that is sent.
    pub egress: EgressConfig,
    /// Joining the network.
    pub bootstrap: BootstrapConfig,
    /// Peers whose [`Health`](crate::Health) is remembered, the oldest outcome gives way; with 0 it is always unknown.
    pub health: usize,
}

/// Rules of the routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// A contact is good for this long after it answered. BEP 5: 15 min.
    pub good_for: Duration,
    /// An entry that has not answered for this long is asked again, so that a healthy table stays good.
    /// Three minutes before `good_for`, room to ask a whole table one a second.
    pub keepalive: Duration,
    /// A bucket in which nothing changed for this long is refreshed. BEP 5: 15 min.
    pub refresh: Duration,
    /// Failed exchanges in a row, each with its retries, after which an entry is bad. BEP 5: "several".
    pub bad_after: u8,
    /// Entries that the last bucket, the own key's, and its sibling hold each, if that is more than k: for overlays with
    /// a small k, which still have to know their own neighbourhood. Once they are neither, the bucket keeps the best k.
    pub near: usize,
    /// Replacements kept per bucket (paper, section 4.1); the oldest is dropped.
    pub replacements: usize,
    /// At most one entry per IP address (T1). Off on private networks.
    pub one_per_ip: bool,
    /// Entries per /24 or /64 in one bucket (T1); 0 for no limit.
    pub per_subnet_in_bucket: usize,
    /// Entries per /24 or /64 in the whole table; 0 for no limit.
    pub per_subnet: usize,
}

/// Limits of the transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RpcConfig {
    /// Requests outstanding in all (T17). At the limit a request is not sent and counts as failed.
    pub outstanding: usize,
    /// Requests outstanding to one IP address (T17); 0 for no limit.
    pub per_ip: usize,
    /// Deadline before any round trip was measured.
    pub initial_timeout: Duration,
    /// Least deadline of one attempt (T17: 0.2 s).
    pub min_timeout: Duration,
    /// Greatest deadline of one attempt (T17: 2 s).
    pub max_timeout: Duration,
    /// Times a request is sent again after the first (T17: at most 2).
    pub retries: u8,
}

/// Limits of lookups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LookupConfig {
    /// Lookups running at once, those of maintenance included; more wait.
    pub running: usize,
    /// Lookups waiting, for a place or for bootstrap to end; more are refused with `LookupLimit`.
    pub waiting: usize,
    /// Longest wait for bootstrap; after it the lookup runs with what the table has, as soon as there is a place.
    pub patience: Duration,
    /// Messages of one lookup, retries included; at the limit it ends with what it has.
    pub messages: usize,
    /// The same of a reinforced one, the default for values; half of them at most are for the paths that joined later, while
    /// the first needs the others.
    pub reinforced_messages: usize,
    /// Life of one lookup (T17: 20 s); at the limit it ends with what it has.
    pub time: Duration,
    /// Candidates one lookup remembers, shared out among its paths; past the limit the farthest unasked one is dropped.
    pub candidates: usize,
    /// Disjoint paths of a hardened lookup (T1: 4).
    pub paths: usize,
    /// Nodes that each of several paths looks for.
    pub per_path: usize,
    /// A lookup that is more than plain asks everybody who should be among this many nearest of the whole network (T1:
    /// 20); 0 for k only.
    pub dense: usize,
    /// Nodes that one path asks for that reason, k included (T1: 32).
    pub dense_most: usize,
    /// Nodes of one /24 or /64 in a path's result (T1); 0 for no limit.
    pub per_subnet: usize,
    /// Nodes of one /16 or /32 in a path's result (T1: 4); 0 for no limit.
    pub per_wide_subnet: usize,
}

/// Limits of verification pings (T4): what a spoofed source can make us send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyConfig {
    /// One ping per IP address in this time.
    pub per_ip: Duration,
    /// Pings per /24 or /64 in a minute; 0 for no limit.
    pub per_subnet: usize,
    /// Pings per second in all; 0 for no limit.
    pub rate: u32,
    /// IP addresses remembered for `per_ip`; at the limit nobody new is pinged.
    pub remembered: usize,
}

/// When the network's word on our external address is believed (T15).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedConfig {
    /// Voters needed. One vote per /16 or /32, unless `one_per_network` is off.
    pub quorum: usize,
    /// Share of the votes needed, in percent; more than this.
    pub percent: usize,
    /// Whether voters must sit in distinct /16s or /32s. Off on private networks, where there is one vote per address.
    pub one_per_network: bool,
    /// Least time between two changes.
    pub settle: Duration,
    /// Votes kept; the oldest gives way.
    pub votes: usize,
}

/// What one source may ask of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboundConfig {
    /// Requests per second and source IP that are served in the long run; 0 for no limit.
    pub per_ip: u32,
    /// Requests a source may send at once before `per_ip` counts.
    pub burst: u32,
    /// Below this many requests per second in all, nobody is limited and nothing is tracked.
    pub quiet: u32,
    /// Longest datagram that is looked at (T11: 2,048 bytes).
    pub datagram: usize,
}

/// How much a node sends in all. Its own lookups and renewals count like everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EgressConfig {
    /// Datagrams per second; 0 for no limit. Requests and replies wait for their turns, which alternate; of more replies than
    /// can be sent in a second, the oldest are dropped.
    pub rate: u32,
}

/// Bytes, headers included, that are answered to addresses outside the routing table: they may be forged, and whoever
/// owns them did not ask (T9). Answers beyond these limits are not sent. They hold where the node makes bytes; a host
/// that takes messages has none to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StrangerConfig {
    /// To one address, per second; 0 for no limit at all.
    pub per_ip: u32,
    /// To one address at once, after a pause.
    pub burst: u32,
    /// To all together, per second.
    pub all: u32,
}

/// Joining.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BootstrapConfig {
    /// First pause before the routers are asked again; doubles each time.
    pub first_pause: Duration,
    /// Longest pause between two attempts (T20: 300 s).
    pub longest_pause: Duration,
    /// Routers remembered; more are ignored.
    pub routers: usize,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            k: 8,
            alpha: 3,
            read_only: false,
            reach: Reach::Global,
            table: TableConfig {
                good_for: Duration::from_secs(15 * 60),
                keepalive: Duration::from_secs(12 * 60),
                refresh: Duration::from_secs(15 * 60),
                bad_after: 2,
                near: 0,
                replacements: 8,
                one_per_ip: true,
                per_subnet_in_bucket: 1,
                per_subnet: 8,
            },
            rpc: RpcConfig {
                outstanding: 1_024,
                per_ip: 3,
                initial_timeout: Duration::from_secs(1),
                min_timeout: Duration::from_millis(200),
                max_timeout: Duration::from_secs(2),
                retries: 2,
            },
            lookup: LookupConfig {
                running: 64,
                waiting: 1_024,
                patience: Duration::from_secs(60),
                messages: 400,
                reinforced_messages: 250,
                time: Duration::from_secs(20),
                candidates: 512,
                paths: 8,
                per_path: 4,
                dense: 20,
                dense_most: 32,
                per_subnet: 1,
                per_wide_subnet: 4,
            },
            verify: VerifyConfig {
                per_ip: Duration::from_secs(600),
                per_subnet: 8,
                rate: 20,
                remembered: 16_384,
            },
            observed: ObservedConfig {
                quorum: 12,
                percent: 66,
                one_per_network: true,
                settle: Duration::from_secs(3_600),
                votes: 64,
            },
            inbound: InboundConfig { per_ip: 64, burst: 256, quiet: 256, datagram: 2_048 },
            strangers: StrangerConfig { per_ip: 8 << 10, burst: 32 << 10, all: 256_000 },
            egress: EgressConfig { rate: 0 },
            bootstrap: BootstrapConfig {
                first_pause: Duration::from_secs(1),
                longest_pause: Duration::from_secs(300),
                routers: 32,
            },
            health: 0,
        }
    }
}

impl Config {
    /// For networks in which addresses are private and many nodes share one host: private addresses are routable and
    /// nothing is counted per IP address or subnet. Three voters make a quorum.
    #[must_use]
    pub fn private_network(mut self) -> Self {
        self.reach = Reach::Private;
        self.table.one_per_ip = false;
        self.table.per_subnet_in_bucket = 0;
        self.table.per_subnet = 0;
        self.rpc.per_ip = 0;
        self.lookup.per_subnet = 0;
        self.lookup.per_wide_subnet = 0;
        self.verify.per_ip = Duration::ZERO;
        self.verify.per_subnet = 0;
        self.observed.one_per_network = false;
        // Such a network may be small, and votes for a dozen addresses never come together.
        self.observed.quorum = 3;
        self.inbound.per_ip = 0;
        self.strangers.per_ip = 0;
        self
    }
}
