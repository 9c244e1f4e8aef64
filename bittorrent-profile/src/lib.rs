#![doc = include_str!("../README.md")]

pub mod bencode;
mod id;
pub mod krpc;
mod mainline;
pub mod node_id;

pub use id::{InfoHash, NodeId, NotAnInfoHash};
pub use mainline::Mainline;
