//! Bytes and messages: what goes in comes out, and nothing else comes in.

use core::net::SocketAddr;

use kademlia_core::{Body, Codec, Contact, Key, Malformed, Message, TransactionId};
use minicbor::Encoder;
use proptest::prelude::*;

use super::strategies::{a_long_response, a_message};
use super::*;
use crate::identity::SecretKey;
use crate::message::{Request, Response, Token};
use crate::record::{Draft, Topic};
use crate::refusal::Refusal;
use crate::time::Timestamp;

type M = Message<SignedRecords>;

fn encoded(message: &M) -> Vec<u8> {
    let mut bytes = vec![0xee]; // appended, not overwritten
    Cbor::encode(message, &mut bytes);
    bytes.split_off(1)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn fs_d1_what_is_written_is_read(message in a_message()) {
        let bytes = encoded(&message);
        prop_assert!(bytes.len() <= MAX_DATAGRAM, "{} bytes", bytes.len());
        let read = Cbor::decode(&bytes).unwrap();
        prop_assert_eq!(&read, &message);
        prop_assert_eq!(encoded(&read), bytes);
    }

    #[test]
    fn no_bytes_panic_and_what_is_read_is_canonical_once_written(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(message) = Cbor::decode(&bytes) {
            prop_assert_eq!(Cbor::decode(&encoded(&message)), Ok(message));
        }
    }

    #[test]
    fn a_damaged_message_is_another_or_none(message in a_message(), at: prop::sample::Index, to: u8) {
        let mut bytes = encoded(&message);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(message) = Cbor::decode(&bytes) {
            prop_assert_eq!(Cbor::decode(&encoded(&message)), Ok(message));
        }
    }

    #[test]
    fn a_part_of_a_message_is_garbage(message in a_message(), at: prop::sample::Index) {
        let bytes = encoded(&message);
        let part = &bytes[..at.index(bytes.len())];
        prop_assert!(matches!(Cbor::decode(part), Err(Malformed::Garbage(_))));
        let longer = [&bytes[..], &[0]].concat();
        prop_assert!(matches!(Cbor::decode(&longer), Err(Malformed::Garbage(_))));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_response_is_longer_than_a_datagram_and_it_says_what_it_left_out(message in a_long_response()) {
        let bytes = encoded(&message);
        prop_assert!(bytes.len() <= MAX_DATAGRAM, "{} bytes", bytes.len());
        let (Body::Response { response: read, .. }, Body::Response { response, .. }) =
            (Cbor::decode(&bytes).unwrap().body, message.body) else { panic!("a response") };
        prop_assert!(response.records.starts_with(&read.records));
        prop_assert_eq!(read.more, response.more || read.records.len() < response.records.len());
        // The longest of all still carries a record, or nobody would ever see that one.
        prop_assert_eq!(read.records.is_empty(), response.records.is_empty());
    }
}

fn longest_record() -> crate::SignedRecord {
    let topic = Topic::new(&"t".repeat(crate::MAX_TOPIC)).unwrap();
    let draft = Draft::topic(topic, [0xff; crate::MAX_PAYLOAD]).unwrap();
    let mut record = draft.sign(&SecretKey::from_seed(&[1; 32]), u64::MAX, Timestamp::from_millis(u64::MAX));
    record.ttl = u32::MAX;
    record
}

fn message(body: Body<SignedRecords>) -> M {
    let observed = match body {
        Body::Request { .. } => None,
        _ => Some("[2001:db8::1]:65535".parse().unwrap()),
    };
    Message { transaction: TransactionId::new(&[0xff; 32]).unwrap(), observed, body }
}

fn asked(request: Request) -> M {
    message(Body::Request { sender: Key::new([0xff; 32]), read_only: true, request })
}

#[test]
fn fs_d1_the_longest_messages_fit() {
    let (token, key) = (Token([0xff; 8]), Key::new([0xff; 32]));
    let store = asked(Request::Store { key, record: longest_record(), token });
    let contact = Contact::new(key, "[2001:db8::2]:65535".parse().unwrap());
    let response = Response {
        contacts: vec![contact; 30],
        records: vec![longest_record(); 30],
        more: true,
        token: Some(token),
        signature: None,
    };
    let found = message(Body::Response { sender: key, response: response.clone() });
    let nodes = message(Body::Response { sender: key, response: Response { records: vec![], ..response } });
    let lengths = [store, found, nodes].map(|message| encoded(&message).len());
    assert_eq!(lengths, [828, 1_217, 1_109]);
}

#[test]
fn p17_t9_an_answer_is_at_most_three_times_as_long_as_its_question() {
    let (token, key) = (Token([0xff; 8]), Key::new([0xff; 32]));
    let mut worst = 0.0_f64;
    for (addr, headers) in [("192.0.2.1:65535", 28), ("[2001:db8::1]:65535", 48)] {
        let addr: SocketAddr = addr.parse().unwrap();
        let on_wire = |message: &M| (encoded(message).len() + headers) as f64;
        let nodes = Response { contacts: vec![Contact::new(key, addr); 30], ..Response::default() };
        let short = endpoint(8);
        // Records of every length, for how many fit depends on it.
        let lists = (0..=crate::MAX_PAYLOAD).step_by(8).map(|length| vec![endpoint(length); MAX_RECORDS + 1]);
        let found = lists.chain([vec![], vec![longest_record()]]).map(|records| Response {
            records,
            token: Some(token),
            ..nodes.clone()
        });
        let proof = Response { signature: Some(short.signature), ..Response::default() };
        let (find, nonce) = (Request::Find { target: key, kind: None, after: None }, [0xff; 16]);
        let exchanges = found.map(|found| (find.clone(), found)).chain([
            (Request::Ping, Response::default()),
            (Request::Identify { nonce }, proof),
            (Request::FindNode { target: key }, nodes.clone()),
            (Request::Store { key, record: short, token }, Response::default()),
            (Request::Probe { addr, nonce, token }, Response::default()),
        ]);
        for (request, response) in exchanges {
            for transaction in [&[0xff; 32][..], &[0xff]] {
                let transaction = TransactionId::new(transaction).unwrap();
                let body = Body::Request { sender: key, read_only: false, request: request.clone() };
                let asked = Message { transaction, observed: None, body };
                let body = Body::Response { sender: key, response: response.clone() };
                let answer = Message { transaction, observed: Some(addr), body };
                let ratio = on_wire(&answer) / on_wire(&asked);
                assert!(ratio <= 3.0, "{ratio:.2} for {asked:?}");
                worst = worst.max(ratio);
            }
        }
    }
    println!("at most {worst:.2} times");
    assert!(worst > 2.5, "the longest answers were among them");
}

fn endpoint(length: usize) -> crate::SignedRecord {
    let draft = Draft::endpoint(vec![7; length]).unwrap();
    draft.sign(&SecretKey::from_seed(&[1; 32]), 1, Timestamp::from_millis(1_800_000_000_000))
}

#[test]
fn p17_t9_a_question_is_as_long_as_it_has_to_be_or_told_that_it_is_not() {
    let target = Key::new([0xff; 32]);
    let after = Some(SecretKey::from_seed(&[1; 32]).public());
    let kind = Some(crate::Kind::Mailbox);
    for request in [
        Request::FindNode { target },
        Request::Find { target, kind: None, after: None },
        Request::Find { target, kind, after },
    ] {
        for length in 0..=32 {
            let transaction = TransactionId::new(&[7; 32][..length]).unwrap();
            let datagram = encoded(&Message { transaction, ..asked(request.clone()) });
            assert!((QUESTION..=QUESTION + 1).contains(&datagram.len()), "{}", datagram.len());
        }
    }
    let (transaction, sender, key) = (bytes(&[7]), bytes(&[1; 32]), bytes(&[2; 32]));
    for what in [4, 5] {
        let with = |zeros: usize| {
            let (what, zeros) = ([what], bytes(&vec![0; zeros]));
            map(&[(0, &what), (1, &transaction), (2, &sender), (5, &key), (18, &zeros)])
        };
        let frame = with(300).len() - 300;
        assert!(Cbor::decode(&with(QUESTION - frame)).is_ok());
        for zeros in [0, 100, QUESTION - frame - 1] {
            assert_eq!(refusal(&with(zeros)), Some(Refusal::Malformed), "{zeros}");
        }
    }
}

#[test]
fn fs_d8_an_address_takes_six_bytes_or_eighteen() {
    for (addr, length) in [("192.0.2.1:7101", 6), ("[2001:db8::1]:7101", 18)] {
        let addr: SocketAddr = addr.parse().unwrap();
        let reply = |observed| {
            let body = Body::Response { sender: Key::new([1; 32]), response: Response::default() };
            encoded(&Message { transaction: TransactionId::from(1), observed, body })
        };
        // A key, a header, and the bytes.
        assert_eq!(reply(Some(addr)).len() - reply(None).len(), 2 + length);
        assert_eq!(Cbor::decode(&reply(Some(addr))).unwrap().observed, Some(addr));
    }
}

/// A map from pairs of a key and the bytes of its value, as they are.
fn map(entries: &[(u64, &[u8])]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&mut out).map(entries.len() as u64).unwrap();
    for (key, value) in entries {
        Encoder::new(&mut out).u64(*key).unwrap();
        out.extend_from_slice(value);
    }
    out
}

