use std::net::UdpSocket;

use crate::process::{Node, code, run, stderr, stdout};

#[test]
fn a_node_of_ours_conforms_line_by_line() {
    let node = Node::start("--no-bootstrap");
    let judged = run(&format!("conform {} --rate 2000 --bep 5 --bep T --seed 7", node.addr));
    assert_eq!(code(&judged), 0, "{}", stdout(&judged));
    let lines = stdout(&judged);
    assert!(lines.contains("MUST     5.6   pass ping gets the node's id\n"), "{lines}");
    assert!(lines.contains("SHOULD   5.14  n/a  buckets are refreshed"), "{lines}");
    assert!(lines.contains("\nBEP 5 ") && lines.contains("\nT  ") && !lines.contains("\nBEP 44 "), "{lines}");
    assert!(!lines.contains('→'), "what was sent is shown for failures, or if it is wanted: {lines}");
    assert!(stderr(&judged).contains("seed 7"), "{}", stderr(&judged));
}

#[test]
fn what_was_sent_and_came_back_is_shown_if_that_is_wanted() {
    let node = Node::start("--no-bootstrap");
    let judged = run(&format!("conform {} --rate 2000 --bep 42 --verbose", node.addr));
    let lines = stdout(&judged);
    assert!(
        lines.contains("→ {a: {id: ") && lines.contains("q: \"ping\"") && lines.contains("← {"),
        "{lines}"
    );
}

#[test]
fn programs_read_one_object_a_line_and_a_summary() {
    let node = Node::start("--no-bootstrap");
    let judged = run(&format!("conform {} --rate 2000 --bep 43 --json", node.addr));
    let lines: Vec<serde_json::Value> =
        stdout(&judged).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.iter().all(|line| line["v"] == 1));
    let finding = lines.iter().find(|line| line["id"] == "43.2" && line["check"] == "served").unwrap();
    assert_eq!((&finding["type"], &finding["level"]), (&"finding".into(), &"MUST".into()));
    assert_eq!((&finding["from"], &finding["verdict"]), (&"BEP 43".into(), &"pass".into()));
    assert!(finding["exchanges"][0]["sent"].as_str().unwrap().contains("ro: 1"), "{finding}");
    let score = lines.iter().find(|line| line["type"] == "score").unwrap();
    assert_eq!(score["must"]["passed"], score["must"]["applicable"]);
    let summary = lines.last().unwrap();
    assert_eq!((&summary["type"], &summary["conforms"]), (&"summary".into(), &true.into()));
}

#[test]
fn where_nobody_answers_there_is_nothing_to_judge() {
    let mute = UdpSocket::bind("127.0.0.1:0").unwrap();
    for flags in ["", "--timeout 1s"] {
        let judged = run(&format!("conform {} {flags}", mute.local_addr().unwrap()));
        assert_eq!((code(&judged), stdout(&judged)), (1, String::new()), "{flags}");
        assert!(stderr(&judged).contains("does not answer"), "{}", stderr(&judged));
    }
}
