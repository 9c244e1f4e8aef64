//! P1–P8: any history of inputs, commands and clock jumps.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::*;

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
    Block(u8),
    Unblock(u8),
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
        1 => any::<u8>().prop_map(Input::Block),
        1 => any::<u8>().prop_map(Input::Unblock),
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
            // Few, so that the blocked ask and are named, and are unblocked, too.
            Input::Block(host) => node.block(now, address(host % 32).ip()),
            Input::Unblock(host) => {
                node.unblock(address(host % 32).ip());
            }
        }
    }

    /// Drains the outputs and lets due deadlines act; gives back the packets sent.
    fn drain(&mut self) -> usize {
        let mut packets = 0;
        for _turn in 0..64 {
            while let Some(cause) = self.node.next_cause() {
                let Some((to, message)) = self.node.poll_message() else {
                    panic!("P6: no message for {cause:?}")
                };
                assert!(self.node.blocked().all(|ip| ip != to.ip()), "P20: {message:?} to {to}");
                let replies = !matches!(message.body, Body::Request { .. });
                assert_eq!(replies, cause == Cause::Reply, "P6: {message:?} because of {cause:?}");
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
    fn p1_p2_p3_p4_p5_p6_p8_p20_any_history_is_survived_bounded_and_repeatable(
        history in proptest::collection::vec(input(), 1..80),
    ) {
        // Several lookups at once are no storm: with fewer paths the bound tells the two apart.
        let mut config = Config { k: 4, ..Config::default() };
        config.lookup.paths = 2;
        let (mut one, mut two) = (Host::new(config.clone()), Host::new(config));
        for input in &history {
            one.apply(input);
            let packets = one.drain();
            prop_assert!(packets <= 64, "P5: {packets} packets after one input");
            prop_assert_eq!(one.node.check(), Ok(()), "P8");
            let pending = one.node.outstanding() > 0;
            prop_assert!(!pending || one.node.poll_timeout().is_some(), "P4: work without a deadline");
            prop_assert!(one.node.memory() <= one.node.memory_limit(), "P7");
        }
        for input in &history {
            two.apply(input);
            two.drain();
        }
        prop_assert_eq!(one.trace, two.trace, "P1");
    }
}
