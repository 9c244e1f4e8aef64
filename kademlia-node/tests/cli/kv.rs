//! `kad kv` against nodes on loopback.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use kademlia_core::{Durable, Key, Keyspace, Storage, StorageLimits};
use key_value::Pair;
use serde_json::Value;
use storage_redb::RedbStorage;

use crate::process::{Node, code, kad, run, stderr, stdout};

fn node(arguments: &str) -> Node {
    Node::of(&mut kad(&format!("kv run --bind 127.0.0.1:0 {arguments}")))
}

fn last(text: &str) -> Value {
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

#[test]
fn fs_e3_a_value_is_put_in_one_terminal_and_got_in_another() {
    let first = node("");
    let second = node(&format!("--bootstrap {}", first.addr)).joined();
    let put = run(&format!("kv put --bootstrap {} greeting hello", first.addr));
    assert_eq!(code(&put), 0, "{}", stderr(&put));
    assert!(stdout(&put).starts_with("key 18f6b0200b6fd32c"), "{}", stdout(&put));
    assert!(stderr(&put).contains("stored on 2 of 2 nodes"), "{}", stderr(&put));
    let got = run(&format!("kv get --bootstrap {} greeting", second.addr));
    assert_eq!((code(&got), stdout(&got).as_str()), (0, "hello\n"), "{}", stderr(&got));
    let got = run(&format!("kv get --bootstrap {} greeting --newest --json", second.addr));
    let lines: Vec<Value> = stdout(&got).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["text"], &lines[0]["value"]), (&"hello".into(), &"68656c6c6f".into()));
    assert_eq!((&lines[1]["type"], &lines[1]["found"]), (&"summary".into(), &true.into()));

    let nothing = run(&format!("kv get --bootstrap {} nothing", first.addr));
    assert_eq!((code(&nothing), stdout(&nothing).as_str()), (1, ""));
    let older = run(&format!("kv put --bootstrap {} greeting older --version 5", first.addr));
    assert_eq!(code(&older), 6, "{}", stderr(&older));
    let removed = run(&format!("kv remove --bootstrap {} greeting", second.addr));
    assert_eq!(code(&removed), 0, "{}", stderr(&removed));
    let gone = run(&format!("kv get --bootstrap {} greeting", first.addr));
    assert_eq!(code(&gone), 1);
    assert!(stderr(&gone).contains("it was removed"), "{}", stderr(&gone));
}

#[test]
fn a_value_comes_from_a_file_and_must_not_be_too_long() {
    let (node, dir) = (node(""), tempfile::tempdir().unwrap());
    let (file, bytes) = (dir.path().join("value"), [0, 255, 10, 7]);
    fs::write(&file, bytes).unwrap();
    let put = run(&format!("kv put --bootstrap {} bytes -f {}", node.addr, file.display()));
    assert_eq!(code(&put), 0, "{}", stderr(&put));
    let got = run(&format!("kv get --bootstrap {} bytes", node.addr));
    assert_eq!(got.stdout, bytes, "as they are");
    fs::write(&file, [7; 1_001]).unwrap();
    let long = run(&format!("kv put --bootstrap {} bytes -f {}", node.addr, file.display()));
    assert_eq!(code(&long), 7, "{}", stderr(&long));
    let min = run(&format!("kv put --bootstrap {} few copies --min 2", node.addr));
    assert_eq!(code(&min), 5, "{}", stderr(&min));
    let alone = run("kv get --bootstrap 127.0.0.1:9 --timeout 1s greeting");
    assert_eq!(code(&alone), 4, "{}", stderr(&alone));
    assert_eq!(code(&run("kv get greeting")), 2);
}

#[test]
fn fs_e5_nodes_and_lookups_are_dumped() {
    let first = node("");
    let second = node(&format!("--bootstrap {}", first.addr)).joined();
    run(&format!("kv put --bootstrap {} greeting hello", first.addr));
    let dump = run(&format!("kv dump --bootstrap {} --json", first.addr));
    let summary = last(&stdout(&dump));
    assert_eq!((&summary["type"], &summary["nodes"]), (&"summary".into(), &2.into()));
    let dump: Value = serde_json::from_str(stdout(&dump).lines().next().unwrap()).unwrap();
    assert_eq!((&dump["type"], &dump["bootstrapped"]), (&"node".into(), &true.into()));
    let text = dump["buckets"].to_string();
    assert!(text.contains(&first.id) && text.contains(&second.id), "{text}");
    let lookup = run(&format!("kv dump --bootstrap {} greeting", first.addr));
    let lookup = last(&stdout(&lookup));
    assert_eq!((&lookup["value"], lookup["nodes"].as_array().unwrap().len()), (&"hello".into(), 2));
    let drawn = run(&format!("kv dump --bootstrap {} greeting --plantuml", first.addr));
    let drawn = stdout(&drawn);
    assert!(drawn.starts_with("@startuml\n") && drawn.ends_with("@enduml\n"), "{drawn}");
    assert_eq!(drawn.matches("has the value").count(), 2);
}

