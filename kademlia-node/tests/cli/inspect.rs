use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use std::process::Stdio;

use crate::process::{HASH, Node, code, kad, run, stderr, stdout};

const PING: &str = "64313a6164323a696432303a6162636465666768696a3031323334353637383965313a71343a70696e67313a74323a6161313a79313a7165";

/// The lines of a command with `--json`.
fn json(line: &str) -> Vec<serde_json::Value> {
    let ended = run(&format!("{line} --json"));
    stdout(&ended).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn bep33_33_1_33_2_a_swarm_is_counted_seeds_and_peers_apart() {
    let node = Node::start("--no-bootstrap");
    let router = node.addr;
    let nobody = run(&format!("peers {HASH} --scrape --bootstrap {router}"));
    assert_eq!(code(&nobody), 1, "{}", stderr(&nobody));
    for flags in ["--port 7 --seed", "--port 8"] {
        let ended = run(&format!("announce {HASH} {flags} --once --bootstrap {router}"));
        assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    }
    let counted = run(&format!("peers {HASH} --scrape --bootstrap {router}"));
    assert_eq!((code(&counted), stdout(&counted).as_str()), (0, "about 1 seeds and 1 other peers\n"));
    let lines = json(&format!("peers {HASH} --scrape --bootstrap {router}"));
    assert_eq!((&lines[0]["type"], &lines[0]["counting"]), (&"swarm".into(), &1.into()));
    assert_eq!(lines.last().unwrap()["type"], "summary");
}

#[test]
fn bep51_51_1_a_node_is_sampled_and_a_network_swept() {
    let node = Node::start("--no-bootstrap");
    let router = node.addr;
    let empty = run(&format!("sample {router}"));
    assert_eq!((code(&empty), stdout(&empty)), (1, String::new()), "{}", stderr(&empty));
    // The answer stands for five minutes, so the announcement goes to another.
    let node = Node::start("--no-bootstrap");
    let router = node.addr;
    assert_eq!(code(&run(&format!("announce {HASH} --port 7 --once --bootstrap {router}"))), 0);
    let sampled = run(&format!("sample {router}"));
    assert_eq!((code(&sampled), stdout(&sampled)), (0, format!("{HASH}\n")), "{}", stderr(&sampled));
    assert!(stderr(&sampled).contains("1 of the 1 info hashes"), "{}", stderr(&sampled));

    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("hashes.ndjson");
    let swept = run(&format!("sample --out {} --for 30s --bootstrap {router}", out.display()));
    assert_eq!((code(&swept), stdout(&swept)), (0, String::new()), "{}", stderr(&swept));
    assert!(
        stderr(&swept).contains("1 info hashes") && stderr(&swept).contains("100.0000 % of v4"),
        "{}",
        stderr(&swept)
    );
    let line: serde_json::Value = serde_json::from_str(fs::read_to_string(&out).unwrap().trim()).unwrap();
    assert_eq!(line["info_hash"], HASH);
    let lines = json(&format!("sample --bootstrap {router}"));
    assert_eq!((&lines[0]["type"], &lines[0]["info_hash"]), (&"hash".into(), &HASH.into()));
    assert_eq!(lines.last().unwrap()["coverage"][0]["share"], 1.0);
}

#[test]
fn a_walk_that_fails_leaves_what_an_earlier_one_collected() {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("hashes.ndjson");
    fs::write(&out, "collected for days\n").unwrap();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = silent.local_addr().unwrap();
    let sample = |flags: &str| code(&run(&format!("sample {flags} --timeout 1s --out {}", out.display())));
    assert_eq!((sample(&format!("--bootstrap {to}")), sample(&to.to_string())), (4, 1));
    assert_eq!(fs::read_to_string(&out).unwrap(), "collected for days\n");
    let node = Node::start("--no-bootstrap");
    assert_eq!(code(&run(&format!("announce {HASH} --port 7 --once --bootstrap {}", node.addr))), 0);
    assert_eq!(sample(&format!("--bootstrap {}", node.addr)), 0);
    let written = fs::read_to_string(&out).unwrap();
    assert!(written.starts_with('{') && written.contains(HASH), "{written}");
}

#[test]
fn bep42_42_2_ids_are_checked_and_made() {
    let fits = run("id 124.31.75.21 5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401");
    assert_eq!(code(&fits), 0);
    assert!(stdout(&fits).contains(" fits 124.31.75.21"), "{}", stdout(&fits));
    let wrong = run("id 124.31.75.22 5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401");
    assert_eq!(code(&wrong), 1);
    assert!(stdout(&wrong).contains("does not fit"), "{}", stdout(&wrong));
    let made = stdout(&run("id 2001:db8:85a3:8d3::1"));
    assert_eq!(code(&run(&format!("id 2001:db8:85a3:8d3::1 {}", made.trim()))), 0, "{made}");
    assert_ne!(made, stdout(&run("id 2001:db8:85a3:8d3::1")));
    let local = json("id 192.168.1.1 5fbfbff10c5d6a4ec8a88e4c6ab4c28b95eee401");
    assert_eq!((&local[0]["fits"], &local[0]["exempt"]), (&true.into(), &true.into()));
}

#[test]
fn a_datagram_is_shown_and_judged() {
    let shown = run(&format!("decode {PING}"));
    assert_eq!(code(&shown), 0, "{}", stderr(&shown));
    assert_eq!(
        stdout(&shown),
        "a\n  id        6162636465666768696a30313233343536373839\nq         ping\nt         aa\ny         q\n"
    );
    assert!(stderr(&shown).contains("a request, served as ping"), "{}", stderr(&shown));

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("packet");
    fs::write(&file, b"d1:ade1:q4:ping1:t2:aa1:y1:qe").unwrap();
    let refused = run(&format!("decode --file {}", file.display()));
    assert_eq!(code(&refused), 7);
    assert!(stderr(&refused).contains("error 203"), "{}", stderr(&refused));

    let mut child = kad("decode --json").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"ZDE6eXh4eA==\n").unwrap();
    let garbage = child.wait_with_output().unwrap();
    assert_eq!(code(&garbage), 7);
    let lines = stdout(&garbage);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&first["verdict"], &first["bytes"]), (&"garbage".into(), &7.into()));
    assert_eq!(code(&run("decode xyz!")), 2);
}

