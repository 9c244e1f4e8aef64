//! Any datagrams, at any pace, to a node that knows others and holds things.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::krpc::{Families, Krpc, MAX_DATAGRAM, Request, Response};
use bittorrent_profile::{InfoHash, Mainline, MainlineService, ServiceConfig};
use kademlia_core::{
    Body, Codec, Config, Contact, Instant, Key, Keyspace, LookupOptions, Message, Node, Rng,
};

use crate::tape::Tape;

type Mainliner = Node<Mainline, MainlineService>;

/// Most datagrams that may leave for one that comes in, ours to others included.
const MOST: usize = 64;

thread_local! {
    /// Goes through all inputs, so that each meets what those before it left; made anew after some.
    static NODE: RefCell<(u32, Subject)> = RefCell::new((0, Subject::new()));
}

struct Subject {
    node: Mainliner,
    now: Instant,
}

impl Subject {
    fn new() -> Self {
        let now = Instant::from_secs(1_000);
        let service = MainlineService::new(ServiceConfig::default(), [1; 32]);
        let mut node = Node::new(service, Key::new([0x55; 20]), Config::default(), [2; 32], now);
        let mut rng = Rng::from_number(3);
        for n in 0..60_u8 {
            let key = Key::new([0x55; 20]).random_within(usize::from(n) / 8, &mut rng);
            let contact = Contact::new(key, SocketAddr::from(([60 + n, n, 1, 1], 6881)));
            node.request(now, contact.addr, Some(contact.key), Request::Ping);
            while let Some((to, message)) = node.poll_message() {
                let body = Body::Response { sender: contact.key, response: Response::default() };
                node.handle_message(now, to, Message { body, observed: None, ..message });
            }
        }
        let info_hash = InfoHash::new([7; 20]);
        let request = Request::get_peers(info_hash, Families::NONE);
        let _ = node.lookup(now, info_hash.into(), request, LookupOptions::default());
        let mut subject = Subject { node, now };
        subject.drain();
        subject
    }

    /// Takes all that the node has to say; gives back how many datagrams.
    fn drain(&mut self) -> usize {
        let (mut datagram, mut sent) = (Vec::new(), 0);
        while self.node.poll_transmit(&mut datagram).is_some() {
            let message = Krpc::decode(&datagram).expect("ours can be read");
            if !matches!(message.body, Body::Request { .. }) {
                assert!(datagram.len() <= MAX_DATAGRAM, "{} bytes", datagram.len());
            }
            datagram.clear();
            sent += 1;
        }
        while self.node.poll_event().is_some() {}
        sent
    }
}

/// Reads the input as datagrams with their senders and the pauses between them. Nothing panics, the node's own invariants
/// hold, its memory stays bounded, and no datagram makes it send many.
pub fn node(input: &[u8]) {
    NODE.with_borrow_mut(|(inputs, subject)| {
        *inputs += 1;
        if inputs.is_multiple_of(10_000) {
            *subject = Subject::new();
        }
        let mut tape = Tape::new(input);
        while !tape.is_empty() {
            let (ip, port) = ([60 + tape.byte() % 80, tape.byte(), 1, 1], u16::from(tape.byte() % 4) + 6880);
            subject.now = subject.now + Duration::from_millis(1 << (tape.byte() % 18));
            let mut woken = 0;
            while subject.node.poll_timeout().is_some_and(|due| due <= subject.now) && woken < 1_000 {
                subject.node.handle_timeout(subject.now);
                subject.drain();
                woken += 1;
            }
            assert!(woken < 1_000, "a timeout storm");
            let length = usize::from(tape.byte()) * 8 + tape.below(8);
            subject.node.handle_datagram(subject.now, SocketAddr::from((ip, port)), tape.bytes(length));
            let sent = subject.drain();
            assert!(sent <= MOST, "{sent} datagrams for one");
        }
        if inputs.is_multiple_of(16) {
            subject.node.check().expect("the node's invariants");
        }
    });
}
