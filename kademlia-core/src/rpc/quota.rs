//! How often strangers may make us work.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::time::Duration;

use crate::address::subnet;
use crate::config::{EgressConfig, InboundConfig, StrangerConfig, VerifyConfig};
use crate::rng::Rng;
use crate::time::Instant;

/// Pings to unverified addresses: at most one per address and time, few per subnet and minute, few per second (T4).
/// What exceeds the quota is not sent and not queued: the sender will write again.
#[derive(Debug)]
pub(crate) struct VerifyQuota {
    config: VerifyConfig,
    pinged: BTreeMap<IpAddr, Instant>,
    second: u64,
    in_second: u32,
}

const SUBNET_WINDOW: Duration = Duration::from_secs(60);

impl VerifyQuota {
    pub(crate) fn new(config: VerifyConfig) -> Self {
        VerifyQuota { config, pinged: BTreeMap::new(), second: 0, in_second: 0 }
    }

    /// Takes one ping to `ip` out of the quota, if there is one left.
    pub(crate) fn take(&mut self, now: Instant, ip: IpAddr) -> bool {
        if self.second != now.as_secs() {
            self.second = now.as_secs();
            self.in_second = 0;
        }
        let rate_left = self.config.rate == 0 || self.in_second < self.config.rate;
        if !rate_left || !self.address_left(now, ip) || !self.subnet_left(now, ip) {
            return false;
        }
        if !self.config.per_ip.is_zero() || self.config.per_subnet != 0 {
            if self.pinged.len() >= self.config.remembered && !self.pinged.contains_key(&ip) {
                return false;
            }
            self.pinged.insert(ip, now);
        }
        self.in_second = self.in_second.saturating_add(1);
        true
    }

    fn address_left(&self, now: Instant, ip: IpAddr) -> bool {
        self.pinged.get(&ip).is_none_or(|last| now.since(*last) >= self.config.per_ip)
    }

    fn subnet_left(&self, now: Instant, ip: IpAddr) -> bool {
        let (first, last) = subnet_range(ip);
        let recent = |(_, at): &(_, &Instant)| now.since(**at) < SUBNET_WINDOW;
        let limit = self.config.per_subnet;
        limit == 0 || self.pinged.range(first..=last).filter(recent).take(limit).count() < limit
    }

    /// The ping was answered: its address is verified, and further ones there no longer go to a stranger.
    pub(crate) fn answered(&mut self, ip: IpAddr) {
        self.pinged.remove(&ip);
    }

    /// Forgets what no longer counts.
    pub(crate) fn forget(&mut self, now: Instant) {
        let kept = self.config.per_ip.max(SUBNET_WINDOW);
        self.pinged.retain(|_, at| now.since(*at) < kept);
    }

    pub(crate) fn memory(&self) -> usize {
        self.pinged.len() * (size_of::<IpAddr>() + size_of::<Instant>())
    }
}

/// First and last address of `ip`'s /24 or /64, so that a subnet is a range of the ordered map.
fn subnet_range(ip: IpAddr) -> (IpAddr, IpAddr) {
    let first = subnet(ip);
    let last = match first {
        IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from_bits(first.to_bits() | 0xff)),
        IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from_bits(first.to_bits() | u128::from(u64::MAX))),
    };
    (first, last)
}

/// One leaky bucket for each address, in a table of fixed size that exists only while the node is busy. Addresses that
/// share a slot share its bucket; the slot is chosen with a secret, so nobody can aim at one.
#[derive(Debug)]
struct Buckets {
    secret: u64,
    second: u64,
    in_second: u32,
    /// When each bucket will have run empty (the generic cell rate algorithm's one number).
    empty_at: Vec<Instant>,
}

/// A bucket's rate and depth, in the units that are poured into it.
#[derive(Clone, Copy, Debug)]
struct Measure {
    /// Units that run out in a second; not 0.
    rate: u32,
    depth: u32,
    /// Units in all in one second up to which nobody is tracked.
    quiet: u32,
}

const SLOTS: usize = 4_096;

impl Buckets {
    fn new(rng: &mut Rng) -> Self {
        Buckets { secret: rng.next_u64() | 1, second: 0, in_second: 0, empty_at: Vec::new() }
    }

    /// Pours `units` into the bucket of `ip`, unless it would run over.
    fn pour(&mut self, now: Instant, ip: IpAddr, units: u32, measure: Measure) -> bool {
        if self.second != now.as_secs() {
            if self.in_second <= measure.quiet {
                self.empty_at = Vec::new();
            }
            self.second = now.as_secs();
            self.in_second = 0;
        }
        self.in_second = self.in_second.saturating_add(units);
        if self.in_second <= measure.quiet && self.empty_at.is_empty() {
            return true;
        }
        self.empty_at.resize(SLOTS, Instant::ZERO);
        let slot = self.slot(ip);
        let Some(empty_at) = self.empty_at.get_mut(slot) else { return true };
        let lasts =
            |units: u32| Duration::from_micros(u64::from(units) * 1_000_000 / u64::from(measure.rate));
        let filled = (*empty_at).max(now) + lasts(units);
        if filled.since(now) > lasts(measure.depth.max(1)) {
            return false;
        }
        *empty_at = filled;
        true
    }

