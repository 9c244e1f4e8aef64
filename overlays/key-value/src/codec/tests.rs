use kademlia_core::{Key, TransactionId};
use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::pair::MAX_VALUE;
use crate::protocol::ErrorCode;
use crate::token::Token;

fn key() -> impl Strategy<Value = Id> {
    any::<[u8; 32]>().prop_map(Key::new)
}

fn token() -> impl Strategy<Value = Token> {
    any::<[u8; 8]>().prop_map(Token::new)
}

fn addr() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

fn item() -> impl Strategy<Value = Versioned> {
    let value = proptest::option::of(vec(any::<u8>(), 0..=MAX_VALUE));
    (any::<u64>(), value, any::<u32>()).prop_map(|(version, value, life)| Versioned {
        version,
        value: value.map(|bytes| Value::new(&bytes).unwrap()),
        life,
    })
}

/// Those with an IPv4 address first, as they are written.
fn contacts(most: usize) -> impl Strategy<Value = Vec<Contact<Id>>> {
    vec((key(), addr()).prop_map(|(key, addr)| Contact::new(key, addr)), 0..=most).prop_map(|mut contacts| {
        contacts.sort_by_key(|contact| contact.addr.is_ipv6());
        contacts
    })
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Ping),
        (key(), token(), item()).prop_map(|(key, token, item)| Request::Store { key, token, item }),
        key().prop_map(|target| Request::FindNode { target }),
        key().prop_map(|key| Request::FindValue { key }),
    ]
}

/// `most` contacts beside the longest value.
fn response(most: usize) -> impl Strategy<Value = Response> {
    prop_oneof![
        Just(Response::Pong),
        Just(Response::Stored),
        (token(), contacts(K)).prop_map(|(token, contacts)| Response::Nodes { token, contacts }),
        (token(), item(), contacts(most)).prop_map(|(token, item, contacts)| Response::Found {
            token,
            item,
            contacts
        }),
    ]
}

fn message(most: usize) -> impl Strategy<Value = Message<KeyValue>> {
    let transaction = vec(any::<u8>(), 0..=32).prop_map(|bytes| TransactionId::new(&bytes).unwrap());
    let observed = || proptest::option::of(addr());
    let body = prop_oneof![
        (key(), any::<bool>(), request())
            .prop_map(|(sender, read_only, request)| (None, Body::Request { sender, read_only, request })),
        (observed(), key(), response(most))
            .prop_map(|(observed, sender, response)| (observed, Body::Response { sender, response })),
        (observed(), any::<i64>(), "\\PC{0,60}")
            .prop_map(|(observed, code, text)| (observed, Body::Error { code, text })),
    ];
    (transaction, body).prop_map(|(transaction, (observed, body))| Message { transaction, observed, body })
}

fn encoded(message: &Message<KeyValue>) -> Vec<u8> {
    let mut out = Vec::new();
    Compact::encode(message, &mut out);
    out
}

fn with_body(body: Body<KeyValue>) -> Message<KeyValue> {
    Message { transaction: TransactionId::from(7), observed: None, body }
}

fn asked(request: Request) -> Message<KeyValue> {
    with_body(Body::Request { sender: Key::new([1; 32]), read_only: false, request })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p32_what_is_written_is_read_again(message in message(2)) {
        prop_assert_eq!(Compact::decode(&encoded(&message)), Ok(message));
    }

    #[test]
    fn p31_any_bytes_are_an_error_or_the_one_way_to_write_a_message(bytes in vec(any::<u8>(), 0..200), kind: u8, t in 0_u8..8) {
        for bytes in [bytes.clone(), [&[VERSION, kind, t], &bytes[..]].concat()] {
            if let Ok(message) = Compact::decode(&bytes) {
                prop_assert_eq!(encoded(&message), bytes);
            }
        }
    }

    #[test]
    fn p31_a_changed_message_is_an_error_or_another_message_in_its_one_way(
        message in message(2), at: prop::sample::Index, to: u8, cut: prop::sample::Index,
    ) {
        let mut bytes = encoded(&message);
        let at = at.index(bytes.len());
        bytes[at] = to;
        if let Ok(changed) = Compact::decode(&bytes) {
            prop_assert_eq!(&encoded(&changed), &bytes);
        }
        let kept = &bytes[..cut.index(bytes.len())];
        if let Ok(cut) = Compact::decode(kept) {
            prop_assert_eq!(encoded(&cut), kept);
        }
    }

    #[test]
    fn p18_no_message_is_longer_than_the_longest(message in message(60)) {
        prop_assert!(encoded(&message).len() <= LONGEST);
        prop_assert!(Compact::decode(&encoded(&message)).is_ok());
    }
}

