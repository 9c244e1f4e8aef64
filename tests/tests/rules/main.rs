//! Rules of the answering side, asked of the whole engine in bytes that no encoder of ours wrote: P18, P20, P35, P36.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod arguments;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{Families, Krpc, Request, Response, Token};
use bittorrent_profile::{InfoHash, Mainline, ServiceConfig};
use kademlia_core::{
    Body, Codec, Config, Contact, Event, Failure, Family, Instant, Key, LookupOptions, Message, Protocol,
    Rng, TransactionId,
};
use tests::engine::{self, Engine, LOCAL, stranger};

use arguments::get;

const V4: &str = "8.8.8.8:6881";
const V6: &str = "[2a00:1450::1]:6881";

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn string(bytes: &[u8]) -> Vec<u8> {
    [format!("{}:", bytes.len()).as_bytes(), bytes].concat()
}

fn query(method: &str, arguments: &[u8], transaction: &[u8]) -> Vec<u8> {
    let method = string(method.as_bytes());
    [b"d1:a", arguments, b"1:q", &method, b"1:t", &string(transaction), b"1:y1:qe"].concat()
}

/// The one reply to whoever asked; what is asked back does not count.
fn answer(node: &mut Engine, from: SocketAddr, datagram: &[u8]) -> Option<Message<Mainline>> {
    let sent = node.receive(from, datagram);
    let messages = sent.iter().map(|(_, bytes)| Krpc::decode(bytes).unwrap());
    let mut replies = messages.filter(|message| !matches!(message.body, Body::Request { .. }));
    let reply = replies.next();
    assert!(replies.next().is_none(), "one query, one reply");
    reply
}

fn code(reply: Option<Message<Mainline>>) -> Option<i64> {
    match reply?.body {
        Body::Error { code, .. } => Some(code),
        _ => None,
    }
}

#[test]
fn p35_every_kind_of_reply_echoes_t_of_any_length_and_longer_ones_meet_silence() {
    let mut node = Engine::server();
    let mut rng = Rng::from_number(35);
    let id = [&b"d2:id20:"[..], &[0xaa; 20], b"e"].concat();
    for length in 0..=40 {
        for (method, arguments, expected) in
            [("ping", id.as_slice(), None), ("ping", b"de", Some(203)), ("novel", b"de", Some(204))]
        {
            let mut transaction = vec![0; length];
            rng.fill(&mut transaction);
            let reply = answer(&mut node, addr(V4), &query(method, arguments, &transaction));
            assert_eq!(reply.is_some(), length <= 32, "{length}");
            if let Some(reply) = reply {
                assert_eq!(reply.transaction.as_bytes(), transaction);
                assert_eq!(code(Some(reply)), expected);
            }
            node.pass(Duration::from_millis(20));
        }
    }
}

