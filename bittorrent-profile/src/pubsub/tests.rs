//! Topics in a network of their own: bytes, latency and loss, in virtual time.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use kademlia_core::{
    Body, Codec, Config, DualStack, Family, Instant, Key, Keyspace, Message, Node, Rng, TransactionId,
};

use super::*;
use crate::item::{Item, ItemParts, RawValue, SecretKey, Signature};
use crate::krpc::{Families, Krpc, Request, Response, encode_in_topic, topic_of};
use crate::mainline::Mainline;
use crate::service::ServiceConfig;

mod service;
mod spreading;
mod wire;

fn owner() -> SecretKey {
    SecretKey::from_seed(&[7; 32])
}

fn topic() -> Topic {
    Topic::new(owner().public(), Salt::new(b"news").unwrap())
}

/// The owner's version with this number.
fn version(seq: i64) -> Arc<MutableItem> {
    let value = RawValue::string(format!("version {seq}")).unwrap();
    Arc::new(MutableItem::sign(&owner(), topic().salt(), seq, value))
}

/// A version that the owner never signed.
fn forged(seq: i64) -> Arc<MutableItem> {
    Arc::new(MutableItem { signature: Signature::new([1; 64]), ..(*version(seq)).clone() })
}

fn addr(n: u32) -> SocketAddr {
    let [_, b, c, d] = n.to_be_bytes();
    SocketAddr::from(([20 + d % 90, c, d, b], 6881))
}

fn addr_v6(n: u16) -> SocketAddr {
    SocketAddr::from(([0x2a00 + n, n, 0, 0, 0, 0, 0, 1], 6881))
}

/// One subscriber at these addresses.
fn subscriber(addrs: &[SocketAddr], now: Instant, rng: &mut Rng) -> TopicNode {
    let mut node = |family| {
        let service = TopicService::new(topic(), &ServiceConfig::default(), rng.fork());
        let node = Node::new(service, Key::random(rng), topic_config(&Config::default()), rng.fork(), now);
        addrs.iter().any(|addr| Family::of(addr) == family).then_some(node)
    };
    let stack = DualStack::new(node(Family::V4), node(Family::V6));
    TopicNode::new(topic(), stack, rng.fork())
}

fn has(datagram: &[u8], part: &[u8]) -> bool {
    datagram.windows(part.len()).any(|window| window == part)
}

/// Everything that one subscriber has done.
#[derive(Clone, Debug, Default)]
struct Log {
    sent: u64,
    puts: u64,
    /// Requests for a version, whichever it is, though one was known.
    blind: u64,
    bytes: u64,
    versions: Vec<(i64, Instant)>,
}

/// Subscribers, and datagrams between them.
struct Network {
    now: Instant,
    nodes: BTreeMap<SocketAddr, TopicNode>,
    logs: BTreeMap<SocketAddr, Log>,
    /// The further address of a subscriber.
    second: BTreeMap<SocketAddr, SocketAddr>,
    flying: BTreeMap<(Instant, u64), (SocketAddr, SocketAddr, Vec<u8>)>,
    loss: f64,
    number: u64,
    rng: Rng,
}

impl Network {
    fn new(seed: u64, loss: f64) -> Self {
        Network {
            now: Instant::from_secs(1),
            nodes: BTreeMap::new(),
            logs: BTreeMap::new(),
            second: BTreeMap::new(),
            flying: BTreeMap::new(),
            loss,
            number: 0,
            rng: Rng::from_number(seed),
        }
    }

    /// `count` subscribers, each of whom the main DHT told of up to thirty of those before.
    fn grown(seed: u64, loss: f64, count: u32) -> Self {
        let mut network = Network::new(seed, loss);
        for n in 0..count {
            network.join(n);
            network.run(Duration::from_millis(200));
        }
        network.run(Duration::from_secs(15 * 60));
        network
    }

    fn join(&mut self, n: u32) -> SocketAddr {
        let mut known: Vec<_> = self.nodes.keys().copied().collect();
        let found: Vec<_> =
            (0..30.min(known.len())).map(|_| known.swap_remove(self.rng.below(known.len()))).collect();
        self.join_through(&[addr(n)], &found)
    }

