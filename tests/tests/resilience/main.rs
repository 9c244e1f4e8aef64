//! One node against everybody else: what it is given, and when, is the test's choice. What `cargo test` runs is small;
//! the full size is ignored by default and run by name: `cargo test --release -p tests --test resilience -- --ignored`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests may fail loudly, and figures are printed"
)]

mod adversary;
mod conversation;
mod field;
mod replies;
mod silence;
mod spoofing;
mod stores;
