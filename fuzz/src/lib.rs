//! What is fuzzed: four functions that take any bytes and panic if a rule is broken.
//!
//! `cargo fuzz run <target>` mutates on with coverage (`--sanitizer none` where only a stable compiler is at hand);
//! `cargo test -p fuzz` runs the committed corpus, and `cargo run --release -p fuzz --bin hammer -- <target> <times>`
//! mutates it at random, both on any compiler.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a fuzz target reports by panicking"
)]

mod codec;
mod node;
mod stores;
mod tape;

pub use codec::{bencode, krpc};
pub use node::node;
pub use stores::stores;

/// A fuzz target.
pub type Target = fn(&[u8]);

/// Every target, by the name of its program and of its corpus.
pub const TARGETS: [(&str, Target); 4] =
    [("bencode", bencode), ("krpc", krpc), ("node", node), ("stores", stores)];
