//! Bad input: each its own error or silence, and nothing of it is kept.

use kademlia_core::Malformed;

use super::*;
use crate::authority::Decision;
use crate::message::identity_bytes;

const NOW: Instant = Instant::ZERO;

#[test]
fn fs_d1_each_bad_record_has_its_own_error_and_none_is_kept() {
    let policy: Policy = Arc::new(|_, record, _| match record.payload() {
        Some(b"unwanted") => Decision::Deny,
        _ => Decision::Allow,
    });
    let mut node =
        service(RecordsConfig::default()).with_policy(policy).into_node(engine_config(), [3; 32], NOW);
    let good = endpoint("x").sign(&person(5), 1, WALL);
    let mut forged = good.clone();
    forged.sequence = 2;
    let day = Duration::from_secs(86_400);
    for (record, refusal) in [
        (forged, Refusal::BadSignature),
        (SignedRecord { publisher: person(6).public(), ..good.clone() }, Refusal::BadSignature),
        (endpoint("x").sign(&person(5), 1, WALL.before(day)), Refusal::Expired),
        (endpoint("x").sign(&person(5), 1, WALL.after(Duration::from_secs(61))), Refusal::Future),
        (endpoint("x").lasting(day * 2).sign(&person(5), 1, WALL), Refusal::TooLong),
        (endpoint("unwanted").sign(&person(5), 1, WALL), Refusal::Denied),
    ] {
        assert_eq!(put(&mut node, NOW, host(1), &record), Err(refusal));
    }
    let elsewhere = Key::new([7; 32]);
    let token = token(&mut node, NOW, host(1), elsewhere);
    let request = Request::Store { key: elsewhere, record: good, token };
    assert_eq!(ask(&mut node, NOW, host(1), request), Some(Err(Some(Refusal::WrongKey))));
    assert!(node.service().storage().is_empty());
}

#[test]
fn fs_d1_puts_from_forged_addresses_fill_nothing() {
    let mut node = node(RecordsConfig::default());
    let record = endpoint("x").sign(&person(5), 1, WALL);
    let key = record.target();
    // What is sent to a forged address its owner does not hear; the token of another address is of no use.
    let own = token(&mut node, NOW, host(1), key);
    for n in 2..1_000 {
        let request = Request::Store { key, record: record.clone(), token: own };
        let answer = ask(&mut node, NOW, host(n), request);
        assert_eq!(answer, Some(Err(Some(Refusal::BadToken))));
    }
    assert!(node.service().storage().is_empty());
    let request = Request::Store { key, record, token: own };
    assert_eq!(ask(&mut node, NOW, host(1), request), Some(Ok(Response::default())));
}

#[test]
fn fs_d1_a_token_is_good_for_five_minutes_and_no_longer_than_ten() {
    let mut node = node(RecordsConfig::default());
    let record = endpoint("x").sign(&person(5), 1, WALL);
    let (key, given) = (record.target(), Instant::from_secs(12_345));
    let token = token(&mut node, given, host(1), key);
    let mut store = |now, key, sequence| {
        let record = endpoint("x").sign(&person(5), sequence, clock().at(now));
        ask(&mut node, now, host(1), Request::Store { key, record, token })
    };
    assert_eq!(store(given, Key::new([8; 32]), 2), Some(Err(Some(Refusal::BadToken))), "another key's");
    assert_eq!(store(given + Duration::from_secs(300), key, 3), Some(Ok(Response::default())));
    assert_eq!(store(given + Duration::from_secs(600), key, 4), Some(Err(Some(Refusal::BadToken))));
}

#[test]
fn malformed_datagrams_meet_silence_and_leave_nothing() {
    let mut node = node(RecordsConfig::default());
    let mut rng = Rng::from_number(1);
    let record = endpoint("x").sign(&person(5), 1, WALL);
    let token = token(&mut node, NOW, host(1), record.target());
    let body = Body::Request {
        sender: Key::new([9; 32]),
        read_only: true,
        request: Request::Store { key: record.target(), record, token },
    };
    let mut good = Vec::new();
    Cbor::encode(&Message { transaction: TransactionId::from(7), observed: None, body }, &mut good);
    let mut silent = 0;
    for _ in 0..2_000 {
        let mut bad = good.clone();
        let at = rng.below(bad.len());
        bad[at] ^= 1 << rng.below(8);
        bad.truncate(bad.len() - rng.below(2) * rng.below(bad.len()));
        node.handle_datagram(NOW, host(1), &bad);
        match Cbor::decode(&bad) {
            Err(Malformed::Garbage(_)) => {
                assert!(node.poll_message().is_none());
                silent += 1;
            }
            _ => while node.poll_message().is_some() {},
        }
    }
    assert!(silent > 100, "{silent}");
    // A bit of the sender, the transaction or the flag may differ: then it is the same record, and in order.
    let storage = node.service().storage();
    assert!(storage.len() <= 1);
    assert!(node.service_mut().list(NOW, 10).iter().all(|(_, record)| record.is_authentic()));
}

