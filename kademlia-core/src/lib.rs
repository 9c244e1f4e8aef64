#![doc = include_str!("../README.md")]
//!
//! Where to begin: [`Protocol`], [`Codec`], [`Service`], [`Node`], [`Config`], [`Reach`].
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod address;
mod config;
mod contact;
mod dual;
mod health;
mod key;
mod lookup;
mod message;
mod node;
mod protocol;
mod publish;
mod renewal;
mod rng;
mod rpc;
mod service;
mod size;
mod snapshot;
mod storage;
pub mod table;
mod task;
mod time;
mod token;

pub use address::{Family, Reach, subnet, wide_subnet};
pub use config::{
    BootstrapConfig, Config, EgressConfig, InboundConfig, LookupConfig, ObservedConfig, RpcConfig,
    StrangerConfig, TableConfig, VerifyConfig,
};
pub use contact::{Contact, Contacts};
pub use dual::DualStack;
pub use health::Health;
pub use key::{Key, Keyspace, NotAKey};
pub use lookup::{Effort, LookupId, LookupLimit, LookupReport};
pub use message::{Body, MAX_TRANSACTION_ID, Message, TransactionId};
pub use node::{Answered, Counters, Event, Failure, LookupOptions, Node};
pub use protocol::{Codec, Malformed, Protocol};
pub use publish::{MakeRequest, Stored};
pub use renewal::{RenewalConfig, Renewals};
pub use rng::Rng;
pub use rpc::{Cause, RequestId, RoundTrips};
pub use service::{Admission, ReadOnly, Reply, ServeContext, Service, Ticket};
pub use size::NetworkSize;
pub use snapshot::Snapshot;
#[cfg(any(test, feature = "testing"))]
pub use storage::suite as storage_suite;
pub use storage::{Durable, MemoryStorage, NoRoom, Placed, Record, Storage, StorageLimits};
pub use table::Table;
pub use task::{Judge, Outcome, Task, TaskId, Verdict};
pub use time::{Instant, soonest};
pub use token::Tokens;

#[cfg(feature = "runtime")]
pub mod runtime;
