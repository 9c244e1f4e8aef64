//! An overlay with one flaw at a time, and the law that finds it.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kademlia_core::{
    Body, Codec, Config, Contact, Contacts, Instant, Key, Malformed, Message, Node, Protocol, Reply,
    ServeContext, Service, Table, Task, TaskId, TransactionId,
};
use transport_mem::Birth;
use transport_mem::kit::{Kit, Law, Violation};

use super::overlay::{Request, Tiny};
use super::{K, requests, responses};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Nothing,
    // In the decoder:
    ForgetsTheSender,
    Panics,
    /// Believes a length.
    Inflates,
    AnswersJunk,
    /// Takes a response for a request.
    AnswersReplies,
    // In the encoder:
    CutsTransactions,
    ChangesTransactions,
    WritesTooMuch,
    // In the service:
    /// Wants to be called at once, for ever.
    Insists,
    /// Catches up second by second.
    Counts,
    FearsTheEndOfTime,
    KeepsEverything,
    /// Answers its first so many requests only.
    Tires(usize),
    /// Names only one contact.
    Withholds,
    /// Does not expect that nobody asks for two minutes.
    Expects,
    /// Answers out of a memory that all share.
    Wavers,
    /// Asks whoever asks.
    AsksBack,
    // In the configuration:
    SpeaksToAnybody,
}

thread_local! {
    /// A codec has no state of its own.
    static FLAW: Cell<Flaw> = const { Cell::new(Flaw::Nothing) };
}

static WAVERED: AtomicU32 = AtomicU32::new(0);

fn has(flaw: Flaw) -> bool {
    FLAW.get() == flaw
}

/// The toy overlay, but for the flaw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Flawed;

impl Protocol for Flawed {
    type Key = K;
    type Request = Request<K>;
    type Response = Contacts<K>;
    type Codec = Self;

    fn ping() -> Request<K> {
        Request::Ping
    }

    fn find_node(target: K) -> Request<K> {
        Request::FindNode(target)
    }

    fn contacts(response: &Contacts<K>) -> &[Contact<K>] {
        response
    }
}

fn translated<P, Q>(message: Message<P>) -> Message<Q>
where
    P: Protocol<Key = K, Request = Request<K>, Response = Contacts<K>>,
    Q: Protocol<Key = K, Request = Request<K>, Response = Contacts<K>>,
{
    let Message { transaction, observed, body } = message;
    let body = match body {
        Body::Request { sender, read_only, request } => Body::Request { sender, read_only, request },
        Body::Response { sender, response } => Body::Response { sender, response },
        Body::Error { code, text } => Body::Error { code, text },
    };
    Message { transaction, observed, body }
}

impl Codec<Flawed> for Flawed {
    fn decode(datagram: &[u8]) -> Result<Message<Flawed>, Malformed> {
        assert!(!has(Flaw::Panics) || datagram.len() != 1, "a datagram of one byte");
        let mut message = match <Tiny<4> as Codec<Tiny<4>>>::decode(datagram) {
            Ok(message) => translated::<_, Flawed>(message),
            Err(_) if has(Flaw::AnswersJunk) => {
                let transaction = TransactionId::from(0);
                return Err(Malformed::Request { transaction, code: 203, text: "what?" });
            }
            Err(malformed) => return Err(malformed),
        };
        match (FLAW.get(), &mut message.body) {
            (Flaw::ForgetsTheSender, Body::Response { sender, .. }) => *sender = Key::new([0; 4]),
            (Flaw::Inflates, Body::Error { code, text }) => {
                let [.., high, low] = code.to_be_bytes();
                *text = text.repeat(u16::from_be_bytes([high, low]).into());
            }
            (Flaw::AnswersReplies, Body::Response { sender, .. }) => {
                let sender = *sender;
                message.body = Body::Request { sender, read_only: false, request: Request::Ping };
            }
            _ => {}
        }
        Ok(message)
    }

