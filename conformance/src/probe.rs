//! The asker: a few sockets, one pace for all of them, and an answer for whatever the node asks meanwhile.
//!
//! There is no task. All sockets are read while the probe waits for anything, be it a reply or its turn to send, so the
//! node's own queries are answered as those of any node are.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kademlia_core::Rng;
use tokio::time::{Instant, timeout_at};

use crate::bencode::{Item, show};
use crate::query::Query;
use crate::reply::Reply;
use crate::suite::Options;
use crate::verdict::{Judged, Unmet};

mod desk;
mod seen;

pub(crate) use desk::Seat;
use desk::{Desks, Received};
pub use seen::Exchange;
pub(crate) use seen::{Seen, Sizes};

/// Least and longest wait for what should not come.
const SETTLE: [Duration; 2] = [Duration::from_millis(40), Duration::from_millis(300)];
/// Least wait for an answer, however fast the node was so far.
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
/// Datagrams kept that came for no query under way.
const MOST_STRAYS: usize = 32;

/// What not every node speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feature {
    Scrape,
    Items,
    MutableItems,
    Samples,
}

#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) target: SocketAddr,
    pub(crate) options: Options,
    pub(crate) rng: Rng,
    /// What all of the run showed.
    pub(crate) seen: Seen,
    /// What the check under way sent, and what came back.
    pub(crate) log: Vec<Exchange>,
    /// An info hash with many peers, once there is one.
    pub(crate) crowd: Option<[u8; 20]>,
    /// What is known of the node, with the verdict of checks that need it.
    features: Vec<(Feature, Judged)>,
    desks: Desks,
    /// What came from the node for no query under way, newest last.
    strays: VecDeque<(Seat, Vec<u8>)>,
    next_transaction: u16,
    slowest: Duration,
    sent: u32,
    may_send_at: Instant,
    ends_at: Instant,
}

impl Probe {
    pub(crate) async fn bind(target: SocketAddr, options: Options) -> io::Result<Self> {
        let mut rng = Rng::from_number(options.seed);
        let desks = Desks::bind(target, &mut rng).await?;
        let now = Instant::now();
        let next_transaction = u16::try_from(rng.below(usize::from(u16::MAX))).unwrap_or_default();
        Ok(Probe {
            target,
            rng,
            desks,
            next_transaction,
            seen: Seen::default(),
            features: Vec::new(),
            crowd: None,
            log: Vec::new(),
            strays: VecDeque::new(),
            slowest: Duration::ZERO,
            sent: 0,
            may_send_at: now,
            ends_at: now + options.timeout,
            options,
        })
    }

    /// 20 random bytes: an info hash or target that nobody else uses.
    pub(crate) fn random_key(&mut self) -> [u8; 20] {
        let mut key = [0; 20];
        self.rng.fill(&mut key);
        key
    }

    /// Datagrams sent so far, answers to the node's own queries included.
    pub(crate) fn sent(&self) -> u32 {
        self.sent
    }

    pub(crate) fn id(&self, seat: Seat) -> [u8; 20] {
        self.desks.id(seat)
    }

    pub(crate) fn port(&self, seat: Seat) -> u16 {
        self.desks.addr(seat).map_or(0, |addr| addr.port())
    }

    /// Whether there is a socket at another IP address.
    pub(crate) fn has_elsewhere(&self) -> bool {
        self.desks.addr(Seat::Elsewhere).is_some()
    }

    /// The IP address that the node sees, as far as that is known: behind a NAT only the node can tell.
    pub(crate) fn own_ip(&self, seat: Seat) -> Option<IpAddr> {
        let bound = self.desks.addr(seat)?.ip();
        if bound.is_loopback() {
            return Some(bound);
        }
        self.seen.observed_ip
    }

    /// Whether rules that exempt local networks exempt this node.
    pub(crate) fn is_exempt(&self) -> bool {
        self.options.local_exempt && bittorrent_profile::node_id::is_exempt(self.target.ip())
    }

