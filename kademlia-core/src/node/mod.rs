//! One Kademlia node: the engine.

mod audit;
mod blocked;
mod event;
mod hearing;
mod inbound;
mod join;
mod maintenance;
mod observed;
mod outbound;
mod reading;
mod search;
mod searches;
mod tasks;

pub use event::{Answered, Counters, Event, Failure, LookupOptions};

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use crate::config::Config;
use crate::contact::{Contact, Contacts};
use crate::health::HealthLog;
use crate::lookup::{LookupId, LookupLimit};
use crate::message::Message;
use crate::protocol::{Codec, Protocol};
use crate::publish::MakeRequest;
use crate::rng::Rng;
use crate::rpc::{Cause, EgressQuota, InboundQuota, RequestId, StrangerQuota, Transactions, VerifyQuota};
use crate::service::{ReadOnly, Service, Ticket};
use crate::size::Sizes;
use crate::table::Table;
use crate::task::{Judge, Tasks, Work};
use crate::time::{Instant, soonest};
use hearing::Hearing;
use join::Join;
use maintenance::Maintenance;
use observed::Observed;
use outbound::{Outgoing, Turns};
use searches::{Plan, Searches};

/// One Kademlia node on one socket address. Performs no I/O, reads no clock, and draws from a generator seeded by the
/// host: the same calls with the same arguments give the same outputs.
///
/// # Contract
/// Methods are of four classes. *Inputs* are [`handle_datagram`](Self::handle_datagram),
/// [`handle_message`](Self::handle_message), [`handle_unreachable`](Self::handle_unreachable) and
/// [`handle_timeout`](Self::handle_timeout); *commands* are [`expect_bootstrap`](Self::expect_bootstrap),
/// [`bootstrap`](Self::bootstrap), [`add_contacts`](Self::add_contacts), [`lookup`](Self::lookup), [`find`](Self::find),
/// [`publish`](Self::publish), [`request`](Self::request), [`respond`](Self::respond) and
/// [`cancel`](Self::cancel); *outputs* are the `poll_` methods; the rest only read.
///
/// After every input and every command the host drains the outputs, in this order: [`poll_transmit`](Self::poll_transmit)
/// (or [`poll_message`](Self::poll_message)) until `None`, [`poll_event`](Self::poll_event) until `None`, and then
/// [`poll_timeout`](Self::poll_timeout) once: at that instant, or any time later, it calls `handle_timeout`.
///
/// Time may stand still, jump ahead, or go back, in which case the latest instant seen counts (P5). Every input does
/// bounded work, everything held is bounded by [`Config`], and nothing that arrives from the network panics.
#[derive(Debug)]
pub struct Node<P: Protocol, S = ReadOnly> {
    service: S,
    config: Arc<Config>,
    rng: Rng,
    now: Instant,
    table: Table<P::Key>,
    transactions: Transactions<P::Key>,
    searches: Searches<P>,
    /// The host's own requests, kept for sending them again.
    requests: BTreeMap<RequestId, P::Request>,
    join: Join<P::Key>,
    maintenance: Maintenance,
    verify: VerifyQuota,
    inbound: InboundQuota,
    strangers: StrangerQuota,
    egress: EgressQuota,
    /// Searches that wait for the egress quota, and replies that do.
    turns: Turns,
    replies: VecDeque<Outgoing<P>>,
    observed: Observed,
    sizes: Sizes,
    hearing: Hearing<P::Key>,
    health: HealthLog,
    /// By the user.
    blocked: BTreeSet<IpAddr>,
    /// What the service does of its own accord.
    tasks: Tasks<P>,
    /// Contacts of the other address family that replies have named since they were last taken.
    foreign: Vec<Contact<P::Key>>,
    /// The other family's node knows few: ask for its contacts along with ours.
    seek_foreign: bool,
    outbox: VecDeque<Outgoing<P>>,
    events: VecDeque<Event<P>>,
    counters: Counters,
    next_id: u64,
}

impl<P: Protocol, S: Service<P>> Node<P, S> {
    /// A node that knows nobody. `seed` decides every random choice, transaction ids among them: on a real network
    /// it must come from the operating system.
    pub fn new(
        service: S,
        local: P::Key,
        config: impl Into<Arc<Config>>,
        seed: [u8; 32],
        now: Instant,
    ) -> Self {
        let config = config.into();
        let mut rng = Rng::from_seed(seed);
        Node {
            service,
            now,
            table: Table::new(local, config.k, config.table),
            transactions: Transactions::new(config.rpc),
            searches: Searches::new(&config.lookup),
            requests: BTreeMap::new(),
            join: Join::default(),
            maintenance: Maintenance::default(),
            verify: VerifyQuota::new(config.verify),
            inbound: InboundQuota::new(config.inbound, &mut rng),
            strangers: StrangerQuota::new(config.strangers, &mut rng),
            egress: EgressQuota::new(config.egress),
            turns: Turns::default(),
            replies: VecDeque::new(),
            observed: Observed::new(config.observed),
            sizes: Sizes::default(),
            hearing: Hearing::default(),
            health: HealthLog::new(config.health),
            blocked: BTreeSet::new(),
            tasks: Tasks::new(),
            foreign: Vec::new(),
            seek_foreign: false,
            outbox: VecDeque::new(),
            events: VecDeque::new(),
            counters: Counters::default(),
            next_id: 0,
            rng,
            config,
        }
    }

