//! The code of `docs/building-an-overlay.md`, from top to bottom, and its tests.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "the guide's tests are tests, wherever they stand"
)]

include!(concat!(env!("OUT_DIR"), "/guide.rs"));

/// Whoever reads the guide sees all of its code compiled: no block is marked otherwise.
#[test]
fn every_block_of_the_guide_is_compiled() {
    let guide = include_str!("../../docs/building-an-overlay.md");
    let blocks = guide.lines().filter(|line| line.starts_with("```") && *line != "```");
    assert!(blocks.clone().count() >= 10);
    assert!(blocks.clone().all(|fence| fence == "```rust"), "{:?}", blocks.collect::<Vec<_>>());
}
