//! The engine under arbitrary histories: P1–P5, T3, T4, T10, and the queueing of early calls.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;
use crate::key::{Key, Keyspace};
use crate::message::{Body, TransactionId};
use crate::protocol::Malformed;
use crate::service::{Reply, ServeContext};

/// An overlay without bytes worth the name: the engine alone is tested here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bare;

#[derive(Clone, Debug, PartialEq)]
enum Ask {
    Ping,
    Near(Key<1>),
    Put,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Told(Vec<Contact<Key<1>>>);

struct NoBytes;

impl Protocol for Bare {
    type Key = Key<1>;
    type Request = Ask;
    type Response = Told;
    type Codec = NoBytes;

    fn ping() -> Ask {
        Ask::Ping
    }
    fn find_node(target: Key<1>) -> Ask {
        Ask::Near(target)
    }
    fn contacts(response: &Told) -> &[Contact<Key<1>>] {
        &response.0
    }
}

impl Codec<Bare> for NoBytes {
    fn decode(datagram: &[u8]) -> Result<Message<Bare>, Malformed> {
        match datagram {
            [b'?', rest @ ..] => {
                let transaction = TransactionId::new(rest).ok_or(Malformed::Garbage("long"))?;
                Err(Malformed::Request { transaction, code: 203, text: "no" })
            }
            _ => Err(Malformed::Garbage("junk")),
        }
    }
    fn encode(message: &Message<Bare>, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("{message:?}").as_bytes());
    }
}

struct Neighbours;

impl Service<Bare> for Neighbours {
    fn serve(&mut self, request: Ask, cx: &ServeContext<'_, Bare>) -> Reply<Bare> {
        let mut told = Told::default();
        match request {
            Ask::Near(target) => cx.closest(&target, cx.family(), 4, &mut told.0),
            Ask::Put if cx.sender == Key::ZERO => return Reply::Error { code: 1, text: Cow::Borrowed("no") },
            _ => {}
        }
        Reply::Response(told)
    }
}

type Engine = Node<Bare, Neighbours>;
type Sent = Vec<(SocketAddr, Message<Bare>)>;

fn address(host: u8) -> SocketAddr {
    SocketAddr::from(([20, host, 0, 1], 6881))
}

fn contact(host: u8) -> Contact<Key<1>> {
    Contact::new(Key::new([host]), address(host))
}

fn engine(config: Config) -> Engine {
    Node::new(Neighbours, Key::new([0]), config, [1; 32], Instant::ZERO)
}

fn sent(node: &mut Engine) -> Sent {
    core::iter::from_fn(|| node.poll_message()).collect()
}

fn events(node: &mut Engine) -> Vec<Event<Bare>> {
    core::iter::from_fn(|| node.poll_event()).collect()
}

fn response(to: &Message<Bare>, sender: u8, contacts: Vec<Contact<Key<1>>>) -> Message<Bare> {
    let body = Body::Response { sender: Key::new([sender]), response: Told(contacts) };
    Message { transaction: to.transaction, observed: None, body }
}

fn request(sender: u8, request: Ask) -> Message<Bare> {
    let body = Body::Request { sender: Key::new([sender]), read_only: false, request };
    Message { transaction: TransactionId::from(9), observed: None, body }
}

#[derive(Clone, Debug)]
enum Input {
    Request {
        host: u8,
        key: u8,
        ask: u8,
        read_only: bool,
    },
    /// Answers the `nth` of the requests sent so far, truly or not.
    Reply {
        nth: usize,
        key: Option<u8>,
        host: Option<u8>,
        named: Vec<u8>,
        observed: u8,
        error: bool,
    },
    Datagram {
        host: u8,
        bytes: Vec<u8>,
    },
    /// Moves the clock to an arbitrary place.
    Jump(u64),
    Pass(u32),
    Unreachable(u8),
    Lookup {
        target: u8,
        answers: bool,
    },
    Publish(u8),
    Ask(u8),
    Bootstrap(u8),
    Contacts(Vec<u8>),
    CancelLast,
}