    /// Whether the node has a feature, once that is known.
    pub(crate) fn known(&self, feature: Feature) -> Option<Judged> {
        self.features.iter().find(|(known, _)| *known == feature).map(|(_, judged)| judged.clone())
    }

    /// Remembers whether the node has a feature; without it all that needs it is not applicable, for this reason.
    pub(crate) fn learn(&mut self, feature: Feature, has: bool, otherwise: &str) -> Judged {
        let judged = if has { Ok(()) } else { Err(Unmet::NotApplicable(otherwise.to_owned())) };
        self.features.push((feature, judged.clone()));
        judged
    }

    /// A query's reply, which has to come: one repetition allows for a lost datagram.
    pub(crate) async fn ask(&mut self, seat: Seat, query: Query) -> Result<Reply, Unmet> {
        let reply = self.try_ask(seat, query).await?;
        reply.ok_or_else(|| {
            let stray = self.strays.back().map(|(_, bytes)| format!(", but {} came", show(bytes)));
            Unmet::failed(format!("no answer{}", stray.unwrap_or_default()))
        })
    }

    /// A query's reply, or `None` if there is none.
    pub(crate) async fn try_ask(&mut self, seat: Seat, mut query: Query) -> Result<Option<Reply>, Unmet> {
        if !query.has_transaction() {
            self.next_transaction = self.next_transaction.wrapping_add(1);
            query = query.transaction(self.next_transaction.to_be_bytes());
        }
        // Whoever asks in another's name keeps it short (T9).
        if seat != Seat::Mute {
            query = query.versioned();
        }
        let (datagram, transaction) = query.encode(&self.desks.id(seat), b"");
        self.strays.clear();
        self.log.push(Exchange::sent(seat, &datagram));
        for attempts in 1..=2 {
            self.turn().await?;
            self.desks.send(seat, &datagram, self.target).await;
            let began = Instant::now();
            let until = began + self.wait();
            while let Some((at, bytes)) = self.receive(until, &transaction).await {
                if at != seat || !has_transaction(&bytes, &transaction) {
                    self.keep_stray(at, bytes);
                    continue;
                }
                self.slowest = self.slowest.max(began.elapsed());
                let Ok(message) = Item::parse(&bytes) else { continue };
                let sizes = (datagram.len(), bytes.len());
                let reply = Reply { message, sizes, is_v6: self.target.is_ipv6(), attempts };
                self.seen.reply(seat, &datagram, &reply);
                return Ok(Some(reply));
            }
        }
        Ok(None)
    }

    /// Sends a datagram that nobody should answer, and then a ping that has to be answered; `None` if all is well, or
    /// else what came for the datagram.
    pub(crate) async fn provoke(&mut self, seat: Seat, datagram: &[u8]) -> Result<Option<Vec<u8>>, Unmet> {
        self.turn().await?;
        self.strays.clear();
        let at = self.log.len();
        self.log.push(Exchange::sent(seat, datagram));
        self.desks.send(seat, datagram, self.target).await;
        // What comes for the datagram comes before the ping's reply, or soon after it.
        let early = self.overhear(Duration::ZERO).await;
        let pong = self.try_ask(seat, Query::ping()).await?;
        let pong =
            pong.ok_or_else(|| Unmet::failed(format!("no answer to a ping after {}", show(datagram))))?;
        let late = self.overhear(self.settle()).await;
        let strays = early.into_iter().chain(late);
        let answer = strays.map(|(_, bytes)| bytes).find(|bytes| !repeats(bytes, &pong));
        if let (Some(answer), Some(exchange)) = (&answer, self.log.get_mut(at)) {
            exchange.receive(answer);
        }
        Ok(answer)
    }

