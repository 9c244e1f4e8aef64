#![doc = include_str!("../README.md")]

mod addresses;
mod faults;
mod link;
mod simulation;
#[cfg(feature = "proptest")]
pub mod strategies;
#[cfg(feature = "runtime")]
mod transport;
mod wheel;

pub use addresses::{address_v4, address_v6};
pub use faults::{Fault, FaultPlan};
pub use link::{Bursts, Delivery, Latency, LinkModel, Links, Transit};
pub use simulation::{Birth, NodeIndex, Payload, Simulation, Step, Traffic};
#[cfg(feature = "runtime")]
pub use transport::{MemNetwork, MemTransport};
