//! The simulator: discrete events in virtual time, over nodes directly.

mod census;
mod conditions;
mod events;
mod fill;
mod flight;
mod host;
mod network;
mod resident;
mod trace;
mod transcript;

pub use census::Census;
pub use flight::Payload;
pub use network::Birth;
pub use trace::Step;
pub use transcript::Transcript;

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::{Event, Instant, Node, Protocol, ReadOnly, Rng, Service};

use crate::link::{AddressMap, LinkModel, Links};
use crate::nat::Place;
use crate::peers::{Outgoing, Peer};
use crate::wheel::Wheel;
use flight::Flights;
use host::Host;
use resident::Resident;
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
    addresses: AddressMap<Place>,
    links: Links,
    rng: Rng,
    wire: bool,
    trace: Trace<P>,
    traffic: Traffic,
    events: Vec<(NodeIndex, Event<P>)>,
    /// Which events are kept; all of them, if it is `None`.
    watch: Option<Watch<P>>,
    buffer: Vec<u8>,
    /// What a scripted peer is sending; empty between steps.
    outgoing: Vec<Outgoing<P>>,
}

/// What happens next somewhere: 8 bytes, so that a waiting node costs the queue little.
#[derive(Clone, Copy, Debug)]
enum Due {
    Timer(u32),
    Arrival(u32),
}

type Watch<P> = Box<dyn FnMut(NodeIndex, &Event<P>) -> bool + Send>;

/// What has passed over the links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams or messages that nodes sent.
    pub sent: u64,
    /// Arrivals at live nodes.
    pub delivered: u64,
    /// Lost on a link.
    pub lost: u64,
    /// Sent to an address that nobody has, or arrived at a node that is down or sleeps.
    pub vanished: u64,
    /// Arrived at a translator that did not let them in.
    pub refused: u64,
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
            watch: None,
            buffer: Vec::new(),
            outgoing: Vec::new(),
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

    /// Keeps only those events from now on for which `wanted` says so: in a large network, those that nobody takes
    /// would fill the memory. The trace covers all of them as before.
    pub fn watch(&mut self, wanted: impl FnMut(NodeIndex, &Event<P>) -> bool + Send + 'static) {
        self.watch = Some(Box::new(wanted));
    }

    // Hosts.

    /// Adds a node at `addr`. An address that another node has passes to the new one.
    pub fn spawn(&mut self, addr: SocketAddr, make: impl FnOnce(Birth<P::Key>) -> Node<P, S>) -> NodeIndex {
        let index = self.settle(addr);
        self.place(index, make);
        index
    }

    /// Adds somebody at `addr` who is not one of our nodes. Like [`spawn`](Self::spawn), but the newcomer does not count
    /// among the [`nodes`](Self::nodes), and no method that wants a node finds one there.
    pub fn spawn_peer(&mut self, addr: SocketAddr, peer: Box<dyn Peer<P>>) -> NodeIndex {
        let index = self.settle(addr);
        self.inhabit(index, peer);
        index
    }

    fn inhabit(&mut self, index: NodeIndex, peer: Box<dyn Peer<P>>) {
        self.hosts[index].resident = Resident::Peer(peer);
        self.drain(host_number(index));
    }

    /// A seed for whoever acts on this simulation from outside: the same in every run.
    pub(crate) fn fork_rng(&mut self) -> [u8; 32] {
        self.rng.fork()
    }

    /// A new host, with nobody there yet.
    fn settle(&mut self, addr: SocketAddr) -> NodeIndex {
        let index = self.hosts.len();
        self.hosts.push(Host::new(addr));
        self.addresses.insert(addr, Place::Host(host_number(index)));
        index
    }

    /// Takes a node down without a farewell, and gives back what was in its memory: what the caller wants to survive
    /// (its service's storage, its snapshot) goes into the node that is made at the restart. `None` if it is down.
    /// A scripted peer goes for good, and gives back nothing.
    pub fn crash(&mut self, index: NodeIndex) -> Option<Node<P, S>> {
        let host = self.hosts.get_mut(index)?;
        if let Some((_, event)) = host.timer.take() {
            self.queue.cancel(event);
        }
        let left = std::mem::take(&mut host.resident);
        if !matches!(left, Resident::Nobody) {
            self.trace.record(self.now, &Step::Stopped { node: index });
        }
        left.into_node()
    }

    /// Puts a new node in the place of an earlier one, under its address. Whatever is on its way there reaches it.
    /// A node that is not down is crashed first. An unknown index changes nothing.
    pub fn restart(&mut self, index: NodeIndex, make: impl FnOnce(Birth<P::Key>) -> Node<P, S>) {
        if index < self.hosts.len() {
            self.crash(index);
            self.trace.record(self.now, &Step::Started { node: index });
            self.place(index, make);
        }
    }

    fn place(&mut self, index: NodeIndex, make: impl FnOnce(Birth<P::Key>) -> Node<P, S>) {
        let host = &mut self.hosts[index];
        let now = host.read_clock(self.now);
        let node = make(Birth::new(index, host.addr, now, &mut self.rng));
        host.suspended = false;
        host.resident = Resident::Node(Box::new(node));
        self.drain(host_number(index));
    }

    /// Gives a live node an input or a command, and carries out what comes of it. The instant is what the node's own
    /// clock shows. `None` if the node is down or sleeps.
    pub fn call<R>(
        &mut self,
        index: NodeIndex,
        command: impl FnOnce(&mut Node<P, S>, Instant) -> R,
    ) -> Option<R> {
        let host = self.hosts.get_mut(index).filter(|host| !host.suspended)?;
        let now = host.read_clock(self.now);
        let result = command(host.resident.node_mut()?, now);
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

    /// Number of nodes and peers that were ever spawned.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether nobody was ever spawned.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// A live node.
    pub fn node(&self, index: NodeIndex) -> Option<&Node<P, S>> {
        self.hosts.get(index)?.resident.node()
    }

    /// Whether a scripted peer is at this index.
    pub fn is_peer(&self, index: NodeIndex) -> bool {
        self.hosts.get(index).is_some_and(|host| matches!(host.resident, Resident::Peer(_)))
    }

    /// Whether nobody is at this index: the node is down, or was never there.
    pub fn is_down(&self, index: NodeIndex) -> bool {
        self.hosts.get(index).is_none_or(|host| matches!(host.resident, Resident::Nobody))
    }

    /// All live nodes.
    pub fn nodes(&self) -> impl Iterator<Item = (NodeIndex, &Node<P, S>)> {
        self.hosts.iter().enumerate().filter_map(|(index, host)| Some((index, host.resident.node()?)))
    }

    /// The address of a node, up or down.
    pub fn address(&self, index: NodeIndex) -> Option<SocketAddr> {
        self.hosts.get(index).map(|host| host.addr)
    }

    /// Takes the events of one node, in order, and leaves those of others.
    pub fn events(&mut self, index: NodeIndex) -> Vec<Event<P>> {
        self.events.extract_if(.., |(node, _)| *node == index).map(|(_, event)| event).collect()
    }

    /// Takes the events of all nodes, in order. Events that nobody takes are kept without a limit,
    /// but for those that [`watch`](Self::watch) leaves out.
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
