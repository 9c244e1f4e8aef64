//! The simulator: discrete events in virtual time, over nodes directly.

mod events;
mod flight;
mod network;
mod trace;

pub use flight::Payload;
pub use network::Birth;
pub use trace::Step;

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::{Event, Instant, Node, Protocol, ReadOnly, Rng, Service};

use crate::link::{AddressMap, LinkModel, Links};
use crate::wheel::{EventId, Wheel};
use flight::Flights;
use trace::Trace;

/// Names a node of one simulation: nodes are counted in the order in which they were spawned.
pub type NodeIndex = usize;

/// A network of nodes in virtual time, on one thread. The same seed and the same calls give the same run,
/// and so the same [`trace_hash`](Self::trace_hash).
///
/// Time passes only in [`run_until`](Self::run_until) and the methods like it, and as fast as the events can be worked
/// through. Nodes speak through the codec if [`wire`](Self::wire) says so, and hand each other typed messages otherwise,
/// which is faster. Datagrams to addresses without a live node vanish.
pub struct Simulation<P: Protocol, S = ReadOnly> {
    seed: u64,
    now: Instant,
    queue: Wheel<Due>,
    flights: Flights<P>,
    hosts: Vec<Host<P, S>>,
    addresses: AddressMap<u32>,
    links: Links,
    rng: Rng,
    wire: bool,
    trace: Trace<P>,
    traffic: Traffic,
    events: Vec<(NodeIndex, Event<P>)>,
    buffer: Vec<u8>,
}

/// What happens next somewhere: 8 bytes, so that a waiting node costs the queue little.
#[derive(Clone, Copy, Debug)]
enum Due {
    Timer(u32),
    Arrival(u32),
}

struct Host<P: Protocol, S> {
    addr: SocketAddr,
    /// Boxed, so that the list of hosts can grow without moving them; `None` while the host is down.
    node: Option<Box<Node<P, S>>>,
    /// The one timer in the queue. It may be too early: then it is set again when it rings.
    timer: Option<(Instant, EventId)>,
}

/// What has passed over the links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams or messages that nodes sent.
    pub sent: u64,
    /// Arrivals at live nodes.
    pub delivered: u64,
    /// Lost on a link.
    pub lost: u64,
    /// Sent to an address that nobody has, or arrived at a node that is down.
    pub vanished: u64,
    /// Bytes sent; 0 for typed messages.
    pub bytes: u64,
    /// Timers that rang at a node.
    pub timeouts: u64,
}