    fn encode(message: &Message<Flawed>, out: &mut Vec<u8>) {
        let mut message = message.clone();
        let is_response = matches!(message.body, Body::Response { .. });
        let bytes = message.transaction.as_bytes();
        match FLAW.get() {
            Flaw::CutsTransactions => {
                message.transaction = TransactionId::new(bytes.get(..4).unwrap_or(bytes)).unwrap();
            }
            Flaw::ChangesTransactions if is_response => message.transaction = TransactionId::from(7),
            _ => {}
        }
        let is_error = matches!(message.body, Body::Error { .. });
        <Tiny<4> as Codec<Tiny<4>>>::encode(&translated(message), out);
        if has(Flaw::WritesTooMuch) && is_error {
            out.resize(out.len() + 1_000, b' ');
        }
    }
}

#[derive(Debug, Default)]
struct Served {
    asked: usize,
    at: Instant,
    kept: BTreeSet<K>,
    asker: Option<SocketAddr>,
}

impl Service<Flawed> for Served {
    fn serve(&mut self, request: Request<K>, cx: &ServeContext<'_, Flawed>) -> Reply<Flawed> {
        self.asked += 1;
        self.asker = has(Flaw::AsksBack).then_some(cx.from);
        let mut closest = Contacts::new();
        if let Request::FindNode(target) = request {
            cx.closest(&target, cx.family(), 8, &mut closest);
        }
        match FLAW.get() {
            Flaw::FearsTheEndOfTime => assert!(cx.now.as_micros() < u64::MAX, "a time that cannot be"),
            Flaw::KeepsEverything => drop(self.kept.insert(cx.sender)),
            Flaw::Tires(after) if self.asked > after => return Reply::Ignore,
            Flaw::Withholds => closest = closest.last().copied().into_iter().collect(),
            Flaw::Expects => {
                let pause = cx.now.since(self.at);
                assert!(self.asked == 1 || pause < Duration::from_secs(120), "nobody asked for {pause:?}");
                self.at = cx.now;
            }
            Flaw::Wavers if WAVERED.fetch_add(1, Ordering::Relaxed).is_multiple_of(7) => closest.clear(),
            _ => {}
        }
        Reply::Response(closest)
    }

    fn poll_timeout(&self) -> Option<Instant> {
        match FLAW.get() {
            Flaw::Insists => Some(self.at),
            Flaw::Counts => Some(self.at + Duration::from_secs(1)),
            _ => None,
        }
    }

    fn poll_task(&mut self, _: Instant, _: &Table<K>) -> Option<(TaskId, Task<Flawed>)> {
        let task = Task::Request { to: self.asker.take()?, expected: None, request: Request::Ping };
        Some((TaskId(0), task))
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.at = if has(Flaw::Counts) { self.at + Duration::from_secs(1) } else { now };
    }
}

/// The toy overlay with this flaw, on this thread.
fn kit(flaw: Flaw) -> Kit<Flawed, Served> {
    FLAW.set(flaw);
    let node = move |birth: Birth<K>| {
        let config = Config::default();
        let config = if flaw == Flaw::SpeaksToAnybody { config.private_network() } else { config };
        Node::new(Served::default(), birth.key, config, birth.seed, birth.now)
    };
    let kit = Kit::new(node).requests(requests()).responses(responses()).errors([(203, "no")]);
    kit.size(450).cases(300).nodes(24)
}

/// The law, tried alone, finds the flaw, and says with which seed it does.
fn violation(flaw: Flaw, law: Law) -> Violation {
    let violation = kit(flaw).laws([law]).run().expect_err("the flaw is found");
    println!("{violation}\n");
    assert_eq!((violation.law, violation.seed), (law, 1));
    let text = violation.to_string();
    assert!(text.starts_with(law.text()) && text.contains("expected") && text.ends_with("seed 1"));
    violation
}

#[test]
fn without_a_flaw_all_laws_hold() {
    kit(Flaw::Nothing).check();
}

#[test]
#[should_panic(expected = "P32 codec: decode(encode(m)) = m")]
fn a_broken_law_fails_a_test_by_its_name() {
    kit(Flaw::ForgetsTheSender).check();
}

#[test]
fn p32_a_decoder_that_forgets_the_sender() {
    let violation = violation(Flaw::ForgetsTheSender, Law::DecodeUndoesEncode);
    assert!(violation.expected.contains("the same message"), "{violation}");
}

#[test]
fn p35_an_encoder_that_cuts_long_transactions_of_others() {
    assert!(kit(Flaw::CutsTransactions).laws([Law::DecodeUndoesEncode]).run().is_ok(), "ours are short");
    let violation = violation(Flaw::CutsTransactions, Law::EncodeUndoesDecode);
    assert!(violation.expected.contains("transaction"), "{violation}");
}

