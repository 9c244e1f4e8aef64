//! Signed records from the command line: nodes on loopback, and every command against them.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::path::Path;

use serde_json::Value;
use signed_records::StoredRecord;

#[cfg(unix)]
use crate::kv::{kill, ten, wait_for_record};
use crate::process::{Node, Process, code, kad, run, stderr, stdout};

fn node(arguments: &str) -> Node {
    Node::of(&mut kad(&format!("records run --bind 127.0.0.1:0 {arguments}")))
}

/// Makes a key; gives the public one.
fn keygen(path: &Path) -> String {
    let made = run(&format!("keygen {}", path.display()));
    assert_eq!(code(&made), 0, "{}", stderr(&made));
    stdout(&made).trim().to_owned()
}

#[test]
fn fs_d5_publish_in_one_terminal_and_resolve_in_another() {
    let first = node("");
    let second = node(&format!("--bootstrap {}", first.addr)).joined();
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("me.key");
    let public = keygen(&key);
    let join = format!("--bootstrap {}", first.addr);
    let nothing = run(&format!("records resolve {public} {join}"));
    assert_eq!((code(&nothing), stdout(&nothing)), (1, String::new()));
    assert!(stderr(&nothing).contains("no matching records"), "{}", stderr(&nothing));
    let publish = |rest: &str| run(&format!("records publish {rest} --key {} {join}", key.display()));
    let published = publish("endpoint udp://192.0.2.1:7000");
    assert_eq!(
        (code(&published), stdout(&published)),
        (0, format!("publisher {public}\n")),
        "{}",
        stderr(&published)
    );
    assert!(stderr(&published).contains("stored on 2 of 2 nodes"), "{}", stderr(&published));
    // Through the other node, so that it is the network that knows.
    let through = format!("--bootstrap {}", second.addr);
    let resolved = run(&format!("records resolve {public} {through}"));
    assert_eq!(
        (code(&resolved), stdout(&resolved).as_str()),
        (0, "udp://192.0.2.1:7000\n"),
        "{}",
        stderr(&resolved)
    );
    assert_eq!(code(&publish("endpoint udp://192.0.2.1:7001")), 0);
    let resolved = run(&format!("records resolve {public} {through} --json"));
    let line: Value = serde_json::from_str(stdout(&resolved).lines().next().unwrap()).unwrap();
    assert_eq!((&line["type"], &line["text"]), (&"record".into(), &"udp://192.0.2.1:7001".into()));
    // All that the key has said is taken back.
    assert_eq!(code(&publish("topic --topic weather rain")), 0);
    let listed = run(&format!("records list --topic weather {through}"));
    assert_eq!(stdout(&listed), format!("{public}  topic weather  rain\n"), "{}", stderr(&listed));
    let found = run(&format!("records find --topic weather {through}"));
    assert_eq!(stdout(&found), stdout(&listed));
    let withdrawn = run(&format!("records withdraw --key {} --topic weather {join}", key.display()));
    assert_eq!(
        (code(&withdrawn), stdout(&withdrawn).as_str()),
        (0, "topic weather\nendpoint\n"),
        "{}",
        stderr(&withdrawn)
    );
    let resolved = run(&format!("records resolve {public} {through}"));
    assert_eq!((code(&resolved), stdout(&resolved)), (1, String::new()));
    assert_eq!(code(&run(&format!("records list --topic weather {through}"))), 1);
    let again = run(&format!("records withdraw --key {} {join}", key.display()));
    assert_eq!(code(&again), 1);
}

