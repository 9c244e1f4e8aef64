//! One search, seen from above: whom it asked, in which order, who had named them, and what came of it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bittorrent_profile::Mainline;
use bittorrent_profile::krpc::{Request, Response};
use kademlia_core::{Body, Cause, Contact, Event, Instant, Key, TransactionId};
use transport_mem::{NodeIndex, Payload, Step, Transcript};

use crate::network::Net;

/// One search, and the network around it.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Which trial it belongs to, counted from 0.
    pub trial: usize,
    /// The key that was searched for.
    pub target: Key<20>,
    /// Who searched.
    pub searcher: Key<20>,
    /// Whom it asked, in the order in which the requests arrived or were lost.
    pub asks: Vec<Ask>,
    /// The nodes that took the announcement.
    pub holders: Vec<Contact<Key<20>>>,
    /// Some of the nodes, evenly drawn, of more than are useful in a drawing.
    pub nodes: Vec<Key<20>>,
    /// From its first request to its end, if it ended.
    pub took: Option<Duration>,
    /// All of it, for people.
    pub transcript: Transcript,
}

/// Somebody who was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// Under which key the searcher knew it.
    pub key: Key<20>,
    /// Where.
    pub addr: SocketAddr,
    /// What it was in truth.
    pub role: Role,
    /// Which ask's answer first named it, by its place among [`Observed::asks`]; `None` if the searcher's own table did.
    pub named_by: Option<usize>,
    /// When the first request arrived or was lost, after the first of all.
    pub at: Duration,
    /// Requests, retries included.
    pub requests: usize,
    /// Its first answer.
    pub answer: Option<Answer>,
}

/// What came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// When, after the first request of all.
    pub at: Duration,
    /// Peers told.
    pub peers: usize,
    /// Nodes named.
    pub nodes: usize,
}

/// What somebody is in truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A node as it should be.
    Honest,
    /// One of the attackers.
    Attacker,
    /// Nobody is there.
    Dead,
}

/// Nodes kept for the drawing.
const DRAWN: usize = 1_000;
/// Steps kept of the transcript.
const STEPS: usize = 4_096;

/// The own addresses of those behind translators, by IP address: others may know them under further ports.
#[derive(Debug)]
struct Hidden(BTreeMap<IpAddr, SocketAddr>);

impl Hidden {
    /// One address for each, whatever its translator makes of it.
    fn own(&self, addr: SocketAddr) -> SocketAddr {
        self.0.get(&addr.ip()).copied().unwrap_or(addr)
    }
}

