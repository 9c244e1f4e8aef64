//! One subscriber to one topic.

use core::net::{IpAddr, SocketAddr};
use std::collections::VecDeque;
use std::sync::Arc;

use kademlia_core::{
    Answered, Contact, DualStack, Effort, Event, Failure, Family, Instant, Key, LookupOptions, Message,
    Protocol, RequestId, Rng, soonest,
};

use super::spread::{Asked, Spread, Step};
use super::{NEAR, Topic, TopicService};
use crate::item::{Item, MutableItem};
use crate::krpc::{ErrorCode, Families, Request, encode_in_topic, topic_of};
use crate::mainline::Mainline;

/// Addresses asked at a time to be let in.
const DOORS: usize = 32;

/// What a topic's node tells its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicEvent {
    /// Others were found, or found us.
    Joined,
    /// A version newer than all before.
    Version(Arc<MutableItem>),
}

/// A subscriber's node in the overlay of one topic, in one address family or both. Performs no I/O and reads no clock; the
/// contract is that of [`Node`](kademlia_core::Node): after every input and every command the host drains
/// [`poll_transmit`](Self::poll_transmit), then [`poll_event`](Self::poll_event), and then asks for
/// [`poll_timeout`](Self::poll_timeout).
#[derive(Debug)]
pub struct TopicNode {
    topic: Topic,
    stack: DualStack<Mainline, TopicService>,
    latest: Option<Arc<MutableItem>>,
    spread: Spread,
    rng: Rng,
    events: VecDeque<TopicEvent>,
}

impl TopicNode {
    /// A subscriber that knows nobody and no version. The nodes of `stack` are to go by the ids of the Mainline nodes at
    /// the same addresses (50.4), with [`topic_config`](super::topic_config) and a [`TopicService`] of this topic. `seed`
    /// decides whom it asks when.
    pub fn new(topic: Topic, stack: DualStack<Mainline, TopicService>, seed: [u8; 32]) -> Self {
        TopicNode {
            topic,
            stack,
            latest: None,
            spread: Spread::default(),
            rng: Rng::from_seed(seed),
            events: VecDeque::new(),
        }
    }

    // Inputs.