#[test]
fn fs_d6_a_node_proves_its_identity_to_whoever_asks_and_to_nobody_else() {
    let mut node = node(RecordsConfig::default());
    let nonce = [4; 16];
    let answer = ask(&mut node, NOW, host(1), Request::Identify { nonce }).unwrap().unwrap();
    let own = node.service().identity();
    let proof = answer.signature.unwrap();
    let verifies =
        |nonce, asker| own.verifies(&identity_bytes(&nonce, &own.key(), &Key::new([asker; 32])), &proof);
    assert!(verifies(nonce, 9));
    assert!(!verifies([5; 16], 9) && !verifies(nonce, 8));
}

#[test]
fn fs_d10_an_echo_goes_to_the_host_that_asks_for_it_and_shows_a_token() {
    let mut node = node(RecordsConfig::default());
    let (asker, nonce) = (host(1), [4; 16]);
    let claimed = SocketAddr::new(asker.ip(), 9_999);
    let own = token(&mut node, NOW, asker, Key::new([9; 32]));
    let probe = |addr, token| Request::Probe { addr, nonce, token };
    let mut ask = |from, request| {
        let body = Body::Request { sender: Key::new([9; 32]), read_only: true, request };
        node.handle_message(NOW, from, Message { transaction: TransactionId::from(7), observed: None, body });
        let mut said = Vec::new();
        while let Some((to, message)) = node.poll_message() {
            let word = match message.body {
                Body::Request { request, .. } => format!("{request:?}"),
                Body::Response { .. } => "yes".to_owned(),
                Body::Error { text, .. } => text,
            };
            said.push((to, word));
        }
        said
    };
    let word = |text: &str| text.to_owned();
    assert_eq!(ask(asker, probe(host(2), own)), [(asker, word("not your address"))]);
    assert_eq!(ask(asker, probe(claimed, Token([0; 8]))), [(asker, word("bad token"))]);
    assert_eq!(ask(host(3), probe(SocketAddr::new(host(3).ip(), 1), own)), [(host(3), word("bad token"))]);
    let echo = (claimed, format!("{:?}", Request::Echo { nonce }));
    assert_eq!(ask(asker, probe(claimed, own)), [(asker, word("yes")), echo]);
    assert_eq!(ask(asker, probe(claimed, own)), [(asker, word("too many echoes"))]);
    assert_eq!(ask(asker, Request::Echo { nonce }), [], "nobody waits for it");
}

/// Whoever asks in another's name: a third of what arrives there, and little in all.
#[test]
fn t9_a_victim_gets_little_of_what_is_asked_in_its_name() {
    let mut node = node(RecordsConfig::default());
    for n in 10..30 {
        let draft = Draft::topic(Topic::new("t").unwrap(), [7; 400]).unwrap();
        assert_eq!(put(&mut node, NOW, host(n.into()), &draft.sign(&person(n), 1, WALL)), Ok(()));
    }
    let (mut now, victim) = (Instant::from_secs(60), host(1));
    let request = Request::Find { target: Topic::new("t").unwrap().key(), kind: None, after: None };
    let body = Body::Request { sender: Key::new([9; 32]), read_only: false, request };
    let mut question = Vec::new();
    Cbor::encode(&Message { transaction: TransactionId::from(7), observed: None, body }, &mut question);
    let (mut sent, mut received, mut first) = (0, 0, None);
    for _ in 0..10_000 {
        sent += question.len() + 28;
        node.handle_datagram(now, victim, &question);
        let mut bytes = Vec::new();
        while let Some(to) = node.poll_transmit(&mut bytes) {
            assert_eq!(to, victim, "nobody else is spoken to");
            first.get_or_insert(bytes.len());
            received += bytes.len() + 28;
            bytes.clear();
        }
        now = now + Duration::from_millis(1);
    }
    println!("{sent} bytes in ten seconds brought the victim {received}, the first answer {first:?}");
    assert!(first.is_some_and(|first| first > 900 && first + 28 <= 3 * (question.len() + 28)));
    assert!(received <= 11 * (8 << 10) + (32 << 10) && received * 10 <= sent);
}

#[test]
fn fs_d1_an_oversize_payload_is_told_so_and_not_kept() {
    let mut node = node(RecordsConfig::default());
    let draft = Draft::endpoint([7; crate::MAX_PAYLOAD]).unwrap();
    let record = draft.sign(&person(5), 1, WALL);
    let (key, asker) = (record.target(), host(1));
    let token = token(&mut node, NOW, asker, key);
    let body = Body::Request {
        sender: Key::new([9; 32]),
        read_only: true,
        request: Request::Store { key, record, token },
    };
    let mut datagram = Vec::new();
    Cbor::encode(&Message { transaction: TransactionId::from(7), observed: None, body }, &mut datagram);
    let mut longer = datagram.clone();
    // The payload's length stands in two bytes before it, and the signature with its header, 66 bytes, is the end.
    let end = longer.len() - 66;
    let length = end - crate::MAX_PAYLOAD - 2;
    assert_eq!(longer[length..length + 2], 512_u16.to_be_bytes());
    longer[length + 1] += 1;
    longer.insert(end, 7);
    node.handle_datagram(NOW, asker, &longer);
    assert_eq!(reply(&mut node, asker), Some(Err(Some(Refusal::Oversize))));
    assert!(node.service().storage().is_empty());
    node.handle_datagram(NOW, asker, &datagram);
    assert_eq!(reply(&mut node, asker), Some(Ok(Response::default())), "a byte less is no matter");
    assert_eq!(node.service().storage().len(), 1);
}