#[test]
fn p31_a_decoder_that_panics() {
    let violation = violation(Flaw::Panics, Law::DecodeNeverPanics);
    assert!(
        violation.expected.contains("no panic") && violation.expected.contains("one byte"),
        "{violation}"
    );
    assert!(violation.case.starts_with("1 bytes"), "{violation}");
}

#[test]
fn p31_a_decoder_that_makes_much_of_little() {
    violation(Flaw::Inflates, Law::DecodeIsBounded);
    let measured = kit(Flaw::Nothing).laws([Law::DecodeIsBounded]).measure(|run| {
        run();
        1 << 20
    });
    let violation = measured.run().expect_err("a megabyte is too much");
    assert!(violation.expected.contains("heap"), "{violation}");
}

#[test]
fn p18_an_encoder_that_writes_too_much() {
    let violation = violation(Flaw::WritesTooMuch, Law::Size);
    assert!(violation.expected.contains("at most 450"), "{violation}");
}

#[test]
fn p4_a_service_whose_timer_never_rests() {
    violation(Flaw::Insists, Law::Timers);
}

#[test]
fn p5_a_service_that_catches_up_second_by_second_or_fears_the_end_of_time() {
    let stuck = kit(Flaw::Counts).laws([Law::Clock]).run().expect_err("ten years are many seconds");
    assert_eq!(stuck.law, Law::Timers, "{stuck}");
    let violation = violation(Flaw::FearsTheEndOfTime, Law::Clock);
    assert!(violation.expected.contains("cannot be"), "{violation}");
}

#[test]
fn p19_t10_a_codec_that_has_junk_answered() {
    let violation = violation(Flaw::AnswersJunk, Law::Silence);
    assert!(violation.expected.contains("silence"), "{violation}");
}

#[test]
fn p35_a_codec_that_changes_transactions() {
    let violation = violation(Flaw::ChangesTransactions, Law::Silence);
    assert!(violation.expected.contains("transaction"), "{violation}");
}

#[test]
fn t10_nodes_that_answer_answers_and_nodes_that_ask_whoever_asks() {
    for flaw in [Flaw::AnswersReplies, Flaw::AsksBack] {
        let violation = violation(flaw, Law::Conversation);
        assert!(violation.expected.contains("silence"), "{violation}");
    }
}

#[test]
fn p7_a_service_that_keeps_everything() {
    let held = |service: &Served| 32 * service.kept.len();
    let hoards = kit(Flaw::KeepsEverything).laws([Law::Bounds]).holds(held, 16_384);
    let violation = hoards.run().expect_err("the flaw is found");
    assert!(violation.expected.contains("at most 16384") && violation.law == Law::Bounds, "{violation}");
}

#[test]
fn t8_a_service_that_a_flood_silences() {
    let violation = violation(Flaw::Tires(1_000), Law::Bounds);
    assert!(violation.case.contains("ping"), "{violation}");
}

#[test]
fn p20_t13_a_configuration_that_speaks_to_private_addresses() {
    let violation = violation(Flaw::SpeaksToAnybody, Law::Addresses);
    assert!(violation.expected.contains("may be spoken to"), "{violation}");
    assert!(kit(Flaw::SpeaksToAnybody).laws([Law::Addresses]).private().run().is_ok());
}

#[test]
fn p25_a_service_that_names_the_wrong_contacts() {
    let violation = violation(Flaw::Withholds, Law::Exact);
    assert!(violation.expected.contains("closest"), "{violation}");
}

#[test]
fn p23_a_service_that_soon_answers_nobody() {
    let violation = violation(Flaw::Tires(100), Law::Recall);
    assert!(violation.expected.contains("95.0 %"), "{violation}");
}

#[test]
fn p3_a_service_that_panics_when_much_goes_wrong() {
    let violation = violation(Flaw::Expects, Law::Ends);
    assert!(violation.expected.contains("nobody asked"), "{violation}");
}

#[test]
fn p1_a_service_with_a_memory_outside_of_it() {
    let violation = violation(Flaw::Wavers, Law::Determinism);
    assert!(violation.case.contains("they part at"), "{violation}");
}
