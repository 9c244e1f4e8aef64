//! P18, P31-P37 at the level of messages.

use kademlia_core::{Family, TransactionId};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;

use super::strategies::*;
use super::*;
use crate::bencode::tests::{Tree, reference};
use crate::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use crate::krpc::{MAX_DATAGRAM, MAX_POLITE_DATAGRAM, METHODS, compact, encode_in_topic, topic_of};

/// Peers that fit beside any other parts, in either family.
const FEW: usize = 8;

fn entries(tree: &mut Tree) -> &mut Vec<(Vec<u8>, Tree)> {
    match tree {
        Tree::Dict(entries) => entries,
        other => panic!("{other:?}"),
    }
}

fn under<'t>(tree: &'t mut Tree, key: &str) -> Option<&'t mut Tree> {
    entries(tree).iter_mut().find(|(found, _)| found == key.as_bytes()).map(|(_, value)| value)
}

fn text(text: &str) -> Tree {
    Tree::Bytes(text.as_bytes().to_vec())
}

/// Adds an unknown key and puts the keys in another order.
fn disturb(tree: &mut Tree, order: &[Index]) {
    let entries = entries(tree);
    let decoy = text("2:id20:aaaaaaaaaaaaaaaaaaaa1:y1:q1:t2:zz5:token1:x");
    entries
        .push((b"zz".to_vec(), Tree::List(vec![decoy.clone(), Tree::Dict(vec![(b"id".to_vec(), decoy)])])));
    entries.push((b"A".to_vec(), Tree::Int(-1)));
    for (at, with) in order.iter().enumerate() {
        let len = entries.len();
        entries.swap(at % len, with.index(len));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn p32_fs_a1_decode_undoes_encode(message in a_message(FEW)) {
        let bytes = encode(&message);
        prop_assert_eq!(decode(&bytes), Ok(message));
    }

    #[test]
    fn bep50_50_2_p32_a_message_of_a_topic_names_it_and_reads_as_any_other(
        message in a_message(FEW),
        topic in a_key(),
    ) {
        let mut bytes = Vec::new();
        encode_in_topic(&message, &topic, &mut bytes);
        prop_assert_eq!(topic_of(&bytes), Some(topic));
        prop_assert_eq!(topic_of(&encode(&message)), None);
        let read = decode(&bytes);
        match message.body {
            // What `c` takes may be missing elsewhere.
            Body::Response { .. } => prop_assert!(read.is_ok() && bytes.len() <= MAX_DATAGRAM),
            _ => prop_assert_eq!(read, Ok(message)),
        }
    }

    #[test]
    fn p32_encode_undoes_decode_for_canonical_bytes(message in a_message(FEW)) {
        let bytes = encode(&message);
        prop_assert_eq!(encode(&decode(&bytes).unwrap()), bytes);
    }

    #[test]
    fn p18_t12_bep32_32_6_no_datagram_without_a_value_is_longer_than_1024_bytes(message in a_message(100)) {
        let bytes = encode(&message);
        let has_value = match &message.body {
            Body::Request { request, .. } => matches!(request, Request::Put { .. }),
            Body::Response { response, .. } => response.item.as_ref().is_some_and(|item| item.value.is_some()),
            Body::Error { .. } => false,
        };
        let limit = if has_value { MAX_DATAGRAM } else { MAX_POLITE_DATAGRAM };
        prop_assert!(bytes.len() <= limit);
        prop_assert!(decode(&bytes).is_ok());
    }

    #[test]
    fn p31_no_bytes_make_the_decoder_panic(message in a_message(FEW), changes in vec((any::<Index>(), any::<u8>()), 1..6)) {
        let mut bytes = encode(&message);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = decode(&bytes) {
            let canonical = encode(&read);
            prop_assert_eq!(decode(&canonical).map(|message| encode(&message)), Ok(canonical));
        }
    }

    #[test]
    fn p34_c2_unknown_keys_and_their_order_change_nothing(
        message in a_message(FEW), outer in vec(any::<Index>(), 0..12), inner in vec(any::<Index>(), 0..12),
    ) {
        let mut tree = reference(&encode(&message)).unwrap();
        disturb(&mut tree, &outer);
        for dict in ["a", "r"] {
            if let Some(dict) = under(&mut tree, dict) {
                disturb(dict, &inner);
            }
        }
        prop_assert_eq!(decode(&tree.to_bytes()), Ok(message));
    }

    #[test]
    fn p35_fs_a2_every_transaction_id_is_echoed_as_it_came(id in vec(any::<u8>(), 0..=32), sender: [u8; 20]) {
        let mut query = b"d1:ad2:id20:".to_vec();
        query.extend(sender);
        query.extend(b"e1:q4:ping1:t");
        query.extend(format!("{}:", id.len()).bytes());
        query.extend(&id);
        query.extend(b"1:y1:qe");
        let message = decode(&query).unwrap();
        prop_assert_eq!(message.transaction.as_bytes(), &id);
        let body = Body::Response { sender: Key::new(sender), response: Response::default() };
        let mut reply = reference(&encode(&Message { body, ..message })).unwrap();
        prop_assert_eq!(under(&mut reply, "t"), Some(&mut Tree::Bytes(id)));
    }

    #[test]
    fn p37_bep5_5_4_compact_nodes_are_whole_or_ignored(bytes in vec(1..=255_u8, 0..420)) {
        for (family, size) in [(Family::V4, 26), (Family::V6, 38)] {
            let read = compact::nodes(&bytes, family).map(Iterator::count);
            prop_assert_eq!(read, bytes.len().is_multiple_of(size).then_some(bytes.len() / size));
        }
        let addr = compact::addr(&bytes);
        prop_assert_eq!(addr.is_some(), [6, 18].contains(&bytes.len()));
    }
}

const FLAGS: [&str; 4] = ["implied_port", "noseed", "scrape", "seed"];

/// Whether the argument may be so, as far as it alone is concerned.
fn is_right(key: &str, value: Option<&Tree>) -> bool {
    match (key, value) {
        ("cas" | "k" | "salt" | "seq" | "sig" | "want", None) => true,
        (flag, value) if FLAGS.contains(&flag) => matches!(value, None | Some(Tree::Int(_))),
        ("cas" | "seq", Some(Tree::Int(number))) => *number >= 0,
        ("k", Some(Tree::Bytes(bytes))) => bytes.len() == 32,
        ("port", Some(Tree::Int(port))) => (1..=0xffff).contains(port),
        ("salt" | "token", Some(Tree::Bytes(bytes))) => bytes.len() <= 64,
        ("sig", Some(Tree::Bytes(bytes))) => bytes.len() == 64,
        ("v", Some(_)) | ("want", Some(Tree::List(_))) => true,
        ("id" | "target" | "info_hash", Some(Tree::Bytes(bytes))) => bytes.len() == 20,
        _ => false,
    }
}

/// One argument of a query, missing, right, and wrong in each way there is.
fn variants(key: &str) -> Vec<Option<Tree>> {
    let right = match key {
        "k" => text(&"k".repeat(32)),
        "sig" => text(&"s".repeat(64)),
        "port" => Tree::Int(6881),
        "token" | "salt" => text("aoeusnth"),
        "want" => Tree::List(vec![text("n4")]),
        _ => text("mnopqrstuvwxyz123456"),
    };
    let others = [
        Tree::Int(-1),
        Tree::Int(0),
        Tree::Int(65_536),
        Tree::Int(i64::MIN),
        text("mnopqrstuvwxyz12345"),
        text(&"x".repeat(65)),
        Tree::List(vec![Tree::Int(1)]),
        Tree::Dict(Vec::new()),
    ];
    [None, Some(right)].into_iter().chain(others.map(Some)).collect()
}

/// What the query ought to meet, by the rules alone: nothing, or an error with this code.
fn refusal(arguments: &[(&str, Option<Tree>)]) -> Option<i64> {
    let value =
        |name: &str| arguments.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.as_ref());
    let implied = matches!(value("implied_port"), Some(Tree::Int(flag)) if *flag != 0);
    let wrong =
        arguments.iter().find(|(key, value)| !(is_right(key, value.as_ref()) || *key == "port" && implied));
    match wrong {
        // A port is looked at last, when it is known whether another stands in for it.
        Some(("salt", Some(Tree::Bytes(_)))) => Some(207),
        Some(_) => Some(203),
        None if value("k").is_some() && (value("seq").is_none() || value("sig").is_none()) => Some(203),
        None => None,
    }
}

