use std::time::Duration;

use kademlia_core::Key;

use super::*;
use crate::protocol::key_of;
use crate::service::KvConfig;
use crate::{Value, Versioned};

fn key(first: u8) -> Id {
    let mut key = [0; 32];
    key[0] = first;
    Key::new(key)
}

fn contact(n: u8) -> Contact<Id> {
    Contact::new(key(n), SocketAddr::from(([20, n, 0, 1], 7_000)))
}

fn node() -> NodeDump {
    let now = Instant::from_secs(100);
    let service = KvService::in_memory(key(0), KvConfig::default(), [1; 32], now);
    let mut node = Node::new(service, key(0), KeyValue::config(), [2; 32], now);
    node.preload(now, &[1, 3, 64, 128, 200].map(contact));
    let value = Value::new(b"hello").unwrap();
    node.service_mut().put(now, key_of("greeting"), value, None, Box::new(drop));
    node.handle_timeout(now);
    NodeDump::of(&node, Some("20.0.0.1:7000".parse().unwrap()), now + Duration::from_secs(10))
}

#[test]
fn fs_e5_a_node_as_json_has_its_buckets_nodes_distances_and_pairs() {
    let json: serde_json::Value = serde_json::from_str(&node().to_json()).unwrap();
    assert_eq!(json["key"].as_str().unwrap().len(), 64);
    assert_eq!(json["address"], "20.0.0.1:7000");
    let buckets = json["buckets"].as_array().unwrap();
    let nodes: usize = buckets.iter().map(|bucket| bucket["nodes"].as_array().unwrap().len()).sum();
    assert_eq!(nodes, 5);
    let far = buckets.iter().flat_map(|bucket| bucket["nodes"].as_array().unwrap());
    let far = far.max_by_key(|node| node["bits"].as_u64()).unwrap();
    assert_eq!((far["bits"].as_u64(), far["quality"].as_str()), (Some(256), Some("good")));
    assert_eq!(far["distance"], far["key"], "the distance from zero is the key");
    let pair = &json["pairs"][0];
    assert_eq!(pair["key"], key_of("greeting").to_string());
    assert_eq!((pair["bytes"].as_u64(), pair["life"].as_u64()), (Some(5), Some(86_390)));
    assert!((3_000..4_100).contains(&pair["turn"].as_u64().unwrap()));
    assert_eq!(json["publishes"][0], pair["key"]);
}

/// Braces are balanced, what is connected is declared, and every node is there.
fn check(diagram: &str, named: impl IntoIterator<Item = Id>) {
    let lines: Vec<_> = diagram.lines().collect();
    assert_eq!((lines.first(), lines.last()), (Some(&"@startuml"), Some(&"@enduml")));
    let count = |end: &str| lines.iter().filter(|line| line.ends_with(end)).count();
    assert_eq!(count("{"), count("}"));
    for line in &lines {
        let mut words = line.split_whitespace();
        if let (Some(from), Some("-->" | "--"), Some(to)) = (words.next(), words.next(), words.next()) {
            for name in [from, to] {
                assert!(diagram.contains(&format!("as {name} {{")), "{name}");
            }
        }
    }
    for key in named {
        assert!(diagram.contains(&format!("{key:#}")), "{diagram}");
    }
}

#[test]
fn fs_e5_a_node_as_plantuml() {
    let diagram = node().to_plantuml();
    println!("{diagram}");
    check(&diagram, [1, 3, 64, 128, 200].map(key).into_iter().chain([key_of("greeting")]));
    assert!(diagram.contains("20.200.0.1:7000 · < 2^256 · good"));
}

#[test]
fn fs_e5_a_lookup_as_json_and_as_plantuml() {
    let report = LookupReport {
        target: key(0),
        closest: vec![contact(1), contact(3)],
        asked: 5,
        answered: 4,
        messages: 7,
        hops: 2,
        took: Duration::from_millis(120),
        complete: false,
        crowded: false,
    };
    let nodes = LookupDump::from(&report);
    assert_eq!((nodes.nodes.len(), nodes.nodes[1].distance.bits), (2, 250));
    let item = Versioned { version: 9, value: Some(Value::new(b"hello").unwrap()), life: 1 };
    let got = Got {
        key: key(0),
        item: Some(item),
        holders: vec![contact(1)],
        cached_at: Some(contact(3)),
        report: Some(report),
    };
    let dump = LookupDump::from(&got);
    let json: serde_json::Value = serde_json::from_str(&dump.to_json()).unwrap();
    assert_eq!((json["value"].as_str(), json["version"].as_u64()), (Some("hello"), Some(9)));
    assert_eq!((&json["nodes"][0]["holds"], &json["nodes"][1]["holds"]), (&true.into(), &false.into()));
    assert_eq!((json["asked"].as_u64(), json["took"].as_u64()), (Some(5), Some(120)));
    let diagram = dump.to_plantuml();
    println!("{diagram}");
    check(&diagram, [0, 1, 3].map(key));
    assert!(diagram.contains("target -- node2 : < 2^250") && diagram.contains("has the value"));
    // What the node knew itself has no lookup.
    let own = LookupDump::from(&Got { holders: Vec::new(), cached_at: None, report: None, ..got });
    assert_eq!((own.value.as_deref(), own.nodes.len()), (Some("hello"), 0));
    check(&own.to_plantuml(), [key(0)]);
}
