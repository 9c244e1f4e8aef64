//! The link model: what becomes of a datagram between two addresses. Both faces of this crate use it.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kademlia_core::{Instant, Rng};
use siphasher::sip::SipHasher13;

/// A map whose order is the same in every run.
pub(crate) type AddressMap<V> = HashMap<SocketAddr, V, BuildHasherDefault<SipHasher13>>;

/// How a network treats datagrams. Probabilities are in 0 to 1, and drawn anew for each datagram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkModel {
    /// How far apart two addresses are, one way.
    pub latency: Latency,
    /// Further delay of each datagram: the median share of its pair's latency, with a heavy tail
    /// (one in a hundred waits ten times as long, none a hundred times).
    pub jitter: f64,
    /// Chance to be lost.
    pub loss: f64,
    /// Loss that comes in bursts.
    pub bursts: Option<Bursts>,
    /// Chance to arrive twice, each time with its own delay.
    pub duplicate: f64,
    /// Chance to be held back for a time drawn from 0 to `hold`, so that later datagrams overtake it.
    pub reorder: f64,
    /// Longest time that a reordered datagram is held back.
    pub hold: Duration,
    /// Chance to arrive with one bit inverted. UDP's checksum finds nearly all such datagrams,
    /// so a network of typed messages counts them as lost.
    pub corrupt: f64,
    /// Longest datagram carried, in bytes; longer ones are lost. Typed messages have no length.
    pub mtu: usize,
    /// Share of all ordered pairs of addresses, drawn once for each, over which nothing ever passes. Where it is small,
    /// nearly all of these pairs can still be passed in the other direction.
    pub oneway: f64,
}

/// One-way latency between two addresses: drawn once for each pair, the same both ways and for the whole run.
///
/// Computed without transcendental functions, whose last bit may differ from machine to machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// The same for every pair.
    Constant(Duration),
    /// Anything between the two, equally likely.
    Uniform {
        /// The least.
        min: Duration,
        /// The greatest.
        max: Duration,
    },
    /// `floor` plus a log-logistic draw with shape 2: one pair in twenty lies beyond 4.4 times the median,
    /// one in a hundred beyond 10 times, as on the Internet.
    HeavyTailed {
        /// Light and queues: no pair is nearer.
        floor: Duration,
        /// Half of the pairs lie within this.
        median: Duration,
        /// No pair is farther.
        ceiling: Duration,
    },
}

/// Loss in bursts, after Gilbert and Elliott: a link is good or bad, and stays so for a while.
/// The state is a hash of link and time, so that none is kept for any of n² links.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bursts {
    /// Share of its time for which a link, in one direction, is bad.
    pub share: f64,
    /// How long it stays good or bad at least.
    pub length: Duration,
    /// Chance of a datagram to be lost while the link is bad.
    pub loss: f64,
}

impl LinkModel {
    /// Nothing is lost, doubled or overtaken; every datagram takes 20 ms.
    pub const fn perfect() -> Self {
        LinkModel {
            latency: Latency::Constant(Duration::from_millis(20)),
            jitter: 0.0,
            loss: 0.0,
            bursts: None,
            duplicate: 0.0,
            reorder: 0.0,
            hold: Duration::ZERO,
            corrupt: 0.0,
            mtu: usize::MAX,
            oneway: 0.0,
        }
    }

    /// Distances of the Internet, round trips of 80 ms at the median with a heavy tail, and Ethernet's MTU less the
    /// headers of IPv6 and UDP. Lossless; set what else is wanted.
    pub const fn internet() -> Self {
        LinkModel {
            latency: Latency::HeavyTailed {
                floor: Duration::from_millis(2),
                median: Duration::from_millis(38),
                ceiling: Duration::from_millis(500),
            },
            jitter: 0.05,
            mtu: 1_452,
            ..Self::perfect()
        }
    }

    /// The same with this chance of loss.
    #[must_use]
    pub const fn with_loss(mut self, loss: f64) -> Self {
        self.loss = loss;
        self
    }

    /// The same with this latency.
    #[must_use]
    pub const fn with_latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }
}

impl Default for LinkModel {
    fn default() -> Self {
        Self::internet()
    }
}

/// What becomes of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transit {
    /// It never arrives.
    Lost,
    /// It arrives.
    Once(Delivery),
    /// It arrives twice.
    Twice([Delivery; 2]),
}

/// One arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Time on the way.
    pub delay: Duration,
    /// The bit that was inverted on the way, counted from the first byte's highest.
    pub inverted: Option<usize>,
}

impl Transit {
    /// The arrivals: none, one or two.
    pub fn deliveries(&self) -> &[Delivery] {
        match self {
            Transit::Lost => &[],
            Transit::Once(delivery) => std::slice::from_ref(delivery),
            Transit::Twice(deliveries) => deliveries,
        }
    }
}

impl Delivery {
    /// Does to the bytes what the way did.
    pub(crate) fn apply(&self, datagram: &mut [u8]) {
        if let Some(bit) = self.inverted
            && let Some(byte) = datagram.get_mut(bit / 8)
        {
            *byte ^= 0x80 >> (bit % 8);
        }
    }
}

/// All links of one network: the model, its randomness, and which addresses are cut off from which.
#[derive(Debug)]
pub struct Links {
    model: LinkModel,
    seed: u64,
    rng: Rng,
    /// Addresses outside of group 0, and their group. Only those of one group reach each other.
    groups: AddressMap<u32>,
}

