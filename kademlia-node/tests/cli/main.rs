//! The binary as its users meet it: a node on loopback, and every command against it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod commands;
mod conform;
mod inspect;
mod items;
mod kv;
mod process;
mod records;
mod relay;
#[cfg(unix)]
mod signals;
mod sim;
#[cfg(unix)]
mod state;
