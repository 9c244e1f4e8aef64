//! Values put into a network of one node, and read back.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::process::{Node, Process, code, kad, run, stderr, stdout};
use crate::relay::{self, Relay};

const HELLO: &str = "e5f96f6f38320f0f33959cb4d3d656452117aadb";
/// BEP 44's key.
const EXPANDED: &str = "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d\
                        b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d";
const PUBLIC: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";

/// Runs it with this on its stdin.
fn feed(command: &mut Command, input: &[u8]) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn import(path: &Path) {
    let made = feed(&mut kad(&format!("keygen {} --import -", path.display())), EXPANDED.as_bytes());
    assert_eq!((code(&made), stdout(&made)), (0, format!("{PUBLIC}\n")), "{}", stderr(&made));
}

fn summary(output: &Output) -> Value {
    serde_json::from_str(stdout(output).lines().last().unwrap()).unwrap()
}

#[test]
fn bep44_44_1_a_text_is_put_and_got() {
    let node = Node::start("--no-bootstrap");
    let join = format!("--bootstrap {}", node.addr);
    let put = kad(&format!("put {join}")).arg("Hello World!").output().unwrap();
    assert_eq!((code(&put), stdout(&put)), (0, format!("target {HELLO}\n")), "{}", stderr(&put));
    assert!(stderr(&put).contains("stored on 1 of 1 nodes"), "{}", stderr(&put));
    let got = run(&format!("get {HELLO} {join}"));
    assert_eq!((code(&got), stdout(&got).as_str()), (0, "Hello World!\n"), "{}", stderr(&got));
    let raw = run(&format!("get {HELLO} --raw {join}"));
    assert_eq!(stdout(&raw), "12:Hello World!");
    let json = run(&format!("get {HELLO} --json {join}"));
    let line: Value = serde_json::from_str(stdout(&json).lines().next().unwrap()).unwrap();
    assert_eq!((&line["type"], &line["value"]), (&"item".into(), &"Hello World!".into()));
    assert_eq!(summary(&json)["holders"], 1);
    let nothing = run(&format!("get {} {join}", HELLO.replace('e', "f")));
    assert_eq!((code(&nothing), stdout(&nothing)), (1, String::new()));
}

#[test]
fn bep44_44_2_values_come_from_files_and_stdin_and_may_be_any_bencode() {
    let node = Node::start("--no-bootstrap");
    let join = format!("--bootstrap {}", node.addr);
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("value");
    fs::write(&file, "d4:listli1e3:twoe3:nil0:e").unwrap();
    let put = run(&format!("put -f {} --bencode {join}", file.display()));
    assert_eq!(code(&put), 0, "{}", stderr(&put));
    let target = stdout(&put).split_whitespace().nth(1).unwrap().to_owned();
    let got = run(&format!("get {target} {join}"));
    assert!(stdout(&got).contains("list\n  - 1\n  - two\n"), "{}", stdout(&got));
    let put = feed(&mut kad(&format!("put - {join}")), b"Hello World!");
    assert_eq!(stdout(&put), format!("target {HELLO}\n"));
    for (bad, flags) in
        [(vec![b'x'; 997], ""), (b"d1:bi1e1:ai1ee".to_vec(), "--bencode"), (b"i1".to_vec(), "--bencode")]
    {
        let refused = feed(&mut kad(&format!("put - {flags} {join}")), &bad);
        assert_eq!(code(&refused), 7, "{}", stderr(&refused));
        assert!(stderr(&refused).contains("cannot be put"), "{}", stderr(&refused));
    }
}

#[test]
fn bep44_44_6_a_key_owns_versions() {
    let node = Node::start("--no-bootstrap");
    let join = format!("--bootstrap {}", node.addr);
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("me.key");
    import(&key);
    let put = |rest: &str| run(&format!("put --key {} --salt blog {rest} {join}", key.display()));
    let first = put("one");
    assert!(
        stdout(&first).ends_with("   seq 1\n") && code(&first) == 0,
        "{}{}",
        stdout(&first),
        stderr(&first)
    );
    let second = put("two");
    assert!(stdout(&second).ends_with("   seq 1 → 2\n"), "{}", stdout(&second));
    let again = put("two");
    assert!(stdout(&again).ends_with("   seq 2\n") && code(&again) == 0, "{}", stdout(&again));
    let got = run(&format!("get --key {PUBLIC} --salt blog {join}"));
    assert_eq!(stdout(&got), "two\n", "{}", stderr(&got));
    assert!(stderr(&got).contains("version 2 found on 1 nodes"), "{}", stderr(&got));
    // 302 and 301 are conflicts.
    for (rest, error) in [("late --seq 1", "302"), ("three --seq 3 --cas 1", "301")] {
        let refused = put(rest);
        assert_eq!(code(&refused), 6, "{}", stderr(&refused));
        assert!(stderr(&refused).contains(error), "{}", stderr(&refused));
    }
    let third = put("three --seq 3 --cas 2 --json");
    assert_eq!((code(&third), &summary(&third)["accepted"]), (0, &1.into()));
    assert_eq!(code(&put("four --min 2")), 5, "one node of the two that were wanted");
    assert_eq!(code(&put("five --cas 1")), 2, "which version?");
}

