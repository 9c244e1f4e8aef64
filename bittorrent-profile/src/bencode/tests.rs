//! The reader against a slow reference and against serde_bencode; the limits of T11 one by one.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap};

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use serde_bencode::value::Value as SerdeValue;

use super::tape::*;
use super::*;

thread_local! {
    /// Bytes looked at by the reader on this thread.
    pub(crate) static STEPS: Cell<usize> = const { Cell::new(0) };
}

/// A value with everything copied out, dictionaries in the order they came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Tree {
    Int(i64),
    Bytes(Vec<u8>),
    List(Vec<Tree>),
    Dict(Vec<(Vec<u8>, Tree)>),
}

impl Tree {
    /// As it stands: keys in the order they are in.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Tree::Int(value) => out.extend(format!("i{value}e").bytes()),
            Tree::Bytes(bytes) => {
                out.extend(format!("{}:", bytes.len()).bytes());
                out.extend(bytes);
            }
            Tree::List(items) => {
                out.push(b'l');
                items.iter().for_each(|item| item.write(out));
                out.push(b'e');
            }
            Tree::Dict(entries) => {
                out.push(b'd');
                for (key, value) in entries {
                    Tree::Bytes(key.clone()).write(out);
                    value.write(out);
                }
                out.push(b'e');
            }
        }
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    fn is_sorted(&self) -> bool {
        match self {
            Tree::Int(_) | Tree::Bytes(_) => true,
            Tree::List(items) => items.iter().all(Tree::is_sorted),
            Tree::Dict(entries) => {
                entries.is_sorted_by(|a, b| a.0 < b.0) && entries.iter().all(|(_, value)| value.is_sorted())
            }
        }
    }

    fn to_serde(&self) -> SerdeValue {
        match self {
            Tree::Int(value) => SerdeValue::Int(*value),
            Tree::Bytes(bytes) => SerdeValue::Bytes(bytes.clone()),
            Tree::List(items) => SerdeValue::List(items.iter().map(Tree::to_serde).collect()),
            Tree::Dict(entries) => {
                let entries = entries.iter().map(|(key, value)| (key.clone(), value.to_serde()));
                SerdeValue::Dict(entries.collect::<HashMap<_, _>>())
            }
        }
    }
}

/// The tape's content as a tree.
fn tree(value: Value<'_>) -> Tree {
    if let Some(int) = value.int() {
        Tree::Int(int)
    } else if let Some(bytes) = value.bytes() {
        Tree::Bytes(bytes.to_vec())
    } else if let Some(list) = value.list() {
        Tree::List(list.map(tree).collect())
    } else {
        let entries = value.dict().expect("the only kind left");
        Tree::Dict(entries.map(|(key, value)| (key.to_vec(), tree(value))).collect())
    }
}

fn parse(input: &[u8]) -> Result<Tree, Invalid> {
    Tape::<MAX_TOKENS>::new().parse(input).map(tree)
}