#[test]
fn fs_e2_the_longest_value_fits_and_twenty_contacts_do() {
    let (key, token) = (Key::new([2; 32]), Token::new([3; 8]));
    let item = Versioned { version: 1, value: Some(Value::new(&[4; MAX_VALUE]).unwrap()), life: 1 };
    let transaction = TransactionId::new(&[5; 32]).unwrap();
    let fits = |observed, contact: &str| {
        let contacts = vec![Contact::new(key, contact.parse().unwrap()); 30];
        let given = |response| {
            let body = Body::Response { sender: key, response };
            match Compact::decode(&encoded(&Message { transaction, observed, body })).unwrap().body {
                Body::Response { response: Response::Nodes { contacts, .. }, .. } => contacts.len(),
                Body::Response { response: Response::Found { contacts, item, .. }, .. } => {
                    assert_eq!(item.value.unwrap().as_bytes().len(), MAX_VALUE);
                    contacts.len()
                }
                other => panic!("{other:?}"),
            }
        };
        (
            given(Response::Nodes { token, contacts: contacts.clone() }),
            given(Response::Found { token, item: item.clone(), contacts }),
        )
    };
    assert_eq!(fits("8.8.8.8:1".parse().ok(), "8.8.8.8:1"), (20, 3));
    assert_eq!(fits("[2a00::1]:1".parse().ok(), "[2a00::1]:1"), (20, 2));
    let beside = |family| contacts_beside(&item, family);
    assert_eq!((beside(Family::V4), beside(Family::V6)), (3, 2));
    let store = encoded(&asked(Request::Store { key, token, item: item.clone() }));
    assert!(store.len() <= LONGEST);
}

/// By the headers of its family. The observed address and the contacts are of that family too.
#[test]
fn p17_t9_an_answer_is_at_most_three_times_as_long_as_its_question() {
    let (key, token) = (Key::new([2; 32]), Token::new([3; 8]));
    let item = Versioned { version: 1, value: Some(Value::new(&[4; MAX_VALUE]).unwrap()), life: 1 };
    for (addr, headers) in [("8.8.8.8:1", 28), ("[2a00::1]:1", 48)] {
        let addr: SocketAddr = addr.parse().unwrap();
        let contacts = vec![Contact::new(key, addr); K];
        let on_wire = |message: Message<KeyValue>| encoded(&message).len() + headers;
        let ratio = |request, response| {
            let answer = with_body(Body::Response { sender: key, response });
            on_wire(Message { observed: Some(addr), ..answer }) as f64 / on_wire(asked(request)) as f64
        };
        let nodes = Response::Nodes { token, contacts: contacts.clone() };
        let found = Response::Found { token, item: item.clone(), contacts };
        let removed = Versioned { value: None, ..item.clone() };
        let ratios = [
            ratio(Request::Ping, Response::Pong),
            ratio(Request::Store { key, token, item: removed }, Response::Stored),
            ratio(Request::FindNode { target: key }, nodes),
            ratio(Request::FindValue { key }, found),
        ];
        println!("{addr}: {ratios:.2?}");
        assert!(ratios.iter().all(|ratio| *ratio <= 3.0), "{addr}: {ratios:?}");
    }
}

/// Each is one step away from a message that is taken.
#[test]
fn p31_malformed_datagrams_meet_silence_but_two_that_are_told_why() {
    let find = encoded(&asked(Request::FindNode { target: Key::new([2; 32]) }));
    assert!(Compact::decode(&find).is_ok());
    let garbage = |bytes: &[u8]| matches!(Compact::decode(bytes), Err(Malformed::Garbage(_)));
    assert!(garbage(&[]) && garbage(b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe"));
    for length in 0..find.len() {
        assert!(garbage(&find[..length]), "cut to {length}");
    }
    let with = |at: usize, byte: u8| {
        let mut bytes = find.clone();
        bytes[at] = byte;
        bytes
    };
    assert!(garbage(&with(0, VERSION + 1)), "another version");
    assert!(garbage(&with(2, 33)), "a transaction id of 33 bytes");
    assert!(garbage(&with(QUESTION - 1, 1)), "padding that says something");
    assert!(garbage(&[&find[..], &[0]].concat()), "too much padding");
    assert!(garbage(&with(1, 0x85)) && garbage(&with(1, 0xfe)), "answers of no kind");

    let refused = |bytes: &[u8]| match Compact::decode(bytes) {
        Err(Malformed::Request { code, transaction, .. }) if transaction == TransactionId::from(7) => {
            Some(code)
        }
        _ => None,
    };
    assert_eq!(refused(&with(1, 0x05)), Some(ErrorCode::UnknownRequest.into()));
    let item = Versioned { version: 1, value: Some(Value::new(&[4; MAX_VALUE]).unwrap()), life: 1 };
    let store = Request::Store { key: Key::new([2; 32]), token: Token::new([3; 8]), item };
    let mut store = encoded(&asked(store));
    assert!(garbage(&[&store[..], &[0]].concat()), "something behind the value");
    let length = store.len() - MAX_VALUE - 2;
    store[length + 1] += 1;
    assert!(garbage(&store), "a byte of the value is missing");
    store.push(4);
    assert_eq!(refused(&store), Some(ErrorCode::TooLong.into()));
}

#[test]
fn more_contacts_than_twenty_are_no_message() {
    let contacts = |n| vec![Contact::new(Key::new([2; 32]), "8.8.8.8:1".parse().unwrap()); n];
    let nodes = Response::Nodes { token: Token::new([3; 8]), contacts: contacts(K) };
    let mut bytes = encoded(&with_body(Body::Response { sender: Key::new([1; 32]), response: nodes }));
    assert!(Compact::decode(&bytes).is_ok());
    let counts = bytes.len() - K * CONTACT_V4 - 2;
    bytes[counts] += 1;
    bytes.extend([0; CONTACT_V4]);
    assert!(Compact::decode(&bytes).is_err());
}

#[test]
fn a_long_text_is_cut_between_characters() {
    let text = "é".repeat(200);
    let bytes = encoded(&with_body(Body::Error { code: -1, text }));
    let Body::Error { text, code } = Compact::decode(&bytes).unwrap().body else { panic!() };
    assert_eq!((code, text.len()), (-1, 254));
}