    /// IPv6 addresses count by /64: one host has all of it.
    fn slot(&self, ip: IpAddr) -> usize {
        let bits = match ip {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        let mixed = (bits ^ self.secret.rotate_left(32)).wrapping_mul(self.secret);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(self.secret);
        (mixed >> 52) as usize % SLOTS
    }

    fn memory(&self) -> usize {
        self.empty_at.capacity() * size_of::<Instant>()
    }
}

/// Requests served per source address.
#[derive(Debug)]
pub(crate) struct InboundQuota {
    config: InboundConfig,
    buckets: Buckets,
}

impl InboundQuota {
    pub(crate) fn new(config: InboundConfig, rng: &mut Rng) -> Self {
        InboundQuota { config, buckets: Buckets::new(rng) }
    }

    /// Takes one request from `ip` out of the quota, if there is one left.
    pub(crate) fn take(&mut self, now: Instant, ip: IpAddr) -> bool {
        let InboundConfig { per_ip, burst, quiet, .. } = self.config;
        per_ip == 0 || self.buckets.pour(now, ip, 1, Measure { rate: per_ip, depth: burst.max(1), quiet })
    }

    pub(crate) fn memory(&self) -> usize {
        self.buckets.memory()
    }
}

/// Bytes answered to strangers, to each address and to all (T9): whoever asks in another's name gains little for it.
#[derive(Debug)]
pub(crate) struct StrangerQuota {
    config: StrangerConfig,
    buckets: Buckets,
    /// When the bucket of all together will have run empty.
    empty_at: Instant,
}

impl StrangerQuota {
    pub(crate) fn new(config: StrangerConfig, rng: &mut Rng) -> Self {
        StrangerQuota { config, buckets: Buckets::new(rng), empty_at: Instant::ZERO }
    }

    /// Takes `bytes` for `ip` out of the quota, if there are so many left.
    pub(crate) fn take(&mut self, now: Instant, ip: IpAddr, bytes: usize) -> bool {
        let StrangerConfig { per_ip, burst, all } = self.config;
        if per_ip == 0 {
            return true;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let lasts = Duration::from_micros(u64::from(bytes) * 1_000_000 / u64::from(all.max(1)));
        let filled = self.empty_at.max(now) + lasts;
        // What one address may be sent in a second need not be counted by address.
        let measure = Measure { rate: per_ip, depth: burst, quiet: per_ip };
        if filled.since(now) > Duration::from_secs(1) || !self.buckets.pour(now, ip, bytes, measure) {
            return false;
        }
        self.empty_at = filled;
        true
    }

    pub(crate) fn memory(&self) -> usize {
        self.buckets.memory()
    }
}

/// What the node sends in all: one leaky bucket, a twentieth of a second deep, so that the rate holds over every second
/// to within 5 % (P22), or two datagrams, so that the ping to a stranger can follow the reply.
#[derive(Debug)]
pub(crate) struct EgressQuota {
    /// Time for one datagram; zero for no limit.
    each: Duration,
    depth: Duration,
    empty_at: Instant,
}

impl EgressQuota {
    pub(crate) fn new(config: EgressConfig) -> Self {
        // Beyond a datagram in a microsecond, the engine's clock tells none apart.
        let micros = 1_000_000_u64.checked_div(config.rate.into()).unwrap_or(0);
        let exact = 1_000_000_u64.is_multiple_of(config.rate.into());
        let each = Duration::from_micros(if micros > 0 && !exact { micros + 1 } else { micros });
        EgressQuota { each, depth: Duration::from_millis(50).max(each * 2), empty_at: Instant::ZERO }
    }

    /// When whoever had to wait may send: the depth is for those who just come along.
    pub(crate) fn ready_at(&self) -> Instant {
        self.empty_at
    }

    pub(crate) fn is_ready(&self, now: Instant) -> bool {
        self.each.is_zero() || self.ready_at() <= now
    }

    /// Whether there is one datagram left.
    pub(crate) fn has_left(&self, now: Instant) -> bool {
        (self.empty_at.max(now) + self.each).since(now) <= self.depth
    }

