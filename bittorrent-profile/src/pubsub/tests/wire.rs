//! 50.2: `c` in every message.

use kademlia_core::Malformed;

use super::*;
use crate::krpc::{MAX_DATAGRAM, Nodes, Token};

const TOPIC: Key<20> = Key::new(*b"cccccccccccccccccccc");

fn transaction() -> TransactionId {
    TransactionId::new(b"aa").unwrap()
}

fn query(request: Request) -> Message<Mainline> {
    let sender = Key::new(*b"abcdefghij0123456789");
    let body = Body::Request { sender, read_only: false, request };
    Message { transaction: transaction(), observed: None, body }
}

fn encoded(message: &Message<Mainline>) -> Vec<u8> {
    let mut out = Vec::new();
    encode_in_topic(message, &TOPIC, &mut out);
    out
}

/// BEP 50's example, with our `v`.
#[test]
fn bep50_50_2_the_example_byte_by_byte() {
    let get = Request::Get { seq: Some(4), target: TOPIC, want: Families::NONE };
    assert_eq!(
        encoded(&query(get)).escape_ascii().to_string(),
        "d1:ad2:id20:abcdefghij01234567893:seqi4e6:target20:cccccccccccccccccccce\
         1:c20:cccccccccccccccccccc1:q3:get1:t2:aa1:v4:KD\\x00\\x011:y1:qe"
    );
    let mut nodes = Nodes::default();
    nodes.open(Family::V4);
    let item = ItemParts { seq: Some(4), ..ItemParts::default() };
    let response =
        Response { nodes, token: Token::new(b"tok"), item: Some(Box::new(item)), ..Response::default() };
    let body = Body::Response { sender: Key::new(*b"mnopqrstuvwxyz123456"), response };
    let reply = Message { transaction: transaction(), observed: None, body };
    assert_eq!(
        encoded(&reply).escape_ascii().to_string(),
        "d1:c20:cccccccccccccccccccc1:rd2:id20:mnopqrstuvwxyz1234565:nodes0:3:seqi4e5:token3:toke\
         1:t2:aa1:y1:re"
    );
}

#[test]
fn bep50_50_2_every_kind_of_message_names_its_topic_and_reads_as_without() {
    let put = Request::put(&Item::Mutable(version(3)), None, Token::new(b"tok").unwrap());
    let mut observed = query(Request::Ping);
    observed.observed = Some(addr(9));
    observed.body = Body::Response { sender: Key::new([3; 20]), response: Response::default() };
    let error = Message { body: Body::Error { code: 203, text: "bad token".into() }, ..observed.clone() };
    let find = Request::FindNode { target: TOPIC, want: Families::BOTH };
    for message in [query(Request::Ping), query(find), query(put), observed, error] {
        let bytes = encoded(&message);
        assert_eq!(topic_of(&bytes), Some(TOPIC));
        assert_eq!(Krpc::decode(&bytes), Ok(message.clone()));
        let mut plain = Vec::new();
        Krpc::encode(&message, &mut plain);
        assert_eq!(topic_of(&plain), None, "Mainline's own");
        assert_eq!(bytes.len(), plain.len() + 26);
    }
}

#[test]
fn bep50_50_2_only_a_top_level_string_of_20_bytes_is_a_topic() {
    for bytes in [
        "d1:ad1:c20:cccccccccccccccccccc2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:c19:ccccccccccccccccccc1:q4:ping1:t2:aa1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:ci7e1:q4:ping1:t2:aa1:y1:qe",
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t9:1:c20:cc31:y1:qe",
        "d1:c20:cccccccccccccccccccc",
        "",
    ] {
        assert_eq!(topic_of(bytes.as_bytes()), None, "{bytes}");
    }
    let disorder = b"d1:y1:q1:t2:aa1:q4:ping1:c20:cccccccccccccccccccc1:ad2:id20:abcdefghij0123456789ee";
    assert_eq!(topic_of(disorder), Some(TOPIC), "C.2");
}

#[test]
fn t9_the_longest_version_and_its_topic_fit_into_a_datagram() {
    let value = RawValue::string(vec![b'x'; 996]).unwrap();
    let item = MutableItem::sign(&owner(), topic().salt(), i64::MAX, value);
    let parts = ItemParts::of(&Item::Mutable(Arc::new(item)), None);
    let mut response = Response { item: Some(Box::new(parts)), ..Response::default() };
    response.token = Token::new(b"12345678");
    response.nodes.extend((0..8).map(|n| kademlia_core::Contact::new(Key::new([n; 20]), addr(n.into()))));
    for length in 0..=32 {
        let transaction = TransactionId::new(&[b't'; 32][..length]).unwrap();
        let body = Body::Response { sender: Key::new([1; 20]), response: response.clone() };
        let bytes = encoded(&Message { transaction, observed: Some(addr(1)), body });
        assert!(bytes.len() <= MAX_DATAGRAM, "{length}: {}", bytes.len());
        let Ok(Message { body: Body::Response { response, .. }, .. }) = Krpc::decode(&bytes) else {
            panic!("it reads");
        };
        let item = response.item.unwrap().mutable(&topic().key(), &topic().salt());
        assert_eq!(item.map(|item| item.seq), Some(i64::MAX), "without its key, if need be");
    }
}

#[test]
fn garbage_is_of_no_topic() {
    assert!(matches!(Krpc::decode(b"d1:c20:cccccccccccccccccccce"), Err(Malformed::Garbage(_))));
}
