//! Torrents that change (BEP 46): the info hash of the day under a public key.

use std::sync::Arc;

use kademlia_core::runtime::RequestFailure;

use super::update::{UpdateError, Updated};
use crate::dht::Dht;
use crate::id::InfoHash;
use crate::item::{Item, MutableItem, Salt, SecretKey};
use crate::link::{TorrentLink, info_hash_in, torrent_value};

/// What a link leads to at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedTorrent {
    /// The torrent.
    pub info_hash: InfoHash,
    /// The item that says so. [Keep](Dht::keep) it for as long as the torrent is shared: consumers see to it that the link
    /// goes on to work when its owner is away (46.1).
    pub item: Arc<MutableItem>,
}

/// Why a link led nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResolveError {
    /// Nobody has an item under this key and salt. Ask again later: its owner may be away.
    #[error("nothing is published under this link")]
    NotFound,
    /// The item holds something else than an info hash.
    #[error("what is published under this link is no torrent")]
    NotATorrent(Arc<MutableItem>),
    /// No network could be searched.
    #[error(transparent)]
    Failed(RequestFailure),
}

impl Dht {
    /// Finds out which torrent a link means at present. It may mean another one tomorrow: ask again now and then.
    ///
    /// # Errors
    /// [`ResolveError`].
    pub async fn resolve(&self, link: &TorrentLink) -> Result<ResolvedTorrent, ResolveError> {
        let summary = self.get_mutable(link.key, link.salt).finish().await;
        let Some(Item::Mutable(item)) = summary.found else {
            return Err(summary.failure.map_or(ResolveError::NotFound, ResolveError::Failed));
        };
        match info_hash_in(&item.value) {
            Some(info_hash) => Ok(ResolvedTorrent { info_hash, item }),
            None => Err(ResolveError::NotATorrent(item)),
        }
    }

    /// Lets the link with the owner's public key and this salt mean another torrent from now on. [Keep](Self::keep) the
    /// item, or see to it that those who share the torrent do.
    ///
    /// # Errors
    /// As of [`update`](Self::update).
    pub async fn publish_torrent(
        &self,
        owner: &SecretKey,
        salt: Salt,
        info_hash: InfoHash,
    ) -> Result<Updated, UpdateError> {
        let value = torrent_value(info_hash);
        self.update(owner, salt, |old| (old != Some(&value)).then(|| value.clone())).await
    }
}