fn bytes(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&mut out).bytes(value).unwrap();
    out
}

fn is_garbage(datagram: &[u8]) -> bool {
    matches!(Cbor::decode(datagram), Err(Malformed::Garbage(_)))
}

fn refusal(datagram: &[u8]) -> Option<Refusal> {
    match Cbor::decode(datagram) {
        Err(Malformed::Request { transaction, code, .. }) => {
            assert_eq!(transaction.as_bytes(), [7]);
            Refusal::from_code(code)
        }
        _ => None,
    }
}

#[test]
fn malformed_cbor_meets_silence() {
    let (transaction, sender) = (bytes(&[7]), bytes(&[1; 32]));
    let ping: Vec<(u64, &[u8])> = vec![(0, &[2]), (1, &transaction), (2, &sender)];
    assert!(Cbor::decode(&map(&ping)).is_ok());
    let with = |at: usize, key: u64, value: &[u8]| {
        let mut entries: Vec<(u64, Vec<u8>)> =
            ping.iter().map(|(key, value)| (*key, value.to_vec())).collect();
        entries.insert(at, (key, value.to_vec()));
        map(&entries.iter().map(|(key, value)| (*key, &value[..])).collect::<Vec<_>>())
    };
    assert!(
        Cbor::decode(&with(3, 99, &[0x82, 0x01, 0xa1, 0x02, 0x03])).is_ok(),
        "unknown keys are passed over"
    );
    for (why, datagram) in [
        ("nothing", vec![]),
        ("a key twice", with(1, 0, &[2])),
        ("keys out of order", with(0, 99, &[1])),
        ("a map without length", [&[0xbf], &map(&ping)[1..], &[0xff]].concat()),
        ("no map", vec![0x83, 2, 7, 1]),
        ("a map that claims 2⁶⁴ - 1 entries", [&[0xbb][..], &[0xff; 8], &map(&ping)[1..]].concat()),
        ("bytes that claim 2⁶⁴ - 1 of them", with(3, 99, &[0x5b, 255, 255, 255, 255, 255, 255, 255, 255])),
        ("an array that claims 2⁶³ items", with(3, 99, &[0x9b, 128, 0, 0, 0, 0, 0, 0, 0, 1])),
        ("a thousand arrays in each other, without an end", with(3, 99, &[0x81; 1_000])),
        ("a thousand maps without length in arrays", with(3, 99, &[0x81, 0xbf].repeat(500))),
        ("a thousand tags", with(3, 99, &[0xc0; 1_000])),
        ("a reserved header", with(3, 99, &[0x1c])),
        ("no type", map(&ping[1..])),
        ("no transaction", map(&[ping[0], ping[2]])),
        ("a transaction of 33 bytes", map(&[ping[0], (1, &bytes(&[0; 33])), ping[2]])),
        ("longer than any message", with(3, 99, &bytes(&[0; MAX_DATAGRAM]))),
        ("a response without sender", map(&[(0, &[0]), ping[1]])),
        ("a response with contacts of 37 bytes", map(&[(0, &[0]), ping[1], ping[2], (14, &bytes(&[0; 37]))])),
        ("an error without code", map(&[(0, &[1]), ping[1]])),
    ] {
        assert!(is_garbage(&datagram), "{why}");
    }
    let nested = [vec![0x81; 900], vec![0x01]].concat();
    assert!(Cbor::decode(&with(3, 99, &nested)).is_ok(), "nesting is no matter where nobody looks");
}

