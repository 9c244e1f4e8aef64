//! The wall clock: the only one that this crate reads, and only here.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;
use std::time::SystemTime;

use kademlia_core::runtime::{Handle, Shell};
use kademlia_core::{Family, Key, Storage};

use crate::protocol::SignedRecords;
use crate::record::StoredRecord;
use crate::service::RecordsService;
use crate::time::{Clock, Timestamp};

/// How often the service's clock is compared. The engine's stands still while the machine sleeps, and does not follow when
/// the system's is set.
const PERIOD: Duration = Duration::from_secs(60);

/// Says what time it is.
#[derive(Clone)]
pub(super) struct WallClock(pub(super) Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl WallClock {
    pub(super) fn read(&self) -> Timestamp {
        (self.0)()
    }

    /// Sets the clock of a node right, for as long as there is one.
    pub(super) async fn keep<S>(self, handle: Handle<SignedRecords, RecordsService<S>>, family: Family)
    where
        S: Storage<Key<32>, StoredRecord> + Send + 'static,
    {
        let set = move |shell: &mut Shell<SignedRecords, RecordsService<S>>, now| {
            if let Some(node) = shell.stack.node_mut(family) {
                node.service_mut().set_clock(now, Clock::new(now, self.read()));
            }
        };
        handle.every(PERIOD, set).await;
    }
}

/// The system's.
impl Default for WallClock {
    fn default() -> Self {
        WallClock(Arc::new(|| {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            Timestamp::default().after(since)
        }))
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WallClock(..)")
    }
}
