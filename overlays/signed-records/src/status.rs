//! A node as its owner looks at it: read-only, as JSON or as a page (D11).

use core::fmt::Write as _;
use core::net::SocketAddr;

use kademlia_core::{Instant, Key, Node, Storage};
use serde::Serialize;

use crate::peers::Reach;
use crate::protocol::SignedRecords;
use crate::record::{SignedRecord, StoredRecord};
use crate::service::RecordsService;

/// Records of others in one status; more are left out.
const LISTED: usize = 100;

/// How a node is doing.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Status {
    /// Its key, and its identity.
    pub key: String,
    /// Milliseconds since 1970 by its clock.
    pub now: u64,
    /// Whether it found its way into the network.
    pub bootstrapped: bool,
    /// The external address that the network agrees on.
    pub external: Option<SocketAddr>,
    /// The address at which most of those asked last see it.
    pub apparent: Option<SocketAddr>,
    /// Its routing table.
    pub table: TableStatus,
    /// Nodes in the network, as far as lookups have shown; with the bounds between which the number lies.
    pub network_size: Option<[f64; 3]>,
    /// Median round trip in milliseconds, once there is one.
    pub round_trip: Option<f64>,
    /// Peers that answered lately.
    pub reach: Reach,
    /// Known peers with the external IP of this node.
    pub hairpins: usize,
    /// Keys with records of others.
    pub keys: usize,
    /// Records kept.
    pub records: usize,
    /// Memory that they take.
    pub bytes: usize,
    /// Operations under way.
    pub operations: usize,
    /// What it publishes.
    pub publications: Vec<PublishedRecord>,
    /// Some of the records that it keeps for others.
    pub held: Vec<HeldRecord>,
    /// Requests answered, with a response or an error.
    pub served: u64,
    /// Requests sent, retries included.
    pub asked: u64,
    /// Requests of its own that were answered.
    pub answered: u64,
    /// Datagrams that were no message.
    pub malformed: u64,
}

/// Entries of the routing table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TableStatus {
    /// That answered lately.
    pub good: usize,
    /// That did not answer lately.
    pub questionable: usize,
    /// That failed to answer.
    pub bad: usize,
}

/// A record that a node publishes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublishedRecord {
    /// The present version.
    #[serde(flatten)]
    pub record: HeldRecord,
    /// Nodes that have it, once that is known.
    pub replicas: Option<usize>,
}

/// A record, without its payload: a page is no place for what others write.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeldRecord {
    /// The key it is kept under.
    pub key: String,
    /// Who says it.
    pub publisher: String,
    /// Its type, and the topic if it is one.
    pub subject: String,
    /// Which version.
    pub sequence: u64,
    /// Seconds until it expires.
    pub expires_in: u64,
    /// Bytes of its payload; `None` if it is a withdrawal.
    pub payload: Option<usize>,
}

impl Status {
    /// What there is to say of a node now.
    pub fn of<S>(node: &mut Node<SignedRecords, RecordsService<S>>, now: Instant) -> Self
    where
        S: Storage<Key<32>, StoredRecord> + 'static,
    {
        let listed = node.service_mut().list(now, LISTED);
        let (service, table) = (node.service(), node.table());
        let (counts, counters, storage, wall) =
            (table.counts(now), node.counters(), service.storage(), service.wall(now));
        let held = |key: Key<32>, record: &SignedRecord| HeldRecord {
            key: key.to_string(),
            publisher: record.publisher.to_string(),
            subject: record.subject.to_string(),
            sequence: record.sequence,
            expires_in: record.expires().since(wall).as_secs(),
            payload: record.payload().map(<[u8]>::len),
        };
        let published = |(record, replicas): (&SignedRecord, _)| PublishedRecord {
            record: held(record.target(), record),
            replicas,
        };
        Status {
            key: node.local().to_string(),
            now: wall.as_millis(),
            bootstrapped: node.is_bootstrapped(),
            external: node.external(),
            apparent: service.apparent(),
            table: TableStatus { good: counts.good, questionable: counts.questionable, bad: counts.bad },
            network_size: node.network_size().map(|size| [size.nodes, size.low, size.high]),
            round_trip: node.round_trips().median().map(|time| time.as_secs_f64() * 1e3),
            reach: service.reach(now),
            hairpins: table.iter().filter(|entry| service.is_hairpin(entry.contact().addr)).count(),
            keys: storage.keys(),
            records: storage.len(),
            bytes: storage.bytes(),
            operations: service.operations(),
            publications: service.publications().map(published).collect(),
            held: listed.iter().map(|(key, record)| held(*key, record)).collect(),
            served: counters.served,
            asked: counters.asked,
            answered: counters.answered,
            malformed: counters.malformed,
        }
    }

    /// The status as JSON, indented.
    pub fn to_json(&self) -> String {
        // Numbers, strings and lists: there is nothing in it that JSON cannot say.
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// The status as a page that refreshes itself: self-contained, without scripts.
    pub fn to_html(&self) -> String {
        let mut page = String::from(HEAD);
        for char in self.to_json().chars() {
            match char {
                '<' => page.push_str("&lt;"),
                '>' => page.push_str("&gt;"),
                '&' => page.push_str("&amp;"),
                char => page.push(char),
            }
        }
        let _ = write!(page, "</pre>");
        page
    }
}

const HEAD: &str = "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"2\">\
                    <title>signed records</title><pre>";

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::sync::Arc;

    use super::*;
    use crate::config::{RecordsConfig, engine_config};
    use crate::identity::SecretKey;
    use crate::record::{Draft, Topic};
    use crate::time::{Clock, Timestamp};

    #[test]
    fn fs_d11_a_status_is_json_and_a_page_in_which_nobody_can_write() {
        let wall = Timestamp::from_millis(1_800_000_000_000);
        let clock = Clock::new(Instant::ZERO, wall);
        let mut service =
            RecordsService::new(SecretKey::from_seed(&[1; 32]), clock, RecordsConfig::default(), [2; 32]);
        let topic = Topic::new("<script>\"&'</script>").unwrap();
        let draft = Draft::topic(topic.clone(), "x").unwrap().lasting(Duration::from_secs(60));
        service
            .publish(Instant::ZERO, Arc::new(SecretKey::from_seed(&[3; 32])), draft.clone(), |_| {})
            .unwrap();
        let other = draft.sign(&SecretKey::from_seed(&[4; 32]), 7, wall);
        let source = "192.0.2.1".parse().unwrap();
        service.put(Instant::ZERO, topic.key(), other, source).unwrap();
        let mut node = service.into_node(engine_config(), [5; 32], Instant::ZERO);
        let status = Status::of(&mut node, Instant::from_secs(1));
        assert_eq!((status.keys, status.records, status.publications.len(), status.held.len()), (1, 2, 1, 2));
        assert_eq!(status.now, wall.as_millis() + 1_000);
        let read: serde_json::Value = serde_json::from_str(&status.to_json()).unwrap();
        assert_eq!(read["publications"][0]["subject"], "topic <script>\"&'</script>");
        assert_eq!(read["publications"][0]["expires_in"], 59);
        assert_eq!(read["publications"][0]["replicas"], serde_json::Value::Null);
        let page = status.to_html();
        assert!(page.starts_with("<!doctype html>") && !page.contains("<script"), "{page}");
        assert!(page.contains("&lt;script&gt;"));
    }
}