#[test]
fn a_request_that_lacks_something_is_told_so() {
    let (transaction, sender, key) = (bytes(&[7]), bytes(&[1; 32]), bytes(&[2; 32]));
    let request = |what: u8, rest: &[(u64, &[u8])]| {
        let (what, zeros) = ([what], bytes(&[0; QUESTION]));
        let mut entries: Vec<(u64, &[u8])> = vec![(0, &what[..]), (1, &transaction), (2, &sender)];
        entries.extend(rest);
        if matches!(what, [4 | 5]) {
            entries.push((18, &zeros));
        }
        refusal(&map(&entries))
    };
    let (nonce, token, short) = (bytes(&[3; 16]), bytes(&[4; 8]), bytes(&[5; 7]));
    for (what, rest, expected) in [
        (2, &[][..], None),
        (3, &[], Some(Refusal::Malformed)),
        (3, &[(8, &short[..])], Some(Refusal::Malformed)),
        (3, &[(8, &nonce)], None),
        (4, &[], Some(Refusal::Malformed)),
        (5, &[(5, &key), (6, &[9])], Some(Refusal::Malformed)),
        (5, &[(5, &key), (6, &[1])], None),
        (6, &[(5, &key), (10, &token)], Some(Refusal::Malformed)),
        (6, &[(5, &key), (10, &token), (16, &[0x81, 0x01])], Some(Refusal::Malformed)),
        (7, &[(8, &nonce), (9, &short), (10, &token)], Some(Refusal::Malformed)),
        (9, &[], Some(Refusal::Unknown)),
        (23, &[], Some(Refusal::Unknown)),
    ] {
        assert_eq!(request(what, rest), expected, "{what} {rest:?}");
    }
    assert_eq!(refusal(&map(&[(0, &[2]), (1, &transaction)])), Some(Refusal::Malformed), "nobody asks");
}