    /// A subscriber at one address or two.
    fn join_through(&mut self, here: &[SocketAddr], found: &[SocketAddr]) -> SocketAddr {
        let first = here[0];
        self.nodes.insert(first, subscriber(here, self.now, &mut self.rng));
        self.logs.insert(first, Log::default());
        self.second.extend(here.get(1).map(|second| (*second, first)));
        self.call(first, |node, now| node.join(now, found));
        first
    }

    fn call<R>(&mut self, at: SocketAddr, command: impl FnOnce(&mut TopicNode, Instant) -> R) -> R {
        let result = command(self.nodes.get_mut(&at).unwrap(), self.now);
        self.drain(at);
        result
    }

    /// What somebody who is none of the nodes is answered.
    fn ask_as(&mut self, from: SocketAddr, to: SocketAddr, request: Request) -> Body<Mainline> {
        let body = Body::Request { sender: Key::new([0xaa; 20]), read_only: true, request };
        let message = Message { transaction: TransactionId::from(7), observed: None, body };
        let mut bytes = Vec::new();
        encode_in_topic(&message, &topic().target(), &mut bytes);
        self.inject(from, to, &bytes);
        let reply = self.flying.iter().find(|(_, (_, to, _))| *to == from).map(|(at, _)| *at).unwrap();
        Krpc::decode(&self.flying.remove(&reply).unwrap().2).unwrap().body
    }

    fn inject(&mut self, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        self.call(to, |node, now| node.handle_datagram(now, from, datagram));
    }

    fn drain(&mut self, at: SocketAddr) {
        let (node, log) = (self.nodes.get_mut(&at).unwrap(), self.logs.get_mut(&at).unwrap());
        let mut datagram = Vec::new();
        let known = node.latest().is_some();
        while let Some(to) = node.poll_transmit(&mut datagram) {
            log.blind += u64::from(
                known
                    && datagram.ends_with(b"y1:qe")
                    && has(&datagram, b"3:get")
                    && !has(&datagram, b"3:seqi"),
            );
            assert_eq!(topic_of(&datagram), Some(topic().target()), "50.2: c in every message");
            log.sent += 1;
            log.puts += u64::from(has(&datagram, b"3:put"));
            log.bytes += datagram.len() as u64;
            self.number += 1;
            let datagram = std::mem::take(&mut datagram);
            if !self.rng.chance(self.loss) {
                let delay = Duration::from_millis(10 + self.rng.below(90) as u64);
                let is_of = |addr: &SocketAddr| Family::of(addr) == Family::of(&to);
                let second = self.second.iter().find(|(_, first)| **first == at).map(|(second, _)| *second);
                let from = [Some(at), second].into_iter().flatten().find(is_of).unwrap();
                self.flying.insert((self.now + delay, self.number), (from, to, datagram));
            }
        }
        while let Some(event) = node.poll_event() {
            if let TopicEvent::Version(item) = event {
                log.versions.push((item.seq, self.now));
            }
        }
        for (_, node) in node.stack().nodes() {
            node.check().unwrap();
        }
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let timer = self.nodes.iter().filter_map(|(at, node)| Some((node.poll_timeout()?, *at))).min();
            let arrival = self.flying.first_key_value().map(|((at, _), _)| *at);
            match (timer, arrival) {
                (Some((due, at)), arrival) if due <= end && arrival.is_none_or(|arrival| due < arrival) => {
                    self.now = self.now.max(due);
                    self.call(at, |node, now| node.handle_timeout(now));
                }
                (_, Some(due)) if due <= end => {
                    let Some((_, (from, to, datagram))) = self.flying.pop_first() else { continue };
                    self.now = self.now.max(due);
                    let to = self.second.get(&to).copied().unwrap_or(to);
                    if self.nodes.contains_key(&to) {
                        self.inject(from, to, &datagram);
                    }
                }
                _ => break,
            }
        }
        self.now = end;
    }

    fn forget(&mut self) {
        self.logs.values_mut().for_each(|log| *log = Log::default());
    }

    fn latest(&self, at: SocketAddr) -> Option<i64> {
        self.nodes[&at].latest().map(|latest| latest.seq)
    }
}
