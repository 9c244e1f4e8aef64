//! The items that a node keeps alive, in a file for its next run.
//!
//! The file: `kaditems`, a version byte, then each item as two bytes of length and a bencoded dictionary; last the CRC-32C
//! of all before it. Integers are big-endian. It is replaced like the [state file](crate::state).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bittorrent_profile::Dht;
use bittorrent_profile::dht::{KeepRound, Keeping};
use bittorrent_profile::item::Item;
use kademlia_core::runtime::RequestFailure;
use tokio::task::spawn_blocking;
use tracing::{debug, info, warn};

use crate::state::{self, Corrupt, Loaded};

const MAGIC: &[u8] = b"kaditems";
const VERSION: u8 = 1;
/// Longest file that is read, in bytes: room for ten thousand items of the greatest size.
const LONGEST: u64 = 16 << 20;

/// The file's bytes.
fn encode(items: &[Item]) -> Vec<u8> {
    let mut content = Vec::new();
    for item in items {
        let bytes = item.to_bencode();
        content.extend(u16::try_from(bytes.len()).unwrap_or_default().to_be_bytes());
        content.extend(bytes);
    }
    state::seal(MAGIC, VERSION, &content)
}

/// The items in a file's bytes. One that is not authentic is a sign that somebody meddled with the file.
fn decode(bytes: &[u8]) -> Result<Vec<Item>, Corrupt> {
    let mut rest = state::unseal(MAGIC, VERSION, bytes)?;
    let mut items = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes(*length));
        let (item, after) = after.split_at_checked(length).ok_or(Corrupt::Malformed)?;
        items.push(Item::from_bencode(item).ok_or(Corrupt::Malformed)?);
        rest = after;
    }
    if rest.is_empty() { Ok(items) } else { Err(Corrupt::Malformed) }
}

/// What is kept, and the file that remembers it, if there is one.
#[derive(Debug)]
pub(crate) struct Kept {
    path: Option<Arc<Path>>,
    keeping: Vec<Keeping>,
}

impl Kept {
    /// Keeps what the file remembers from now on. One that cannot be used is put aside.
    pub(crate) fn load(path: Option<&Path>, dht: &Dht) -> Self {
        let mut items = Vec::new();
        match path.map(|path| state::load_with(path, LONGEST, decode)) {
            None | Some(Loaded::Fresh) => {}
            Some(Loaded::Restored(found)) => {
                info!("the item file remembers {} items", found.len());
                items = found;
            }
            Some(Loaded::Damaged { why, kept }) => {
                let kept = kept.map(|kept: PathBuf| format!("; it is now {}", kept.display()));
                warn!("starting without the item file: {why}{}", kept.unwrap_or_default());
            }
        }
        let keeping = items.into_iter().filter_map(|item| dht.keep(item).ok()).collect();
        Kept { path: path.map(Arc::from), keeping }
    }

    /// Keeps one more, in the place of an earlier version of the same.
    pub(crate) fn add(&mut self, keeping: Keeping) {
        let target = keeping.item().target();
        self.keeping.retain(|other| other.item().target() != target);
        self.keeping.push(keeping);
    }

    /// The end of the next round for what was added last. `None` if there is nothing, or the node has stopped.
    pub(crate) async fn next_round(&mut self) -> Option<Result<KeepRound, RequestFailure>> {
        self.keeping.last_mut()?.round().await
    }

    /// Writes down what the node keeps. A disk that is full ends nothing, so that is a warning.
    pub(crate) async fn save(&self, dht: &Dht) -> anyhow::Result<()> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let items = dht.kept();
        let file = path.clone();
        match spawn_blocking(move || state::replace_file(&file, &encode(&items))).await? {
            Ok(()) => debug!("saved {} items", self.keeping.len()),
            Err(error) => warn!("cannot save the items to {}: {error}", path.display()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use bittorrent_profile::item::{MutableItem, RawValue, Salt, SecretKey};
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    fn items() -> Vec<Item> {
        let owner = SecretKey::from_seed(&[1; 32]);
        let value = |text: &str| RawValue::string(text).unwrap();
        let signed = MutableItem::sign(&owner, Salt::new(b"s").unwrap(), 3, value("mutable"));
        vec![Item::from(value("immutable")), signed.into()]
    }

    #[test]
    fn bep44_44_9_kept_items_survive_in_a_file() {
        assert_eq!(decode(&encode(&items())), Ok(items()));
        assert_eq!(decode(&encode(&[])), Ok(vec![]));
    }

    proptest! {
        #[test]
        fn a_damaged_item_file_is_noticed(at: proptest::sample::Index, bit in 0..8_u32) {
            let mut bytes = encode(&items());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn junk_is_no_item_file(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(&bytes).is_err());
            prop_assert!(decode(&state::seal(MAGIC, VERSION, &bytes)).is_err() || bytes.is_empty());
        }
    }
}
