//! Whatever arrives: no panic, no answer that the rules forbid (T10, T11, B9), and the next ping answered. The same junk
//! against the engine, where every byte it sends is seen, and against a node on a socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{
    ErrorCode, Families, Krpc, Request, Response, Token, encode_in_topic, topic_of,
};
use bittorrent_profile::pubsub::{Topic, TopicNode, TopicService, topic_config};
use bittorrent_profile::{Dht, InfoHash, Mainline, ServiceConfig};
use kademlia_core::{
    Body, Codec, Config, DualStack, Event, Family, Instant, Key, Malformed, Message, Node, Rng, TransactionId,
};
use tests::engine::{self, Engine, stranger};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use transport_udp::UdpTransport;

/// The IPv6 minimum MTU less headers (T9).
const LONGEST: usize = 1_232;

fn transaction(bytes: &[u8]) -> TransactionId {
    TransactionId::new(bytes).unwrap()
}

fn random(rng: &mut Rng) -> Vec<u8> {
    // Half of it from bencode's own letters, which gets farther into a reader.
    let letters = (rng.next_u32() & 1 == 0).then_some(b"deil0123456789:aqrtyv-".as_slice());
    let mut bytes = vec![0; rng.below(1_500)];
    rng.fill(&mut bytes);
    if let Some(letters) = letters {
        bytes.iter_mut().for_each(|byte| *byte = letters[usize::from(*byte) % letters.len()]);
    }
    bytes
}

fn topic() -> Topic {
    Topic::new(SecretKey::from_seed(&[1; 32]).public(), Salt::new(b"news").unwrap())
}

fn version() -> MutableItem {
    let value = RawValue::string("some news").unwrap();
    MutableItem::sign(&SecretKey::from_seed(&[1; 32]), topic().salt(), 1, value)
}

/// Every method, with all arguments that it may have.
fn requests() -> Vec<Request> {
    let (target, info_hash) = (topic().target(), InfoHash::new([0x77; 20]));
    let want = Families::BOTH;
    let token = Token::from_array([7; 8]);
    let immutable = Item::Immutable(RawValue::new(b"d1:ali1e2:xyee").unwrap());
    vec![
        Request::Ping,
        Request::FindNode { target, want },
        Request::get_peers(info_hash, want),
        Request::GetPeers { info_hash, noseed: true, scrape: true, want },
        Request::Get { seq: None, target: immutable.target(), want },
        Request::Get { seq: Some(3), target, want },
        Request::put(&immutable, None, token),
        Request::put(&Item::Mutable(version().into()), Some(2), token),
        Request::SampleInfohashes { target, want },
        Request::AnnouncePeer {
            implied_port: true,
            info_hash,
            port: NonZeroU16::new(6881),
            seed: false,
            token,
        },
    ]
}

fn query(request: Request) -> Message<Mainline> {
    let body = Body::Request { sender: Key::new([0xaa; 20]), read_only: false, request };
    Message { transaction: transaction(b"aa"), observed: None, body }
}

/// Every kind of message, as this node or another would send it.
fn valid() -> Vec<Vec<u8>> {
    let (sender, token) = (Key::new([0xaa; 20]), Token::from_array([7; 8]));
    let queries = requests().into_iter().map(|request| engine::encoded(&query(request)));
    let values = vec![SocketAddr::from(([64, 1, 2, 3], 4)); 50];
    let nodes = engine::naming((0..8).map(|n| stranger(n, Family::V4))).nodes;
    let response = Response { nodes, token: Some(token), values, ..Response::default() };
    let replies = [
        Body::Response { sender, response },
        Body::Error { code: ErrorCode::Generic.into(), text: "A Generic Error Ocurred".into() },
    ];
    let replies = replies.map(|body| {
        engine::encoded(&Message { transaction: transaction(b"\xff\0aa"), observed: None, body })
    });
    let unknown = b"d1:ad2:id20:abcdefghij0123456789e1:q5:novel1:t2:aa1:y1:qe".to_vec();
    queries.chain(replies).chain([unknown]).chain(valid_in_topic()).collect()
}