/// Most queries tried of one method; of more, every so-manieth.
const TRIED: usize = 100_000;

#[test]
fn p36_fs_b9_every_method_with_every_subset_of_missing_and_wrong_arguments() {
    let mut tried = 0;
    for method in METHODS {
        let keys: Vec<&str> = method.arguments.iter().copied().chain(["id"]).collect();
        let choices: Vec<_> = keys.iter().map(|key| variants(key)).collect();
        let total: usize = choices.iter().map(Vec::len).product();
        for at in 0..total.min(TRIED) {
            // A prime step goes through all digits alike.
            let mut nth = if total > TRIED { at * 2_654_435_761 % total } else { at };
            let mut arguments = Vec::new();
            for (key, choices) in keys.iter().zip(&choices) {
                arguments.push((*key, choices[nth % choices.len()].clone()));
                nth /= choices.len();
            }
            let given =
                arguments.iter().filter_map(|(key, value)| Some((key.as_bytes().to_vec(), value.clone()?)));
            let query = Tree::Dict(vec![
                (b"a".to_vec(), Tree::Dict(given.collect())),
                (b"q".to_vec(), text(method.name)),
                (b"t".to_vec(), text("aa")),
                (b"y".to_vec(), text("q")),
            ]);
            let bytes = query.to_bytes();
            match refusal(&arguments) {
                None => assert_eq!(request(&bytes).method(), method.name),
                Some(code) => assert!(is_refused(&bytes, code), "{code}: {}", bytes.escape_ascii()),
            }
            tried += 1;
        }
    }
    assert!(tried > 300_000, "{tried}");
}