#[test]
fn an_oversize_payload_is_refused_as_such() {
    let mut record = longest_record();
    record.payload = None;
    let mut out = Vec::new();
    record.write_cbor(&mut out);
    // The null before the signature becomes one byte more than may be.
    let at = out.len() - 67;
    assert_eq!(out[at], 0xf6);
    out.splice(at..=at, bytes(&[0; crate::MAX_PAYLOAD + 1]));
    let (transaction, sender, key) = (bytes(&[7]), bytes(&[1; 32]), bytes(&[2; 32]));
    let token = bytes(&[4; 8]);
    let records = [&[0x81][..], &out].concat();
    let store = map(&[(0, &[6]), (1, &transaction), (2, &sender), (5, &key), (10, &token), (16, &records)]);
    assert_eq!(refusal(&store), Some(Refusal::Oversize));
}

#[test]
fn a_record_of_two_minds_is_none() {
    let topic = longest_record();
    let endpoint =
        Draft::endpoint("x").unwrap().sign(&SecretKey::from_seed(&[1; 32]), 1, Timestamp::default());
    for (record, kind) in [(&topic, 0_u8), (&topic, 2), (&endpoint, 1), (&endpoint, 3)] {
        let mut out = Vec::new();
        record.write_cbor(&mut out);
        let read = |bytes: &[u8]| crate::SignedRecord::read_cbor(&mut minicbor::Decoder::new(bytes));
        assert_eq!(read(&out).as_ref(), Ok(record));
        out[35] = kind;
        assert_eq!(read(&out), Err(Refusal::Malformed), "{kind}");
    }
}

#[test]
fn an_errors_text_is_cut_between_characters() {
    let text = "ä".repeat(100);
    let error = message(Body::Error { code: i64::MIN, text });
    let Body::Error { code, text } = Cbor::decode(&encoded(&error)).unwrap().body else { panic!("an error") };
    assert_eq!((code, text.len()), (i64::MIN, MAX_ERROR_TEXT));
}