    /// Listens for so long; gives what came from the node for no query under way since the last one.
    pub(crate) async fn overhear(&mut self, time: Duration) -> Vec<(Seat, Vec<u8>)> {
        let until = Instant::now() + time;
        while let Some((at, bytes)) = self.receive(until, b"").await {
            self.keep_stray(at, bytes);
        }
        self.strays.drain(..).collect()
    }

    /// How long to listen for what should not come.
    pub(crate) fn settle(&self) -> Duration {
        let [least, longest] = SETTLE;
        (self.slowest * 4).clamp(least, longest)
    }

    /// How long to wait for an answer: no longer than the options say, and less where answers are quick.
    fn wait(&self) -> Duration {
        let patience = self.options.patience;
        if self.slowest.is_zero() {
            return patience;
        }
        (self.slowest * 20).max(SHORTEST_WAIT).min(patience)
    }

    fn keep_stray(&mut self, seat: Seat, bytes: Vec<u8>) {
        if let Some(exchange) = self.log.last_mut() {
            exchange.receive(&bytes);
        }
        if self.strays.len() < MOST_STRAYS {
            self.strays.push_back((seat, bytes));
        }
    }

    /// Waits until one more datagram may be sent, reading meanwhile, and counts it.
    async fn turn(&mut self) -> Result<(), Unmet> {
        while let Some((at, bytes)) = self.receive(self.may_send_at, b"").await {
            self.keep_stray(at, bytes);
        }
        let now = Instant::now();
        if now >= self.ends_at {
            return Err(Unmet::Stopped("the time is up"));
        }
        if self.sent >= self.options.datagrams {
            return Err(Unmet::Stopped("enough datagrams were sent"));
        }
        self.may_send_at = now + Duration::from_secs(1) / self.options.rate.get();
        self.sent += 1;
        Ok(())
    }

    /// The next datagram from the node that is no query; queries are answered on the way.
    async fn receive(&mut self, until: Instant, transaction: &[u8]) -> Option<(Seat, Vec<u8>)> {
        loop {
            let received = timeout_at(until, self.desks.receive()).await.ok()?;
            let Received { seat, from, bytes } = received;
            if from != self.target {
                self.seen.foreign(transaction, from, &bytes);
                continue;
            }
            match Item::parse(&bytes) {
                Ok(message) if is_query(&message) => self.serve(seat, &message).await,
                Ok(message) => {
                    self.seen.sizes.datagram(&bytes);
                    if let Some(exchange) = self.log.last_mut()
                        && has_transaction(&bytes, transaction)
                    {
                        exchange.receive(&bytes);
                    }
                    self.seen.message(&message, &bytes);
                    return Some((seat, bytes));
                }
                Err(invalid) => {
                    self.seen.sizes.datagram(&bytes);
                    self.seen.invalid(&bytes, invalid);
                    return Some((seat, bytes));
                }
            }
        }
    }

    /// Answers a query of the node's, unless this seat is one that answers nobody. Not paced, since the node is: one
    /// answer for one query, and at the limit none.
    async fn serve(&mut self, seat: Seat, query: &Item) {
        self.seen.query(seat, query);
        if !seat.answers() || self.sent >= self.options.datagrams {
            return;
        }
        if let Some(reply) = desk::answer(&self.desks.id(seat), query) {
            self.sent += 1;
            self.desks.send(seat, &reply, self.target).await;
        }
    }
}

fn is_query(message: &Item) -> bool {
    message.get("y").and_then(Item::bytes) == Some(b"q")
}

fn has_transaction(bytes: &[u8], transaction: &[u8]) -> bool {
    let message = Item::parse(bytes);
    message.is_ok_and(|message| message.get("t").and_then(Item::bytes) == Some(transaction))
}

/// Whether this is the same reply again, because its query was sent twice.
fn repeats(bytes: &[u8], reply: &Reply) -> bool {
    reply.attempts > 1 && Item::parse(bytes).is_ok_and(|message| message.get("t") == reply.message.get("t"))
}