#[test]
fn a_torrent_file_is_as_good_as_its_info_hash() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("some.torrent");
    fs::write(&file, "d4:infod4:name1:a6:pieces0:ee").unwrap();
    let info_hash = bittorrent_profile::InfoHash::from_torrent(&fs::read(&file).unwrap()).unwrap();
    let node = Node::start("--no-bootstrap");
    let announced = run(&format!("announce {} --port 7 --once --bootstrap {}", file.display(), node.addr));
    assert_eq!(code(&announced), 0, "{}", stderr(&announced));
    let found = run(&format!("peers {info_hash} --bootstrap {}", node.addr));
    assert_eq!(stdout(&found), "127.0.0.1:7\n");
    assert_eq!(code(&run(&format!("find {} --bootstrap {}", file.display(), node.addr))), 0);
    assert_eq!(code(&run("peers no-such.torrent")), 2);
}

#[test]
fn networks_of_different_names_do_not_hear_each_other() {
    let node = Node::start("--no-bootstrap --network lab");
    let router = node.addr;
    let ping = |flags: &str| code(&run(&format!("ping -c 1 {router} {flags}")));
    assert_eq!(ping("--network lab"), 0);
    assert_eq!((ping("--network other --timeout 500ms"), ping("--timeout 500ms")), (1, 1));
    let announced = run(&format!("announce {HASH} --port 7 --once --network lab --bootstrap {router}"));
    assert_eq!(code(&announced), 0, "{}", stderr(&announced));
    let found = run(&format!("peers {HASH} --network lab --bootstrap {router}"));
    assert_eq!(stdout(&found), "127.0.0.1:7\n", "{}", stderr(&found));
    assert_eq!(code(&run(&format!("peers {HASH} --timeout 1s --bootstrap {router}"))), 4, "not its network");
    assert_eq!(code(&run(&format!("peers {HASH} --network lab"))), 2, "whom to join through?");
}