#[test]
fn p18_bep32_32_6_the_largest_replies_of_a_full_node_fit() {
    let config = ServiceConfig { peers_per_reply: 1_000, ..ServiceConfig::default() };
    let mut node = Engine::new(&[Family::V4, Family::V6], &Config::default(), config);
    let info_hash = InfoHash::from(LOCAL);
    for family in [Family::V4, Family::V6] {
        (0..100).for_each(|n| node.introduce(stranger(n, family)));
        for n in 100..220 {
            let peer = stranger(n, family);
            let transaction = TransactionId::new(b"t").unwrap();
            let request = Request::get_peers(info_hash, Families::NONE);
            let reply = answer(&mut node, peer.addr, &engine::query(peer.key, transaction, request)).unwrap();
            let Body::Response { response, .. } = reply.body else { panic!("{reply:?}") };
            let token = response.token.unwrap();
            let announce =
                Request::AnnouncePeer { implied_port: true, info_hash, port: None, seed: false, token };
            answer(&mut node, peer.addr, &engine::query(peer.key, transaction, announce)).unwrap();
            node.pass(Duration::from_millis(20));
        }
    }
    let owner = SecretKey::from_seed(&[1; 32]);
    let value = RawValue::string([0; 996]).unwrap();
    let longest = Item::Mutable(MutableItem::sign(&owner, Salt::default(), i64::MAX, value).into());
    for from in [V4, V6].map(addr) {
        let transaction = TransactionId::new(b"t").unwrap();
        let mut ask =
            |request| answer(&mut node, from, &engine::query(LOCAL, transaction, request)).unwrap().body;
        let Body::Response { response, .. } = ask(get(&longest)) else { panic!("no response") };
        let stored = ask(Request::put(&longest, None, response.token.unwrap()));
        assert!(matches!(stored, Body::Response { .. }), "{stored:?}");
    }
    let mut largest = 0;
    // Strangers get less than fits (T9); nodes that ours knows get all that does.
    let now = node.now;
    let known =
        [Family::V4, Family::V6].map(|family| node.stack.node(family).unwrap().snapshot(now).contacts[0]);
    let strangers = [V4, V6].map(|from| Contact::new(Key::new([9; 20]), addr(from)));
    for asker in known.into_iter().chain(strangers) {
        for want in [Families::NONE, Family::V4.into(), Family::V6.into(), Families::BOTH] {
            for (request, most) in [
                (Request::Ping, 1_024),
                (Request::FindNode { target: LOCAL, want }, 1_024),
                (Request::get_peers(info_hash, want), 1_024),
                (Request::GetPeers { info_hash, noseed: true, scrape: true, want }, 1_024),
                (Request::Get { seq: None, target: LOCAL, want }, 1_024),
                (Request::Get { seq: Some(i64::MAX), target: longest.target(), want }, 1_024),
                (Request::Get { seq: None, target: longest.target(), want }, 1_232),
                (Request::SampleInfohashes { target: LOCAL, want }, 1_024),
            ] {
                node.pass(Duration::from_secs(1));
                let query = engine::query(asker.key, TransactionId::new(&[0xff; 32]).unwrap(), request);
                let reply = node.receive(asker.addr, &query);
                let (_, reply) = reply.iter().find(|(to, _)| *to == asker.addr).unwrap();
                assert!(reply.len() <= most, "{}: {}", reply.len(), reply.escape_ascii());
                largest = largest.max(reply.len());
            }
        }
    }
    assert!(largest > 1_200, "the node is full: {largest}");
}

/// Nobody may be spoken to at any of these.
const MARTIANS: [&str; 24] = [
    "0.0.0.0:6881",
    "0.1.2.3:6881",
    "10.0.0.1:6881",
    "100.64.0.1:6881",
    "127.0.0.1:6881",
    "169.254.1.1:6881",
    "172.16.0.1:6881",
    "192.0.0.1:6881",
    "192.0.2.1:6881",
    "192.168.1.1:6881",
    "198.18.0.1:6881",
    "203.0.113.1:6881",
    "224.0.0.1:6881",
    "255.255.255.255:6881",
    "8.8.4.4:0",
    "[::]:6881",
    "[::1]:6881",
    "[fe80::1]:6881",
    "[fc00::1]:6881",
    "[ff02::1]:6881",
    "[::ffff:8.8.8.8]:6881",
    "[2001::1]:6881",
    "[2002::1]:6881",
    "[2a00:1450::1]:0",
];

/// Answers all that a node asks, and names it martians beside others; checks every destination.
struct Poisoner {
    rng: Rng,
    martians: BTreeSet<SocketAddr>,
    asked: usize,
}

impl Poisoner {
    fn new() -> Self {
        Poisoner { rng: Rng::from_number(20), martians: MARTIANS.into_iter().map(addr).collect(), asked: 0 }
    }

    fn contact(&mut self, addr: SocketAddr) -> Contact<Key<20>> {
        use kademlia_core::Keyspace;
        Contact::new(Key::random(&mut self.rng), addr)
    }

    fn answer(&mut self, node: &mut Engine, mut sent: engine::Sent) {
        while let Some((to, datagram)) = sent.pop() {
            assert!(!self.martians.contains(&to), "P20: a packet to {to}");
            if self.asked > 2_000 {
                continue;
            }
            self.asked += 1;
            let Some(at) = (0..250).find(|n| stranger(*n, Family::of(&to)).addr == to) else { continue };
            let mut named = Vec::new();
            for _ in 0..2 {
                let martians: Vec<_> = self.martians.iter().copied().collect();
                for _ in 0..3 {
                    let martian = martians[self.rng.below(martians.len())];
                    named.push(self.contact(martian));
                }
                let n = u8::try_from(self.rng.below(250)).unwrap();
                named.push(stranger(n, Family::V4));
                named.push(stranger(n, Family::V6));
            }
            let values = self.martians.iter().copied().collect();
            let response =
                Response { values, token: Some(Token::from_array([1; 8])), ..engine::naming(named) };
            if let Some(reply) = engine::reply(&datagram, stranger(at, Family::of(&to)).key, response) {
                sent.append(&mut node.receive(to, &reply));
            }
        }
    }
}

