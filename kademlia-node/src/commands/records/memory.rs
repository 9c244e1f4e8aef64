//! The peers that a node has seen, in a file for its next run (D11).
//!
//! The file: `kadpeers`, a version byte, then each peer: key, address (a byte of length, IP and port), first and last
//! time; last the CRC-32C of all before it. Integers are big-endian. It is replaced like the [state file](crate::state):
//! whole or not at all, and only its owner can read it.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use kademlia_core::{Contact, Key, Storage};
use signed_records::{Records, SeenPeer, StoredRecord, Timestamp};
use tokio::task::spawn_blocking;
use tracing::{debug, info, warn};

use crate::state::{self, Corrupt, Loaded};

const MAGIC: &[u8] = b"kadpeers";
const VERSION: u8 = 1;
/// Longest file that is read, in bytes: room for more than are ever remembered.
const LONGEST: u64 = 1 << 20;

/// The file, if there is one.
#[derive(Debug)]
pub(super) struct Memory {
    path: Option<Arc<Path>>,
}

impl Memory {
    /// What the file remembers, without the peers at addresses that `admits` refuses. One that cannot be used is put aside.
    pub(super) fn load(path: Option<&Path>, admits: impl Fn(SocketAddr) -> bool) -> (Self, Vec<SeenPeer>) {
        let mut peers = Vec::new();
        match path.map(|path| state::load_with(path, LONGEST, decode)) {
            None | Some(Loaded::Fresh) => {}
            Some(Loaded::Restored(found)) => {
                info!("the file of peers remembers {}", found.len());
                peers = found;
            }
            Some(Loaded::Damaged { why, kept }) => {
                let kept = kept.map_or_else(String::new, |kept| format!("; it is now {}", kept.display()));
                warn!("starting without the file of peers: {why}{kept}");
            }
        }
        peers.retain(|peer| admits(peer.contact.addr));
        (Memory { path: path.map(Arc::from) }, peers)
    }

    /// Writes down whom the node has seen. A disk that is full stops no node, so that is a warning.
    pub(super) async fn save<S>(&self, records: &Records<S>) -> anyhow::Result<()>
    where
        S: Storage<Key<32>, StoredRecord> + Send + 'static,
    {
        let Some(path) = self.path.clone() else { return Ok(()) };
        let peers = records.seen().await?;
        let (file, count) = (path.clone(), peers.len());
        match spawn_blocking(move || state::replace_file(&file, &encode(&peers))).await? {
            Ok(()) => debug!("saved {count} peers"),
            Err(error) => warn!("cannot save the peers to {}: {error}", path.display()),
        }
        Ok(())
    }
}

fn encode(peers: &[SeenPeer]) -> Vec<u8> {
    let mut content = Vec::new();
    for SeenPeer { contact, first, last } in peers {
        content.extend(contact.key.to_bytes());
        match contact.addr.ip() {
            IpAddr::V4(ip) => {
                content.push(4);
                content.extend(ip.octets());
            }
            IpAddr::V6(ip) => {
                content.push(16);
                content.extend(ip.octets());
            }
        }
        content.extend(contact.addr.port().to_be_bytes());
        content.extend(first.as_millis().to_be_bytes());
        content.extend(last.as_millis().to_be_bytes());
    }
    state::seal(MAGIC, VERSION, &content)
}

fn decode(bytes: &[u8]) -> Result<Vec<SeenPeer>, Corrupt> {
    let mut rest = state::unseal(MAGIC, VERSION, bytes)?;
    let mut peers = Vec::new();
    while !rest.is_empty() {
        peers.push(read_peer(&mut rest).ok_or(Corrupt::Malformed)?);
    }
    Ok(peers)
}

fn read_peer(rest: &mut &[u8]) -> Option<SeenPeer> {
    let key = Key::new(read(rest)?);
    let ip = match read::<1>(rest)? {
        [4] => IpAddr::from(read::<4>(rest)?),
        [16] => IpAddr::from(read::<16>(rest)?),
        _ => return None,
    };
    let addr = SocketAddr::new(ip, u16::from_be_bytes(read(rest)?));
    let (first, last) = (read(rest)?, read(rest)?);
    let time = |bytes| Timestamp::from_millis(u64::from_be_bytes(bytes));
    Some(SeenPeer { contact: Contact::new(key, addr), first: time(first), last: time(last) })
}

fn read<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    fn peers() -> Vec<SeenPeer> {
        let peer = |n: u8, addr: &str| SeenPeer {
            contact: Contact::new(Key::new([n; 32]), addr.parse().unwrap()),
            first: Timestamp::from_millis(u64::from(n)),
            last: Timestamp::from_millis(u64::MAX),
        };
        vec![peer(1, "192.0.2.1:7101"), peer(2, "[2001:db8::1]:65535")]
    }

    #[test]
    fn fs_d11_seen_peers_survive_in_a_file_that_only_its_owner_can_read() {
        assert_eq!(decode(&encode(&[])), Ok(vec![]));
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("peers");
        state::replace_file(&file, &encode(&peers())).unwrap();
        let (_, found) = Memory::load(Some(&file), |_| true);
        assert_eq!(found, peers());
        let (_, found) = Memory::load(Some(&file), |addr| addr.is_ipv4());
        assert_eq!(found, peers()[..1]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&file, b"kadpeers and more").unwrap();
        let (_, found) = Memory::load(Some(&file), |_| true);
        assert_eq!(found, []);
        assert!(!file.exists() && dir.path().join("peers.bad").exists(), "put aside");
    }

    proptest! {
        #[test]
        fn fs_d11_a_damaged_file_of_peers_is_noticed(at: proptest::sample::Index, bit in 0..8_u32) {
            let mut bytes = encode(&peers());
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(decode(&bytes).is_err());
        }

        #[test]
        fn junk_is_no_file_of_peers(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            prop_assert!(decode(&bytes).is_err());
            let _ = decode(&state::seal(MAGIC, VERSION, &bytes));
        }
    }
}
