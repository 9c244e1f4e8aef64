use std::fs;
use std::path::Path;

use crate::process::{Node, run, stdout};

#[test]
fn fs_b6_a_signal_saves_the_state_and_a_restart_knows_the_way_back() {
    let dir = tempfile::tempdir().unwrap();
    let (file, router) = (dir.path().join("state"), Node::start("--no-bootstrap"));
    let arguments = |rest: &str| format!("--state-file {} {rest}", file.display());
    let mut first = Node::start(&arguments(&format!("--bootstrap {}", router.addr))).joined();
    first.process.signal("-TERM");
    assert_eq!(first.process.code(), 0);
    assert_eq!(mode(&file), 0o600);
    let saved = fs::read(&file).unwrap();

    let second = Node::start(&arguments("--no-bootstrap")).joined();
    assert_eq!(second.id, first.id, "the id is kept");
    let found = run(&format!("find {} --bootstrap {}", router.id, second.addr));
    assert!(stdout(&found).contains(&router.id), "{}", stdout(&found));

    // Killed without warning, it leaves the file as it was.
    drop(second);
    assert_eq!(fs::read(&file).unwrap(), saved);
}

fn mode(file: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(file).unwrap().permissions().mode() & 0o777
}

#[test]
fn fs_b6_a_damaged_state_file_is_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state");
    fs::write(&file, b"not a state").unwrap();
    let _node = Node::start(&format!("--no-bootstrap --state-file {}", file.display()));
    assert_eq!(fs::read(dir.path().join("state.bad")).unwrap(), b"not a state");
}

#[test]
fn t22_a_node_killed_while_it_saves_leaves_a_state_that_loads() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("state");
    let router = Node::start("--no-bootstrap");
    let options = format!("--state-file {} --save-every 1ms --log kad=debug", file.display());
    let mut ids = Vec::new();
    for round in 0..20 {
        let existed = file.exists();
        let mut node = Node::start(&format!("{options} --bootstrap {}", router.addr));
        // It saves all the time, so after any number of saves it is killed somewhere in the next.
        for _ in 0..round % 4 {
            node.process.stderr.find_text("saved 1 nodes");
        }
        let log = node.process.stderr.seen();
        assert_eq!(log.contains("the state file remembers"), existed, "round {round}: {log}");
        assert!(!dir.path().join("state.bad").exists(), "round {round}: {log}");
        ids.extend(existed.then_some(node.id.clone()));
        // Dropped, it is killed.
    }
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let last = Node::start(&format!("{options} --no-bootstrap"));
    assert!(last.process.stderr.seen().contains("the state file remembers 1 nodes"));
}
