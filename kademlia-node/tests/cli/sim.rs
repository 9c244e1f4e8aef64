use std::fs;

use crate::process::{code, run, stderr, stdout};

/// The lines of a run with `--json`.
fn json(flags: &str) -> Vec<serde_json::Value> {
    let ended = run(&format!("sim --json {flags}"));
    stdout(&ended).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_small_network_finds_everything_and_says_how_to_see_it_again() {
    let ended = run("sim --nodes 200 --trials 20");
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    assert!(stdout(&ended).contains("search messages"), "{}", stdout(&ended));
    let remarks = stderr(&ended);
    assert!(remarks.contains("20 of 20 announcements were found"), "{remarks}");
    assert!(remarks.contains("replay with: kad sim --seed 1 --nodes 200 --trials 20 --replay"), "{remarks}");
}

#[test]
fn p1_the_same_seed_gives_the_same_trace_and_another_seed_another() {
    let trace = |seed: u32| {
        let lines = json(&format!("--nodes 100 --trials 5 --loss 10% --stale 0.3 --seed {seed}"));
        let last = lines.last().unwrap();
        assert_eq!((&last["v"], &last["type"]), (&1.into(), &"summary".into()));
        last["trace"].as_str().unwrap().to_owned()
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
}

#[test]
fn what_is_printed_to_replay_a_failed_search_replays_it() {
    let flags = "--nodes 200 --trials 10 --attack share:0.5 --writer plain --reader plain";
    let lines = json(flags);
    let last = lines.last().unwrap();
    assert!(last["found"].as_u64().unwrap() < 10, "{last}");
    let again = run(last["replay"].as_str().unwrap().strip_prefix("kad ").unwrap());
    assert_eq!(code(&again), 1, "not all was found");
    let remarks = stderr(&again);
    assert!(remarks.contains(last["trace"].as_str().unwrap()), "{remarks}");
    assert!(remarks.contains("ran twice, the same both times"), "{remarks}");
    assert!(remarks.contains(&format!("search {}, step by step", last["lost"][0])), "{remarks}");
    assert!(stdout(&again).contains("GetPeers") && stdout(&again).contains("LookupDone"));
}

#[test]
fn a_search_is_drawn() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("search.svg");
    let flags = "--nodes 100 --trials 2 --attack subnets:8 --loss 5% --stale 30%";
    let ended = run(&format!("sim {flags} --svg {}", file.display()));
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    let drawing = fs::read_to_string(&file).unwrap();
    assert!(drawing.starts_with("<svg xmlns=") && drawing.ends_with("</svg>\n"));
    for sign in ["target", "searcher", "attacker", "took the announcement", "kad sim --seed 1"] {
        assert!(drawing.contains(sign), "{sign}");
    }
    // Every element is closed, and no number came out wrong.
    assert_eq!(drawing.matches("<circle").count(), drawing.matches("</circle>").count() + 1);
    assert!(!drawing.contains("NaN") && !drawing.contains("inf"));
}

#[test]
fn a_search_is_written_as_a_sequence_diagram() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("search.puml");
    let ended = run(&format!("sim --nodes 100 --trials 2 --loss 5% --plantuml {}", file.display()));
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    let drawing = fs::read_to_string(&file).unwrap();
    assert!(drawing.starts_with("@startuml\n") && drawing.ends_with("@enduml\n"), "{drawing}");
    assert!(drawing.contains("GetPeers") && drawing.contains("LookupDone"), "{drawing}");
}

#[test]
fn where_announcer_and_searcher_were_is_told_of_networks_with_nats() {
    let lines = json("--nodes 200 --trials 20 --nat 50%");
    let last = lines.last().unwrap();
    let places = last["by_place"].as_array().unwrap();
    let sum = |what: &str| places.iter().map(|place| place[what].as_u64().unwrap()).sum::<u64>();
    assert_eq!((places.len(), sum("trials"), sum("found")), (4, 20, last["found"].as_u64().unwrap()));
    assert!(last["replay"].as_str().unwrap().contains("--nat 0.5"), "{last}");
}

#[test]
fn the_line_that_a_failing_seed_prints_replays_its_shrunk_plan() {
    // With no time to recover, somebody is lonely in some of these.
    let lines = json("--swarm --nodes 12 --seeds 6 --duration 2m --recovery 0s");
    let failed: Vec<_> = lines.iter().filter(|line| line["flaw"].is_string()).collect();
    assert!(!failed.is_empty(), "{lines:?}");
    let line = failed[0]["replay"].as_str().unwrap();
    assert!(line.contains("--recovery 0s --shrunk "), "{line}");
    let again = run(line.strip_prefix("kad ").unwrap());
    assert_eq!(code(&again), 1, "{}", stderr(&again));
    let written = stdout(&again);
    // It is the smallest plan that is lived through, and it is not shrunk further.
    assert!(written.contains(failed[0]["smallest"].as_str().unwrap()), "{written}");
    assert!(written.contains(line) && !written.contains("smallest"), "{written}");
    assert_eq!(written, stdout(&run(line.strip_prefix("kad ").unwrap())), "the same flaw each time");
}

#[test]
fn p23_p46_the_swarm_is_lived_through() {
    let ended = run("sim --swarm --nodes 20 --seeds 2 --duration 2m --replay");
    assert_eq!(code(&ended), 0, "{}{}", stdout(&ended), stderr(&ended));
    assert_eq!(stdout(&ended).lines().filter(|line| line.starts_with("✔ seed ")).count(), 2);
}

#[test]
fn the_attack_table_is_written_to_stdout() {
    let ended = run("sim --attack-table --nodes 60 --trials 1");
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    assert!(stdout(&ended).starts_with("# What an attacker needs\n"), "{}", stdout(&ended));
    let lines = json("--attack-table --nodes 60 --trials 1");
    assert_eq!((&lines[0]["type"], &lines[1]["type"]), (&"page".into(), &"summary".into()));
}

#[test]
fn bad_flags_are_usage_errors() {
    for flags in [
        "--nodes 0",
        "--loss 2",
        "--nat 2",
        "--shrunk 1",
        "--scenario unheard-of",
        "--attack share:2",
        "--reader best",
    ] {
        assert_eq!(code(&run(&format!("sim {flags}"))), 2, "{flags}");
    }
    let unknown = run("sim --scenario unheard-of");
    assert!(stderr(&unknown).contains("lossy"), "it names those that exist: {}", stderr(&unknown));
}