#[test]
fn bad_commands_and_bad_data_have_their_codes() {
    let first = node("");
    let join = format!("--bootstrap {}", first.addr);
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("me.key");
    let public = keygen(&key);
    let publish = format!("records publish endpoint {join}");
    let long = kad(&format!("{publish} --key {}", key.display())).arg("x".repeat(513)).output().unwrap();
    assert_eq!(code(&long), 7, "{}", stderr(&long));
    assert_eq!(code(&run(&format!("{publish} --key /no/such/file x"))), 2);
    assert_eq!(code(&run(&format!("{publish} x"))), 2, "whose?");
    assert_eq!(
        code(&run(&format!("records publish topic x --key {} {join}", key.display()))),
        2,
        "which topic?"
    );
    assert_eq!(code(&run(&format!("records resolve {public}"))), 2, "through whom?");
    assert_eq!(code(&run(&format!("records resolve {} {join}", &public[1..]))), 2);
    let nobody = run(&format!("records resolve {public} --bootstrap 127.0.0.1:9 --timeout 200ms"));
    assert_eq!(code(&nobody), 4, "{}", stderr(&nobody));
    assert_eq!(code(&run("records run --bind 127.0.0.1:0 --debug 0.0.0.0:0")), 2);
    assert_eq!(code(&run(&format!("records run --bind {}", first.addr))), 3);
}

#[test]
fn fs_d6_ping_proves_who_is_there_and_fs_d10_probe_says_who_is_reached() {
    let first = node("");
    let ping = run(&format!("records ping {} 127.0.0.1:9 --json", first.addr));
    assert_eq!(code(&ping), 0, "{}", stderr(&ping));
    let lines: Vec<Value> = stdout(&ping).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&lines[0]["id"], &lines[1]["ok"]), (&first.id.as_str().into(), &false.into()));
    assert_eq!((&lines[2]["asked"], &lines[2]["answered"]), (&2.into(), &1.into()));
    let probe = run(&format!("records probe {}", first.addr));
    assert_eq!(code(&probe), 0, "{}", stderr(&probe));
    assert!(stdout(&probe).contains(" reached"), "{}", stdout(&probe));
    let closed = run(&format!("records probe {} --claim 127.0.0.1:9", first.addr));
    assert_eq!(code(&closed), 1, "{}", stderr(&closed));
    // Nobody reads there, and it takes seconds until that is known.
    let unread = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent = unread.local_addr().unwrap();
    for command in ["ping", "probe"] {
        let late = run(&format!("records {command} {silent} --timeout 500ms"));
        let told = stdout(&late) + &stderr(&late);
        assert!(code(&late) == 1 && told.contains("no end within 0.5 s"), "{command}: {told}");
    }
    let elsewhere = run(&format!("records probe {} --claim 192.0.2.1:9", first.addr));
    assert!(stderr(&elsewhere).contains("not your address"), "{}", stderr(&elsewhere));
}

#[test]
fn fs_d11_the_debug_page_shows_the_state() {
    let mut node = node("--debug 127.0.0.1:0");
    let line = node.process.stderr.find_text("state at http://");
    let host = line.split('/').nth(2).unwrap().to_owned();
    let get = |path: &str, name: &str| {
        let mut stream = TcpStream::connect(&host).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    let answer = get("/status.json", &host);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK") && head.contains("application/json"), "{head}");
    let status: Value = serde_json::from_str(body).unwrap();
    assert_eq!(status["key"], node.id.as_str());
    assert!(get("/", &host).contains("<!doctype html>"));
    assert!(get("/", "evil.example").starts_with("HTTP/1.1 421"));
}

#[cfg(unix)]
#[test]
fn fs_d11_a_node_remembers_whom_it_saw_and_comes_back_without_a_bootstrap() {
    let dir = tempfile::tempdir().unwrap();
    let (key, peers) = (dir.path().join("node.key"), dir.path().join("peers"));
    let public = keygen(&key);
    let first = node("");
    let flags = format!("--key {} --peers {}", key.display(), peers.display());
    let mut second = node(&format!("{flags} --bootstrap {}", first.addr)).joined();
    assert_eq!(second.id, public, "the key in the file");
    second.process.signal("-TERM");
    assert_eq!(second.process.code(), 0);
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&peers).unwrap().permissions().mode() & 0o777, 0o600);
    let again = node(&flags).joined();
    assert_eq!(again.id, public);
}