/// The same of a topic's (BEP 50).
fn valid_in_topic() -> Vec<Vec<u8>> {
    let encoded = |request| {
        let mut bytes = Vec::new();
        encode_in_topic(&query(request), &topic().target(), &mut bytes);
        bytes
    };
    requests().into_iter().map(encoded).collect()
}

fn flipped(rng: &mut Rng, valid: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = valid[rng.below(valid.len())].clone();
    let at = rng.below(bytes.len());
    bytes[at] ^= 1 << rng.below(8);
    bytes
}

fn bombs() -> Vec<Vec<u8>> {
    vec![
        vec![b'l'; 1_400],
        vec![b'd'; 1_400],
        b"99999999999:".to_vec(),
        Vec::new(),
        vec![0x64; 65_507],
        vec![0; 65_507],
    ]
}

/// 10,000 random datagrams, 5,000 valid ones with one bit flipped, and bombs.
fn junk(seed: u64) -> impl Iterator<Item = Vec<u8>> {
    let mut rng = Rng::from_number(seed);
    let valid = valid();
    let kinds = std::iter::repeat_n(true, 10_000).chain(std::iter::repeat_n(false, 5_000));
    let most = kinds
        .map(move |random_bytes| if random_bytes { random(&mut rng) } else { flipped(&mut rng, &valid) });
    most.chain(bombs())
}

