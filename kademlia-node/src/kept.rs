//! The items that a node keeps alive, in a file for its next run.
//!
//! The file: `kaditems`, a version byte, then each item as two bytes of length and a bencoded dictionary; last the CRC-32C
//! of all before it. Integers are big-endian. It is replaced like the [state file](crate::state).
//!
//! Several processes may share the file: each adds what it keeps to what is there, under a lock on a file beside it, and
//! from then on keeps what the others have added.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::fs::File;
use std::io;
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
    /// What this process was told to keep.
    own: Option<Keeping>,
    remembered: Vec<Keeping>,
}

impl Kept {
    /// Keeps what the file remembers from now on. One that cannot be used is put aside.
    pub(crate) fn load(path: Option<&Path>, dht: &Dht) -> Self {
        let items = path.map(read).unwrap_or_default();
        if !items.is_empty() {
            info!("the item file remembers {} items", items.len());
        }
        let mut kept = Kept { path: path.map(Arc::from), own: None, remembered: Vec::new() };
        kept.remember(items, dht);
        kept
    }

    /// Keeps one more, in the place of an earlier version of the same.
    pub(crate) fn add(&mut self, keeping: Keeping) {
        let target = keeping.item().target();
        self.remembered.retain(|other| other.item().target() != target);
        self.own = Some(keeping);
    }

    /// Keeps those of the items that are not kept yet; gives their number.
    fn remember(&mut self, items: Vec<Item>, dht: &Dht) -> usize {
        let before = self.remembered.len();
        let kept: BTreeSet<_> = dht.kept().iter().map(Item::target).collect();
        let new = items.into_iter().filter(|item| !kept.contains(&item.target()));
        self.remembered.extend(new.filter_map(|item| dht.keep(item).ok()));
        self.remembered.len() - before
    }

    /// The end of the next round for what was added. `None` if there is nothing, or the node has stopped.
    pub(crate) async fn next_round(&mut self) -> Option<Result<KeepRound, RequestFailure>> {
        self.own.as_mut()?.round().await
    }

    /// Adds what the node keeps to the file, and has the node keep what others have added there. A disk that is full ends
    /// nothing, so that is a warning.
    pub(crate) async fn save(&mut self, dht: &Dht) -> anyhow::Result<()> {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let (items, file) = (dht.kept(), path.clone());
        match spawn_blocking(move || write(&file, items)).await? {
            Ok(items) => {
                debug!("saved {} items", items.len());
                let new = self.remember(items, dht);
                if new > 0 {
                    info!("others added {new} items to the item file");
                }
            }
            Err(error) => warn!("cannot save the items to {}: {error}", path.display()),
        }
        Ok(())
    }
}

/// What the file remembers. One that cannot be used is put aside.
fn read(path: &Path) -> Vec<Item> {
    match state::load_with(path, LONGEST, decode) {
        Loaded::Fresh => Vec::new(),
        Loaded::Restored(items) => items,
        Loaded::Damaged { why, kept } => {
            let kept = kept.map(|kept: PathBuf| format!("; it is now {}", kept.display()));
            warn!("going on without the item file: {why}{}", kept.unwrap_or_default());
            Vec::new()
        }
    }
}

/// Adds items to those in the file; gives all that it remembers now. Who else shares it waits meanwhile.
fn write(path: &Path, items: Vec<Item>) -> io::Result<Vec<Item>> {
    // The file itself is replaced, and with it a lock would be.
    let lock = File::create(state::with_suffix(path, ".lock"))?;
    match lock.lock() {
        // Some file systems know no locks; then it is for its users not to share it.
        Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(error),
        _ => {}
    }
    let all = merge(read(path), items);
    let bytes = encode(&all);
    if bytes.len() as u64 > LONGEST {
        return Err(io::Error::other("more items than the file may hold"));
    }
    state::replace_file(path, &bytes)?;
    Ok(all)
}

/// Both together, of each item the newest version.
fn merge(known: Vec<Item>, items: Vec<Item>) -> Vec<Item> {
    let mut all: BTreeMap<_, Item> = known.into_iter().map(|item| (item.target(), item)).collect();
    for item in items {
        match all.entry(item.target()) {
            Entry::Occupied(older) if older.get().seq() > item.seq() => {}
            Entry::Occupied(mut older) => drop(older.insert(item)),
            Entry::Vacant(place) => drop(place.insert(item)),
        }
    }
    all.into_values().collect()
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

    #[test]
    fn of_each_item_the_newest_version_is_remembered() {
        let owner = SecretKey::from_seed(&[1; 32]);
        let version = |seq| {
            let value = RawValue::string(format!("version {seq}")).unwrap();
            Item::from(MutableItem::sign(&owner, Salt::default(), seq, value))
        };
        let other = items();
        let all = |seq| merge(other.clone(), vec![version(seq)]);
        assert_eq!(merge(vec![version(2)], all(1)), all(2));
        assert_eq!(merge(all(1), vec![version(2)]), all(2));
    }

    #[test]
    fn a_file_that_would_be_put_aside_as_too_long_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items");
        write(&path, items()).unwrap();
        let value = |n: u32| RawValue::string(format!("{n:0990}")).unwrap();
        let many = (0..17_000).map(|n| value(n).into()).collect();
        assert!(write(&path, many).is_err());
        assert_eq!(read(&path).len(), 2, "what was there is still there");
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