/// The reader as one would write it on a blackboard: recursive, copying, every rule in one place.
pub(crate) fn reference(input: &[u8]) -> Option<Tree> {
    fn int(text: &[u8]) -> Option<i64> {
        let text = std::str::from_utf8(text).ok()?;
        let value: i64 = text.parse().ok()?;
        (value.to_string() == text).then_some(value)
    }

    fn until(input: &mut &[u8], mark: u8) -> Option<Vec<u8>> {
        let at = input.iter().position(|byte| *byte == mark)?;
        let text = input[..at].to_vec();
        *input = &input[at + 1..];
        Some(text)
    }

    fn value(input: &mut &[u8], depth: usize, tokens: &mut usize) -> Option<Tree> {
        *tokens += 1;
        match input.first()? {
            b'i' => {
                *input = &input[1..];
                Some(Tree::Int(int(&until(input, b'e')?)?))
            }
            b'0'..=b'9' => {
                let length = usize::try_from(int(&until(input, b':')?)?).ok()?;
                let bytes = input.get(..length)?.to_vec();
                *input = &input[length..];
                Some(Tree::Bytes(bytes))
            }
            kind @ (b'l' | b'd') => {
                *input = &input[1..];
                let mut items = Vec::new();
                while *input.first()? != b'e' {
                    items.push(value(input, depth + 1, tokens)?);
                }
                *input = &input[1..];
                *tokens += 1;
                let container = if *kind == b'l' { Tree::List(items) } else { dict(&items)? };
                (depth < MAX_DEPTH).then_some(container)
            }
            _ => None,
        }
    }

    fn dict(items: &[Tree]) -> Option<Tree> {
        let mut entries: Vec<(Vec<u8>, Tree)> = Vec::new();
        let (pairs, rest) = items.as_chunks::<2>();
        for [key, value] in pairs {
            let Tree::Bytes(key) = key else { return None };
            entries.push((key.clone(), value.clone()));
        }
        let distinct: BTreeMap<_, _> = entries.iter().cloned().collect::<BTreeMap<_, Tree>>();
        let sorted = entries.is_sorted_by(|a, b| a.0 < b.0);
        let allowed = sorted || entries.len() <= MAX_UNSORTED_KEYS;
        (rest.is_empty() && distinct.len() == entries.len() && allowed).then_some(Tree::Dict(entries))
    }

    let (mut rest, mut tokens) = (input, 0);
    let tree = value(&mut rest, 0, &mut tokens)?;
    (rest.is_empty() && input.len() <= MAX_INPUT && tokens <= MAX_TOKENS).then_some(tree)
}

fn a_tree() -> impl Strategy<Value = Tree> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Tree::Int),
        (-20..20_i64).prop_map(Tree::Int),
        vec(any::<u8>(), 0..24).prop_map(Tree::Bytes),
    ];
    leaf.prop_recursive(18, 96, 6, |inner| {
        let key = vec(b'a'..=b'd', 0..3);
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Tree::List),
            vec((key.clone(), inner.clone()), 0..6).prop_map(Tree::Dict),
            proptest::collection::btree_map(key, inner.clone(), 0..6)
                .prop_map(|entries| Tree::Dict(entries.into_iter().collect())),
            // A narrow tower, so that the depth limit is met.
            inner.prop_map(|tree| Tree::List(vec![Tree::List(vec![Tree::List(vec![tree])])])),
        ]
    })
}

