//! What a node knows, and what a lookup found, for people and programs: as JSON, and drawn by PlantUML.

mod plantuml;

use core::net::SocketAddr;

use kademlia_core::table::Quality;
use kademlia_core::{Contact, Instant, Keyspace, LookupReport, Node, Storage};
use serde::{Serialize, Serializer};

use crate::pair::Pair;
use crate::protocol::{Id, KeyValue};
use crate::service::{Got, KvService};

/// A node: who it is, whom it knows and what it holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct NodeDump {
    /// Its key.
    #[serde(serialize_with = "as_text")]
    pub key: Id,
    /// The address that the network agrees on, or else the one it is bound to, if that is known.
    pub address: Option<SocketAddr>,
    /// Whether it found its way into the network.
    pub bootstrapped: bool,
    /// The buckets of its routing table, farthest first.
    pub buckets: Vec<BucketDump>,
    /// The pairs it holds, in the order of their keys.
    pub pairs: Vec<PairDump>,
    /// The keys of what it publishes itself.
    #[serde(serialize_with = "as_texts")]
    pub publishes: Vec<Id>,
}

/// One bucket.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BucketDump {
    /// Leading bits that its nodes share with this one: exactly these, or at least these in the last bucket.
    pub index: usize,
    /// Seconds since somebody in it was last heard, or looked for.
    pub idle: u64,
    /// Its nodes.
    pub nodes: Vec<ContactDump>,
}

/// One known node.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ContactDump {
    /// Its key.
    #[serde(serialize_with = "as_text")]
    pub key: Id,
    /// Its address.
    pub address: SocketAddr,
    /// How far it is.
    #[serde(flatten)]
    pub distance: Distance,
    /// How far it is trusted: `good`, `questionable` or `bad`.
    pub quality: &'static str,
    /// Round trip, in milliseconds, if it was measured.
    pub round_trip: Option<u64>,
}

/// The distance between two keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Distance {
    /// All of it: the XOR of the keys.
    #[serde(serialize_with = "as_text")]
    pub distance: Id,
    /// Its length in bits: it is below two to the power of this. 0 between equal keys.
    pub bits: usize,
}

impl Distance {
    /// Between `a` and `b`.
    pub fn between(a: &Id, b: &Id) -> Self {
        Distance { distance: a.distance(b), bits: Id::BITS - a.common_prefix(b) }
    }
}

/// One pair held.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PairDump {
    /// Its key.
    #[serde(serialize_with = "as_text")]
    pub key: Id,
    /// How far the key is from the node.
    #[serde(flatten)]
    pub distance: Distance,
    /// The put it comes from, in milliseconds since 1970.
    pub version: u64,
    /// Bytes of the value; `None` if it was removed.
    pub bytes: Option<usize>,
    /// Seconds until it expires.
    pub life: u32,
    /// Seconds until it is this node's turn to publish it again.
    pub turn: u64,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LookupDump {
    /// The key looked for.
    #[serde(serialize_with = "as_text")]
    pub target: Id,
    /// The value, if that is what was looked for and it was there. Bytes that are no text are shown as U+FFFD.
    pub value: Option<String>,
    /// Its version.
    pub version: Option<u64>,
    /// Who was given a copy.
    #[serde(serialize_with = "maybe_text")]
    pub cached_at: Option<Id>,
    /// The closest nodes that answered, nearest first.
    pub nodes: Vec<FoundDump>,
    /// Nodes asked.
    pub asked: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// Requests sent, repetitions included.
    pub messages: usize,
    /// Length of the longest chain of referrals.
    pub hops: usize,
    /// Milliseconds.
    pub took: u128,
    /// Whether everybody near was asked; not if the lookup ended with its first value.
    pub complete: bool,
}

/// One node that a lookup met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FoundDump {
    /// Its key.
    #[serde(serialize_with = "as_text")]
    pub key: Id,
    /// Its address.
    pub address: SocketAddr,
    /// How far it is from the target.
    #[serde(flatten)]
    pub distance: Distance,
    /// Whether it was found to have the value.
    pub holds: bool,
}

