//! The asynchronous shell around the engine (feature `runtime`): the only place where a clock is read.

mod transport;

pub use transport::{Inbox, Outbox, Transport};
