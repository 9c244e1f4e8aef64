//! One Mainline node without a network around it: the test gives it bytes and time, and sees every byte it sends.

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::krpc::{Krpc, Nodes, Request, Response};
use bittorrent_profile::{Mainline, MainlineService, ServiceConfig};
use kademlia_core::{
    Body, Codec, Config, Contact, DualStack, Event, Family, Instant, Key, Keyspace, Message, Node, Rng,
    TransactionId,
};

/// The key of every [`Engine`].
pub const LOCAL: Key<20> = Key::new([0x55; 20]);

/// Datagrams that a node sent, and where to.
pub type Sent = Vec<(SocketAddr, Vec<u8>)>;

/// A node of one or both families, and its clock.
#[derive(Debug)]
pub struct Engine {
    /// The node.
    pub stack: DualStack<Mainline, MainlineService>,
    /// The present; whoever changes it may only move it on.
    pub now: Instant,
}

impl Engine {
    /// A server on the Internet, by IPv4, with everything at its default.
    pub fn server() -> Self {
        Self::new(&[Family::V4], &Config::default(), ServiceConfig::default())
    }

    /// A node of these families.
    pub fn new(families: &[Family], config: &Config, service: ServiceConfig) -> Self {
        let now = Instant::from_secs(1_000);
        let mut rng = Rng::from_number(1);
        let mut node = |family| {
            families.contains(&family).then(|| {
                let service = MainlineService::new(service, rng.fork());
                Node::new(service, LOCAL, config.clone(), rng.fork(), now)
            })
        };
        Engine { stack: DualStack::new(node(Family::V4), node(Family::V6)), now }
    }

    /// Gives the node a datagram; gives back all that it sends for it.
    pub fn receive(&mut self, from: SocketAddr, datagram: &[u8]) -> Sent {
        self.stack.handle_datagram(self.now, from, datagram);
        self.sent()
    }

    /// What the node has to send.
    pub fn sent(&mut self) -> Sent {
        let mut sent = Sent::new();
        let mut datagram = Vec::new();
        while let Some(to) = self.stack.poll_transmit(&mut datagram) {
            sent.push((to, std::mem::take(&mut datagram)));
        }
        sent
    }

    /// What the node has to tell its host.
    pub fn events(&mut self) -> Vec<Event<Mainline>> {
        std::iter::from_fn(|| self.stack.poll_event().map(|(_, event)| event)).collect()
    }

    /// Lets time pass, and wakes the node whenever it wants to be; gives back all that it sends.
    pub fn pass(&mut self, time: Duration) -> Sent {
        let until = self.now + time;
        let mut sent = Sent::new();
        while let Some(due) = self.stack.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.stack.handle_timeout(self.now);
            sent.append(&mut self.sent());
        }
        self.now = until;
        sent
    }

    /// Lets the node of the contact's family ask the contact, and the contact answer: now it is in the table, if that
    /// has room for it.
    pub fn introduce(&mut self, contact: Contact<Key<20>>) {
        let now = self.now;
        if let Some(node) = self.stack.node_mut(Family::of(&contact.addr)) {
            node.request(now, contact.addr, Some(contact.key), Request::Ping);
        }
        for (to, datagram) in self.sent() {
            if let Some(reply) =
                reply(&datagram, contact.key, Response::default()).filter(|_| to == contact.addr)
            {
                self.receive(to, &reply);
            }
        }
        self.events();
    }
}

/// A query's bytes.
pub fn query(sender: Key<20>, transaction: TransactionId, request: Request) -> Vec<u8> {
    encoded(&Message {
        transaction,
        observed: None,
        body: Body::Request { sender, read_only: false, request },
    })
}

/// A response to the query in `datagram`; `None` if there is none in it.
pub fn reply(datagram: &[u8], sender: Key<20>, response: Response) -> Option<Vec<u8>> {
    let Message { transaction, body: Body::Request { .. }, .. } = Krpc::decode(datagram).ok()? else {
        return None;
    };
    Some(encoded(&Message { transaction, observed: None, body: Body::Response { sender, response } }))
}

/// A message's bytes.
pub fn encoded(message: &Message<Mainline>) -> Vec<u8> {
    let mut bytes = Vec::new();
    Krpc::encode(message, &mut bytes);
    bytes
}

/// A response with nodes.
pub fn naming(contacts: impl IntoIterator<Item = Contact<Key<20>>>) -> Response {
    Response { nodes: contacts.into_iter().collect::<Nodes>(), ..Response::default() }
}

/// The `n`th of many contacts: public addresses, each in a network of its own, and keys that share more and more bits
/// with [`LOCAL`], so that a table takes them.
pub fn stranger(n: u8, family: Family) -> Contact<Key<20>> {
    let mut rng = Rng::from_number(u64::from(n));
    let ip = match family {
        Family::V4 => [64, n, 1, 1].into(),
        Family::V6 => [0x2a00, u16::from(n), 0, 0, 0, 0, 0, 1].into(),
    };
    Contact::new(LOCAL.random_within(usize::from(n) / 4, &mut rng), SocketAddr::new(ip, 6881))
}