/// All processes end, and start again with their databases.
#[cfg(unix)]
#[test]
fn fs_d5_records_survive_in_a_database() {
    let dir = tempfile::tempdir().unwrap();
    let me = dir.path().join("me.key");
    let public = keygen(&me);
    let file = |name: &str| dir.path().join(name).display().to_string();
    let flags = |n: u8| format!("--store {}", file(&format!("{n}.redb")));
    let first = node(&flags(1));
    let second = node(&format!("{} --bootstrap {}", flags(2), first.addr)).joined();
    let publish = format!("records publish mailbox box --key {} --bootstrap {}", me.display(), second.addr);
    assert_eq!(code(&run(&publish)), 0);
    for mut node in [first, second] {
        node.process.signal("-TERM");
        assert_eq!(node.process.code(), 0);
    }
    let first = node(&flags(1));
    let second = node(&format!("{} --bootstrap {}", flags(2), first.addr)).joined();
    let found = run(&format!("records list {public} --bootstrap {}", second.addr));
    assert_eq!(stdout(&found), format!("{public}  mailbox  box\n"), "{}", stderr(&found));
    let in_use = run(&format!("records run --bind 127.0.0.1:0 {}", flags(1)));
    assert_eq!(code(&in_use), 2, "{}", stderr(&in_use));
    std::fs::write(file("3.redb"), b"no database").unwrap();
    assert_eq!(code(&run(&format!("records run --bind 127.0.0.1:0 {}", flags(3)))), 7);
}

#[cfg(unix)]
#[test]
fn fs_d5_ten_nodes_are_killed_and_come_back_with_what_was_published() {
    let dir = tempfile::tempdir().unwrap();
    let me = dir.path().join("me.key");
    let public = keygen(&me);
    let nodes = ten(node, dir.path());
    let join = format!("--bootstrap {}", nodes[2].addr);
    let publish = format!("records publish endpoint udp://192.0.2.1:7 --key {} {join}", me.display());
    let published = run(&publish);
    assert!(stderr(&published).contains("stored on 10 of 10 nodes"), "{}", stderr(&published));
    (0..10).for_each(|n| wait_for_record::<StoredRecord>(&dir.path().join(format!("{n}.redb"))));
    kill(nodes);
    let nodes = ten(node, dir.path());
    let resolved = run(&format!("records resolve {public} --bootstrap {}", nodes[8].addr));
    assert_eq!(
        (code(&resolved), stdout(&resolved).as_str()),
        (0, "udp://192.0.2.1:7\n"),
        "{}",
        stderr(&resolved)
    );
}

/// `--keep` renews, and Ctrl-C ends that.
#[cfg(unix)]
#[test]
fn fs_d5_a_kept_record_outlives_its_time_to_live() {
    let first = node("");
    let join = format!("--bootstrap {}", first.addr);
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("me.key");
    let public = keygen(&key);
    let publish = format!("records publish endpoint here --ttl 4s --keep --key {} {join}", key.display());
    let mut keeper = Process::start(&mut kad(&publish));
    keeper.stderr.find_text("renewing it");
    let version = || {
        let resolved = run(&format!("records resolve {public} {join} --json"));
        let line: Value = serde_json::from_str(stdout(&resolved).lines().next().unwrap()).unwrap();
        line["sequence"].as_u64()
    };
    let start = version();
    assert!(start.is_some());
    // Each look takes a while; more than a time to live passes.
    while version().is_some_and(|now| now < start.unwrap() + 5_000) {}
    assert!(version().is_some(), "five seconds on, and still there");
    keeper.signal("-INT");
    assert_eq!(keeper.code(), 0);
    let gone = || code(&run(&format!("records resolve {public} {join}"))) == 1;
    while !gone() {}
}
