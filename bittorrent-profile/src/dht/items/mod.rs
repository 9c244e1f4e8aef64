//! Items (BEP 44): reading, storing, changing and keeping them.

mod get;
mod keep;
mod put;
mod survey;
mod torrent;
mod update;
#[cfg(feature = "serde")]
mod values;

pub use get::{ItemSearch, ItemSummary};
pub use keep::{KeepRound, Keeping};
pub use put::PutError;
pub use torrent::{ResolveError, ResolvedTorrent};
pub use update::{UpdateError, Updated};
#[cfg(feature = "serde")]
pub use values::{GetValueError, PutValueError};

pub(in crate::dht) use keep::Shelf;
