use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::Duration;

use crate::process::{HASH, Node, Process, code, kad, run, stderr};

/// A node at which a peer is announced.
fn announced() -> Node {
    let node = Node::start("--no-bootstrap");
    assert_eq!(code(&run(&format!("announce {HASH} --port 7 --once --bootstrap {}", node.addr))), 0);
    node
}

#[test]
fn ctrl_c_ends_a_search_with_what_it_found() {
    let node = announced();
    let mut peers = Process::start(&mut kad(&format!("peers {HASH} --for 1h --bootstrap {}", node.addr)));
    peers.stdout.find_text("127.0.0.1:7");
    peers.signal("-INT");
    assert_eq!(peers.code(), 0, "{}", peers.stderr.seen());
    assert!(peers.stderr.seen().contains("found 1 peers"), "{}", peers.stderr.seen());
}

/// Its other end is open, and nothing comes.
#[test]
fn ctrl_c_ends_a_wait_for_stdin() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("me.key");
    for line in [
        "put - --bootstrap 127.0.0.1:9".to_owned(),
        "decode".to_owned(),
        format!("keygen {} --import -", key.display()),
        "kv put name - --bootstrap 127.0.0.1:9".to_owned(),
        format!("records publish mailbox - --key {} --bootstrap 127.0.0.1:9", key.display()),
    ] {
        let mut waiting = Process::start(kad(&format!("{line} --log debug")).stdin(Stdio::piped()));
        waiting.stderr.find_text("reading the ");
        waiting.signal("-INT");
        assert_eq!(waiting.code(), 1, "{line}");
        assert!(waiting.stderr.seen().contains("stopped before"), "{line}: {}", waiting.stderr.seen());
    }
    assert!(!key.exists());
}

#[test]
fn a_node_tells_programs_who_it_is_and_when_it_ended() {
    for command in ["run --no-bootstrap", "kv run", "records run"] {
        let mut node = Node::of(&mut kad(&format!("{command} --bind 127.0.0.1:0 --json")));
        node.process.signal("-TERM");
        assert_eq!(node.process.code(), 0, "{command}");
        let told = node.process.stdout.seen();
        let lines: Vec<serde_json::Value> =
            told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(
            (&lines[0]["type"], &lines[0]["id"]),
            (&"node".into(), &node.id.as_str().into()),
            "{told}"
        );
        assert_eq!((lines.len(), &lines[1]["type"]), (2, &"summary".into()), "{told}");
    }
}

/// A pipe that has no room, and its other end.
fn full() -> (Stdio, UnixStream) {
    let (mut writer, reader) = UnixStream::pair().unwrap();
    writer.set_nonblocking(true).unwrap();
    let error = loop {
        if let Err(error) = writer.write(&[0; 1_024]) {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    writer.set_nonblocking(false).unwrap();
    (Stdio::from(OwnedFd::from(writer)), reader)
}

#[test]
fn a_second_ctrl_c_aborts() {
    let node = announced();
    // Nobody reads its stderr, so after the first signal it is stuck with its summary.
    let (full, _unread) = full();
    let mut command = kad(&format!("peers {HASH} --for 1h --bootstrap {}", node.addr));
    let mut peers = Process::of(command.stdout(Stdio::piped()).stderr(full).spawn().unwrap());
    peers.stdout.find_text("127.0.0.1:7");
    // Signals that come close together count once, so there may have to be more than two.
    let aborts = |_| {
        peers.signal("-INT");
        peers.stdout.end_within(Duration::from_millis(200))
    };
    assert!((0..100).any(aborts));
    assert_eq!(peers.code(), 130);
}

/// What a node logs from its start to its end by SIGTERM.
fn log(arguments: &str, variable: Option<&str>) -> String {
    let mut command = kad(&format!("run --bind 127.0.0.1:0 --no-bootstrap {arguments}"));
    let mut node = Node::of(command.envs(variable.map(|value| ("RUST_LOG", value)))).process;
    node.signal("-TERM");
    assert_eq!(node.code(), 0);
    node.stderr.seen()
}

#[test]
fn fs_b8_rust_log_counts_unless_the_flag_says_otherwise() {
    for (arguments, variable, logged) in [
        ("", None, true),
        ("", Some(""), true),
        ("", Some("warn"), false),
        ("", Some("warn,kad=info"), true),
        ("", Some("info,kad::commands=error"), false),
        ("--log info", Some("warn"), true),
        ("--log warn", Some("info"), false),
        ("--log error,kad=trace", None, true),
    ] {
        let log = log(arguments, variable);
        assert_eq!(log.contains("stopped"), logged, "{arguments} {variable:?}: {log}");
    }
    let unusable = kad("run --no-bootstrap").env("RUST_LOG", "kad=chatty").output().unwrap();
    assert_eq!(code(&unusable), 2);
    assert!(stderr(&unusable).contains("cannot log"), "{}", stderr(&unusable));
}
