//! The overlay at work: whole networks in virtual time, and ten nodes over UDP.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly, and say what they saw"
)]

mod clocks;
mod features;
mod hostile;
mod kit;
mod network;
mod survival;
mod udp;