fn input() -> impl Strategy<Value = Input> {
    let few = || proptest::collection::vec(any::<u8>(), 0..6);
    prop_oneof![
        3 => (any::<u8>(), any::<u8>(), 0..3_u8, any::<bool>())
            .prop_map(|(host, key, ask, read_only)| Input::Request { host, key, ask, read_only }),
        6 => (any::<usize>(), proptest::option::weighted(0.1, any::<u8>()), proptest::option::weighted(0.1, any::<u8>()),
              few(), any::<u8>(), proptest::bool::weighted(0.1))
            .prop_map(|(nth, key, host, named, observed, error)| Input::Reply { nth, key, host, named, observed, error }),
        1 => (any::<u8>(), proptest::collection::vec(any::<u8>(), 0..40)).prop_map(|(host, bytes)| Input::Datagram { host, bytes }),
        1 => prop_oneof![any::<u64>(), 0..u64::from(u32::MAX)].prop_map(Input::Jump),
        4 => (0..3_000_000_u32).prop_map(Input::Pass),
        1 => any::<u8>().prop_map(Input::Unreachable),
        2 => (any::<u8>(), any::<bool>()).prop_map(|(target, answers)| Input::Lookup { target, answers }),
        1 => any::<u8>().prop_map(Input::Publish),
        1 => any::<u8>().prop_map(Input::Ask),
        1 => any::<u8>().prop_map(Input::Bootstrap),
        1 => few().prop_map(Input::Contacts),
        1 => proptest::strategy::Just(Input::CancelLast),
    ]
}

/// A host that keeps the contract and notes everything that comes out.
struct Host {
    node: Engine,
    now: Instant,
    asked: Sent,
    last: Option<LookupId>,
    trace: String,
}

impl Host {
    fn new(config: Config) -> Self {
        Host { node: engine(config), now: Instant::ZERO, asked: Vec::new(), last: None, trace: String::new() }
    }

    fn apply(&mut self, input: &Input) {
        let (now, node) = (self.now, &mut self.node);
        match input {
            Input::Request { host, key, ask, read_only } => {
                let ask = [Ask::Ping, Ask::Near(Key::new([*host])), Ask::Put][usize::from(*ask)].clone();
                let body = Body::Request { sender: Key::new([*key]), read_only: *read_only, request: ask };
                let message = Message { transaction: TransactionId::from(1), observed: None, body };
                node.handle_message(now, address(*host), message);
            }
            Input::Reply { nth, key, host, named, observed, error } if !self.asked.is_empty() => {
                let (to, asked) = &self.asked[nth % self.asked.len()];
                let from = host.map_or(*to, address);
                let std::net::IpAddr::V4(ip) = from.ip() else { return };
                let key = key.unwrap_or(ip.octets()[1]);
                let named = named.iter().copied().map(contact).collect();
                let mut reply = response(asked, key, named);
                if *error {
                    reply.body = Body::Error { code: 201, text: String::new() };
                }
                reply.observed = Some(address(*observed & 1));
                node.handle_message(now, from, reply);
            }
            Input::Reply { .. } => {}
            Input::Datagram { host, bytes } => node.handle_datagram(now, address(*host), bytes),
            Input::Jump(to) => self.now = Instant::from_micros(*to),
            Input::Pass(micros) => self.now = now + Duration::from_micros(u64::from(*micros)),
            Input::Unreachable(host) => node.handle_unreachable(now, address(*host)),
            Input::Lookup { target, answers } => {
                let (target, options) =
                    (Key::new([*target]), LookupOptions { answers: *answers, ..Default::default() });
                self.last = node.lookup(now, target, Ask::Near(target), options).ok();
            }
            Input::Publish(target) => {
                let target = Key::new([*target]);
                let make = Box::new(|_: &Contact<_>, _: &Told| Some(Ask::Put));
                self.last = node.publish(now, target, Ask::Near(target), make, LookupOptions::default()).ok();
            }
            Input::Ask(host) => drop(node.request(now, address(*host), None, Ask::Ping)),
            Input::Bootstrap(host) => node.bootstrap(now, &[address(*host)]),
            Input::Contacts(hosts) => {
                let contacts: Vec<_> = hosts.iter().copied().map(contact).collect();
                node.add_contacts(now, &contacts);
            }
            Input::CancelLast => {
                if let Some(id) = self.last.take() {
                    node.cancel(now, id);
                }
            }
        }
    }