type Feed = Box<dyn FnMut(Instant, &Step<'_, Mainline>) + Send>;

/// Watches one search.
pub(crate) struct Recorder {
    observed: Observed,
    reader: NodeIndex,
    begun: Option<Instant>,
    /// By host: what it is, and where.
    hosts: Vec<(Role, SocketAddr)>,
    hidden: Hidden,
    /// By own address whom the searcher knows, under which key and from which ask.
    known: BTreeMap<SocketAddr, (Key<20>, Option<usize>)>,
    asked: BTreeMap<SocketAddr, (usize, TransactionId)>,
    feed: Feed,
}

impl Recorder {
    /// `None` if the searcher is down.
    pub(crate) fn new(
        simulation: &Net,
        trial: usize,
        reader: NodeIndex,
        target: Key<20>,
        holders: Vec<Contact<Key<20>>>,
    ) -> Option<Self> {
        let node = simulation.node(reader)?;
        let role = |index| match (simulation.is_peer(index), simulation.is_down(index)) {
            (true, _) => Role::Attacker,
            (_, true) => Role::Dead,
            _ => Role::Honest,
        };
        let hosts = (0..simulation.len()).filter_map(|index| Some((role(index), simulation.address(index)?)));
        let hidden = (0..simulation.len()).filter(|index| simulation.nat(*index).is_some());
        let hidden = Hidden(
            hidden.filter_map(|index| simulation.address(index)).map(|addr| (addr.ip(), addr)).collect(),
        );
        let every = simulation.len().div_ceil(DRAWN);
        let transcript = Transcript::new(STEPS);
        let observed = Observed {
            trial,
            target,
            searcher: node.local(),
            asks: Vec::new(),
            holders,
            nodes: simulation.nodes().map(|(_, node)| node.local()).step_by(every).collect(),
            took: None,
            transcript: transcript.clone(),
        };
        let known = node.table().iter().map(|entry| entry.contact());
        let known = known.map(|contact| (hidden.own(contact.addr), (contact.key, None))).collect();
        Some(Recorder {
            observed,
            reader,
            begun: None,
            hosts: hosts.collect(),
            hidden,
            known,
            asked: BTreeMap::new(),
            feed: Box::new(transcript.observer()),
        })
    }

    pub(crate) fn see(&mut self, now: Instant, step: &Step<'_, Mainline>) {
        if self.record(now, step) {
            (self.feed)(now, step);
        }
    }

    pub(crate) fn finish(self) -> Observed {
        self.observed
    }

    /// False if the step is not of this search.
    fn record(&mut self, now: Instant, step: &Step<'_, Mainline>) -> bool {
        match step {
            Step::Delivered { from, to, cause, payload, .. } if *from == self.reader => {
                let Some((role, addr)) = self.hosts.get(*to).copied() else { return false };
                self.request(now, *cause, payload, addr, role)
            }
            Step::Delivered { from, seen_as, to, payload, .. } if *to == self.reader => {
                let addr = seen_as.or_else(|| Some(self.hosts.get(*from)?.1));
                addr.is_some_and(|addr| self.response(now, self.hidden.own(addr), payload))
            }
            Step::Lost { from, to, meant_for, cause, payload }
            | Step::Refused { from, to, meant_for, cause, payload }
            | Step::Vanished { from, to, meant_for, cause, payload }
                if *from == self.reader =>
            {
                let host = meant_for.and_then(|host| self.hosts.get(host));
                let role = host.map_or(Role::Dead, |(role, _)| *role);
                self.request(now, *cause, payload, self.hidden.own(*to), role)
            }
            Step::Lost { to, payload, .. } => {
                let to = self.hidden.own(*to);
                self.hosts.get(self.reader).is_some_and(|(_, own)| *own == to) && self.is_answer(payload)
            }
            Step::Event { node, event: Event::LookupDone { report, .. } } => {
                let is_it = *node == self.reader && report.target == self.observed.target;
                if is_it {
                    self.observed.took = self.begun.map(|begun| now.since(begun));
                }
                is_it
            }
            _ => false,
        }
    }

    fn request(
        &mut self,
        now: Instant,
        cause: Option<Cause>,
        payload: &Payload<Mainline>,
        addr: SocketAddr,
        role: Role,
    ) -> bool {
        let Some(message) = payload.message() else { return false };
        let target = self.observed.target;
        match (&message.body, cause) {
            (Body::Request { request: Request::GetPeers { info_hash, .. }, .. }, Some(Cause::Lookup(_)))
                if Key::from(*info_hash) == target => {}
            _ => return false,
        }
        let at = now.since(*self.begun.get_or_insert(now));
        let asks = &mut self.observed.asks;
        if let Some(ask) = self.asked.get(&addr).and_then(|(place, _)| asks.get_mut(*place)) {
            ask.requests += 1;
            return true;
        }
        let (key, named_by) = self.known.get(&addr).copied().unwrap_or((target, None));
        self.asked.insert(addr, (asks.len(), message.transaction));
        asks.push(Ask { key, addr, role, named_by, at, requests: 1, answer: None });
        true
    }

    fn response(&mut self, now: Instant, addr: SocketAddr, payload: &Payload<Mainline>) -> bool {
        let (Some(message), Some((place, transaction))) = (payload.message(), self.asked.get(&addr)) else {
            return false;
        };
        if message.transaction != *transaction {
            return false;
        }
        let Body::Response { response, .. } = &message.body else { return true };
        let Response { nodes, values, .. } = response;
        for contact in nodes.contacts() {
            self.known.entry(self.hidden.own(contact.addr)).or_insert((contact.key, Some(*place)));
        }
        if let (Some(ask), Some(begun)) = (self.observed.asks.get_mut(*place), self.begun) {
            let answer = Answer { at: now.since(begun), peers: values.len(), nodes: nodes.contacts().len() };
            ask.answer.get_or_insert(answer);
        }
        true
    }

    fn is_answer(&self, payload: &Payload<Mainline>) -> bool {
        let Some(message) = payload.message() else { return false };
        matches!(message.body, Body::Response { .. })
            && self.asked.values().any(|(_, transaction)| *transaction == message.transaction)
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Recorder {{ {:?} }}", self.observed)
    }
}