#[test]
fn keys_are_only_their_owners_and_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("me.key");
    import(&key);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let saved = fs::read(&key).unwrap();
    let again = run(&format!("keygen {}", key.display()));
    assert_eq!(code(&again), 2, "not overwritten");
    assert_eq!(fs::read(&key).unwrap(), saved);
    let shown = run(&format!("keygen {} --public", key.display()));
    assert_eq!(stdout(&shown), format!("{PUBLIC}\n"));
    let other = dir.path().join("other.key");
    let made = run(&format!("keygen {} --json", other.display()));
    let line: Value = serde_json::from_str(stdout(&made).lines().next().unwrap()).unwrap();
    assert_eq!(line["public"].as_str().unwrap().len(), 64);
    assert_eq!((&summary(&made)["type"], &summary(&made)["written"]), (&"summary".into(), &true.into()));
    assert_eq!(
        code(&feed(&mut kad(&format!("keygen {} --import -", dir.path().join("x").display())), b"junk")),
        7
    );
    assert_eq!(code(&run("put x --key /no/such/file")), 2);
    // As long as a key of bytes.
    let seed =
        feed(&mut kad(&format!("keygen {} --import -", dir.path().join("x").display())), PUBLIC.as_bytes());
    assert_eq!(code(&seed), 7);
    assert!(stderr(&seed).contains("hint: an expanded secret key has 128"), "{}", stderr(&seed));
}

/// What one run keeps, another goes on keeping.
#[cfg(unix)]
#[test]
fn bep44_44_9_kept_items_are_remembered_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let (key, file) = (dir.path().join("me.key"), dir.path().join("items"));
    import(&key);
    let first = Node::start("--no-bootstrap");
    let put = format!("put --key {} kept --keep --keep-file {}", key.display(), file.display());
    let mut keeper = Process::start(&mut kad(&format!("{put} --bootstrap {}", first.addr)));
    keeper.stderr.find_text("kept version 1: stored on 1 of 1 nodes");
    keeper.signal("-INT");
    assert_eq!(keeper.code(), 0);
    // A network that has never seen the item.
    let second = Node::start("--no-bootstrap");
    let mut node =
        Node::start(&format!("--bootstrap {} --keep-file {}", second.addr, file.display())).joined();
    let mut got = run(&format!("get --key {PUBLIC} --bootstrap {}", second.addr));
    for _ in 0..20 {
        if code(&got) == 0 {
            break;
        }
        got = run(&format!("get --key {PUBLIC} --bootstrap {}", second.addr));
    }
    assert_eq!(stdout(&got), "kept\n", "{}", stderr(&got));
    node.process.signal("-TERM");
    assert_eq!(node.process.code(), 0);
    assert!(fs::read(&file).unwrap().starts_with(b"kaditems"), "saved again");
}

/// The engine asks again, and is refused, for the node has what it is to store in the place of the version before.
#[test]
fn a_change_of_which_the_answer_was_lost_is_no_conflict() {
    let node = Node::start("--no-bootstrap");
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("me.key");
    import(&key);
    let put = |text: &str, through| run(&format!("put {text} --key {} --bootstrap {through}", key.display()));
    assert_eq!(code(&put("one", node.addr)), 0);
    let mut is_first = true;
    let relay = Relay::to(node.addr, move |request| {
        relay::is(request, "put") && std::mem::replace(&mut is_first, false)
    });
    let second = put("two", relay.addr);
    assert_eq!(code(&second), 0, "{}", stderr(&second));
    assert!(stdout(&second).ends_with("   seq 1 → 2\n"), "{}", stdout(&second));
    assert!(stderr(&second).contains("1 refused (301"), "{}", stderr(&second));
    assert!(stderr(&second).contains("it is the version that counts"), "{}", stderr(&second));
}

/// Two that share a file add to it, and a node that has it too keeps what they add.
#[cfg(unix)]
#[test]
fn processes_that_share_a_file_of_kept_items_do_not_erase_each_other_s() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("items");
    let share = format!("--keep-file {}", file.display());
    let network = Node::start("--no-bootstrap");
    let keep = |text: &str| {
        let put = format!("put {text} --keep {share} --bootstrap {}", network.addr);
        let mut keeper = Process::start(&mut kad(&put));
        keeper.stderr.find_text("kept: ");
        keeper
    };
    let mut node = Node::start(&format!("--bootstrap {} {share} --save-every 1ms", network.addr));
    let (mut first, mut second) = (keep("one"), keep("two"));
    node.process.stderr.find_text("to the item file");
    for keeper in [&mut first, &mut second, &mut node.process] {
        keeper.signal("-INT");
        assert_eq!(keeper.code(), 0, "{}", keeper.stderr.seen());
    }
    let mut later = Node::start(&format!("--no-bootstrap {share}"));
    assert!(later.process.stderr.seen().contains("remembers 2 items"), "{}", later.process.stderr.seen());
    later.process.signal("-TERM");
    assert_eq!(later.process.code(), 0);
}

#[test]
fn bep46_46_2_a_magnet_link_of_a_key_leads_to_an_info_hash() {
    let node = Node::start("--no-bootstrap");
    let join = format!("--bootstrap {}", node.addr);
    let dir = tempfile::tempdir().unwrap();
    let key = dir.path().join("me.key");
    import(&key);
    let put = format!("put --key {} --salt n --bencode - {join}", key.display());
    assert_eq!(code(&feed(&mut kad(&put), b"d2:ih20:aaaaaaaaaaaaaaaaaaaae")), 0);
    let link = format!("magnet:?xs=urn:btpk:{PUBLIC}&s=6e");
    let got = run(&format!("get {link} {join}"));
    assert_eq!((code(&got), stdout(&got)), (0, format!("{}\n", "61".repeat(20))), "{}", stderr(&got));
    assert_eq!(code(&feed(&mut kad(&put), b"5:other")), 0);
    assert_eq!(code(&run(&format!("get {link} {join}"))), 7, "no torrent");
}