#[cfg(unix)]
#[test]
fn fs_e6_a_node_comes_back_with_its_key_and_its_pairs() {
    let dir = tempfile::tempdir().unwrap();
    let (store, dump) = (dir.path().join("pairs.redb"), dir.path().join("end.json"));
    let mut first = node(&format!("--store {} --dump {}", store.display(), dump.display()));
    let put = run(&format!("kv put --bootstrap {} greeting hello", first.addr));
    assert_eq!(code(&put), 0, "{}", stderr(&put));
    first.process.signal("-TERM");
    assert_eq!(first.process.code(), 0);
    let dump = last(&fs::read_to_string(&dump).unwrap());
    assert_eq!(
        (dump["key"].as_str().unwrap(), dump["pairs"].as_array().unwrap().len()),
        (first.id.as_str(), 1)
    );
    let again = node(&format!("--store {}", store.display()));
    assert_eq!(again.id, first.id);
    let got = run(&format!("kv get --bootstrap {} greeting", again.addr));
    assert_eq!((code(&got), stdout(&got).as_str()), (0, "hello\n"), "{}", stderr(&got));
    let damaged = dir.path().join("damaged.redb");
    fs::write(&damaged, b"no database").unwrap();
    let refused = run(&format!("kv run --bind 127.0.0.1:0 --store {}", damaged.display()));
    assert_eq!(code(&refused), 7, "{}", stderr(&refused));
    assert_eq!(fs::read(&damaged).unwrap(), b"no database");
    let in_use = run(&format!("kv run --bind 127.0.0.1:0 --store {}", store.display()));
    assert_eq!(code(&in_use), 2, "{}", stderr(&in_use));
}

/// Waits until the database of a running node has a record on disk. Only a failed test meets the limit.
pub(crate) fn wait_for_record<R: Durable>(store: &Path) {
    // A node lets nobody read its database, but one may copy what has been written: perhaps in the midst of a commit.
    let copy = store.with_extension("copy");
    let (limits, wall) = (StorageLimits::default(), SystemTime::now());
    let is_there = || {
        fs::copy(store, &copy).unwrap();
        let opened =
            RedbStorage::<Key<32>, R>::open(&copy, limits, Key::ZERO, kademlia_core::Instant::ZERO, wall);
        opened.is_ok_and(|store| !store.is_empty())
    };
    let start = Instant::now();
    while !is_there() {
        assert!(start.elapsed() < Duration::from_secs(60), "nothing in {}", store.display());
        thread::yield_now();
    }
    fs::remove_file(copy).unwrap();
}

/// Ten nodes, each with its database; all but the first join through it.
#[cfg(unix)]
pub(crate) fn ten(node: impl Fn(&str) -> Node, dir: &Path) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for n in 0..10 {
        let store = dir.join(format!("{n}.redb"));
        let through = nodes.first().map(|first| format!("--bootstrap {}", first.addr)).unwrap_or_default();
        let node = node(&format!("--store {} {through}", store.display()));
        nodes.push(if nodes.is_empty() { node } else { node.joined() });
    }
    nodes
}

/// Kills them all, without a word.
#[cfg(unix)]
pub(crate) fn kill(nodes: Vec<Node>) {
    for node in &nodes {
        node.process.signal("-KILL");
    }
    for mut node in nodes {
        assert_eq!(node.process.code(), -1);
    }
}

#[cfg(unix)]
#[test]
fn fs_e6_ten_nodes_are_killed_and_come_back_with_what_was_put() {
    let dir = tempfile::tempdir().unwrap();
    let nodes = ten(node, dir.path());
    let put = run(&format!("kv put --bootstrap {} greeting hello", nodes[2].addr));
    assert!(stderr(&put).contains("stored on 10 of 10 nodes"), "{}", stderr(&put));
    (0..10).for_each(|n| wait_for_record::<Pair>(&dir.path().join(format!("{n}.redb"))));
    let ids: Vec<_> = nodes.iter().map(|node| node.id.clone()).collect();
    kill(nodes);
    let nodes = ten(node, dir.path());
    assert_eq!(nodes.iter().map(|node| node.id.clone()).collect::<Vec<_>>(), ids);
    let got = run(&format!("kv get --bootstrap {} greeting", nodes[8].addr));
    assert_eq!((code(&got), stdout(&got).as_str()), (0, "hello\n"), "{}", stderr(&got));
}
