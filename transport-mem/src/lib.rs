#![doc = include_str!("../README.md")]

mod addresses;
mod churn;
mod clock;
mod faults;
#[cfg(feature = "kit")]
pub mod kit;
mod link;
mod nat;
pub mod peers;
mod simulation;
#[cfg(feature = "proptest")]
pub mod strategies;
pub mod swarm;
#[cfg(feature = "runtime")]
mod transport;
mod wheel;

pub use addresses::{address_v4, address_v6};
pub use churn::{Churn, Churner, Weibull};
pub use clock::Jump;
pub use faults::{Fault, FaultPlan};
pub use link::{Bursts, Delivery, Latency, LinkModel, Links, Transit};
pub use nat::{Nat, NatKind};
pub use peers::{Hostility, Outgoing, Peer};
pub use simulation::{Birth, Census, NodeIndex, Payload, Simulation, Step, Traffic, Transcript};
#[cfg(feature = "runtime")]
pub use transport::{MemNetwork, MemTransport};
