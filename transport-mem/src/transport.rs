//! The same links behind the core's `Transport`: whole drivers and applications under tokio's paused clock.

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kademlia_core::runtime::{Inbox, Outbox, Transport};
use kademlia_core::{Family, Instant as Moment};
use siphasher::sip::SipHasher13;
use tokio::sync::Notify;
use tokio::time::{self, Instant};

use crate::link::{AddressMap, LinkModel, Links, write_address};

/// Datagrams that may be on their way to one transport; at the limit the newest are lost, as in a full receive buffer.
const CAPACITY: usize = 4_096;

/// An in-memory network for asynchronous code; clones are handles to the same network.
///
/// On a current-thread runtime whose clock is paused (`#[tokio::test(start_paused = true)]`) time passes only when
/// every task waits, and a run is the same each time that it starts from the same seed.
#[derive(Clone, Debug)]
pub struct MemNetwork {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    links: Links,
    hosts: AddressMap<Arc<Host>>,
    /// Datagrams delivered to some queue: the order among those that arrive at one time.
    number: u64,
    /// When the first datagram was sent, on the runtime's clock: the links' zero.
    opened: Option<Instant>,
    trace: SipHasher13,
}

/// Datagrams and their senders, by time of arrival and the order in which they were sent.
type Queue = BTreeMap<(Instant, u64), (SocketAddr, Vec<u8>)>;

/// What is on its way to one transport.
#[derive(Debug, Default)]
struct Host {
    queue: Mutex<Queue>,
    arrival: Notify,
}

/// One host of a [`MemNetwork`], bound to one address or to one of each family.
#[derive(Debug)]
pub struct MemTransport {
    network: MemNetwork,
    addrs: Vec<SocketAddr>,
    host: Arc<Host>,
}

impl MemNetwork {
    /// An empty network.
    pub fn new(model: LinkModel, seed: u64) -> Self {
        let links = Links::new(model, seed);
        let shared = Shared {
            links,
            hosts: AddressMap::default(),
            number: 0,
            opened: None,
            trace: SipHasher13::new(),
        };
        MemNetwork { shared: Arc::new(Mutex::new(shared)) }
    }

    /// A transport on this address, until it is dropped.
    ///
    /// # Errors
    /// `AddrInUse`, if another transport has it.
    pub fn bind(&self, addr: SocketAddr) -> io::Result<MemTransport> {
        self.bind_all(vec![addr])
    }

    /// A transport on one address of each family, until it is dropped.
    ///
    /// # Errors
    /// `AddrInUse`, if another transport has one of them; `InvalidInput`, if both are of one family.
    pub fn bind_dual(&self, v4: SocketAddr, v6: SocketAddr) -> io::Result<MemTransport> {
        if Family::of(&v4) == Family::of(&v6) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.bind_all(vec![v4, v6])
    }

    /// Looks at the links or changes them: the model, partitions.
    pub fn with_links<R>(&self, change: impl FnOnce(&mut Links) -> R) -> R {
        change(&mut lock(&self.shared).links)
    }

    /// A hash over every datagram that was sent: when, between whom, and its bytes.
    pub fn trace_hash(&self) -> u64 {
        lock(&self.shared).trace.finish()
    }

    fn bind_all(&self, addrs: Vec<SocketAddr>) -> io::Result<MemTransport> {
        let mut shared = lock(&self.shared);
        if addrs.iter().any(|addr| shared.hosts.contains_key(addr)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let host = Arc::new(Host::default());
        shared.hosts.extend(addrs.iter().map(|&addr| (addr, Arc::clone(&host))));
        Ok(MemTransport { network: self.clone(), addrs, host })
    }
}

impl Shared {
    fn carry(&mut self, now: Instant, from: SocketAddr, to: SocketAddr, datagram: &[u8]) {
        let elapsed = now.saturating_duration_since(*self.opened.get_or_insert(now));
        self.trace.write(&elapsed.as_micros().to_le_bytes());
        write_address(&mut self.trace, from);
        write_address(&mut self.trace, to);
        self.trace.write(datagram);
        let transit = self.links.transit(Moment::ZERO + elapsed, from, to, datagram.len());
        let Some(host) = self.hosts.get(&to) else { return };
        for delivery in transit.deliveries() {
            self.number += 1;
            let mut bytes = datagram.to_vec();
            delivery.apply(&mut bytes);
            host.push((now + delivery.delay, self.number), (from, bytes));
        }
    }
}

impl Host {
    fn push(&self, at: (Instant, u64), datagram: (SocketAddr, Vec<u8>)) {
        let mut queue = lock(&self.queue);
        if queue.len() < CAPACITY {
            queue.insert(at, datagram);
            self.arrival.notify_one();
        }
    }

    /// When the first datagram arrives.
    fn next(&self) -> Option<Instant> {
        lock(&self.queue).first_key_value().map(|(&(at, _), _)| at)
    }

    fn take_due(&self, now: Instant, inbox: &mut Inbox) {
        let mut queue = lock(&self.queue);
        while let Some(first) = queue.first_entry()
            && first.key().0 <= now
        {
            let (from, datagram) = first.remove();
            inbox.push(from, &datagram);
        }
    }
}

#[async_trait]
impl Transport for MemTransport {
    async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            // A datagram that is sent meanwhile may overtake the first one, so its notice starts the wait anew.
            let notice = self.host.arrival.notified();
            match self.host.next() {
                None => notice.await,
                Some(at) => {
                    if time::timeout_at(at, notice).await.is_err() {
                        self.host.take_due(at, inbox);
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        // Asking for a timer instead of the time takes tokio's clock, which may be paused, and never the machine's.
        let now = time::sleep(Duration::ZERO).deadline();
        let mut shared = lock(&self.network.shared);
        for (to, datagram) in outbox.iter() {
            if let Some(&from) = self.addrs.iter().find(|addr| Family::of(addr) == Family::of(&to)) {
                shared.carry(now, from, to, datagram);
            }
        }
        outbox.clear();
        Ok(())
    }

    fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.addrs.clone())
    }
}

impl Drop for MemTransport {
    fn drop(&mut self) {
        let mut shared = lock(&self.network.shared);
        for addr in &self.addrs {
            shared.hosts.remove(addr);
        }
    }
}

/// Nothing panics while a lock is held, but for a caller's own `with_links`, which leaves the links usable.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
