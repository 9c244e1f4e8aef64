//! What a node remembers between runs: its ids and good contacts, in one small file.
//!
//! The file: `kadstate`, a version byte, then for each network its number (4 or 6), the own id, the number of contacts
//! (4 bytes) and the contacts (id, IP address, port); last the CRC-32C of all before it. Integers are big-endian.
//!
//! A file is replaced as a whole or not at all: written beside the old one, synced, renamed, and the rename synced
//! (T22). What cannot be read is put aside as `….bad`, and the node starts without it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use kademlia_core::{Contact, Family, Key, Snapshot};

/// One node's memory, network by network.
pub(crate) type State = Vec<(Family, Snapshot<Key<20>>)>;

const MAGIC: &[u8] = b"kadstate";
const VERSION: u8 = 1;
/// Longest file that is read, in bytes (T22).
const LONGEST: u64 = 1 << 20;
/// Most contacts kept of one network: two networks of IPv6 contacts stay below [`LONGEST`].
const MOST_CONTACTS: usize = 10_000;

/// Why bytes are no state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Corrupt {
    #[error("not a state file")]
    Foreign,
    #[error("written by another version")]
    Version,
    #[error("the checksum is wrong")]
    Checksum,
    #[error("too long")]
    TooLong,
    #[error("malformed")]
    Malformed,
}

/// What became of an attempt to load.
#[derive(Debug)]
pub(crate) enum Loaded<T = State> {
    /// There is no file.
    Fresh,
    Restored(T),
    /// The file could not be used; if it could be moved, it is now at `kept`.
    Damaged {
        why: String,
        kept: Option<PathBuf>,
    },
}

/// The file's bytes.
pub(crate) fn encode(state: &State) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (family, snapshot) in state {
        let contacts = snapshot.contacts.iter().filter(|contact| Family::of(&contact.addr) == *family);
        let contacts: Vec<_> = contacts.take(MOST_CONTACTS).collect();
        bytes.push(number_of(*family));
        bytes.extend(snapshot.local.to_bytes());
        bytes.extend(u32::try_from(contacts.len()).unwrap_or(0).to_be_bytes());
        for contact in contacts {
            bytes.extend(contact.key.to_bytes());
            match contact.addr.ip() {
                IpAddr::V4(ip) => bytes.extend(ip.octets()),
                IpAddr::V6(ip) => bytes.extend(ip.octets()),
            }
            bytes.extend(contact.addr.port().to_be_bytes());
        }
    }
    seal(MAGIC, VERSION, &bytes)
}

/// A file's bytes: what kind of file it is, its version, its content and a checksum.
pub(crate) fn seal(magic: &[u8], version: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = [magic, &[version], content].concat();
    let checksum = crc32c::crc32c(&bytes);
    bytes.extend(checksum.to_be_bytes());
    bytes
}

/// The content of such a file.
pub(crate) fn unseal<'a>(magic: &[u8], version: u8, bytes: &'a [u8]) -> Result<&'a [u8], Corrupt> {
    if !bytes.starts_with(magic) {
        return Err(Corrupt::Foreign);
    }
    let (sealed, checksum) = bytes.split_last_chunk().ok_or(Corrupt::Checksum)?;
    if crc32c::crc32c(sealed) != u32::from_be_bytes(*checksum) {
        return Err(Corrupt::Checksum);
    }
    // A checksum over less than the magic would have to hold by accident, so the slice may be too short.
    let (found, content) =
        sealed.get(magic.len()..).and_then(<[u8]>::split_first).ok_or(Corrupt::Malformed)?;
    if *found == version { Ok(content) } else { Err(Corrupt::Version) }
}

