//! BEP 5's queries, BEP 42 and 43 and the unwritten conventions.

use kademlia_core::Family;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

use super::*;
use crate::bencode::{MAX_TOKENS, Tape};
use crate::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use crate::krpc::METHODS;

#[test]
fn bep5_5_6_fs_a9_ping_is_answered_with_our_id() {
    let mut node = node(ServiceConfig::default());
    let response = Asker::at("8.8.8.8:1").ask(&mut node, Request::Ping);
    assert_eq!(response, blank());
    assert_eq!(response.version.unwrap().as_bytes(), VERSION);
}

#[test]
fn bep5_5_7_5_12_fs_a9_find_node_gives_the_eight_closest_good_nodes() {
    let mut node = node(ServiceConfig::default());
    let strangers = strangers(40, Family::V4);
    strangers.iter().for_each(|contact| introduce(&mut node, *contact));
    let held: Vec<_> = node.table().iter().map(|entry| entry.contact()).collect();
    assert!(held.len() > 8, "{held:?}");
    for target in [[0x55; 20], [0; 20], [0xff; 20], strangers[20].key.to_bytes()].map(Key::new) {
        let response =
            Asker::at("8.8.8.8:1").ask(&mut node, Request::FindNode { target, want: Families::NONE });
        let mut expected = held.clone();
        expected.sort_by(|a, b| target.cmp_distance(&a.key, &b.key));
        assert_eq!(response.nodes.contacts(), &expected[..8]);
    }
}

#[test]
fn bep42_42_4_the_asker_s_address_is_in_every_reply_and_error() {
    let mut node = node(ServiceConfig::default());
    for from in ["8.8.8.8:1234", "[2a00:1450::1]:6881"] {
        let asker = Asker::at(from);
        let reply = asker.send(&mut node, START, &asker.bytes(Request::Ping)).unwrap();
        assert_eq!(reply.observed, Some(addr(from)));
        let token = Token::from_array([0; 8]);
        let error = asker.send(&mut node, START, &asker.bytes(announce(1, 1, token))).unwrap();
        assert!(matches!(error.body, Body::Error { code: 203, .. }));
        assert_eq!(error.observed, Some(addr(from)));
    }
}

#[test]
fn bep42_42_5_whose_id_does_not_fit_is_served_all_the_same() {
    let mut node = node(ServiceConfig { strict_bep42: true, ..ServiceConfig::default() });
    let asker = Asker::at("8.8.8.8:1");
    assert!(!node_id::verify(asker.addr.ip(), &asker.id));
    let token = asker.ask(&mut node, get_peers(1)).token.unwrap();
    asker.ask(&mut node, announce(1, 6881, token));
    assert_eq!(asker.ask(&mut node, get_peers(1)).values, [addr("8.8.8.8:6881")]);
}

#[test]
fn bep42_fs_b7_strict_keeps_ids_that_do_not_fit_out_of_the_table_only() {
    let ip = addr("8.8.8.8:6881");
    let fitting = Contact::new(node_id::derive(ip.ip(), &mut Rng::from_number(1)), ip);
    let other = Contact::new(Key::new([0xaa; 20]), addr("9.9.9.9:6881"));
    let local = Contact::new(Key::new([0xbb; 20]), addr("10.0.0.1:6881"));
    for (strict, admission) in [(true, Admission::Visitable), (false, Admission::Eligible)] {
        let mut node = node(ServiceConfig { strict_bep42: strict, ..ServiceConfig::default() });
        let service = node.service();
        assert_eq!(service.admit(&fitting), Admission::Eligible);
        assert_eq!(service.admit(&local), Admission::Eligible, "exempt (42.3)");
        assert_eq!(service.admit(&other), admission);
        introduce(&mut node, fitting);
        introduce(&mut node, other);
        assert_eq!(node.table().len(), if strict { 1 } else { 2 });
    }
}

#[test]
fn bep42_42_4_a_new_address_brings_a_new_id_unless_the_old_one_fits() {
    let mut service = MainlineService::new(ServiceConfig::default(), [1; 32]);
    let mut rng = Rng::from_number(1);
    for external in ["8.8.8.8:1", "[2a00:1450::1]:1"].map(addr) {
        let id = service.rename(external, Key::new(LOCAL), &mut rng);
        assert_ne!(id, Key::new(LOCAL));
        assert!(node_id::verify(external.ip(), &id));
        assert_eq!(service.rename(external, id, &mut rng), id);
    }
    assert_eq!(service.rename(addr("192.168.1.2:1"), Key::new(LOCAL), &mut rng), Key::new(LOCAL), "exempt");
}