impl NodeDump {
    /// The node at `now`.
    pub fn of<St: Storage<Id, Pair>>(
        node: &Node<KeyValue, KvService<St>>,
        bound: Option<SocketAddr>,
        now: Instant,
    ) -> Self {
        let (key, service) = (node.local(), node.service());
        let today = service.calendar().millis(now);
        let buckets = node.table().buckets().map(|bucket| BucketDump {
            index: bucket.index,
            idle: now.since(bucket.changed).as_secs(),
            nodes: bucket
                .entries
                .iter()
                .map(|entry| ContactDump {
                    key: *entry.key(),
                    address: entry.contact().addr,
                    distance: Distance::between(&key, entry.key()),
                    quality: word(entry.quality(now, &node.config().table)),
                    round_trip: entry.rtt().and_then(|time| u64::try_from(time.as_millis()).ok()),
                })
                .collect(),
        });
        let pairs = service.pairs(now).map(|(at, pair, turn)| PairDump {
            key: at,
            distance: Distance::between(&key, &at),
            version: pair.version,
            bytes: pair.value.as_ref().map(|value| value.as_bytes().len()),
            life: pair.versioned(today).life,
            turn: turn.since(now).as_secs(),
        });
        NodeDump {
            key,
            address: node.external().or(bound),
            bootstrapped: node.is_bootstrapped(),
            buckets: buckets.collect(),
            pairs: pairs.collect(),
            publishes: service.publications().map(|(key, ..)| *key).collect(),
        }
    }

    /// As one JSON object.
    pub fn to_json(&self) -> String {
        json(self)
    }

    /// As a PlantUML object diagram: the node, its buckets and who is in them.
    pub fn to_plantuml(&self) -> String {
        plantuml::node(self)
    }
}

fn word(quality: Quality) -> &'static str {
    match quality {
        Quality::Good => "good",
        Quality::Questionable => "questionable",
        Quality::Bad => "bad",
    }
}

impl LookupDump {
    /// As one JSON object.
    pub fn to_json(&self) -> String {
        json(self)
    }

    /// As a PlantUML object diagram: the target, and around it the nodes that answered, nearest first.
    pub fn to_plantuml(&self) -> String {
        plantuml::lookup(self)
    }
}

impl From<&LookupReport<Id>> for LookupDump {
    /// A lookup of nodes.
    fn from(report: &LookupReport<Id>) -> Self {
        let found = |contact: &Contact<Id>| FoundDump {
            key: contact.key,
            address: contact.addr,
            distance: Distance::between(&report.target, &contact.key),
            holds: false,
        };
        LookupDump {
            target: report.target,
            value: None,
            version: None,
            cached_at: None,
            nodes: report.closest.iter().map(found).collect(),
            asked: report.asked,
            answered: report.answered,
            messages: report.messages,
            hops: report.hops,
            took: report.took.as_millis(),
            complete: report.complete,
        }
    }
}

impl From<&Got> for LookupDump {
    /// A lookup of a value. One that this node knew itself met nobody.
    fn from(got: &Got) -> Self {
        let report = got.report.as_ref().map(LookupDump::from);
        let mut report = report.unwrap_or_else(|| LookupDump::nobody(got.key));
        for node in &mut report.nodes {
            node.holds = got.holders.iter().any(|holder| holder.key == node.key);
        }
        LookupDump {
            value: got.value().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            version: got.item.as_ref().map(|item| item.version),
            cached_at: got.cached_at.map(|contact| contact.key),
            ..report
        }
    }
}

impl LookupDump {
    fn nobody(target: Id) -> Self {
        LookupDump {
            target,
            value: None,
            version: None,
            cached_at: None,
            nodes: Vec::new(),
            asked: 0,
            answered: 0,
            messages: 0,
            hops: 0,
            took: 0,
            complete: true,
        }
    }
}

/// What is dumped has text for keys and no maps: nothing in it cannot be written.
fn json(dump: &impl Serialize) -> String {
    serde_json::to_string(dump).unwrap_or_default()
}

fn as_text<S: Serializer>(key: &Id, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}

fn maybe_text<S: Serializer>(key: &Option<Id>, serializer: S) -> Result<S::Ok, S::Error> {
    key.map(|key| key.to_string()).serialize(serializer)
}

fn as_texts<S: Serializer>(keys: &[Id], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(keys.iter().map(ToString::to_string))
}

#[cfg(test)]
mod tests;