/// Bytes that get far into the reader: bencode, bencode with a byte changed, and words of its alphabet.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let words =
        ["d", "l", "i", "e", "-", "0", "1", "9", ":", "0:", "1:a", "1:b", "2:aa", "i0e", "i-1e", "de", "le"];
    let change =
        (any::<proptest::sample::Index>(), prop_oneof![any::<u8>(), Just(b'e'), Just(b'0'), Just(b'9')]);
    prop_oneof![
        2 => a_tree().prop_map(|tree| tree.to_bytes()),
        2 => (a_tree(), change).prop_map(|(tree, (at, byte))| {
            let mut bytes = tree.to_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        3 => vec(proptest::sample::select(words.to_vec()), 0..24).prop_map(|words| words.concat().into_bytes()),
        1 => vec(any::<u8>(), 0..64),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30_000))]

    #[test]
    fn p31_p33_any_bytes_read_as_the_reference_reads_them_in_linear_time(bytes in some_bytes()) {
        STEPS.set(0);
        let parsed = parse(&bytes).ok();
        // A byte is looked at when its token is read, and again for each of the unsorted keys it is compared with.
        prop_assert!(STEPS.get() <= (MAX_UNSORTED_KEYS + 2) * (bytes.len() + 1));
        prop_assert_eq!(&parsed, &reference(&bytes));
        if let Some(tree) = parsed {
            let mut tape = Tape::<MAX_TOKENS>::new();
            let root = tape.parse(&bytes).unwrap();
            prop_assert_eq!(root.raw(), &bytes[..]);
            prop_assert_eq!(root.is_canonical(), tree.is_sorted());
            prop_assert_eq!(tree.to_bytes(), bytes, "only one spelling of each value is read");
        }
    }

    #[test]
    fn p33_what_is_read_is_what_serde_bencode_reads(bytes in some_bytes()) {
        if let Ok(tree) = parse(&bytes) {
            prop_assert_eq!(serde_bencode::from_bytes::<SerdeValue>(&bytes).unwrap(), tree.to_serde());
        }
    }

    #[test]
    fn p33_what_serde_bencode_writes_is_read(tree in a_tree()) {
        let bytes = serde_bencode::to_bytes(&tree.to_serde()).unwrap();
        match parse(&bytes) {
            Ok(parsed) => prop_assert_eq!(parsed.to_serde(), tree.to_serde()),
            Err(limit) => prop_assert!([TOO_LONG, TOO_DEEP, TOO_MANY].contains(&limit), "{:?}", limit),
        }
    }

    #[test]
    fn p32_the_writer_writes_what_the_reader_calls_canonical(int: i64, bytes in vec(any::<u8>(), 0..200)) {
        let mut out = Vec::new();
        {
            let mut dict = DictWriter::open(&mut out);
            dict.bytes("a", &bytes);
            dict.int("b", int);
            dict.dict("c").int("", 0);
            let mut list = dict.list("d");
            list.bytes(&bytes);
            list.int(int);
        }
        let expected = Tree::Dict(vec![
            (b"a".to_vec(), Tree::Bytes(bytes.clone())),
            (b"b".to_vec(), Tree::Int(int)),
            (b"c".to_vec(), Tree::Dict(vec![(Vec::new(), Tree::Int(0))])),
            (b"d".to_vec(), Tree::List(vec![Tree::Bytes(bytes.clone()), Tree::Int(int)])),
        ]);
        prop_assert_eq!(&out, &expected.to_bytes());
        prop_assert_eq!(parse(&out), Ok(expected));
        prop_assert_eq!(string_size(bytes.len()), Tree::Bytes(bytes).to_bytes().len());
    }
}

#[test]
fn t11_integers_and_lengths_have_one_spelling() {
    for good in [
        "i0e",
        "i-1e",
        "i10e",
        "i9223372036854775807e",
        "i-9223372036854775808e",
        "0:",
        "1:a",
        "10:0123456789",
    ] {
        assert!(parse(good.as_bytes()).is_ok(), "{good}");
    }
    for bad in ["i-0e", "i00e", "i01e", "i-01e", "ie", "i-e", "i+1e", "i 1e", "i1", "i", "i--1e", "i1.0e"] {
        assert_eq!(parse(bad.as_bytes()), Err(BAD_INT), "{bad}");
    }
    for bad in ["i9223372036854775808e", "i-9223372036854775809e", "i18446744073709551616e"] {
        assert_eq!(parse(bad.as_bytes()), Err(BAD_INT), "{bad}");
    }
    for bad in ["00:", "01:a", "99999999999:", "1e1:", "1a", "12345"] {
        assert_eq!(parse(bad.as_bytes()), Err(BAD_LENGTH), "{bad}");
    }
    assert_eq!(parse(b"-1:a"), Err(UNEXPECTED));
    for cut in ["", "1", "1:", "2:a", "l", "d", "d1:a", "2048:"] {
        assert_eq!(parse(cut.as_bytes()), Err(TRUNCATED), "{cut}");
    }
}

#[test]
fn t11_bombs_are_defused() {
    let digits = format!("i{}e", "1".repeat(1_000));
    for (bomb, error) in [
        ("l".repeat(2_000), TOO_DEEP),
        ("d".repeat(1_000), BAD_KEY),
        ("d0:".repeat(600), TOO_DEEP),
        ("99999999999:".to_owned(), BAD_LENGTH),
        ("i-0e".to_owned(), BAD_INT),
        (digits, BAD_INT),
        (format!("l{}e", "0:".repeat(1_000)), TOO_MANY),
        ("l".repeat(2_049), TOO_LONG),
    ] {
        STEPS.set(0);
        assert_eq!(parse(bomb.as_bytes()), Err(error), "{bomb:.20}");
        assert!(STEPS.get() <= 2_048, "{bomb:.20}");
    }
}