#[test]
fn bep43_43_2_a_read_only_asker_is_served_but_neither_kept_nor_pinged() {
    for read_only in [true, false] {
        let mut node = node(ServiceConfig::default());
        let asker = Asker { read_only, ..Asker::at("8.8.8.8:1") };
        node.handle_datagram(START, asker.addr, &asker.bytes(Request::Ping));
        let mut sent = Vec::new();
        while let Some((_, message)) = node.poll_message() {
            sent.push(message.body);
        }
        assert!(matches!(sent[0], Body::Response { .. }));
        assert_eq!(sent.len(), if read_only { 1 } else { 2 }, "{sent:?}");
        assert!(node.table().is_empty());
    }
}

#[test]
fn c1_fs_b9_unknown_methods_get_nodes_or_204() {
    let mut node = node(ServiceConfig::default());
    strangers(4, Family::V4).iter().for_each(|contact| introduce(&mut node, *contact));
    let asker = Asker::at("8.8.8.8:1");
    let id = "2:id20:abcdefghij0123456789";
    let query = |q: &str| [format!("d1:ad{q}1:t7:").as_bytes(), b"\xff\0asker1:y1:qe"].concat();
    for named in ["6:target", "9:info_hash"] {
        let unknown = query(&format!("{id}{named}20:mnopqrstuvwxyz123456e1:q5:novel"));
        match asker.send(&mut node, START, &unknown).map(|message| message.body) {
            Some(Body::Response { response, .. }) => assert_eq!(response.nodes.contacts().len(), 4),
            other => panic!("{other:?}"),
        }
    }
    match asker.send(&mut node, START, &query(&format!("{id}e1:q5:novel"))).map(|message| message.body) {
        Some(Body::Error { code, .. }) => assert_eq!(code, 204),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fs_b3_a_reply_has_the_parts_that_its_method_declares() {
    let mut node = node(ServiceConfig::default());
    strangers(4, Family::V4).iter().for_each(|contact| introduce(&mut node, *contact));
    let asker = Asker::at("8.8.8.8:1");
    let token = asker.ask(&mut node, get_peers(1)).token.unwrap();
    let (target, info_hash) = (Key::new([1; 20]), InfoHash::new([1; 20]));
    let owner = SecretKey::from_seed(&[1; 32]);
    let item = MutableItem::sign(&owner, Salt::default(), 2, RawValue::string("v").unwrap());
    let item = Item::Mutable(item.into());
    let get = Request::Get { seq: None, target: item.target(), want: Families::BOTH };
    let put_token = asker.ask(&mut node, get.clone()).token.unwrap();
    for request in [
        announce(1, 1, token),
        Request::Ping,
        Request::FindNode { target, want: Families::BOTH },
        Request::GetPeers { info_hash, noseed: false, scrape: true, want: Families::BOTH },
        Request::put(&item, None, put_token),
        get,
        Request::SampleInfohashes { target, want: Families::BOTH },
    ] {
        let method = METHODS.iter().find(|method| method.name == request.method()).unwrap();
        node.handle_datagram(START, asker.addr, &asker.bytes(request));
        let mut reply = Vec::new();
        assert_eq!(node.poll_transmit(&mut reply), Some(asker.addr));
        while node.poll_message().is_some() {}
        let mut tape = Tape::<MAX_TOKENS>::new();
        let parts = tape.parse(&reply).unwrap().dict().unwrap().get(b"r").unwrap().dict().unwrap();
        let mut declared: Vec<_> = ["id"].iter().chain(method.reply).map(|part| part.as_bytes()).collect();
        declared.sort_unstable();
        assert_eq!(parts.map(|(key, _)| key).collect::<Vec<_>>(), declared, "{}", method.name);
    }
}

#[test]
fn t10_p19_replies_errors_and_junk_meet_silence() {
    let mut node = node(ServiceConfig::default());
    let asker = Asker::at("8.8.8.8:1");
    for junk in [
        &b""[..],
        b"d1:t1:a1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe trailing",
        b"d1:rd2:id20:abcdefghij0123456789e1:t4:aaaa1:y1:re",
        b"d1:eli201e4:oopse1:t4:aaaa1:y1:ee",
        &[b'l'; 1_400],
        &[b'd'; 1_400],
        b"99999999999:",
        &[0; 65_507],
    ] {
        assert_eq!(asker.send(&mut node, START, junk), None, "{}", junk.escape_ascii());
    }
    asker.ask(&mut node, Request::Ping);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p35_the_reply_echoes_any_transaction_id(id in vec(any::<u8>(), 0..=32)) {
        let mut node = node(ServiceConfig::default());
        let asker = Asker { transaction: TransactionId::new(&id).unwrap(), ..Asker::at("8.8.8.8:1") };
        let reply = asker.send(&mut node, START, &asker.bytes(Request::Ping)).unwrap();
        prop_assert_eq!(reply.transaction.as_bytes(), id);
    }
}