/// B3: the declaration is what is read and written, for all methods.
#[test]
fn fs_b3_each_method_writes_the_arguments_it_declares_and_reads_them_back() {
    use crate::krpc::{Families, Token};
    let (target, info_hash) = (key(b"mnopqrstuvwxyz123456"), key(b"mnopqrstuvwxyz123456").into());
    let token = Token::from_array([0xff; 8]);
    let owner = SecretKey::from_seed(&[1; 32]);
    let item = MutableItem::sign(&owner, Salt::new(b"salt").unwrap(), 2, RawValue::string("v").unwrap());
    let requests = [
        Request::Ping,
        Request::FindNode { target, want: Families::BOTH },
        Request::GetPeers { info_hash, noseed: true, scrape: true, want: Families::BOTH },
        Request::AnnouncePeer {
            implied_port: true,
            info_hash,
            port: core::num::NonZeroU16::new(1),
            seed: true,
            token,
        },
        Request::Get { seq: Some(1), target, want: Families::BOTH },
        Request::put(&Item::Mutable(item.into()), Some(1), token),
        Request::SampleInfohashes { target, want: Families::BOTH },
    ];
    assert_eq!(requests.len(), METHODS.len());
    for (request, method) in requests.into_iter().zip(METHODS) {
        assert_eq!(request.method(), method.name);
        assert!(method.arguments.is_sorted() && method.reply.is_sorted(), "{method:?}");
        let body = Body::Request { sender: target, read_only: false, request };
        let message = Message { transaction: TransactionId::from(1), observed: None, body };
        let bytes = encode(&message);
        let mut tree = reference(&bytes).unwrap();
        let written: Vec<_> =
            entries(under(&mut tree, "a").unwrap()).iter().map(|(key, _)| key.clone()).collect();
        let mut declared: Vec<_> =
            method.arguments.iter().chain(&["id"]).map(|key| key.as_bytes().to_vec()).collect();
        declared.sort();
        assert_eq!(written, declared);
        assert_eq!(decode(&bytes), Ok(message));
    }
}