#[test]
fn t11_fs_b10_each_limit_is_reached_exactly() {
    let nested = |depth| [vec![b'l'; depth], vec![b'e'; depth]].concat();
    assert!(parse(&nested(MAX_DEPTH)).is_ok());
    assert_eq!(parse(&nested(MAX_DEPTH + 1)), Err(TOO_DEEP));

    let tokens = |n: usize| format!("l{}e", "0:".repeat(n - 2)).into_bytes();
    assert!(parse(&tokens(MAX_TOKENS)).is_ok());
    assert_eq!(parse(&tokens(MAX_TOKENS + 1)), Err(TOO_MANY));

    let long = |n: usize| [format!("{}:", n - 5).into_bytes(), vec![0; n - 5]].concat();
    assert!(parse(&long(MAX_INPUT)).is_ok());
    assert_eq!(parse(&long(MAX_INPUT + 1)), Err(TOO_LONG));

    let key = |n: usize| format!("3:{n:03}i0e");
    let descending = |n: usize| format!("d{}e", (0..n).rev().map(key).collect::<String>()).into_bytes();
    let ascending = |n: usize| format!("d{}e", (0..n).map(key).collect::<String>()).into_bytes();
    assert!(parse(&descending(MAX_UNSORTED_KEYS)).is_ok());
    assert_eq!(parse(&descending(MAX_UNSORTED_KEYS + 1)), Err(DISORDER));
    assert!(parse(&ascending(200)).is_ok());
}

#[test]
fn t11_keys_are_strings_once_each_with_a_value() {
    assert_eq!(parse(b"di1ei1ee"), Err(BAD_KEY));
    assert_eq!(parse(b"dlei1ee"), Err(BAD_KEY));
    assert_eq!(parse(b"d1:ae"), Err(NO_VALUE));
    assert_eq!(parse(b"d1:ai1e1:ai2ee"), Err(DUPLICATE));
    assert_eq!(parse(b"d1:bi1e1:cde1:ai1e1:ci2ee"), Err(DUPLICATE));
    assert!(parse(b"d1:ad1:ai1ee1:bd1:ai1eee").is_ok(), "the same key in different dictionaries");
    assert_eq!(parse(b"e"), Err(UNEXPECTED));
    assert_eq!(parse(b"le1:a"), Err(TRAILING));
    assert_eq!(parse(b"i1e\0"), Err(TRAILING));
}

#[test]
fn raw_bytes_of_any_value_are_at_hand_for_what_gets_signed() {
    let input = b"d1:ad1:zi1e1:yle1:x0:e1:bli-5e2:lee1:vd1:ai1eee";
    let mut tape = Tape::<MAX_TOKENS>::new();
    let root = tape.parse(input).unwrap().dict().unwrap();
    let raw = |key: &[u8]| root.get(key).unwrap().raw();
    assert_eq!(raw(b"a"), b"d1:zi1e1:yle1:x0:e");
    assert_eq!(raw(b"b"), b"li-5e2:lee");
    assert_eq!(raw(b"v"), b"d1:ai1ee");
    assert!(!root.get(b"a").unwrap().is_canonical());
    assert!(root.get(b"v").unwrap().is_canonical(), "disorder elsewhere does not count");
    assert!(root.get(b"c").is_none());
    let list: Vec<_> = root.get(b"b").unwrap().list().unwrap().map(|value| value.raw()).collect();
    assert_eq!(list, [&b"i-5e"[..], b"2:le"]);
}

#[test]
#[should_panic(expected = "after")]
fn the_writer_insists_on_key_order() {
    let mut out = Vec::new();
    let mut dict = DictWriter::open(&mut out);
    dict.int("b", 1);
    dict.int("a", 1);
}
