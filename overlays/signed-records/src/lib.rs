#![doc = include_str!("../README.md")]
//!
//! Where to begin: [`Records`], [`RecordsService`], [`RecordsConfig`], [`Refusal`], [`codec`].

mod agenda;
mod authority;
pub mod codec;
mod config;
#[cfg(feature = "runtime")]
mod door;
mod findings;
mod identity;
#[cfg(test)]
mod laws;
mod message;
mod peers;
mod probes;
mod protocol;
mod publisher;
mod record;
mod refusal;
mod service;
mod shelf;
mod status;
mod time;

pub use authority::{Decision, Policy};
pub use config::{RecordsConfig, engine_config};
#[cfg(feature = "runtime")]
pub use door::{Builder, Publishing, Records, SpawnError};
pub use identity::{PublicKey, SecretKey, Signature};
pub use message::{Nonce, Request, Response, Token};
pub use peers::{Reach, SeenPeer};
pub use protocol::SignedRecords;
pub use publisher::{PublicationId, PublishError, Replicas};
pub use record::{
    Draft, Kind, MAX_PAYLOAD, MAX_TOPIC, Oversize, Payload, SignedRecord, Slot, StoredRecord, Subject, Topic,
};
pub use refusal::Refusal;
pub use service::{AskError, FindError, Found, Observer, Pong, RecordsService, ResolveError, candidates};
pub use status::{HeldRecord, PublishedRecord, Status, TableStatus};
pub use time::{Clock, Timestamp};
