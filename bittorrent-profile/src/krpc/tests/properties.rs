//! P18, P31-P37 at the level of messages.

use kademlia_core::{Family, TransactionId};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;

use super::strategies::*;
use super::*;
use crate::bencode::tests::{Tree, reference};
use crate::krpc::{MAX_POLITE_DATAGRAM, METHODS, compact};

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
    fn p32_encode_undoes_decode_for_canonical_bytes(message in a_message(FEW)) {
        let bytes = encode(&message);
        prop_assert_eq!(encode(&decode(&bytes).unwrap()), bytes);
    }

    #[test]
    fn p18_t12_bep32_32_6_no_datagram_is_longer_than_1024_bytes(message in a_message(100)) {
        let bytes = encode(&message);
        prop_assert!(bytes.len() <= MAX_POLITE_DATAGRAM);
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

/// One argument of a query, right or wrong in each way there is.
fn variants(key: &str) -> Vec<(Option<Tree>, bool)> {
    let is_flag = key == "implied_port";
    let is_optional = is_flag || key == "want";
    let right = match key {
        "implied_port" => Tree::Int(0),
        "port" => Tree::Int(6881),
        "token" => text("aoeusnth"),
        "want" => Tree::List(vec![text("n4")]),
        _ => text("mnopqrstuvwxyz123456"),
    };
    let is_right = |tree: &Tree| match (key, tree) {
        ("token", Tree::Bytes(bytes)) => bytes.len() <= 64,
        ("want", Tree::List(_)) | ("implied_port", Tree::Int(_)) => true,
        ("port", Tree::Int(port)) => (1..=0xffff).contains(port),
        _ => false,
    };
    let wrong = [
        Tree::Int(-1),
        Tree::Int(0),
        Tree::Int(65_536),
        Tree::Int(i64::MIN),
        text("mnopqrstuvwxyz12345"),
        text(&"x".repeat(65)),
        Tree::List(vec![Tree::Int(1)]),
        Tree::Dict(Vec::new()),
    ];
    let others = wrong.into_iter().map(|tree| (Some(tree.clone()), is_right(&tree)));
    [(None, is_optional), (Some(right), true)].into_iter().chain(others).collect()
}

/// What the query ought to meet, by the rules alone.
fn is_acceptable(arguments: &[(&str, Option<Tree>, bool)]) -> bool {
    let implied = arguments.iter().any(|(key, value, _)| {
        *key == "implied_port" && matches!(value, Some(Tree::Int(flag)) if *flag != 0)
    });
    arguments.iter().all(|(key, _, is_right)| *is_right || (*key == "port" && implied))
}

#[test]
fn p36_fs_b9_every_method_with_every_subset_of_missing_and_wrong_arguments() {
    let mut tried = 0;
    for method in METHODS {
        let keys: Vec<&str> = method.arguments.iter().copied().chain(["id"]).collect();
        let choices: Vec<_> = keys.iter().map(|key| variants(key)).collect();
        let total: usize = choices.iter().map(Vec::len).product();
        for mut nth in 0..total {
            let mut arguments = Vec::new();
            for (key, choices) in keys.iter().zip(&choices) {
                let (value, is_right) = choices[nth % choices.len()].clone();
                arguments.push((*key, value, is_right));
                nth /= choices.len();
            }
            let given = arguments
                .iter()
                .filter_map(|(key, value, _)| Some((key.as_bytes().to_vec(), value.clone()?)));
            let query = Tree::Dict(vec![
                (b"a".to_vec(), Tree::Dict(given.collect())),
                (b"q".to_vec(), text(method.name)),
                (b"t".to_vec(), text("aa")),
                (b"y".to_vec(), text("q")),
            ]);
            let bytes = query.to_bytes();
            if is_acceptable(&arguments) {
                assert_eq!(request(&bytes).method(), method.name);
            } else {
                assert!(is_refused(&bytes, 203), "{}", bytes.escape_ascii());
            }
            tried += 1;
        }
    }
    assert!(tried > 10_000, "{tried}");
}

/// B3: the declaration is what is read and written, for all methods.
#[test]
fn fs_b3_each_method_writes_the_arguments_it_declares_and_reads_them_back() {
    use crate::krpc::{Families, Token};
    let (target, info_hash) = (key(b"mnopqrstuvwxyz123456"), key(b"mnopqrstuvwxyz123456").into());
    let requests = [
        Request::Ping,
        Request::FindNode { target, want: Families::BOTH },
        Request::GetPeers { info_hash, want: Families::BOTH },
        Request::AnnouncePeer {
            implied_port: true,
            info_hash,
            port: core::num::NonZeroU16::new(1),
            token: Token::from_array([0xff; 8]),
        },
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
