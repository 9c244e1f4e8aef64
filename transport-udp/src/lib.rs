#![doc = include_str!("../README.md")]

mod config;
mod counters;
mod socket;
mod sockets;
mod transport;

pub use config::UdpConfig;
pub use counters::{Counters, Counts};
pub use transport::UdpTransport;

/// Longest datagram that is received whole, in bytes (T11). Of a longer one the first `MAX_DATAGRAM + 1` bytes are
/// delivered, so that whoever limits the length sees that it is over.
pub const MAX_DATAGRAM: usize = 2_048;
