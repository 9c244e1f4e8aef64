#![doc = include_str!("../README.md")]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod address;
mod config;
mod contact;
mod key;
mod message;
mod protocol;
mod rng;
mod service;
pub mod table;
mod time;

pub use address::{Family, Reach, subnet, wide_subnet};
pub use config::{
    BootstrapConfig, Config, InboundConfig, LookupConfig, ObservedConfig, RpcConfig, TableConfig, VerifyConfig,
};
pub use contact::{Contact, Contacts};
pub use key::{Key, Keyspace, NotAKey};
pub use message::{Body, MAX_TRANSACTION_ID, Message, TransactionId};
pub use protocol::{Codec, Malformed, Protocol};
pub use rng::Rng;
pub use service::{Admission, ReadOnly, Reply, ServeContext, Service, Ticket};
pub use table::Table;
pub use time::{Instant, soonest};

#[cfg(feature = "runtime")]
pub mod runtime;
