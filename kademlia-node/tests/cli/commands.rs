use std::net::UdpSocket;
use std::process::Stdio;

use crate::process::{HASH, Node, Process, code, kad, run, stderr, stdout};
use crate::relay::{self, Relay};

#[test]
fn peers_announce_ping_and_find_work_against_a_node() {
    let node = Node::start("--no-bootstrap");
    let router = node.addr;
    let announced = run(&format!("announce {HASH} --port 51413 --once --bootstrap {router}"));
    assert_eq!(code(&announced), 0, "{}", stderr(&announced));
    assert!(
        stdout(&announced).starts_with(&format!("accepted   {}@{router}", node.id)),
        "{}",
        stdout(&announced)
    );

    let found = run(&format!("peers {HASH} --bootstrap {router}"));
    assert_eq!((code(&found), stdout(&found).as_str()), (0, "127.0.0.1:51413\n"));
    assert!(stderr(&found).contains("found 1 peers"), "{}", stderr(&found));

    let pinged = run(&format!("ping -c 1 {router}"));
    assert_eq!(code(&pinged), 0);
    assert!(stdout(&pinged).contains(&node.id) && stderr(&pinged).contains("1 sent, 1 answered"));

    let closest = run(&format!("find {HASH} --bootstrap {router}"));
    assert_eq!(code(&closest), 0);
    assert!(stdout(&closest).starts_with(&node.id), "{}", stdout(&closest));
}

/// Who is named on the command line does not answer; who is named in the file does.
#[test]
fn bep5_5_16_a_torrent_s_own_nodes_lead_into_the_network() {
    let node = Node::start("--no-bootstrap");
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trackerless.torrent");
    let nodes = format!("ll9:127.0.0.1i{}eee", node.addr.port());
    std::fs::write(&path, format!("d4:infod4:name1:a6:pieces0:e5:nodes{nodes}e")).unwrap();
    let (file, dead) = (path.display(), silent.local_addr().unwrap());
    for (line, expected) in [
        (
            format!("announce {file} --port 51413 --once --bootstrap {dead}"),
            format!("{}@{}", node.id, node.addr),
        ),
        (format!("peers {file} --bootstrap {dead}"), "127.0.0.1:51413".to_owned()),
        (format!("find {file} --bootstrap {dead}"), node.id.clone()),
    ] {
        let ran = run(&line);
        assert_eq!(code(&ran), 0, "{line}: {}", stderr(&ran));
        assert!(stdout(&ran).contains(&expected), "{line}: {}", stdout(&ran));
    }
}

#[test]
fn json_is_one_object_a_line_and_ends_with_a_summary() {
    let node = Node::start("--no-bootstrap");
    assert_eq!(code(&run(&format!("announce {HASH} --port 7 --once --quiet --bootstrap {}", node.addr))), 0);
    let found = run(&format!("peers {HASH} --json --bootstrap {}", node.addr));
    let lines: Vec<serde_json::Value> =
        stdout(&found).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().all(|line| line["v"] == 1));
    assert_eq!(lines.first().unwrap()["addr"], "127.0.0.1:7");
    assert_eq!(lines.last().unwrap()["type"], "summary");
    assert_eq!(lines.last().unwrap()["peers"], 1);
}

#[test]
fn exit_codes_say_what_happened() {
    let node = Node::start("--no-bootstrap");
    let nothing = run(&format!("peers {HASH} --bootstrap {}", node.addr));
    assert_eq!((code(&nothing), stdout(&nothing)), (1, String::new()), "nothing found");
    assert_eq!(code(&run("peers nonsense")), 2, "usage");
    let taken = run(&format!("run --no-bootstrap --bind {}", node.addr));
    assert_eq!(code(&taken), 3, "cannot bind");
    assert!(stderr(&taken).starts_with("error: cannot bind"), "{}", stderr(&taken));
    // A socket that nobody reads: the port is taken, and silent.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let lost = run(&format!("peers {HASH} --timeout 2s --bootstrap {}", silent.local_addr().unwrap()));
    assert_eq!(code(&lost), 4, "could not join");
    assert!(stderr(&lost).contains("hint:"), "{}", stderr(&lost));
    let partly = run(&format!("announce {HASH} --port 7 --once --min 2 --bootstrap {}", node.addr));
    assert_eq!(code(&partly), 5, "one node of the two that were wanted");
    assert!(stdout(&partly).starts_with("accepted"), "{}", stdout(&partly));
}