#[test]
fn p20_t13_no_packet_goes_to_an_address_that_must_not_be_spoken_to() {
    let mut node = Engine::new(&[Family::V4, Family::V6], &Config::default(), ServiceConfig::default());
    let mut poisoner = Poisoner::new();
    let (routers, now): (Vec<_>, Instant) = (MARTIANS.into_iter().map(addr).collect(), node.now);
    node.stack.bootstrap(now, &routers);
    for router in &routers {
        let contact = poisoner.contact(*router);
        let own = node.stack.node_mut(Family::of(router)).unwrap();
        own.add_contacts(now, &[contact]);
        own.request(now, *router, None, Request::Ping);
    }
    assert_eq!(node.sent(), [], "the host's own martians");
    let refused = node.events();
    assert!(
        refused.iter().all(|event| matches!(event, Event::Requested { result: Err(Failure::NotSent), .. }))
    );
    assert_eq!(refused.len(), routers.len());

    let ping = engine::query(Key::new([1; 20]), TransactionId::new(b"t").unwrap(), Request::Ping);
    for martian in &routers {
        assert_eq!(node.receive(*martian, &ping), [], "a spoofed source");
        assert_eq!(node.receive(*martian, &query("ping", b"de", b"t")), [], "{martian}");
    }

    node.stack.bootstrap(now, &[stranger(0, Family::V4).addr, stranger(0, Family::V6).addr]);
    let sent = node.sent();
    poisoner.answer(&mut node, sent);
    for _ in 0..30 {
        let now = node.now;
        for family in [Family::V4, Family::V6] {
            let target = poisoner.contact(addr(V4)).key;
            let own = node.stack.node_mut(family).unwrap();
            own.lookup(now, target, Mainline::find_node(target), LookupOptions::default()).unwrap();
        }
        let mut sent = node.sent();
        sent.append(&mut node.pass(Duration::from_secs(60)));
        poisoner.answer(&mut node, sent);
    }
    let known = node.stack.nodes().map(|(_, own)| own.table().len()).sum::<usize>();
    assert!(
        known > 20 && poisoner.asked > 200,
        "it went somewhere: {known} entries, {} requests",
        poisoner.asked
    );
}

#[test]
fn p20_t13_no_packet_goes_to_our_own_address_once_it_is_known() {
    let mut node = Engine::server();
    let own = addr("8.8.8.8:6881");
    for n in 0..20 {
        let voter = stranger(n, Family::V4);
        let now = node.now;
        node.stack.node_mut(Family::V4).unwrap().request(now, voter.addr, Some(voter.key), Request::Ping);
        for (to, datagram) in node.sent() {
            if let (Ok(message), true) = (Krpc::decode(&datagram), to == voter.addr) {
                let body = Body::Response { sender: voter.key, response: Response::default() };
                node.receive(to, &engine::encoded(&Message { body, observed: Some(own), ..message }));
            }
        }
    }
    assert_eq!(node.stack.node(Family::V4).unwrap().external(), Some(own));
    node.pass(Duration::from_secs(120));

    let (now, target) = (node.now, Key::new([1; 20]));
    let own_node = node.stack.node_mut(Family::V4).unwrap();
    own_node.lookup(now, target, Mainline::find_node(target), LookupOptions::default()).unwrap();
    for (to, datagram) in node.sent() {
        let Some(n) = (0..20).find(|n| stranger(*n, Family::V4).addr == to) else { continue };
        let named = engine::naming([Contact::new(Key::new([0; 20]), own)]);
        let reply = engine::reply(&datagram, stranger(n, Family::V4).key, named).unwrap();
        for (to, _) in node.receive(to, &reply) {
            assert_ne!(to, own, "named by others");
        }
    }
}
