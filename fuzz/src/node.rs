//! Any datagrams, at any pace, to a node that knows others and holds things, and to its topic.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{Families, Krpc, MAX_DATAGRAM, Request, Response, Token, topic_of};
use bittorrent_profile::pubsub::{Topic, TopicNode, TopicService, topic_config};
use bittorrent_profile::{InfoHash, Mainline, MainlineService, ServiceConfig};
use kademlia_core::{
    Body, Codec, Config, Contact, DualStack, Instant, Key, Keyspace, LookupOptions, Message, Node, Rng,
    Storage,
};

use crate::tape::Tape;

type Mainliner = Node<Mainline, MainlineService>;

/// Most datagrams that may leave for one that comes in, ours to others included.
const MOST: usize = 64;
/// Headers of IPv4 and UDP.
const HEADERS: usize = 20 + 8;
/// What many share.
const SHARED: InfoHash = InfoHash::new([7; 20]);
const LOCAL: Key<20> = Key::new([0x55; 20]);

thread_local! {
    /// Goes through all inputs, so that each meets what those before it left; made anew after some.
    static NODE: RefCell<(u32, Subject)> = RefCell::new((0, Subject::new()));
}

/// A node with sixty neighbours, sixty peers of one torrent, forty other torrents and two items, and beside it one of a
/// topic that has a version.
struct Subject {
    node: Mainliner,
    topic: TopicNode,
    /// Under which there is something.
    held: Vec<Key<20>>,
    now: Instant,
}

impl Subject {
    fn new() -> Self {
        let now = Instant::from_secs(1_000);
        let service = MainlineService::new(ServiceConfig::default(), [1; 32]);
        let mut node = Node::new(service, LOCAL, Config::default(), [2; 32], now);
        let contacts = neighbours();
        for contact in &contacts {
            node.request(now, contact.addr, Some(contact.key), Request::Ping);
            while let Some((to, message)) = node.poll_message() {
                let body = Body::Response { sender: contact.key, response: Response::default() };
                node.handle_message(now, to, Message { body, observed: None, ..message });
            }
        }
        let mut subject = Subject { node, topic: topic(now, &contacts), held: Vec::new(), now };
        subject.fill();
        let request = Request::get_peers(SHARED, Families::NONE);
        let _ = subject.node.lookup(subject.now, SHARED.into(), request, LookupOptions::default());
        subject.drain(None);
        subject
    }

    /// Stores what others come for.
    fn fill(&mut self) {
        for n in 0..100 {
            let info_hash = if n < 60 { SHARED } else { InfoHash::new([n; 20]) };
            let get_peers = Request::get_peers(info_hash, Families::NONE);
            self.store(n, get_peers, |token| Request::AnnouncePeer {
                implied_port: true,
                info_hash,
                port: None,
                seed: n % 2 == 0,
                token,
            });
        }
        let value = RawValue::string([b'v'; 996]).expect("a value of 1,000 bytes");
        let signed = MutableItem::sign(&owner(), Salt::default(), 9, value.clone());
        self.held = vec![SHARED.into(), LOCAL];
        for (n, item) in (100..).zip([Item::Immutable(value), Item::Mutable(Arc::new(signed))]) {
            let target = item.target();
            let get = Request::Get { seq: None, target, want: Families::NONE };
            self.store(n, get, |token| Request::put(&item, None, token));
            self.held.push(target);
        }
        let service = self.node.service();
        assert_eq!(
            (service.peers().len(), service.items().len()),
            (100, 2),
            "what the target's name promises"
        );
    }

    /// Has the `n`th stranger ask for a token and use it.
    fn store(&mut self, n: u8, ask: Request, store: impl Fn(Token) -> Request) {
        let from = SocketAddr::from(([150, n, 1, 1], 6881));
        let message = |request| Message {
            transaction: 1.into(),
            observed: None,
            body: Body::Request { sender: Key::new([n; 20]), read_only: true, request },
        };
        self.now = self.now + Duration::from_millis(100);
        self.node.handle_message(self.now, from, message(ask));
        let Some((_, Message { body: Body::Response { response, .. }, .. })) = self.node.poll_message()
        else {
            panic!("no response")
        };
        let store = store(response.token.expect("there is room"));
        self.node.handle_message(self.now, from, message(store));
        while self.node.poll_message().is_some() {}
    }