impl<P: Protocol, S: Service<P>> Simulation<P, S> {
    /// An empty network at time zero.
    pub fn new(seed: u64, model: LinkModel) -> Self {
        let mut rng = Rng::from_number(seed);
        Simulation {
            seed,
            now: Instant::ZERO,
            queue: Wheel::new(),
            flights: Flights::default(),
            hosts: Vec::new(),
            addresses: AddressMap::default(),
            links: Links::new(model, rng.next_u64()),
            rng,
            wire: false,
            trace: Trace::default(),
            traffic: Traffic::default(),
            events: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Whether nodes speak real bytes, encoded and decoded, rather than typed messages. Off at first.
    #[must_use]
    pub fn wire(mut self, wire: bool) -> Self {
        self.wire = wire;
        self
    }

    /// Whether the trace hash covers what typed messages say, at the price of encoding them. Off at first;
    /// real bytes are always covered.
    #[must_use]
    pub fn trace_contents(mut self, contents: bool) -> Self {
        self.trace.contents = contents;
        self
    }

    /// Shows every step to `observer` from now on: a trace to be read.
    pub fn observe(&mut self, observer: impl FnMut(Instant, &Step<'_, P>) + Send + 'static) {
        self.trace.observer = Some(Box::new(observer));
    }

    // Hosts.

    /// Adds a node at `addr`. An address that another node has passes to the new one.
    pub fn spawn(&mut self, addr: SocketAddr, make: impl FnOnce(Birth<P::Key>) -> Node<P, S>) -> NodeIndex {
        let index = self.hosts.len();
        self.hosts.push(Host { addr, node: None, timer: None });
        self.addresses.insert(addr, host_number(index));
        self.restart(index, make);
        index
    }

    /// Takes a node down without a farewell, and gives back what was in its memory: what the caller wants to survive
    /// (its service's storage, its snapshot) goes into the node that is made at the restart. `None` if it is down.
    pub fn crash(&mut self, index: NodeIndex) -> Option<Node<P, S>> {
        let host = self.hosts.get_mut(index)?;
        if let Some((_, event)) = host.timer.take() {
            self.queue.cancel(event);
        }
        host.node.take().map(|node| *node)
    }

    /// Puts a new node in the place of an earlier one, under its address. Whatever is on its way there reaches it.
    /// A node that is not down is crashed first. An unknown index changes nothing.
    pub fn restart(&mut self, index: NodeIndex, make: impl FnOnce(Birth<P::Key>) -> Node<P, S>) {
        self.crash(index);
        let Some(host) = self.hosts.get_mut(index) else {
            return;
        };
        host.node = Some(Box::new(make(Birth::new(index, host.addr, self.now, &mut self.rng))));
        self.drain(host_number(index));
    }

    /// Gives a live node an input or a command, and carries out what comes of it. `None` if the node is down.
    pub fn call<R>(
        &mut self,
        index: NodeIndex,
        command: impl FnOnce(&mut Node<P, S>, Instant) -> R,
    ) -> Option<R> {
        let node = self.hosts.get_mut(index)?.node.as_deref_mut()?;
        let result = command(node, self.now);
        self.drain(host_number(index));
        Some(result)
    }

    /// Cuts the network: nodes reach each other only if `group` says the same of both. Replaces an earlier cut.
    pub fn partition(&mut self, group: impl Fn(NodeIndex) -> u32) {
        self.links.partition(self.hosts.iter().enumerate().map(|(index, host)| (host.addr, group(index))));
    }

    /// Mends every cut.
    pub fn heal(&mut self) {
        self.links.heal();
    }

    /// The links, to be changed in the course of a run.
    pub fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    // Time.

    /// Works through the next event. False if there is none.
    pub fn step(&mut self) -> bool {
        self.step_until(Instant::NEVER)
    }

    /// Works through everything up to `until`, and moves the clock there.
    pub fn run_until(&mut self, until: Instant) {
        while self.step_until(until) {}
        self.now = self.now.max(until);
    }

    /// Works through everything that happens in the next `time`.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(self.now + time);
    }

    /// Works event by event for as long as `going` says so, at most for `time`.
    /// Gives back whether it said no; if it did not, the time is over.
    pub fn run_while(&mut self, time: Duration, mut going: impl FnMut(&Self) -> bool) -> bool {
        let until = self.now + time;
        while going(self) {
            if !self.step_until(until) {
                self.now = until;
                return false;
            }
        }
        true
    }

    /// Works until no datagram is on its way, at most for `time`. Gives back whether it came to that.
    /// Nodes may still wait for answers that were lost.
    pub fn run_until_quiet(&mut self, time: Duration) -> bool {
        self.run_while(time, |simulation| simulation.in_flight() > 0)
    }

    // Reading.

    /// The present.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Number of nodes that were ever spawned.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether no node was ever spawned.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// A live node.
    pub fn node(&self, index: NodeIndex) -> Option<&Node<P, S>> {
        self.hosts.get(index)?.node.as_deref()
    }

    /// All live nodes.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &Node<P, S>)> {
        self.hosts.iter().enumerate().filter_map(|(index, host)| Some((index, host.node.as_deref()?)))
    }

    /// The address of a node, up or down.
    pub fn address(&self, index: NodeIndex) -> Option<SocketAddr> {
        self.hosts.get(index).map(|host| host.addr)
    }

    /// Takes the events of one node, in order, and leaves those of others.
    pub fn events(&mut self, index: NodeIndex) -> Vec<Event<P>> {
        self.events.extract_if(.., |(node, _)| *node == index).map(|(_, event)| event).collect()
    }

    /// Takes the events of all nodes, in order. Events that nobody takes are kept without a limit.
    pub fn take_events(&mut self) -> Vec<(NodeIndex, Event<P>)> {
        std::mem::take(&mut self.events)
    }

    /// Datagrams or messages on their way.
    pub fn in_flight(&self) -> usize {
        self.flights.len()
    }

    /// Everything that waits for its time: what is on its way, and at most one timer for each live node.
    pub fn pending(&self) -> usize {
        self.queue.len()
    }

    /// What has passed over the links so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// A hash over everything that happened, in order: arrivals with their bytes, losses, timeouts, events, and the
    /// time of each. Stable across runs, builds and machines.
    pub fn trace_hash(&self) -> u64 {
        self.trace.hash()
    }
}

impl<P: Protocol, S> std::fmt::Debug for Simulation<P, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Simulation { seed, now, traffic, .. } = self;
        write!(f, "Simulation {{ seed: {seed}, now: {now:?}, nodes: {}, {traffic:?} }}", self.hosts.len())
    }
}

/// Hosts are counted in 32 bits inside; four billion do not fit any memory.
fn host_number(index: NodeIndex) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