/// The state in a file's bytes, without the contacts that `admits` refuses.
pub(crate) fn decode(bytes: &[u8], admits: impl Fn(SocketAddr) -> bool) -> Result<State, Corrupt> {
    if bytes.len() as u64 > LONGEST {
        return Err(Corrupt::TooLong);
    }
    let mut rest = unseal(MAGIC, VERSION, bytes)?;
    let mut state = State::new();
    while !rest.is_empty() {
        let section = read_section(&mut rest, &admits).ok_or(Corrupt::Malformed)?;
        if state.iter().any(|(family, _)| *family == section.0) {
            return Err(Corrupt::Malformed);
        }
        state.push(section);
    }
    Ok(state)
}

fn read_section(
    rest: &mut &[u8],
    admits: impl Fn(SocketAddr) -> bool,
) -> Option<(Family, Snapshot<Key<20>>)> {
    let family = match read::<1>(rest)? {
        [4] => Family::V4,
        [6] => Family::V6,
        _ => return None,
    };
    let local = Key::new(read(rest)?);
    let mut contacts = Vec::new();
    for _ in 0..u32::from_be_bytes(read(rest)?) {
        let key = Key::new(read(rest)?);
        let ip = match family {
            Family::V4 => IpAddr::from(read::<4>(rest)?),
            Family::V6 => IpAddr::from(read::<16>(rest)?),
        };
        let addr = SocketAddr::new(ip, u16::from_be_bytes(read(rest)?));
        if admits(addr) {
            contacts.push(Contact::new(key, addr));
        }
    }
    Some((family, Snapshot { local, contacts }))
}

fn read<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(*taken)
}

fn number_of(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

/// Replaces the file. After a failure or a crash at any point the file is the old one or the new one.
///
/// # Errors
/// What the system says; then the old file is as it was, unless only the last sync failed.
pub(crate) fn save(path: &Path, state: &State) -> io::Result<()> {
    replace_file(path, &encode(state))
}

/// Replaces any file in this way.
///
/// # Errors
/// As of [`save`].
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace(path, bytes, |_| Ok(()))
}

/// What saving does, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Create,
    Write,
    Sync,
    Rename,
    SyncDirectory,
}

/// [`replace_file`], with a word before each step, at which tests fail or die.
fn replace(path: &Path, bytes: &[u8], mut before: impl FnMut(Step) -> io::Result<()>) -> io::Result<()> {
    let beside = with_suffix(path, ".new");
    let mut write = || {
        before(Step::Create)?;
        let mut file = create(&beside)?;
        before(Step::Write)?;
        file.write_all(bytes)?;
        before(Step::Sync)?;
        file.sync_all()?;
        before(Step::Rename)?;
        fs::rename(&beside, path)
    };
    if let Err(error) = write() {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    before(Step::SyncDirectory)?;
    sync_directory(path)
}

/// A new file that only its owner may read. What a crash left there is removed, never opened: it might be a link.
fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Elsewhere a directory cannot be opened, and renaming is the file system's own journal's business.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(())
}

/// Reads the file, without the contacts that `admits` refuses. A file that cannot be used is moved out of the way.
pub(crate) fn load(path: &Path, admits: impl Fn(SocketAddr) -> bool) -> Loaded {
    load_with(path, LONGEST, |bytes| decode(bytes, admits))
}

/// Reads any file of at most `longest` bytes. One that cannot be used is moved out of the way.
pub(crate) fn load_with<T>(
    path: &Path,
    longest: u64,
    decode: impl FnOnce(&[u8]) -> Result<T, Corrupt>,
) -> Loaded<T> {
    let why = match read_bounded(path, longest) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Loaded::Fresh,
        Err(error) => error.to_string(),
        Ok(bytes) if bytes.len() as u64 > longest => Corrupt::TooLong.to_string(),
        Ok(bytes) => match decode(&bytes) {
            Ok(content) => return Loaded::Restored(content),
            Err(corrupt) => corrupt.to_string(),
        },
    };
    let aside = with_suffix(path, ".bad");
    let kept = fs::rename(path, &aside).is_ok().then_some(aside);
    Loaded::Damaged { why, kept }
}

fn read_bounded(path: &Path, longest: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(longest + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The path with something at the end of its name.
pub(crate) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests;
