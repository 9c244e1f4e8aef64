//! Scenarios of whole networks in virtual time, each from its seed. What `cargo test` runs is small; the full size
//! is ignored by default and run by name: `cargo test --release -p tests --test simulation -- --ignored`.

mod lookups;
mod memory;