/// What the rules let a node say to a datagram: a response or a certain error to a query, an error to what would be a
/// query but for its arguments, and silence to all else.
#[derive(Debug, PartialEq)]
enum Allowed {
    Silence,
    Error(TransactionId, &'static [i64]),
    Reply(TransactionId),
}

fn allowed(datagram: &[u8]) -> Allowed {
    // Said without the decoder's help: nothing is a query that does not hold these bytes.
    let says_query = datagram.windows(6).any(|window| window == b"1:y1:q");
    let allowed = match Krpc::decode(datagram) {
        Ok(Message { transaction, body: Body::Request { .. }, .. }) => Allowed::Reply(transaction),
        // 205 and 207 are for a value and a salt that are too long.
        Err(Malformed::Request { transaction, .. }) => Allowed::Error(transaction, &[203, 204, 205, 207]),
        _ => Allowed::Silence,
    };
    assert!(says_query || allowed == Allowed::Silence, "{}", datagram.escape_ascii());
    allowed
}

fn assert_allowed(datagram: &[u8], answer: &[u8]) {
    assert!(answer.len() <= LONGEST);
    let answer = Krpc::decode(answer).expect("ours can be read");
    let shown = datagram.escape_ascii();
    match (allowed(datagram), answer.body) {
        (Allowed::Error(transaction, codes), Body::Error { code, .. }) => {
            assert_eq!(answer.transaction, transaction);
            assert!(codes.contains(&code), "{code} to {shown}");
        }
        // After it was understood, a request is refused only for a token that is not ours.
        (Allowed::Reply(transaction), Body::Error { code: 203, .. } | Body::Response { .. }) => {
            assert_eq!(answer.transaction, transaction);
        }
        (allowed, body) => panic!("{body:?} where {allowed:?} is allowed, to {shown}"),
    }
}

/// The `n`th public address of many, no two in one subnet.
fn source(n: usize) -> SocketAddr {
    let [.., a, b, c] = n.to_be_bytes();
    SocketAddr::from(([64 + a, b, c, 1], 6881))
}

#[test]
fn t10_t11_fs_b9_the_engine_says_to_junk_only_what_it_may() {
    let mut node = Engine::server();
    (0..40).for_each(|n| node.introduce(stranger(n, Family::V4)));
    let (mut replies, mut silences) = (0, 0);
    for (n, datagram) in junk(1).enumerate() {
        let from = source(n);
        let sent = node.receive(from, &datagram);
        let is_query = |datagram: &[u8]| matches!(Krpc::decode(datagram).unwrap().body, Body::Request { .. });
        let (pings, answers): (Vec<_>, Vec<_>) = sent.into_iter().partition(|(_, bytes)| is_query(bytes));
        assert!(answers.len() <= 1 && pings.len() <= 1, "{}", datagram.escape_ascii());
        for (to, answer) in &answers {
            assert_eq!(*to, from);
            assert_allowed(&datagram, answer);
        }
        // Whoever asks may be asked back, once; junk and replies lead to nothing (P19).
        let asked = matches!(allowed(&datagram), Allowed::Reply(_));
        assert!(pings.iter().all(|(to, _)| *to == from && asked), "{}", datagram.escape_ascii());
        assert_eq!(answers.is_empty(), allowed(&datagram) == Allowed::Silence, "{}", datagram.escape_ascii());
        replies += answers.len();
        silences += usize::from(answers.is_empty());
        node.pass(Duration::from_millis(10));
    }
    assert!(replies > 500 && silences > 10_000, "both happen: {replies} and {silences}");
    let ping = engine::query(Key::new([0xaa; 20]), transaction(b"last"), Request::Ping);
    assert!(matches!(
        Krpc::decode(&node.receive(source(20_000), &ping)[0].1).unwrap().body,
        Body::Response { .. }
    ));
}

/// A topic's node answers what names its topic, by the same rules; of the methods, `ping`, `find_node`, `get` and `put`.
#[test]
fn t10_t11_bep50_50_2_a_topic_s_node_says_to_junk_only_what_it_may() {
    let now = Instant::from_secs(1_000);
    let service = TopicService::new(topic(), &ServiceConfig::default(), [1; 32]);
    let mut node = Node::new(service, engine::LOCAL, topic_config(&Config::default()), [2; 32], now);
    let neighbours: Vec<_> = (0..40).map(|n| stranger(n, Family::V4)).collect();
    node.preload(now, &neighbours);
    let mut node = TopicNode::new(topic(), DualStack::new(Some(node), None), [3; 32]);
    let mut rng = Rng::from_number(4);
    let valid = valid_in_topic();
    let flipped = (0..10_000).map(|_| flipped(&mut rng, &valid)).collect::<Vec<_>>();
    let (mut responses, mut refusals) = (0, 0);
    for (n, datagram) in valid.iter().chain(&flipped).chain(&bombs()).enumerate() {
        let (from, now) = (source(n), now + Duration::from_millis(10 * n as u64));
        node.handle_timeout(now);
        while node.poll_transmit(&mut Vec::new()).is_some() {}
        node.handle_datagram(now, from, datagram);
        let (mut answers, mut bytes) = (0, Vec::new());
        while let Some(to) = node.poll_transmit(&mut bytes) {
            assert_eq!(topic_of(&bytes), Some(topic().target()));
            match Krpc::decode(&bytes).expect("ours can be read").body {
                Body::Request { .. } => {}
                Body::Error { code: 204, .. } => refusals += 1,
                _ => assert_allowed(datagram, &bytes),
            }
            let is_reply = !matches!(Krpc::decode(&bytes).unwrap().body, Body::Request { .. });
            assert!(!is_reply || to == from, "{}", datagram.escape_ascii());
            answers += usize::from(is_reply);
            bytes.clear();
        }
        let due = topic_of(datagram) == Some(topic().target()) && allowed(datagram) != Allowed::Silence;
        assert_eq!(answers, usize::from(due), "{}", datagram.escape_ascii());
        responses += answers;
    }
    assert!(responses > 1_000 && refusals > 100, "both happen: {responses} and {refusals}");
}

#[test]
fn t10_flipped_answers_to_an_open_request_end_it_once_or_not_at_all() {
    let mut rng = Rng::from_number(2);
    let contact = stranger(1, Family::V4);
    for _ in 0..5_000 {
        let mut node = Engine::server();
        let now = node.now;
        let request = Request::get_peers(InfoHash::new([1; 20]), Families::NONE);
        node.stack.node_mut(Family::V4).unwrap().request(now, contact.addr, Some(contact.key), request);
        let sent = node.sent();
        let nodes = engine::naming((0..8).map(|n| stranger(n + 10, Family::V4))).nodes;
        let response = Response { nodes, token: Some(Token::from_array([1; 8])), ..Response::default() };
        let reply = engine::reply(&sent[0].1, contact.key, response).unwrap();
        let flipped = flipped(&mut rng, std::slice::from_ref(&reply));
        for (to, bytes) in node.receive(contact.addr, &flipped) {
            // A flipped bit can make a query of a reply; the query's rules hold then.
            if !matches!(Krpc::decode(&bytes).unwrap().body, Body::Request { .. }) {
                assert_eq!(to, contact.addr);
                assert_allowed(&flipped, &bytes);
            }
        }
        node.receive(contact.addr, &reply);
        let ends = node.events().into_iter().filter(|event| matches!(event, Event::Requested { .. })).count();
        assert_eq!(ends, 1, "P13: {}", flipped.escape_ascii());
    }
}

/// A socket that throws junk at a node of ours, and the pings with which it sees that all of it has been dealt with.
struct Thrower {
    socket: UdpSocket,
    node: SocketAddr,
    pings: u32,
}

impl Thrower {
    async fn ping(&mut self) -> TransactionId {
        self.pings += 1;
        let transaction = transaction(&[b"ping ", &self.pings.to_be_bytes()[..]].concat());
        let request = Body::Request { sender: Key::new([0xbb; 20]), read_only: true, request: Request::Ping };
        let ping = engine::encoded(&Message { transaction, observed: None, body: request });
        self.socket.send_to(&ping, self.node).await.unwrap();
        transaction
    }

