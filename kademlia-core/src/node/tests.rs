//! The engine alone, without bytes: T3, T4, T10, P30, and the queueing of early calls.

mod acting;
mod histories;
mod outages;
mod votes;

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

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
fn a_router_that_becomes_known_during_a_pause_is_asked_at_once() {
    let mut node = engine(Config::default());
    node.bootstrap(Instant::ZERO, &[address(1)]);
    let mut now = Instant::ZERO;
    while node.outstanding() > 0 {
        now = node.poll_timeout().unwrap();
        node.handle_timeout(now);
    }
    sent(&mut node);
    node.bootstrap(now, &[address(1)]);
    assert_eq!(sent(&mut node), [], "asking the same again does not shorten the pause");
    node.bootstrap(now, &[address(2)]);
    assert!(sent(&mut node).iter().any(|(to, _)| *to == address(2)));
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

/// An engine that hosts 1 to 10 have answered.
fn acquainted_with_ten() -> Engine {
    acquainted(Config::default())
}

fn acquainted(config: Config) -> Engine {
    let mut node = engine(config);
    for host in 1..=10 {
        node.request(Instant::ZERO, address(host), None, Ask::Ping);
        let (to, ping) = sent(&mut node).remove(0);
        node.handle_message(Instant::ZERO, to, response(&ping, host, Vec::new()));
    }
    events(&mut node);
    node
}

#[test]
fn p20_a_blocked_address_is_sent_nothing_and_what_was_asked_of_it_fails() {
    let mut node = acquainted_with_ten();
    let (now, target) = (Instant::from_secs(1), Key::ZERO);
    let asked = node.request(now, address(9), None, Ask::Ping);
    node.lookup(now, target, Ask::Near(target), LookupOptions::default()).unwrap();
    let first: Vec<_> = sent(&mut node).into_iter().filter(|(to, _)| *to == address(1)).collect();
    for host in [1, 5, 9] {
        node.block(now, address(host).ip());
    }
    assert_eq!(node.table().len(), 7);
    let failed = Event::Requested { request: asked, result: Err(Failure::TimedOut) };
    assert_eq!(events(&mut node), [failed]);
    // Nobody listens to it, and it is asked no more, whoever names it.
    node.handle_message(now, address(1), response(&first[0].1, 1, vec![contact(2)]));
    node.handle_message(now, address(1), request(1, Ask::Ping));
    let mut asked = Vec::new();
    for second in 1..30 {
        for (to, message) in sent(&mut node) {
            asked.push(to);
            let host = (0..=255).find(|host| address(*host) == to).unwrap();
            node.handle_message(now, to, response(&message, host, vec![contact(1), contact(5), contact(11)]));
        }
        node.handle_timeout(now + Duration::from_secs(second));
    }
    assert!(asked.contains(&address(11)) && ![1, 5, 9].map(address).iter().any(|gone| asked.contains(gone)));
    let report = events(&mut node).into_iter().find_map(|event| match event {
        Event::LookupDone { report, .. } => Some(report),
        _ => None,
    });
    assert!(report.unwrap().complete);
    assert_eq!(node.request(now, address(5), None, Ask::Ping), RequestId::from(node.next_id));
    assert!(matches!(events(&mut node)[..], [Event::Requested { result: Err(Failure::NotSent), .. }]));
    assert!(node.unblock(address(5).ip()) && !node.unblock(address(5).ip()));
    node.request(now, address(5), None, Ask::Ping);
    assert_eq!(sent(&mut node).pop().map(|(to, _)| to), Some(address(5)));
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
    let mut node = acquainted_with_ten();
    let make = Box::new(|from: &Contact<Key<1>>, _: &Told| (from.key != Key::new([3])).then_some(Ask::Put));
    let options = LookupOptions { effort: Some(crate::Effort::Plain), ..LookupOptions::default() };
    node.publish(Instant::ZERO, Key::ZERO, Ask::Near(Key::ZERO), make, options).unwrap();
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

#[test]
fn t23_a_publish_with_the_least_effort_asks_nobody_twice() {
    for (effort, most) in [(crate::Effort::Plain, 1), (crate::Effort::Dense, 3)] {
        let mut node = acquainted_with_ten();
        let make = Box::new(|_: &Contact<Key<1>>, _: &Told| Some(Ask::Put));
        let options = LookupOptions { effort: Some(effort), ..LookupOptions::default() };
        let now = Instant::from_secs(1);
        node.publish(now, Key::ZERO, Ask::Near(Key::ZERO), make, options).unwrap();
        let mut asked = [0; 256];
        while !events(&mut node).iter().any(|event| matches!(event, Event::Stored { .. })) {
            for (to, message) in sent(&mut node) {
                let lookup = matches!(message.body, Body::Request { request: Ask::Near(Key::ZERO), .. });
                let host = (0..=255).find(|host| address(*host) == to).unwrap();
                asked[usize::from(host)] += usize::from(lookup);
            }
            let due = node.poll_timeout().unwrap();
            node.handle_timeout(due);
        }
        assert_eq!(asked.into_iter().max(), Some(most), "{effort:?}");
    }
}
