//! P36: every method with every combination of missing and wrong arguments.

use std::time::Duration;

use bittorrent_profile::InfoHash;
use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{Families, METHODS, Request, Token};
use kademlia_core::{Body, Key, Message, TransactionId};
use tests::engine::{self, Engine};

use crate::{V4, addr, answer, code, query, string};

/// A required argument, its proper value, and values of the wrong type, length or content.
struct Argument {
    key: &'static str,
    good: Vec<u8>,
    bad: Vec<Vec<u8>>,
}

impl Argument {
    fn id(key: &'static str) -> Self {
        let bad = [&b"0:"[..], b"19:abcdefghij012345678", b"21:abcdefghij01234567890", b"i7e", b"le", b"de"];
        Argument { key, good: string(&[0x77; 20]), bad: bad.map(<[u8]>::to_vec).into() }
    }

    fn token(token: &Token) -> Self {
        let forged: Vec<_> = token.as_bytes().iter().map(|byte| byte ^ 1).collect();
        let bad = vec![string(&forged), string(&[7; 65]), b"0:".to_vec(), b"i7e".to_vec(), b"le".to_vec()];
        Argument { key: "token", good: string(token.as_bytes()), bad }
    }

    fn of(key: &'static str, good: &[u8], bad: &[&[u8]]) -> Self {
        Argument { key, good: good.to_vec(), bad: bad.iter().map(|bad| bad.to_vec()).collect() }
    }

    fn port() -> Self {
        let bad = [&b"i0e"[..], b"i-1e", b"i65536e", b"4:6881", b"le"];
        Argument { key: "port", good: b"i6881e".to_vec(), bad: bad.map(<[u8]>::to_vec).into() }
    }

    /// The proper value, none at all, or a wrong one.
    fn choices(&self) -> Vec<Option<&[u8]>> {
        let bad = self.bad.iter().map(|bad| Some(bad.as_slice()));
        [Some(self.good.as_slice()), None].into_iter().chain(bad).collect()
    }
}

/// Every combination of the arguments' choices: the bencoded dictionary, and whether all of it is proper.
fn combinations(arguments: &[Argument]) -> Vec<(Vec<u8>, bool)> {
    let mut all = vec![(b"d".to_vec(), true)];
    for argument in arguments {
        let mut next = Vec::new();
        for (dict, proper) in &all {
            for (at, choice) in argument.choices().into_iter().enumerate() {
                let entry = choice.map(|value| [&string(argument.key.as_bytes()), value].concat());
                next.push(([dict.as_slice(), &entry.unwrap_or_default()].concat(), *proper && at == 0));
            }
        }
        all = next;
    }
    all.into_iter().map(|(dict, proper)| ([dict, b"e".to_vec()].concat(), proper)).collect()
}

#[test]
fn p36_fs_b9_every_method_with_every_wrong_or_missing_argument_gets_203() {
    let id = || Argument::id("id");
    let info_hash = || Argument::id("info_hash");
    let mut node = Engine::server();
    check_arguments(&mut node, "ping", &[id()]);
    check_arguments(&mut node, "find_node", &[id(), Argument::id("target")]);
    check_arguments(&mut node, "get_peers", &[id(), info_hash()]);
    check_arguments(&mut node, "get", &[id(), Argument::id("target")]);
    check_arguments(&mut node, "sample_infohashes", &[id(), Argument::id("target")]);

    let token = |node: &mut Engine, request| Argument::token(&token(node, request));
    let shared = token(&mut node, Request::get_peers(InfoHash::new([0x77; 20]), Families::NONE));
    check_arguments(&mut node, "announce_peer", &[id(), info_hash(), Argument::port(), shared]);

    let value = Argument::of("v", b"3:abc", &[b"d1:b0:1:a0:e"]);
    let immutable = Item::Immutable(RawValue::new(&value.good).unwrap());
    let target_token = token(&mut node, get(&immutable));
    check_arguments(&mut node, "put", &[id(), target_token, value]);

    let item = version();
    let mutable = Item::Mutable(item.clone().into());
    let target_token = token(&mut node, get(&mutable));
    let arguments = [
        id(),
        Argument::of("k", &string(&item.key.to_bytes()), &[&string(&[7; 31]), b"i7e"]),
        Argument::of("seq", b"i5e", &[b"i-1e", b"1:5"]),
        Argument::of("sig", &string(item.signature.as_bytes()), &[&string(&[7; 63]), b"le"]),
        target_token,
        Argument::of("v", item.value.as_bytes(), &[b"d1:b0:1:a0:e"]),
    ];
    check_arguments(&mut node, "put", &arguments);
}

