//! The asynchronous shell around the engine (feature `runtime`): the only place where a clock is read.
//!
//! A [`Driver`] owns the nodes and a [`Transport`] and runs one loop; a [`Handle`] is its cloneable door.

mod driver;
mod handle;
mod search;
mod shell;
mod transport;

pub use driver::{Driver, DriverConfig};
pub use handle::{Closed, Handle, RequestFailure};
pub use search::{Answer, Search};
pub use shell::Shell;
pub use transport::{Inbox, Outbox, Transport};
