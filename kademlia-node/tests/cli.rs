//! The binary as its users meet it: a node on loopback, and every command against it.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail loudly")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const HASH: &str = "d2474e86c95b19b8bcfdb92bc12c9d44667cfa36";

fn kad(line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kad"));
    command.args(line.split_whitespace()).stdin(Stdio::null()).env_remove("RUST_LOG");
    command
}

fn run(line: &str) -> Output {
    kad(line).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap_or(-1)
}

/// Tries again what other processes have to bring about; each try takes its time.
fn until(holds: impl Fn() -> bool) {
    assert!((0..500).any(|_| holds()), "not even after 500 tries");
}

/// A `kad run` that is killed at the end of its test.
struct Node {
    child: Child,
    addr: SocketAddr,
    id: String,
}

impl Node {
    /// Waits for the line that says who it is and where.
    fn start(arguments: &str) -> Self {
        let mut child =
            kad(&format!("run --bind 127.0.0.1:0 {arguments}")).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let introduces = |line: &String| line.starts_with("kad ") && line.contains(": node ");
        let first = lines.by_ref().map(Result::unwrap).find(introduces).expect("a node introduces itself");
        // The rest of its log is read and dropped, or the node would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let words: Vec<_> = first.split_whitespace().collect();
        let after =
            |word: &str| words.iter().skip_while(|&&w| w != word).nth(1).expect("introduction").to_owned();
        Node { addr: after("on").parse().unwrap(), id: (*after("node")).to_owned(), child }
    }

    #[cfg(unix)]
    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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

#[cfg(unix)]
#[test]
fn fs_b6_a_signal_saves_the_state_and_a_restart_knows_the_way_back() {
    let dir = tempfile::tempdir().unwrap();
    let (file, router) = (dir.path().join("state"), Node::start("--no-bootstrap"));
    let arguments = |rest: &str| format!("--state-file {} {rest}", file.display());
    let mut first = Node::start(&arguments(&format!("--bootstrap {}", router.addr)));
    // Once others find it through the router, the two know each other.
    let find = || run(&format!("find {} --bootstrap {}", first.id, router.addr));
    until(|| stdout(&find()).contains(&first.id));
    first.signal("-TERM");
    assert!(first.child.wait().unwrap().success());
    assert_eq!(mode(&file), 0o600);
    let saved = std::fs::read(&file).unwrap();
    assert!(!saved.is_empty());

    let second = Node::start(&arguments("--no-bootstrap"));
    assert_eq!(second.id, first.id, "the id is kept");
    let find = || run(&format!("find {} --bootstrap {}", router.id, second.addr));
    until(|| stdout(&find()).contains(&router.id));

    // Killed without warning, it leaves the file as it was.
    second.signal("-KILL");
    drop(second);
    assert_eq!(std::fs::read(&file).unwrap(), saved);
}

#[cfg(unix)]
fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn fs_b6_a_damaged_state_file_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state");
    std::fs::write(&file, b"not a state").unwrap();
    let _node = Node::start(&format!("--no-bootstrap --state-file {}", file.display()));
    assert_eq!(std::fs::read(dir.path().join("state.bad")).unwrap(), b"not a state");
}

#[test]
fn fs_b7_a_public_address_decides_the_id() {
    let node = Node::start("--no-bootstrap --public-ip 124.31.75.21");
    let id: bittorrent_profile::NodeId = node.id.parse().unwrap();
    assert!(bittorrent_profile::node_id::verify([124, 31, 75, 21].into(), &id.into()), "{id}");
}

#[test]
fn the_demo_finds_everything() {
    let demo = run("demo --nodes 12 --seed 3");
    assert_eq!(code(&demo), 0, "{}", stderr(&demo));
    let table = stdout(&demo);
    assert!(table.contains("all alive") && table.contains("a third killed"), "{table}");
}
