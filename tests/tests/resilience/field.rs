//! A node whose every message is seen with its cause, and its neighbours.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::krpc::Response;
use bittorrent_profile::{Mainline, MainlineService, ServiceConfig};
use kademlia_core::{
    Body, Cause, Config, Contact, Event, Instant, Key, Message, Node, Reach, Rng, TransactionId,
};
use tests::engine::{LOCAL, stranger};

pub(crate) use kademlia_core::Family::V4;

/// One message that the node sends.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) to: SocketAddr,
    pub(crate) cause: Cause,
    pub(crate) message: Message<Mainline>,
}

impl Sent {
    pub(crate) fn is_request(&self) -> bool {
        matches!(self.message.body, Body::Request { .. })
    }

    /// The answer of `key` to it.
    pub(crate) fn answer(&self, key: Key<20>, response: Response) -> Message<Mainline> {
        let body = Body::Response { sender: key, response };
        Message { transaction: self.message.transaction, observed: None, body }
    }
}

/// A node and its clock, and neighbours that answer whatever it asks them.
pub(crate) struct Field {
    pub(crate) node: Node<Mainline, MainlineService>,
    pub(crate) now: Instant,
    pub(crate) neighbours: BTreeMap<SocketAddr, Key<20>>,
    pub(crate) events: Vec<Event<Mainline>>,
}

impl Field {
    /// A node whose table holds so many neighbours, at most 250.
    pub(crate) fn new(seed: u64, neighbours: u8, config: Config) -> Self {
        let now = Instant::from_secs(1_000);
        let mut rng = Rng::from_number(seed);
        let service = MainlineService::new(ServiceConfig::default(), rng.fork());
        let mut node = Node::new(service, LOCAL, config, rng.fork(), now);
        let contacts: Vec<_> = (0..neighbours).map(|n| stranger(n, V4)).collect();
        node.preload(now, &contacts);
        let neighbours = contacts.into_iter().map(|contact| (contact.addr, contact.key)).collect();
        Field { node, now, neighbours, events: Vec::new() }
    }

    /// Whoever is in its table, in order.
    pub(crate) fn known(&self) -> Vec<Contact<Key<20>>> {
        let mut known: Vec<_> = self.node.table().iter().map(|entry| entry.contact()).collect();
        known.sort_unstable();
        known
    }

    pub(crate) fn receive(&mut self, from: SocketAddr, message: Message<Mainline>) -> Vec<Sent> {
        self.node.handle_message(self.now, from, message);
        self.drain()
    }

    /// What the node sends, each message with a cause that fits it (P6) and to an address that may be spoken to (P20).
    pub(crate) fn drain(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(cause) = self.node.next_cause() {
            let (to, message) = self.node.poll_message().expect("P6: a cause without a message");
            let replies = !matches!(message.body, Body::Request { .. });
            assert_eq!(replies, cause == Cause::Reply, "P6: {message:?} because of {cause:?}");
            assert!(Reach::Global.admits(to), "P20: a packet to {to}");
            sent.push(Sent { to, cause, message });
        }
        assert!(self.node.poll_message().is_none(), "P6: a message without a cause");
        self.events.extend(std::iter::from_fn(|| self.node.poll_event()));
        sent
    }

    /// Answers as the neighbours do; gives back what goes to others.
    pub(crate) fn settle(&mut self, mut sent: Vec<Sent>) -> Vec<Sent> {
        let mut others = Vec::new();
        while let Some(one) = sent.pop() {
            match self.neighbours.get(&one.to) {
                Some(key) if one.is_request() => {
                    let answer = one.answer(*key, Response::default());
                    sent.extend(self.receive(one.to, answer));
                }
                _ => others.push(one),
            }
        }
        others
    }

    /// Lets time pass while the neighbours answer; gives back what goes to others, and when.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<(Instant, Sent)> {
        let until = self.now + time;
        let mut others = Vec::new();
        while let Some(due) = self.node.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.node.handle_timeout(self.now);
            let sent = self.drain();
            let now = self.now;
            others.extend(self.settle(sent).into_iter().map(|sent| (now, sent)));
        }
        self.now = until;
        others
    }
}

/// A query.
pub(crate) fn query(sender: Key<20>, request: bittorrent_profile::krpc::Request) -> Message<Mainline> {
    let body = Body::Request { sender, read_only: false, request };
    Message { transaction: TransactionId::from(7), observed: None, body }
}