    // Inputs.

    /// A datagram arrived. What is too long or no message is dropped in silence.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, datagram: &[u8]) {
        self.receive_datagram(now, from, datagram, None);
    }

    /// A message arrived: [`handle_datagram`](Self::handle_datagram) for hosts without bytes.
    pub fn handle_message(&mut self, now: Instant, from: SocketAddr, message: Message<P>) {
        self.receive_message(now, from, message, None, None);
    }

    /// The system says that `addr` cannot be reached. Shortens the wait for that address and touches no other (P16).
    pub fn handle_unreachable(&mut self, now: Instant, addr: SocketAddr) {
        let now = self.advance(now);
        self.transactions.unreachable(now, addr);
        self.searches.unreachable(addr);
        self.expire_requests(now);
        self.run_searches(now);
        self.run_tasks(now);
    }

    /// The instant that [`poll_timeout`](Self::poll_timeout) named has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        let now = self.advance(now);
        // Before their requests are sent again: after a clock has jumped, all of it is overdue at once (T21).
        self.end_overdue(now);
        self.expire_requests(now);
        if self.service.poll_timeout().is_some_and(|due| due <= now) {
            self.service.handle_timeout(now);
        }
        self.keep_joining(now);
        self.maintain(now);
        self.release_replies(now);
        self.run_searches(now);
        self.run_tasks(now);
    }

    // Commands.

    /// Makes lookups wait for a [`bootstrap`](Self::bootstrap) that is yet to come, while the routers' names are being
    /// resolved.
    pub fn expect_bootstrap(&mut self) {
        self.await_joining();
    }

    /// Joins the network through `routers`: asks them for the way in, again and again with growing pauses until one
    /// answers, then looks up the own key and fills the table. Lookups made meanwhile wait for its end.
    pub fn bootstrap(&mut self, now: Instant, routers: &[SocketAddr]) {
        let now = self.advance(now);
        let usable: Vec<_> = routers.iter().copied().filter(|router| self.admits(*router)).collect();
        let added = self.join.add_routers(usable.into_iter(), self.config.bootstrap.routers);
        if added || !self.join.is_done() {
            self.start_joining(now, added);
        }
    }

    /// Joins through contacts remembered from an earlier run. They are asked before they are trusted.
    pub fn add_contacts(&mut self, now: Instant, contacts: &[Contact<P::Key>]) {
        let now = self.advance(now);
        let usable: Vec<_> = contacts.iter().copied().filter(|contact| self.admits(contact.addr)).collect();
        self.join.add_contacts(usable.into_iter());
        self.start_joining(now, !contacts.is_empty());
    }

    /// Asks the nodes closest to `target`, and closer and closer ones, the same `request`. Ends with
    /// [`Event::LookupDone`].
    ///
    /// # Errors
    /// [`LookupLimit`] when too many lookups wait already.
    pub fn lookup(
        &mut self,
        now: Instant,
        target: P::Key,
        request: P::Request,
        options: LookupOptions,
    ) -> Result<LookupId, LookupLimit> {
        let now = self.advance(now);
        self.enqueue(now, Plan::find(target, request, None, options))
    }

    /// A [`lookup`](Self::lookup) for something that `judge` knows when it sees it: only the answers it takes are reported
    /// as [`Event::Answer`], and with the one that it finishes with the lookup ends.
    ///
    /// # Errors
    /// [`LookupLimit`] when too many lookups wait already.
    pub fn find(
        &mut self,
        now: Instant,
        target: P::Key,
        request: P::Request,
        judge: Judge<P>,
        options: LookupOptions,
    ) -> Result<LookupId, LookupLimit> {
        let now = self.advance(now);
        self.enqueue(now, Plan::find(target, request, Some(judge), options))
    }

    /// A lookup with `request`, then the request that `make` makes from the answer of each of the k closest nodes
    /// for which it makes one. Ends with [`Event::Stored`].
    ///
    /// # Errors
    /// [`LookupLimit`] when too many lookups wait already.
    pub fn publish(
        &mut self,
        now: Instant,
        target: P::Key,
        request: P::Request,
        make: MakeRequest<P>,
        options: LookupOptions,
    ) -> Result<LookupId, LookupLimit> {
        let now = self.advance(now);
        self.enqueue(now, Plan::publish(target, request, make, options))
    }

    /// Asks one node one thing. Ends with [`Event::Requested`]. An answer under another key than `expected` is none.
    pub fn request(
        &mut self,
        now: Instant,
        to: SocketAddr,
        expected: Option<P::Key>,
        request: P::Request,
    ) -> RequestId {
        let now = self.advance(now);
        let id = RequestId::from(self.take_id());
        self.send_request(now, id, to, expected, request);
        id
    }

    /// Answers a request that the service deferred.
    pub fn respond(&mut self, ticket: Ticket, response: P::Response) {
        if self.admits(ticket.to) {
            self.reply(ticket.to, true, ticket.transaction, crate::service::Reply::Response(response));
        }
    }

    /// Ends a lookup or a publish without an event, and frees all it held (P30).
    pub fn cancel(&mut self, now: Instant, id: LookupId) {
        let now = self.advance(now);
        self.searches.remove(id);
        self.tasks.forget(Work::Lookup(id));
        self.transactions.cancel(Cause::Lookup(id));
        self.transactions.cancel(Cause::Store(id));
        self.events.retain(|event| !matches!(event, Event::Answer { lookup, .. } if *lookup == id));
        self.run_searches(now);
    }

    // Outputs.

    /// Appends the next datagram to `out`; gives back where it goes, or `None` if there is nothing to send.
    pub fn poll_transmit(&mut self, out: &mut Vec<u8>) -> Option<SocketAddr> {
        self.poll_transmit_with(out, P::Codec::encode)
    }

    /// The same, written by `encode`: for an overlay whose datagrams say more than its messages.
    pub fn poll_transmit_with(
        &mut self,
        out: &mut Vec<u8>,
        encode: impl Fn(&Message<P>, &mut Vec<u8>),
    ) -> Option<SocketAddr> {
        loop {
            // Read and dropped where it lies: a message can be a kilobyte, and moving it takes as long as writing it.
            let Outgoing { to, message, to_stranger, .. } = self.outbox.front()?;
            let (to, to_stranger, start) = (*to, *to_stranger, out.len());
            encode(message, out);
            self.outbox.drain(..1);
            self.settle_outbox();
            let bytes = HEADERS + out.len() - start;
            if !to_stranger || self.strangers.take(self.now, to.ip(), bytes) {
                return Some(to);
            }
            out.truncate(start);
            self.counters.limited += 1;
        }
    }

    /// The next message to send and where: [`poll_transmit`](Self::poll_transmit) for hosts without bytes.
    pub fn poll_message(&mut self) -> Option<(SocketAddr, Message<P>)> {
        let Outgoing { to, message, .. } = self.outbox.pop_front()?;
        self.settle_outbox();
        Some((to, message))
    }

    /// Why the next message is sent: for traces, to be read before it is polled.
    pub fn next_cause(&self) -> Option<Cause> {
        self.outbox.front().map(|outgoing| outgoing.cause)
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event<P>> {
        let next = self.events.pop_front();
        if self.events.is_empty() {
            self.events.shrink_to(0);
        }
        next
    }

    /// When to call [`handle_timeout`](Self::handle_timeout); `None` if the node waits for nothing.
    pub fn poll_timeout(&self) -> Option<Instant> {
        soonest([
            self.transactions.poll_timeout(),
            self.searches.poll_timeout(),
            self.service.poll_timeout(),
            self.join.poll_timeout(),
            self.maintenance.poll_timeout(),
            (self.turns.held_back || !self.replies.is_empty()).then(|| self.egress.ready_at()),
        ])
        // A deadline beyond all time: nothing falls due there, or a host whose clock shows it would never rest (T21).
        .filter(|due| *due < Instant::NEVER)
    }

    /// Time never goes back for the engine, whatever the host's clock does (T21).
    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }

    /// A drained outbox gives back the room that a burst took.
    fn settle_outbox(&mut self) {
        if self.outbox.is_empty() {
            self.outbox.shrink_to(OUTBOX_KEPT);
        }
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }
}

/// Bytes of the headers around a datagram, of IPv6 and UDP.
const HEADERS: usize = 48;

/// Messages that a drained outbox keeps room for: the one reply of a serving node, so that serving does not allocate.
/// A message can be a kilobyte, and most nodes of a large simulation are idle: more would cost each of them several.
const OUTBOX_KEPT: usize = 1;

/// Contacts named in one reply, filtered.
type Named<K> = Contacts<K, 32>;

#[cfg(test)]
mod tests;