/// What has a code of its own: 44.2, 44.5.
#[test]
fn p36_bep44_44_2_44_5_a_put_that_is_too_long_or_not_signed_is_told_so() {
    let mut node = Engine::server();
    let item = Item::Mutable(version().into());
    let put = |node: &mut Engine, changed: &str, to: &[u8]| {
        let mut arguments = [
            ("id", string(&[0x77; 20])),
            ("k", string(&version().key.to_bytes())),
            ("salt", string(b"")),
            ("seq", b"i5e".to_vec()),
            ("sig", string(version().signature.as_bytes())),
            ("token", string(token(node, get(&item)).as_bytes())),
            ("v", version().value.as_bytes().to_vec()),
        ];
        for (_, value) in arguments.iter_mut().filter(|(key, _)| *key == changed) {
            *value = string(to);
        }
        let entries = arguments.iter().flat_map(|(key, value)| [string(key.as_bytes()), value.clone()]);
        let dict = [b"d".to_vec(), entries.collect::<Vec<_>>().concat(), b"e".to_vec()].concat();
        code(answer(node, addr(V4), &query("put", &dict, b"aa")))
    };
    assert_eq!(put(&mut node, "sig", &[7; 64]), Some(206));
    assert_eq!(put(&mut node, "salt", &[7; 65]), Some(207));
    assert_eq!(put(&mut node, "v", &[7; 997]), Some(205));
    assert_eq!(put(&mut node, "nothing", b""), None);
}

fn version() -> MutableItem {
    let value = RawValue::string("version five").unwrap();
    MutableItem::sign(&SecretKey::from_seed(&[5; 32]), Salt::default(), 5, value)
}

pub(crate) fn get(item: &Item) -> Request {
    Request::Get { seq: None, target: item.target(), want: Families::NONE }
}

/// The token that the node gives for it.
fn token(node: &mut Engine, request: Request) -> Token {
    let asked = engine::query(Key::new([0x77; 20]), TransactionId::new(b"t").unwrap(), request);
    let Some(Message { body: Body::Response { response, .. }, .. }) = answer(node, addr(V4), &asked) else {
        panic!("no response");
    };
    response.token.unwrap()
}

/// Asks with every combination of the arguments' choices.
fn check_arguments(node: &mut Engine, method: &str, arguments: &[Argument]) {
    for (dict, proper) in combinations(arguments) {
        let datagram = query(method, &dict, b"aa");
        let reply = answer(node, addr(V4), &datagram).expect("a query is answered");
        assert_eq!(reply.transaction.as_bytes(), b"aa");
        let expected = if proper { None } else { Some(203) };
        assert_eq!(code(Some(reply)), expected, "{}", datagram.escape_ascii());
        node.pass(Duration::from_millis(20));
    }
}

#[test]
fn p36_a_query_without_arguments_gets_203_and_one_without_an_envelope_silence() {
    let mut node = Engine::server();
    for arguments in [&b"le"[..], b"i1e", b"0:", b"de"] {
        for method in METHODS {
            let reply = answer(&mut node, addr(V4), &query(method.name, arguments, b"aa"));
            assert_eq!(code(reply), Some(203), "{}", method.name);
            node.pass(Duration::from_millis(20));
        }
    }
    assert_eq!(code(answer(&mut node, addr(V4), b"d1:q4:ping1:t2:aa1:y1:qe")), Some(203));
    for envelope in [
        &b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe"[..],
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:ti7e1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aae",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:yi1ee",
        b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:xe",
        b"d1:ad2:id20:abcdefghij0123456789e1:qi4e1:t2:aa1:y1:qe",
        b"d1:ad2:id20:abcdefghij0123456789e1:t2:aa1:y1:qe",
    ] {
        assert_eq!(node.receive(addr(V4), envelope), [], "{}", envelope.escape_ascii());
    }
}
