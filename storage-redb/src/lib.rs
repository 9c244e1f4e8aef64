#![doc = include_str!("../README.md")]

mod changes;
mod clock;
mod disk;
mod error;
mod file;
mod row;
mod storage;
mod writer;

pub use error::{OpenError, Unwritten};
pub use storage::RedbStorage;
pub use writer::Health;
