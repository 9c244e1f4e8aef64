//! Scenarios of whole networks in virtual time, each from its seed. What `cargo test` runs is small; the full size
//! is ignored by default and run by name: `cargo test --release -p tests --test simulation -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly, and figures are printed"
)]

mod address;
mod churn;
mod determinism;
mod gates;
mod items;
mod lookups;
mod memory;
mod outage;
mod poison;
mod replay;
mod storm;
mod sweep;
mod torrents;
