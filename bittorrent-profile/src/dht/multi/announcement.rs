//! Announcing at several addresses until withdrawn.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::SPACING;
use crate::dht::{Announce, Announcement, Dht};
use crate::id::InfoHash;

/// Longest wait for one node's first round; then the next begins.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);

/// An announcement at all addresses of a [`MultiDht`](super::MultiDht), renewed until it is dropped or withdrawn.
#[derive(Debug)]
pub struct MultiAnnouncement {
    begun: Arc<Mutex<Vec<Announcement>>>,
    beginning: AbortHandle,
}

impl MultiAnnouncement {
    pub(super) fn new(nodes: Vec<Dht>, info_hash: InfoHash, announce: Announce) -> Self {
        let begun = Arc::new(Mutex::new(Vec::new()));
        let begin = begin(nodes, info_hash, announce, Arc::clone(&begun));
        MultiAnnouncement { begun, beginning: tokio::spawn(begin).abort_handle() }
    }

    /// At how many addresses it has begun.
    pub fn begun(&self) -> usize {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Ends the renewal. Dropping does the same.
    pub fn withdraw(self) {}
}

impl Drop for MultiAnnouncement {
    fn drop(&mut self) {
        self.beginning.abort();
    }
}

async fn begin(
    nodes: Vec<Dht>,
    info_hash: InfoHash,
    announce: Announce,
    begun: Arc<Mutex<Vec<Announcement>>>,
) {
    for dht in nodes {
        let mut announcement = dht.announce(info_hash, announce);
        let _ = timeout(PATIENCE, announcement.round()).await;
        begun.lock().unwrap_or_else(PoisonError::into_inner).push(announcement);
        sleep(SPACING).await;
    }
}
