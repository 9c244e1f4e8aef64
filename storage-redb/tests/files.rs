//! The store and its file.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use kademlia_core::storage_suite::Note;
use kademlia_core::{Instant, Key, Rng, Storage, StorageLimits};
use storage_redb::{OpenError, RedbStorage};
use tempfile::{TempDir, tempdir};

type Store = RedbStorage<Key<1>, Note>;

fn open(path: &Path) -> Result<Store, OpenError> {
    let wall = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    RedbStorage::open(path, StorageLimits::default(), Key::new([0]), Instant::ZERO, wall)
}

/// A store with one record in a directory of its own.
fn with_a_record() -> (TempDir, Store) {
    let directory = tempdir().unwrap();
    let mut store = open(&directory.path().join("records")).unwrap();
    store.insert(Instant::ZERO, Key::new([1]), note(), Instant::NEVER).unwrap();
    (directory, store)
}

fn note() -> Note {
    Note::new(7, IpAddr::from([192, 0, 2, 1]))
}

fn read(store: &Store) -> Vec<Note> {
    let mut notes = Vec::new();
    store.read(Instant::ZERO, &Key::new([1]), 9, &mut Rng::from_number(0), &mut notes);
    notes
}

#[test]
fn records_are_there_again_after_closing() {
    let (directory, store) = with_a_record();
    let path = directory.path().join("records");
    drop(store);
    let store = open(&path).unwrap();
    assert_eq!(read(&store), [note()]);
    store.flush().unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "nothing else is left behind");
}

#[cfg(unix)]
#[test]
fn the_file_is_its_owners_only() {
    use std::os::unix::fs::PermissionsExt;
    let (directory, store) = with_a_record();
    let path = directory.path().join("records");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(), 0o600);
    drop(store);
    fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    open(&path).unwrap();
    assert_eq!(mode(), 0o600);
}

#[test]
fn a_file_has_one_store_at_a_time() {
    let (directory, store) = with_a_record();
    let path = directory.path().join("records");
    assert!(matches!(open(&path), Err(OpenError::InUse)));
    drop(store);
    open(&path).unwrap();
}

#[test]
fn what_is_not_a_database_is_left_alone() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("diary.txt");
    fs::write(&path, "Dear diary").unwrap();
    assert!(matches!(open(&path), Err(OpenError::Foreign(_))));
    assert_eq!(fs::read(&path).unwrap(), b"Dear diary");
    assert!(matches!(open(directory.path()), Err(OpenError::Io(_))));
    assert!(matches!(open(&directory.path().join("not/there")), Err(OpenError::Io(_))));
}

/// Whoever was killed while making the database left no half of one.
#[test]
fn an_unfinished_file_is_made_anew() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("records");
    fs::write(directory.path().join("records.new"), "half a database").unwrap();
    fs::write(&path, "").unwrap();
    open(&path).unwrap();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_file_that_was_taken_away_is_not_made_anew_behind_the_users_back() {
    let (directory, mut store) = with_a_record();
    let path = directory.path().join("records");
    store.flush().unwrap();
    fs::remove_file(&path).unwrap();
    store.insert(Instant::ZERO, Key::new([1]), Note::new(8, [192, 0, 2, 1].into()), Instant::NEVER).unwrap();
    // The system keeps the file that is open; whether or not writing there succeeds, memory serves.
    store.flush().ok();
    assert_eq!(read(&store).len(), 2);
    assert!(!path.exists());
}