impl Links {
    /// The same model and seed give the same fates, in the order in which they are asked for.
    pub fn new(model: LinkModel, seed: u64) -> Self {
        Links { model, seed, rng: Rng::from_number(seed), groups: AddressMap::default() }
    }

    /// The model in force.
    pub fn model(&self) -> &LinkModel {
        &self.model
    }

    /// The model in force, to be changed in the course of a run. Pairs keep their places within the distribution.
    pub fn model_mut(&mut self) -> &mut LinkModel {
        &mut self.model
    }

    /// Cuts the network: from now on two addresses reach each other only if their groups are the same.
    /// Addresses that are not named are in group 0. Datagrams on their way still arrive. Replaces an earlier cut.
    pub fn partition(&mut self, groups: impl IntoIterator<Item = (SocketAddr, u32)>) {
        self.groups.clear();
        self.groups.extend(groups.into_iter().filter(|&(_, group)| group != 0));
    }

    /// Mends every cut.
    pub fn heal(&mut self) {
        self.groups.clear();
    }

    /// Whether datagrams from `from` can reach `to` at all.
    pub fn connected(&self, from: SocketAddr, to: SocketAddr) -> bool {
        (self.groups.is_empty() || self.groups.get(&from) == self.groups.get(&to))
            && !self.is_blocked(from, to)
    }

    /// A host has moved: it keeps its group.
    pub(crate) fn moved(&mut self, from: SocketAddr, to: SocketAddr) {
        if let Some(group) = self.groups.remove(&from) {
            self.groups.insert(to, group);
        }
    }

    /// Decides what becomes of a datagram of `len` bytes sent at `now`.
    pub fn transit(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, len: usize) -> Transit {
        let model = self.model;
        let lost = !self.connected(from, to)
            || len > model.mtu
            || self.chance(model.loss)
            || model
                .bursts
                .is_some_and(|bursts| self.in_burst(&bursts, now, from, to) && self.chance(bursts.loss));
        if lost {
            return Transit::Lost;
        }
        let base = self.distance(from, to);
        let first = self.delivery(base, len);
        if self.chance(model.duplicate) {
            Transit::Twice([first, self.delivery(base, len)])
        } else {
            Transit::Once(first)
        }
    }

    /// The latency of a pair, before jitter and other mishaps.
    pub fn distance(&self, a: SocketAddr, b: SocketAddr) -> Duration {
        match self.model.latency {
            Latency::Constant(latency) => latency,
            Latency::Uniform { min, max } => min + max.saturating_sub(min).mul_f64(self.place(a, b)),
            Latency::HeavyTailed { floor, median, ceiling } => {
                let above = median.saturating_sub(floor);
                let stretch =
                    heavy_tail(self.place(a, b)).min(ceiling.as_secs_f64() / above.as_secs_f64().max(1e-6));
                (floor + above.mul_f64(stretch)).min(ceiling)
            }
        }
    }

    fn delivery(&mut self, base: Duration, len: usize) -> Delivery {
        let model = self.model;
        let mut delay = base;
        if model.jitter > 0.0 {
            delay += base.mul_f64(model.jitter * heavy_tail(self.rng.unit()).min(100.0));
        }
        if self.chance(model.reorder) {
            delay += model.hold.mul_f64(self.rng.unit());
        }
        let inverted = self.chance(model.corrupt).then(|| self.rng.below(len * 8));
        Delivery { delay, inverted }
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.chance(probability)
    }

    /// Where a pair stands in the distribution of latencies, in [0, 1); the same for both directions.
    fn place(&self, a: SocketAddr, b: SocketAddr) -> f64 {
        let mut hasher = SipHasher13::new_with_keys(self.seed, 0);
        write_address(&mut hasher, a.min(b));
        write_address(&mut hasher, a.max(b));
        unit(hasher.finish())
    }

    /// A hash of the ordered pair, so that it holds for the whole run and nothing is kept for any of n² links.
    fn is_blocked(&self, from: SocketAddr, to: SocketAddr) -> bool {
        if self.model.oneway <= 0.0 {
            return false;
        }
        let mut hasher = SipHasher13::new_with_keys(self.seed, 2);
        write_address(&mut hasher, from);
        write_address(&mut hasher, to);
        unit(hasher.finish()) < self.model.oneway
    }

    fn in_burst(&self, bursts: &Bursts, now: Instant, from: SocketAddr, to: SocketAddr) -> bool {
        let mut hasher = SipHasher13::new_with_keys(self.seed, 1);
        write_address(&mut hasher, from);
        write_address(&mut hasher, to);
        // Links change their state at different times.
        let length = u64::try_from(bursts.length.as_micros()).unwrap_or(u64::MAX).max(1);
        let phase = hasher.finish() % length;
        hasher.write(&(now.as_micros().saturating_add(phase) / length).to_le_bytes());
        unit(hasher.finish()) < bursts.share
    }
}

/// Quantile of the log-logistic distribution with median 1 and shape 2. Square roots are exact on every machine.
fn heavy_tail(quantile: f64) -> f64 {
    (quantile / (1.0 - quantile)).sqrt()
}

/// A hash as a number in [0, 1).
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

/// Feeds an address in one form on every platform.
pub(crate) fn write_address(hasher: &mut impl Hasher, addr: SocketAddr) {
    match addr.ip() {
        IpAddr::V4(ip) => hasher.write(&ip.octets()),
        IpAddr::V6(ip) => hasher.write(&ip.octets()),
    }
    hasher.write(&addr.port().to_be_bytes());
}

#[cfg(test)]
mod tests;
