//! The readable trace.
#![allow(clippy::expect_used, reason = "helpers of tests")]

mod overlay;

use std::sync::Arc;
use std::time::Duration;

use kademlia_core::{Config, Event, Key, LookupId, LookupOptions};
use overlay::{Request, Tiny, node};
use transport_mem::{LinkModel, Simulation, Transcript};

type Net = Simulation<Tiny<2>, Tiny<2>>;

fn network(loss: f64, wire: bool) -> Net {
    let config = Arc::new(Config::default());
    let mut network = Net::new(1, LinkModel::internet()).wire(wire);
    network.grow(30, Duration::from_secs(1), |birth| node(birth, &config));
    network.run_for(Duration::from_secs(60));
    network.take_events();
    network.links_mut().model_mut().loss = loss;
    network
}

fn look_up(network: &mut Net, target: Key<2>) -> LookupId {
    let options = LookupOptions::default();
    let started = network.call(3, |node, now| node.lookup(now, target, Request::FindNode(target), options));
    started.expect("alive").expect("few lookups")
}

#[test]
fn a_lookup_is_told_from_all_others_with_what_came_back() {
    for wire in [false, true] {
        let mut network = network(0.2, wire);
        // The number that the next lookup will have is known from one before it.
        let everything = Transcript::new(100_000);
        network.observe(everything.observer());
        let first = look_up(&mut network, Key::new([0, 1]));
        network.run_for(Duration::from_secs(20));
        network.take_events();
        let all = everything.to_string();
        assert!(all.contains(&format!("[Lookup({first:?})]")) && all.contains("lost: "), "{all}");

        let mut same = self::network(0.2, wire);
        let transcript = Transcript::new(1_000).of_lookup(3, first);
        same.observe(transcript.observer());
        assert_eq!(look_up(&mut same, Key::new([0, 1])), first);
        look_up(&mut same, Key::new([0x80, 0]));
        same.run_for(Duration::from_secs(20));
        let report = same.events(3).into_iter().find_map(|event| match event {
            Event::LookupDone { lookup, report } if lookup == first => Some(report),
            _ => None,
        });
        let report = report.expect("lookups end");
        let lines = transcript.to_string();
        let count = |what: &str| lines.lines().filter(|line| line.contains(what)).count();
        assert_eq!(count(&format!("[Lookup({first:?})]")), report.messages, "{lines}");
        assert_eq!(count("asks"), report.messages, "and nothing else was asked: {lines}");
        assert!(count("answers") >= report.answered && count("lost: ") > 0, "{lines}");
        assert_eq!(count("LookupDone"), 1);

        let diagram = transcript.plantuml();
        assert!(diagram.starts_with("@startuml\n") && diagram.ends_with("\n@enduml\n"));
        assert_eq!(diagram.lines().count(), lines.lines().count() + 2);
        assert!(diagram.contains("\"3\" -> \"") && diagram.contains("\" ->x \""), "{diagram}");
        assert!(diagram.contains("note over \"3\""), "{diagram}");
    }
}

#[test]
fn a_transcript_is_bounded_and_may_be_of_one_node() {
    let mut network = network(0.0, false);
    let transcript = Transcript::new(20).of_node(7);
    network.observe(transcript.observer());
    network.run_for(Duration::from_secs(3_600));
    let config = Arc::new(Config::default());
    network.restart(7, |birth| node(birth, &config));
    let lines = transcript.to_string();
    assert_eq!(lines.lines().count(), 20);
    assert!(
        lines.lines().all(|line| line.contains(" 7 → ") || line.contains(" → 7:") || line.contains(" 7:"))
    );
    assert!(lines.contains(" 7: stopped") && lines.ends_with(" 7: started\n"), "{lines}");
    assert!(lines.contains("[Keepalive]"), "{lines}");
}

#[test]
fn watching_changes_nothing() {
    let run = |watch: bool| {
        let mut network = network(0.1, true);
        if watch {
            network.observe(Transcript::new(10).observer());
        }
        look_up(&mut network, Key::new([0x12, 0x34]));
        network.run_for(Duration::from_secs(600));
        network.trace_hash()
    };
    assert_eq!(run(true), run(false));
}
