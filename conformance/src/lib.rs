//! A black-box conformance suite for nodes of the BitTorrent Mainline DHT.
//!
//! [`Suite`] asks a node at an address, over UDP and without its cooperation, and judges what comes back by the texts: BEPs
//! 5, 32, 33, 42, 43, 44, 45, 46, 50 and 51, and what deployed nodes agree on beyond them. [`Check::all`] is the table of
//! everything that is demanded, with what cannot be seen from outside and why.
//!
//! It is polite: paced, bounded in datagrams and time, with one repetition of a lost query. It stores a few peers and values
//! under random hashes, which the node forgets. It shares no message code with the node of this workspace: every query is
//! put together from bencode, so that anything about it can be wrong.
//!
//! ```no_run
//! # async fn example() -> Result<(), mainline_conformance::Error> {
//! use mainline_conformance::{Level, Options, Suite};
//!
//! let node = std::net::SocketAddr::from(([127, 0, 0, 1], 6881));
//! let report = Suite::start(node, Options::default()).await?.finish().await;
//! for failure in report.failures() {
//!     println!("{} {} {}: {:?}", failure.level, failure.id, failure.rule, failure.verdict);
//! }
//! println!("{:?}", report.score(None, Level::Must));
//! # Ok(())
//! # }
//! ```

mod bencode;
mod check;
mod checks;
mod digest;
mod item;
mod probe;
mod query;
mod reply;
mod report;
mod suite;
mod verdict;

pub use check::{Check, Group, Level, NoSuchGroup};
pub use probe::Exchange;
pub use report::{Finding, Report, Score, Scores};
pub use suite::{Error, Options, Suite};
pub use verdict::Verdict;