    /// Drains the outputs and lets due deadlines act; gives back the packets sent.
    fn drain(&mut self) -> usize {
        let mut packets = 0;
        for _turn in 0..64 {
            for (to, message) in sent(&mut self.node) {
                packets += 1;
                self.trace += &format!("{to} {message:?}\n");
                if matches!(message.body, Body::Request { .. }) {
                    self.asked.push((to, message));
                }
            }
            for event in events(&mut self.node) {
                self.trace += &format!("{event:?}\n");
            }
            assert!(self.node.poll_message().is_none() && self.node.poll_event().is_none(), "P4");
            match self.node.poll_timeout() {
                Some(due) if due <= self.now => self.node.handle_timeout(self.now),
                _ => return packets,
            }
        }
        panic!("P5: a timer storm: {:?} is due again and again at {:?}", self.node.poll_timeout(), self.now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p1_p2_p3_p4_p5_any_history_is_survived_bounded_and_repeatable(
        history in proptest::collection::vec(input(), 1..80),
    ) {
        let config = Config { k: 4, ..Config::default() };
        let (mut one, mut two) = (Host::new(config.clone()), Host::new(config));
        for input in &history {
            one.apply(input);
            let packets = one.drain();
            prop_assert!(packets <= 64, "P5: {packets} packets after one input");
            prop_assert_eq!(one.node.table().check(), Ok(()));
            let pending = one.node.outstanding() > 0;
            prop_assert!(!pending || one.node.poll_timeout().is_some(), "P4: work without a deadline");
            prop_assert!(one.node.memory() < 1 << 20, "P7");
        }
        for input in &history {
            two.apply(input);
            two.drain();
        }
        prop_assert_eq!(one.trace, two.trace, "P1");
    }
}

#[test]
fn t3_a_spoofed_sender_is_pinged_at_most_once_and_never_handed_out() {
    let mut node = engine(Config::default());
    for round in 0..10_000_u32 {
        let now = Instant::from_micros(u64::from(round) * 1_000);
        let [.., high, low] = round.to_be_bytes();
        let from = SocketAddr::from(([20 + (low >> 4), high, low, 1], 6881));
        node.handle_message(now, from, request(low, Ask::Near(Key::new([1]))));
        for (_, message) in sent(&mut node) {
            if let Body::Response { response, .. } = message.body {
                assert_eq!(response, Told::default(), "unverified, so never named");
            }
        }
    }
    assert!(node.table().is_empty());
    assert!(node.counters().verifications <= 20 * 10, "T4: {}", node.counters().verifications);
}

#[test]
fn t3_an_answer_to_our_ping_brings_a_sender_in() {
    let mut node = engine(Config::default());
    node.handle_message(Instant::ZERO, address(7), request(7, Ask::Ping));
    let out = sent(&mut node);
    assert_eq!(out.len(), 2, "the reply and the ping");
    let (to, ping) = &out[1];
    assert_eq!((*to, node.table().len()), (address(7), 0));
    node.handle_message(Instant::ZERO, address(7), response(ping, 8, Vec::new()));
    assert_eq!(node.counters().impostors, 1, "another key is no answer (C.5)");
    node.handle_message(Instant::ZERO, address(7), response(ping, 7, Vec::new()));
    assert_eq!(node.table().len(), 1);
}

#[test]
fn bep43_43_1_and_43_2_a_read_only_node_says_so_is_answered_and_not_kept() {
    let mut quiet = engine(Config { read_only: true, ..Config::default() });
    quiet.handle_message(Instant::ZERO, address(7), request(7, Ask::Ping));
    assert_eq!(sent(&mut quiet), []);
    quiet.request(Instant::ZERO, address(7), None, Ask::Ping);
    let (_, asked) = sent(&mut quiet).remove(0);
    assert!(matches!(asked.body, Body::Request { read_only: true, .. }));

    let mut server = engine(Config::default());
    server.handle_message(Instant::ZERO, address(9), asked);
    assert_eq!(sent(&mut server).len(), 1, "the reply, and no ping");
}

#[test]
fn fs_c2_calls_made_before_bootstrap_run_after_it() {
    let mut node = engine(Config::default());
    node.bootstrap(Instant::ZERO, &[address(1)]);
    let target = Key::new([200]);
    let early = node.lookup(Instant::ZERO, target, Ask::Near(target), LookupOptions::default()).unwrap();
    let out = sent(&mut node);
    assert_eq!(out.len(), 1, "only the router is asked");
    // The router is silent for a minute of tries, and then answers.
    let mut now = Instant::ZERO;
    let mut tries = Vec::new();
    while tries.len() < 6 {
        now = node.poll_timeout().expect("it never gives up");
        node.handle_timeout(now);
        tries.extend(sent(&mut node));
        assert!(now < Instant::from_secs(60));
    }
    let (_, last) = tries.pop().unwrap();
    node.handle_message(now, address(1), response(&last, 1, Vec::new()));
    let mut seen = Vec::new();
    for _ in 0..20 {
        for (to, message) in sent(&mut node) {
            if matches!(message.body, Body::Request { .. }) {
                node.handle_message(now, to, response(&message, 1, Vec::new()));
            }
        }
        seen.extend(events(&mut node));
    }
    assert!(matches!(seen[0], Event::Bootstrapped), "{seen:?}");
    let done = seen.iter().find_map(|event| match event {
        Event::LookupDone { lookup, report } if *lookup == early => Some(report.closest.clone()),
        _ => None,
    });
    assert_eq!(done, Some(alloc::vec![contact(1)]));
}

#[test]
fn fs_c2_without_a_network_an_early_call_still_ends() {
    let mut node = engine(Config::default());
    node.bootstrap(Instant::ZERO, &[address(1)]);
    let target = Key::new([200]);
    node.lookup(Instant::ZERO, target, Ask::Near(target), LookupOptions::default()).unwrap();
    while events(&mut node).is_empty() {
        let now = node.poll_timeout().expect("a deadline while work is pending");
        assert!(now <= Instant::from_secs(61));
        node.handle_timeout(now);
        sent(&mut node);
    }
}

#[test]
fn t10_junk_replies_and_errors_meet_silence() {
    let mut node = engine(Config::default());
    for junk in [&b""[..], b"x", &[0; 2_048], &[b'?'; 5_000]] {
        node.handle_datagram(Instant::ZERO, address(1), junk);
    }
    let stray = Message {
        transaction: TransactionId::from(5),
        observed: None,
        body: Body::Error { code: 1, text: String::new() },
    };
    node.handle_message(Instant::ZERO, address(1), stray);
    node.handle_message(Instant::ZERO, address(1), response(&request(1, Ask::Ping), 1, Vec::new()));
    assert_eq!(sent(&mut node), []);
    node.handle_datagram(Instant::ZERO, address(1), b"?abc");
    let out = sent(&mut node);
    assert!(matches!(&out[..], [(_, Message { body: Body::Error { code: 203, .. }, .. })]), "{out:?}");
    node.handle_datagram(Instant::ZERO, SocketAddr::from(([127, 0, 0, 1], 1)), b"?abc");
    assert_eq!(sent(&mut node), [], "P20: nothing goes to an address that must not be spoken to");
}

#[test]
fn p30_a_cancelled_lookup_leaves_nothing_behind() {
    let mut node = engine(Config::default());
    node.request(Instant::ZERO, address(1), None, Ask::Ping);
    let (to, ping) = sent(&mut node).remove(0);
    node.handle_message(Instant::ZERO, to, response(&ping, 1, Vec::new()));
    events(&mut node);
    let (outstanding, target) = (node.outstanding(), Key::new([99]));
    let id = node.lookup(Instant::ZERO, target, Ask::Near(target), LookupOptions::default()).unwrap();
    assert!(node.outstanding() > outstanding);
    node.cancel(Instant::ZERO, id);
    assert_eq!((node.outstanding(), node.searches.memory()), (outstanding, 0));
    let (to, asked) = sent(&mut node).remove(0);
    node.handle_message(Instant::ZERO, to, response(&asked, 1, Vec::new()));
    assert_eq!(events(&mut node), []);
}

#[test]
fn fs_b10_waiting_lookups_are_bounded() {
    let mut config = Config::default();
    (config.lookup.running, config.lookup.waiting) = (2, 3);
    let mut node = engine(config);
    node.bootstrap(Instant::ZERO, &[address(1)]);
    let start =
        |node: &mut Engine| node.lookup(Instant::ZERO, Key::ZERO, Ask::Ping, LookupOptions::default());
    for _ in 0..3 {
        assert!(start(&mut node).is_ok());
    }
    assert_eq!(start(&mut node), Err(LookupLimit { waiting: 3 }));
}

#[test]
fn fs_a7_a_publish_sends_each_holder_what_its_own_answer_allows() {
    let mut node = engine(Config::default());
    for host in 1..=10 {
        node.request(Instant::ZERO, address(host), None, Ask::Ping);
        let (to, ping) = sent(&mut node).remove(0);
        node.handle_message(Instant::ZERO, to, response(&ping, host, Vec::new()));
    }
    events(&mut node);
    let make = Box::new(|from: &Contact<Key<1>>, _: &Told| (from.key != Key::new([3])).then_some(Ask::Put));
    node.publish(Instant::ZERO, Key::ZERO, Ask::Near(Key::ZERO), make, LookupOptions::default()).unwrap();
    let mut stored = None;
    while stored.is_none() {
        for (to, message) in sent(&mut node) {
            let host = (0..=255).find(|host| address(*host) == to).unwrap();
            let mut reply = response(&message, host, Vec::new());
            if matches!(message.body, Body::Request { request: Ask::Put, .. }) && host == 2 {
                reply.body = Body::Error { code: 203, text: "token".into() };
            }
            node.handle_message(Instant::ZERO, to, reply);
        }
        stored = events(&mut node).into_iter().find_map(|event| match event {
            Event::Stored { stored, .. } => Some(stored),
            _ => None,
        });
    }
    let stored = stored.unwrap();
    let accepted: Vec<_> = stored.accepted.iter().map(|holder| holder.key.as_bytes()[0]).collect();
    assert_eq!(stored.refused, [(contact(2), 203, "token".into())]);
    assert_eq!(accepted, [1, 4, 5, 6, 7, 8], "the eight closest answered, one gave no request, one refused");
}
