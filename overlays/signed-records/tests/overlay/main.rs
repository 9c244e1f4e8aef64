//! Whole networks of the overlay: in the simulator, and over sockets on loopback.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod bed;
mod churn;
mod clocks;
mod door;
mod durable;
mod lookups;
mod peers;
mod publishing;
mod searching;
mod vigilant;
