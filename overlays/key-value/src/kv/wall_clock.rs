//! The wall clock: the only one that this crate reads, and only here.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kademlia_core::runtime::Shell;
use kademlia_core::{Family, Instant, Storage};

use super::KvHandle;
use crate::pair::Pair;
use crate::protocol::{Id, KeyValue};
use crate::service::KvService;
use crate::wall::Wall;

/// How often the service's calendar is compared. The engine's clock stands still while the machine sleeps, and does not
/// follow when the system's is set.
const PERIOD: Duration = Duration::from_secs(60);

/// Says what time it is.
#[derive(Clone)]
pub(super) struct WallClock(Arc<dyn Fn() -> SystemTime + Send + Sync>);

impl WallClock {
    pub(super) fn new(read: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        WallClock(Arc::new(read))
    }

    /// The calendar, when the engine's clock shows `now`. It begins in 1970, whatever the system says.
    pub(super) fn wall(&self, now: Instant) -> Wall {
        let since = (self.0)().duration_since(UNIX_EPOCH).unwrap_or_default();
        Wall::now_is(u64::try_from(since.as_millis()).unwrap_or(u64::MAX), now)
    }

    /// Sets the calendar of a node right, for as long as there is one.
    pub(super) async fn keep<St>(self, handle: KvHandle<St>, family: Family)
    where
        St: Storage<Id, Pair> + Send + 'static,
    {
        let set = move |shell: &mut Shell<KeyValue, KvService<St>>, now| {
            if let Some(node) = shell.stack.node_mut(family) {
                node.service_mut().set_wall(now, self.wall(now));
            }
        };
        handle.every(PERIOD, set).await;
    }
}

/// The system's.
impl Default for WallClock {
    fn default() -> Self {
        WallClock::new(SystemTime::now)
    }
}