    /// A datagram arrived. One that does not name this topic is dropped.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        if topic_of(datagram) == Some(self.topic.target()) {
            self.stack.handle_datagram(now, from, datagram);
            self.settle(now);
        }
    }

    /// The system says that `addr` cannot be reached.
    pub fn handle_unreachable(&mut self, now: Instant, addr: SocketAddr) {
        self.stack.handle_unreachable(now, addr);
        self.settle(now);
    }

    /// The instant that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.stack.handle_timeout(now);
        self.settle(now);
    }

    // Commands.

    /// Joins through these addresses: others who have announced themselves under the topic's target in the main DHT (50.4).
    /// To be called again with newly found ones, now and then, lest an overlay falls apart; of many, a few are asked.
    pub fn join(&mut self, now: Instant, addrs: &[SocketAddr]) {
        for (node, mut addrs) in self.stack.share(addrs, |addr| *addr) {
            let request = Mainline::find_node_any(node.local());
            for _ in 0..DOORS.min(addrs.len()) {
                let addr = addrs.swap_remove(self.rng.below(addrs.len()));
                node.request(now, addr, None, request.clone());
            }
        }
        self.settle(now);
    }

    /// Publishes a version of the owner's: everybody in the table is told. False if it is not newer than the latest,
    /// another topic's or not authentic; then nothing happens.
    pub fn publish(&mut self, now: Instant, item: Arc<MutableItem>) -> bool {
        let newer = self.topic.is_of(&item) && self.is_newer(&item) && item.is_authentic();
        if newer {
            self.adopt(item);
            self.settle(now);
        }
        newer
    }

    /// Goes by another id in one family, as the Mainline node at that address does from now on.
    pub fn rename(&mut self, now: Instant, family: Family, id: Key<20>) {
        if let Some(node) = self.stack.node_mut(family) {
            node.rename(now, id);
            self.look_around(now, family);
            self.settle(now);
        }
    }

    /// Has nothing more to do with this address, or treats it as any other again.
    pub fn set_blocked(&mut self, now: Instant, ip: IpAddr, is_blocked: bool) {
        for node in self.stack.nodes_mut() {
            if is_blocked {
                node.block(now, ip);
            } else {
                node.unblock(ip);
            }
        }
        self.settle(now);
    }

    // Outputs.

    /// Appends the next datagram to `out`; gives back where it goes, or `None` if there is nothing to send.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<SocketAddr> {
        let topic = self.topic.target();
        let encode = |message: &Message<Mainline>, out: &mut Vec<u8>| encode_in_topic(message, &topic, out);
        self.stack.nodes_mut().find_map(|node| node.poll_transmit_with(out, encode))
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<TopicEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout).
    pub fn poll_timeout(&self) -> Option<Instant> {
        soonest([self.stack.poll_timeout(), self.spread.poll_timeout()])
    }

    // Reading.

    /// The topic.
    pub const fn topic(&self) -> &Topic {
        &self.topic
    }

    /// The latest version known.
    pub fn latest(&self) -> Option<&Arc<MutableItem>> {
        self.latest.as_ref()
    }

    /// The nodes of the overlay.
    pub fn stack(&self) -> &DualStack<Mainline, TopicService> {
        &self.stack
    }

    /// The contacts in its tables: who is told of a new version.
    pub fn neighbours(&self) -> impl Iterator<Item = Contact<Key<20>>> {
        self.stack.nodes().flat_map(|(_, node)| node.table().iter().map(|entry| entry.contact()))
    }

    fn is_newer(&self, item: &MutableItem) -> bool {
        self.latest.as_ref().is_none_or(|latest| item.seq > latest.seq)
    }

    /// Takes a verified version that is newer.
    fn adopt(&mut self, item: Arc<MutableItem>) {
        for node in self.stack.nodes_mut() {
            node.service_mut().set_latest(Arc::clone(&item));
        }
        self.latest = Some(Arc::clone(&item));
        self.events.push_back(TopicEvent::Version(item));
        self.spread.renew();
    }

    /// Everything that follows from what has just happened.
    fn settle(&mut self, now: Instant) {
        self.take_puts();
        while let Some((family, event)) = self.stack.poll_event() {
            match event {
                Event::Requested { request, result } => self.ended(now, (family, request), result),
                Event::Bootstrapped => self.joined(now, family),
                _ => {}
            }
            self.proceed(now);
        }
        self.proceed(now);
    }

    fn take_puts(&mut self) {
        let mut puts = Vec::new();
        for node in self.stack.nodes_mut() {
            puts.extend(node.service_mut().take_put());
        }
        for (from, item) in puts {
            self.spread.has_version(from.addr, item.seq);
            if self.is_newer(&item) {
                self.adopt(item);
            }
        }
    }

    fn joined(&mut self, now: Instant, family: Family) {
        self.look_around(now, family);
        self.spread.hurry(now);
        self.events.push_back(TopicEvent::Joined);
    }

    /// Looks up the neighbourhood, wider than k, so that both near buckets fill, and those of the neighbours.
    fn look_around(&mut self, now: Instant, family: Family) {
        if let Some(node) = self.stack.node_mut(family) {
            let local = node.local();
            let options =
                LookupOptions { k: Some(2 * NEAR), effort: Some(Effort::Plain), ..LookupOptions::default() };
            // No room for a lookup is no harm: the table's upkeep fills it, too.
            let _ = node.lookup(now, local, Mainline::find_node(local), options);
        }
    }

    /// Sends what there is to send.
    fn proceed(&mut self, now: Instant) {
        let tables = self.stack.nodes().map(|(_, node)| node.table());
        self.spread.begin(now, tables.flat_map(|table| table.iter().map(|entry| entry.contact())));
        let rng = &mut self.rng;
        if self.spread.take_poll(now, |pause| rng.jittered(pause)) {
            for (_, node) in self.stack.nodes() {
                node.table().anybody(rng).into_iter().for_each(|contact| self.spread.add(contact));
            }
        }
        let latest = self.latest.as_ref().map(|latest| latest.seq);
        while let Some(asked) = self.spread.next(now, latest) {
            let request = self.request(&asked.step);
            let family = Family::of(&asked.to.addr);
            if let Some(node) = self.stack.node_mut(family) {
                let id = node.request(now, asked.to.addr, Some(asked.to.key), request);
                self.spread.sent((family, id), asked);
            }
        }
    }

    fn request(&self, step: &Step) -> Request {
        match (step, &self.latest) {
            (Step::Put(_, token), Some(latest)) => {
                Request::put(&Item::Mutable(Arc::clone(latest)), None, *token)
            }
            // 50.3: with our own seq, unless we have none yet.
            _ => Request::Get {
                seq: self.latest.as_ref().map(|latest| latest.seq),
                target: self.topic.target(),
                want: Families::NONE,
            },
        }
    }

    fn ended(&mut self, now: Instant, id: (Family, RequestId), result: Result<Answered<Mainline>, Failure>) {
        let Some(asked) = self.spread.ended(id) else { return };
        match (asked.step, result) {
            (Step::Get, Ok(answered)) => self.got(now, &asked, &answered),
            (Step::Put(seq, _), Ok(_)) => {
                self.spread.has_version(asked.to.addr, seq);
                // A newer version came meanwhile: its round had to leave this one out.
                if self.latest.as_ref().is_some_and(|latest| latest.seq > seq) {
                    self.spread.add(asked.to);
                }
            }
            (Step::Put(..), Err(Failure::Refused { code, .. })) => {
                // Its token, or our version, is of no use any more; its answer to `get` brings another.
                self.spread.set_token(now, asked.to.addr, None);
                if [ErrorCode::Protocol, ErrorCode::SeqTooLow].map(i64::from).contains(&code) {
                    self.spread.again(&asked);
                }
            }
            // Whoever does not answer is asked by others, or in the end by a poll.
            (Step::Get | Step::Put(..), Err(_)) => {}
        }
    }

    /// An answer to `get`: what it has is taken if it is newer, and ours is put if that is.
    fn got(&mut self, now: Instant, asked: &Asked, answered: &Answered<Mainline>) {
        let response = &answered.response;
        self.spread.set_token(now, asked.to.addr, response.token);
        let latest = self.latest.as_ref().map(|latest| latest.seq);
        if let Some(parts) = &response.item {
            // A signature is checked only if it matters.
            let newer = parts.seq.filter(|seq| Some(*seq) > latest);
            if newer.is_some()
                && let Some(item) = parts.mutable(&self.topic.key(), &self.topic.salt())
            {
                self.spread.has_version(asked.to.addr, item.seq);
                self.adopt(Arc::new(item));
                return;
            }
            // What it claims beyond that proves nothing.
            if let Some(seq) = parts.seq.filter(|_| newer.is_none()) {
                self.spread.has_version(asked.to.addr, seq);
            }
        }
        if latest.is_some() && response.token.is_some() {
            self.spread.again(asked);
        }
    }
}
