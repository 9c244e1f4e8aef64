#![doc = include_str!("../README.md")]
//!
//! Where to begin: [`Kv`], [`KeyValue`], [`KvService`], [`KvConfig`], [`Pair`], [`codec`], [`dump`].

pub mod codec;
pub mod dump;
#[cfg(feature = "kv")]
pub mod kv;
mod pair;
mod protocol;
mod service;
mod token;
mod wall;

pub use codec::{Compact, LONGEST, QUESTION};
#[cfg(feature = "kv")]
pub use kv::Kv;
pub use pair::{MAX_VALUE, Pair, TooLong, Value};
pub use protocol::{ErrorCode, Id, K, KeyValue, Request, Response, Versioned, key_of};
pub use service::{Activity, Done, Got, KvConfig, KvService, NotPut, Put, Wanted};
pub use token::Token;
pub use wall::Wall;