/// Its requests wait for an hour, and no answer to what is to be stored comes through.
#[test]
fn the_time_limit_holds_for_storing_too() {
    let node = Node::start("--no-bootstrap");
    let relay =
        Relay::to(node.addr, |request| relay::is(request, "announce_peer") || relay::is(request, "put"));
    let dir = tempfile::tempdir().unwrap();
    let (config, key) = (dir.path().join("kad.toml"), dir.path().join("me.key"));
    std::fs::write(&config, "rpc = { initial_timeout = \"1h\", min_timeout = \"1h\", max_timeout = \"1h\" }")
        .unwrap();
    assert_eq!(code(&run(&format!("keygen {}", key.display()))), 0);
    let flags = format!("--timeout 2s --bootstrap {} --config {}", relay.addr, config.display());
    for line in [format!("announce {HASH} --port 7 --once"), format!("put text --key {}", key.display())] {
        let ended = run(&format!("{line} {flags}"));
        assert_eq!((code(&ended), stdout(&ended)), (1, String::new()), "{line}");
        assert!(stderr(&ended).contains("no end within 2.0 s\nhint: "), "{line}: {}", stderr(&ended));
    }
    // The announcement before was taken all the same, so there is a peer.
    let peers = run(&format!("peers {HASH} --announce 8 {flags}"));
    assert_eq!((code(&peers), stdout(&peers).as_str()), (1, "127.0.0.1:7\n"), "{}", stderr(&peers));
    assert!(stderr(&peers).contains("the announcement took longer than 2.0 s"), "{}", stderr(&peers));
    assert!(stderr(&peers).contains("found 1 peers"), "{}", stderr(&peers));
}

#[test]
fn the_first_peer_of_a_torrent_has_done_what_it_came_for() {
    let node = Node::start("--no-bootstrap");
    let first = run(&format!("peers {HASH} --announce 7 --bootstrap {}", node.addr));
    assert_eq!((code(&first), stdout(&first)), (0, String::new()), "{}", stderr(&first));
    let second = run(&format!("peers {HASH} --announce 8 --bootstrap {}", node.addr));
    assert_eq!((code(&second), stdout(&second).as_str()), (0, "127.0.0.1:7\n"), "{}", stderr(&second));
}

#[test]
fn a_reader_that_leaves_early_ends_it_quietly() {
    let node = Node::start("--no-bootstrap");
    assert_eq!(code(&run(&format!("announce {HASH} --port 9 --once --bootstrap {}", node.addr))), 0);
    let mut child = kad(&format!("peers {HASH} --bootstrap {}", node.addr))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(!stderr(&ended).contains("panicked") && !stderr(&ended).contains("error"), "{}", stderr(&ended));
}

/// Elsewhere the system does not tell, and the ping waits for its hour.
#[test]
#[cfg(target_os = "linux")]
fn t19_a_ping_to_a_closed_port_does_not_wait_for_its_timeout() {
    let mut ping = Process::start(&mut kad("ping -c 1 --timeout 1h 127.0.0.1:1"));
    assert_eq!(ping.code(), 1, "{}", ping.stderr.seen());
    assert!(ping.stderr.seen().contains("1 sent, 0 answered"), "{}", ping.stderr.seen());
}

#[test]
fn fs_b7_a_public_address_decides_the_id() {
    let node = Node::start("--no-bootstrap --public-ip 124.31.75.21");
    let id: bittorrent_profile::NodeId = node.id.parse().unwrap();
    assert!(bittorrent_profile::node_id::verify([124, 31, 75, 21].into(), &id.into()), "{id}");
}

#[test]
fn fs_b10_a_limit_holds_on_loopback() {
    let tight = "--no-bootstrap --limit inbound.burst=1 --limit inbound.quiet=0";
    let node = Node::start(&format!("{tight} --limit inbound.per_ip=1"));
    let pinged = run(&format!("ping -c 5 -i 1ms --timeout 200ms {}", node.addr));
    assert!(!stderr(&pinged).contains("5 sent, 5 answered"), "{}", stderr(&pinged));
    // What the user did not set is relaxed there.
    let free = Node::start(tight);
    let pinged = run(&format!("ping -c 5 -i 1ms {}", free.addr));
    assert!(stderr(&pinged).contains("5 sent, 5 answered"), "{}", stderr(&pinged));
}

#[test]
fn the_demo_finds_everything() {
    let demo = run("demo --nodes 12 --seed 3");
    assert_eq!(code(&demo), 0, "{}", stderr(&demo));
    let table = stdout(&demo);
    assert!(table.contains("all alive") && table.contains("a third killed"), "{table}");
}
