#![doc = include_str!("../README.md")]

pub mod bencode;
mod id;
pub mod krpc;
mod mainline;
pub mod node_id;
mod peers;
mod service;
pub mod token;

pub use id::{InfoHash, NodeId, NotAnInfoHash};
pub use mainline::Mainline;
pub use peers::{Peer, PeerStore};
pub use service::{MainlineService, ServiceConfig};