    /// Takes one datagram out of the quota, if there is one left.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let left = self.has_left(now);
        if left && !self.each.is_zero() {
            self.empty_at = self.empty_at.max(now) + self.each;
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn at(secs: u64) -> Instant {
        Instant::from_secs(secs)
    }

    #[test]
    fn t4_one_ping_per_address_in_ten_minutes() {
        let mut quota = VerifyQuota::new(Config::default().verify);
        let ip = IpAddr::from([198, 51, 100, 1]);
        assert!(quota.take(at(0), ip));
        assert!(!quota.take(at(599), ip));
        assert!(quota.take(at(600), ip));
        quota.forget(at(1_300));
        assert_eq!(quota.memory(), 0);
    }

    #[test]
    fn t4_a_million_spoofed_sources_in_one_subnet_get_eight_pings_a_minute() {
        let mut quota = VerifyQuota::new(Config::default().verify);
        let mut rng = Rng::from_number(4);
        let mut sent = [0_u32; 10];
        for n in 0..1_000_000_u64 {
            let now = Instant::from_micros(n * 600);
            let ip = IpAddr::from([198, 51, 100, u8::try_from(rng.below(256)).unwrap()]);
            sent[usize::try_from(now.as_secs() / 60).unwrap()] += u32::from(quota.take(now, ip));
        }
        assert!(sent.iter().all(|minute| *minute <= 8), "{sent:?}");
        assert!(sent.iter().all(|minute| *minute > 0), "{sent:?}");
    }

    #[test]
    fn t4_at_most_twenty_pings_a_second_and_zero_means_no_limit() {
        let taken = |rate| {
            let config = VerifyConfig { rate, ..Config::default().verify };
            let mut quota = VerifyQuota::new(config);
            (0..1_000_u32).filter(|n| quota.take(at(1), IpAddr::from((n << 8).to_be_bytes()))).count()
        };
        assert_eq!(taken(20), 20);
        assert_eq!(taken(0), 1_000);
    }

    #[test]
    fn fs_b10_the_memory_of_pinged_addresses_is_bounded() {
        let config = VerifyConfig { rate: 0, per_subnet: 0, remembered: 100, ..Config::default().verify };
        let mut quota = VerifyQuota::new(config);
        let taken = (0..1_000_u32).filter(|n| quota.take(at(1), IpAddr::from(n.to_be_bytes()))).count();
        assert_eq!(taken, 100);
    }

    #[test]
    fn fs_b10_one_source_is_held_to_its_rate_while_others_are_served() {
        let config = InboundConfig { per_ip: 10, burst: 20, quiet: 5, datagram: 2_048 };
        let mut quota = InboundQuota::new(config, &mut Rng::from_number(1));
        let (loud, calm) = (IpAddr::from([9, 9, 9, 9]), IpAddr::from([8, 8, 8, 8]));
        let mut served = [0, 0];
        for ms in 0..10_000_u64 {
            let now = Instant::from_micros(ms * 1_000);
            served[0] += usize::from(quota.take(now, loud));
            if ms % 1_000 == 500 {
                served[1] += usize::from(quota.take(now, calm));
            }
        }
        assert!((100..=135).contains(&served[0]), "{served:?}");
        assert_eq!(served[1], 10);
    }

    #[test]
    fn p22_no_second_and_no_minute_sees_more_than_the_rate() {
        for rate in [1, 3, 7, 20, 50, 1_000, 30_000] {
            let mut quota = EgressQuota::new(EgressConfig { rate });
            let sent: Vec<u64> = (0..600_000_u64)
                .map(|n| n * 200)
                .filter(|at| quota.take(Instant::from_micros(*at)))
                .collect();
            for (window, secs) in [(1_000_000, 1), (60_000_000, 60)] {
                let most = (0..sent.len())
                    .map(|first| sent.partition_point(|at| *at < sent[first] + window) - first)
                    .max()
                    .unwrap();
                let allowed = (f64::from(rate) * f64::from(secs) * 1.05).ceil();
                assert!(most as f64 <= allowed, "{rate}/s: {most} in {secs} s");
                // Offers come every 200 microseconds, so the highest rates cannot be met.
                let met = f64::from(rate.min(4_000)) * f64::from(secs) * 0.8;
                assert!(most as f64 >= met.floor(), "{rate}/s: only {most} in {secs} s");
            }
        }
    }

    #[test]
    fn p22_zero_and_the_greatest_rate_are_no_limit() {
        for rate in [0, u32::MAX] {
            let mut quota = EgressQuota::new(EgressConfig { rate });
            assert!((0..10_000).all(|_| quota.take(Instant::ZERO)));
        }
    }

    #[test]
    fn a_quiet_node_tracks_nobody_and_zero_means_no_limit() {
        let mut quota = InboundQuota::new(Config::default().inbound, &mut Rng::from_number(1));
        let ip = IpAddr::from([9, 9, 9, 9]);
        assert!((0..100).all(|second| quota.take(at(second), ip)));
        assert_eq!(quota.memory(), 0);
        let unlimited = InboundConfig { per_ip: 0, ..Config::default().inbound };
        let mut quota = InboundQuota::new(unlimited, &mut Rng::from_number(1));
        assert!((0..100_000).all(|_| quota.take(at(1), ip)));
    }
}