    /// Gives a datagram to whomever it is for; how many datagrams leave for it.
    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) -> usize {
        let in_topic = topic_of(datagram) == Some(self.topic.topic().target());
        let is_known = if in_topic {
            self.topic.neighbours().any(|known| known.addr == from)
        } else {
            self.node.table().iter().any(|known| known.contact().addr == from)
        };
        if in_topic {
            self.topic.handle_datagram(self.now, from, datagram);
        } else {
            self.node.handle_datagram(self.now, from, datagram);
        }
        self.drain(Some((from, datagram)).filter(|_| !is_known))
    }

    /// Takes all that there is to say; gives back how many datagrams. What a stranger gets for his own stays within T9's
    /// limits.
    fn drain(&mut self, stranger: Option<(SocketAddr, &[u8])>) -> usize {
        let (mut datagram, mut sent) = (Vec::new(), 0);
        let (mut replies, mut most) = (0, 0);
        while let Some(to) =
            self.node.poll_transmit(&mut datagram).or_else(|| self.topic.poll_transmit(&mut datagram))
        {
            let message = Krpc::decode(&datagram).expect("ours can be read");
            if !matches!(message.body, Body::Request { .. }) {
                assert!(datagram.len() <= MAX_DATAGRAM, "{} bytes", datagram.len());
                if stranger.is_some_and(|(from, _)| from == to) {
                    replies += HEADERS + datagram.len();
                    most = most.max(times(&message.body));
                }
            }
            datagram.clear();
            sent += 1;
        }
        if let Some((_, asked)) = stranger {
            let asked_bytes = HEADERS + asked.len();
            assert!(replies <= most * asked_bytes, "{replies} for {asked_bytes}: {}", asked.escape_ascii());
        }
        while self.node.poll_event().is_some() {}
        while self.topic.poll_event().is_some() {}
        sent
    }

    /// Lets time pass; the timers do not go on for ever.
    fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        let mut woken = 0;
        while self.node.poll_timeout().is_some_and(|due| due <= self.now) && woken < 1_000 {
            self.node.handle_timeout(self.now);
            self.drain(None);
            woken += 1;
        }
        while self.topic.poll_timeout().is_some_and(|due| due <= self.now) && woken < 1_000 {
            self.topic.handle_timeout(self.now);
            self.drain(None);
            woken += 1;
        }
        assert!(woken < 1_000, "a timeout storm");
    }

    /// Puts in what the node knows and no mutation finds: something that it holds, or the topic.
    fn aim(&self, datagram: &[u8], which: usize, in_topic: bool) -> Vec<u8> {
        let mut aimed = datagram.to_vec();
        for key in [b"6:target20:".as_slice(), b"9:info_hash20:"] {
            let at = aimed.windows(key.len()).position(|window| window == key);
            let place =
                at.and_then(|at| aimed.get_mut(at + key.len()..at + key.len() + size_of::<Key<20>>()));
            if let (Some(place), Some(held)) = (place, self.held.get(which % self.held.len())) {
                place.copy_from_slice(held.as_ref());
            }
        }
        if let Some(at) = aimed.windows(3).position(|window| window == b"1:q").filter(|_| in_topic) {
            let target = self.topic.topic().target();
            aimed.splice(at..at, b"1:c20:".iter().chain(target.as_ref()).copied());
        }
        aimed
    }
}

fn neighbours() -> Vec<Contact<Key<20>>> {
    let mut rng = Rng::from_number(3);
    let contact = |n: u8| {
        let key = LOCAL.random_within(usize::from(n) / 8, &mut rng);
        Contact::new(key, SocketAddr::from(([60 + n, n, 1, 1], 6881)))
    };
    (0..60).map(contact).collect()
}

fn owner() -> SecretKey {
    SecretKey::from_seed(&[4; 32])
}

/// A subscriber that knows the neighbours and has a version of 900 bytes.
fn topic(now: Instant, neighbours: &[Contact<Key<20>>]) -> TopicNode {
    let topic = Topic::new(owner().public(), Salt::default());
    let service = TopicService::new(topic, &ServiceConfig::default(), [5; 32]);
    let mut node = Node::new(service, LOCAL, topic_config(&Config::default()), [6; 32], now);
    node.preload(now, neighbours);
    let mut topic_node = TopicNode::new(topic, DualStack::new(Some(node), None), [7; 32]);
    let value = RawValue::string([b'v'; 900]).expect("a short value");
    topic_node.publish(now, Arc::new(MutableItem::sign(&owner(), Salt::default(), 1, value)));
    topic_node
}

/// How many times his query a stranger may get (T9): values and filters are rationed instead, but have a length, too.
fn times(reply: &Body<Mainline>) -> usize {
    match reply {
        Body::Response { response, .. } => {
            let has_value = response.item.as_ref().is_some_and(|item| item.value.is_some());
            let lists = response.nodes.lists();
            match () {
                () if has_value || response.scrape.is_some() => 12,
                () if response.token.is_some() || response.samples.is_some() || lists == Families::BOTH => 5,
                () => 3,
            }
        }
        _ => 3,
    }
}

/// Reads the input as datagrams with their senders and the pauses between them. Nothing panics, the node's own invariants
/// hold, its memory stays bounded, no datagram makes it send many, and no stranger gets much more than he sent (P17).
pub fn node(input: &[u8]) {
    NODE.with_borrow_mut(|(inputs, subject)| {
        *inputs += 1;
        if inputs.is_multiple_of(10_000) {
            *subject = Subject::new();
        }
        let mut tape = Tape::new(input);
        while !tape.is_empty() {
            let (ip, choice) = ([60 + tape.byte() % 80, tape.byte(), 1, 1], tape.byte());
            let from = SocketAddr::from((ip, u16::from(choice % 4) + 6880));
            subject.pass(Duration::from_millis(1 << (tape.byte() % 18)));
            let length = usize::from(tape.byte()) * 8 + tape.below(8);
            let datagram = tape.bytes(length);
            let sent = if choice & 4 == 0 {
                subject.receive(from, datagram)
            } else {
                let aimed = subject.aim(datagram, usize::from(choice >> 4), choice & 8 != 0);
                subject.receive(from, &aimed)
            };
            assert!(sent <= MOST, "{sent} datagrams for one");
        }
        if inputs.is_multiple_of(16) {
            subject.node.check().expect("the node's invariants");
        }
    });
}