    /// Sends a batch and a ping; gives back what comes before the pong, which answers everything: datagrams on loopback
    /// keep their order.
    async fn throw(&mut self, batch: &[Vec<u8>]) -> Vec<Vec<u8>> {
        for datagram in batch {
            self.socket.send_to(datagram, self.node).await.unwrap();
        }
        let ping = self.ping().await;
        let mut answers = Vec::new();
        let mut buffer = vec![0; 65_536];
        loop {
            let received = timeout(Duration::from_secs(20), self.socket.recv_from(&mut buffer)).await;
            let (length, from) = received.expect("the ping is answered").unwrap();
            assert_eq!(from, self.node);
            let message = Krpc::decode(&buffer[..length]).expect("ours can be read");
            match message.body {
                // The node wants to know who asks it; nobody answers.
                Body::Request { .. } => {}
                Body::Response { .. } if message.transaction == ping => return answers,
                _ => answers.push(buffer[..length].to_vec()),
            }
        }
    }
}

#[tokio::test]
async fn t10_t11_fs_b9_a_node_on_a_socket_says_to_junk_only_what_it_may() {
    let loopback = (Ipv4Addr::LOCALHOST, 0);
    let dht = Dht::builder().server(true).spawn(UdpTransport::bind(loopback).await.unwrap()).unwrap();
    let socket = UdpSocket::bind(loopback).await.unwrap();
    let mut thrower = Thrower { socket, node: dht.local_addrs()[0], pings: 0 };
    let junk: Vec<_> = junk(3).collect();
    for batch in junk.chunks(16) {
        let answers = thrower.throw(batch).await;
        // What names a topic that nobody here has subscribed to is not for Mainline's node.
        let is_due =
            |datagram: &Vec<u8>| topic_of(datagram).is_none() && allowed(datagram) != Allowed::Silence;
        let mut due = batch.iter().filter(|datagram| is_due(datagram));
        for answer in &answers {
            assert_allowed(due.next().expect("no more answers than questions"), answer);
        }
        assert_eq!(due.next(), None, "a question without an answer");
    }
    let counters = dht.state().await.unwrap().families[0].counters;
    // Beside the junk, one ping for each batch of it.
    let received = junk.iter().filter(|datagram| topic_of(datagram).is_none()).count();
    assert_eq!(counters.received, (received + junk.len().div_ceil(16)) as u64, "nothing was lost on the way");
}
