//! Requirements that other tests take for granted: 5.3, 5.11, 32.8, C.5.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail loudly")]

use std::net::SocketAddr;

use bittorrent_profile::krpc::{Families, Krpc, Request, Response};
use bittorrent_profile::{InfoHash, ServiceConfig};
use kademlia_core::{Body, Codec, Config, Contact, Event, Failure, Family, Key, Keyspace, TransactionId};
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use tests::engine::{self, Engine, LOCAL, naming, stranger};

const ASKER: &str = "8.8.8.8:6881";

/// Whether the bytes hold `2:id20:` and the key.
fn has_id(datagram: &[u8], key: Key<20>) -> bool {
    let id = [b"2:id20:".as_slice(), key.as_bytes()].concat();
    datagram.windows(id.len()).any(|window| window == id)
}

#[test]
fn bep5_5_3_every_query_and_every_response_has_an_id_of_20_bytes() {
    let mut node = Engine::server();
    let (asker, key): (SocketAddr, _) = (ASKER.parse().unwrap(), Key::new([0xfe; 20]));
    let target = InfoHash::new([0x77; 20]);
    let requests = [
        Request::Ping,
        Request::FindNode { target: target.into(), want: Families::NONE },
        Request::get_peers(target, Families::NONE),
    ];
    for request in requests {
        let datagram = engine::query(key, TransactionId::from(7), request);
        assert!(has_id(&datagram, key), "{}", datagram.escape_ascii());
        let sent = node.receive(asker, &datagram);
        assert!(has_id(&sent[0].1, LOCAL), "{}", sent[0].1.escape_ascii());
        // One byte more or less, and it is refused.
        for (length, id) in [(19, &[0xfe; 19][..]), (21, &[0xfe; 21])] {
            let wrong = [format!("2:id{length}:").as_bytes(), id].concat();
            let right = [b"2:id20:".as_slice(), key.as_bytes()].concat();
            let at = datagram.windows(right.len()).position(|window| window == right).unwrap();
            let bytes = [&datagram[..at], &wrong, &datagram[at + right.len()..]].concat();
            let sent = node.receive(asker, &bytes);
            let reply = Krpc::decode(&sent[0].1).unwrap();
            assert!(matches!(reply.body, Body::Error { code: 203, .. }), "{reply:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn bep5_5_11_distance_is_the_exclusive_or_as_an_unsigned_integer(
        target in any::<[u8; 20]>(), a in any::<[u8; 20]>(), b in any::<[u8; 20]>(), alike in 0..20_usize,
    ) {
        // Often alike in the first bytes, so that the last ones decide, too.
        let b: [u8; 20] = std::array::from_fn(|at| if at < alike { a[at] } else { b[at] });
        let number = |key: [u8; 20]| {
            let xor: [u8; 20] = std::array::from_fn(|at| key[at] ^ target[at]);
            let (high, low) = xor.split_at(4);
            (u32::from_be_bytes(high.try_into().unwrap()), u128::from_be_bytes(low.try_into().unwrap()))
        };
        prop_assert_eq!(
            Key::new(target).cmp_distance(&Key::new(a), &Key::new(b)),
            number(a).cmp(&number(b))
        );
    }
}

#[test]
fn bep32_32_8_an_address_from_a_port_message_is_asked_in_its_own_family_only() {
    for (family, other) in [(Family::V4, Family::V6), (Family::V6, Family::V4)] {
        let config = Config::default();
        let mut node = Engine::new(&[Family::V4, Family::V6], &config, ServiceConfig::default());
        let (now, known) = (node.now, stranger(1, family));
        node.stack.bootstrap(now, &[known.addr]);
        let sent = node.sent();
        assert_eq!(sent.iter().map(|(to, _)| *to).collect::<Vec<_>>(), [known.addr]);
        let answer = engine::reply(&sent[0].1, known.key, Response::default()).unwrap();
        node.receive(known.addr, &answer);
        assert_eq!(node.stack.node(family).unwrap().table().len(), 1);
        assert!(node.stack.node(other).unwrap().table().is_empty());
    }
}

#[test]
fn c5_a_reply_under_another_id_than_expected_brings_nothing_in() {
    let mut node = Engine::server();
    let (expected, other) = (stranger(1, Family::V4), stranger(2, Family::V4));
    node.introduce(stranger(3, Family::V4));
    let (now, before) = (node.now, node.stack.node(Family::V4).unwrap().table().len());
    let v4 = node.stack.node_mut(Family::V4).unwrap();
    v4.request(
        now,
        expected.addr,
        Some(expected.key),
        Request::FindNode { target: LOCAL, want: Families::NONE },
    );
    let sent = node.sent();
    let named: Vec<Contact<Key<20>>> = (4..9).map(|n| stranger(n, Family::V4)).collect();
    let suspicious = engine::reply(&sent[0].1, other.key, naming(named)).unwrap();
    assert!(node.receive(expected.addr, &suspicious).is_empty(), "nobody it names is asked");
    let v4 = node.stack.node(Family::V4).unwrap();
    assert_eq!((v4.table().len(), v4.counters().impostors), (before, 1));
    assert!(node.events().is_empty());
    // The request still waits for the one it was for.
    let proper = engine::reply(&sent[0].1, expected.key, Response::default()).unwrap();
    node.receive(expected.addr, &proper);
    let answered = |event: &Event<_>| matches!(event, Event::Requested { result: Ok(answered), .. } if answered.from == expected);
    let events = node.events();
    assert!(events.iter().any(answered), "{events:?}");
    assert!(
        !events.iter().any(|event| matches!(event, Event::Requested { result: Err(Failure::TimedOut), .. }))
    );
}
