#![doc = include_str!("../README.md")]
//!
//! Where to begin: [`dht`], [`Dht`], [`Mainline`], [`MainlineService`], [`krpc`], [`item`].
//!
#![doc = include_str!("../CONFORMANCE.md")]

pub mod bencode;
#[cfg(feature = "dht")]
pub mod dht;
mod id;
pub mod item;
pub mod krpc;
pub mod link;
mod magnet;
mod mainline;
pub mod node_id;
mod peers;
pub mod pubsub;
pub mod scrape;
mod service;
mod strictness;
pub mod sweep;
pub mod torrent;

#[cfg(feature = "dht")]
pub use dht::Dht;
pub use id::{InfoHash, NodeId, NotAnInfoHash};
pub use mainline::Mainline;
pub use peers::{Peer, PeerStore};
pub use service::{MainlineService, ServiceConfig};
