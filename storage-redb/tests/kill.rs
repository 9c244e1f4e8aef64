//! Killed at any moment, a store loses what changed in the last second, and nothing is altered.
//!
//! The test runs itself as a child process, which writes and says what; it is killed by SIGKILL in the middle of it.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kademlia_core::{Durable, Instant, Key, Keyspace, Record, Rng, Storage, StorageLimits};
use storage_redb::RedbStorage;

/// The child's database, and the number of its first record.
const FILE: &str = "STORAGE_REDB_VICTIM_FILE";
const FIRST: &str = "STORAGE_REDB_VICTIM_FIRST";
/// Records live in so many slots, so that most insertions replace one.
const SLOTS: u64 = 500;
/// So many of them are emptied every other time.
const EMPTIED: u64 = 50;
const LIFE: Duration = Duration::from_secs(3_600);

/// A number, and bytes that nothing but this number explains.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Numbered {
    number: u64,
    bytes: Vec<u8>,
}

impl Numbered {
    fn new(number: u64) -> Self {
        let mut rng = Rng::from_number(number);
        let mut bytes = vec![0; 100 + rng.below(900)];
        rng.fill(&mut bytes);
        Numbered { number, bytes }
    }
}

/// Ten slots have a key together.
fn key_of(slot: u64) -> Key<8> {
    Key::new((slot / 10).to_be_bytes())
}

/// What the child does under this number: to which slot, and the number of the record that it holds then, if any.
fn step(number: u64) -> (u64, Option<u64>) {
    let (turn, slot) = (number / SLOTS, number % SLOTS);
    (slot, Some(number).filter(|_| slot >= EMPTIED || turn % 2 == 0))
}

impl Record for Numbered {
    type Slot = u64;

    fn slot(&self) -> u64 {
        self.number % SLOTS
    }

    fn source(&self) -> IpAddr {
        IpAddr::from([192, 0, 2, 1])
    }

    fn heap_bytes(&self) -> usize {
        self.bytes.len()
    }
}

impl Durable for Numbered {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend(self.number.to_be_bytes());
        out.extend(&self.bytes);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (number, bytes) = bytes.split_first_chunk()?;
        Some(Numbered { number: u64::from_be_bytes(*number), bytes: bytes.to_vec() })
    }
}

fn open(path: &Path) -> RedbStorage<Key<8>, Numbered> {
    let limits = StorageLimits { bytes: usize::MAX, per_key: 0, per_source: 0, per_subnet: 0 };
    RedbStorage::open(path, limits, Key::ZERO, Instant::ZERO, SystemTime::now()).unwrap()
}

fn unix_millis() -> u128 {
    UNIX_EPOCH.elapsed().unwrap().as_millis()
}

/// Not a test by itself: takes about a step a millisecond, for ever. Each line is the number of a step and when it was taken.
#[test]
#[ignore = "the child of the other tests"]
fn victim() {
    let (Ok(path), Ok(first)) = (env::var(FILE), env::var(FIRST)) else {
        return;
    };
    let mut store = open(Path::new(&path));
    let mut out = io::stdout().lock();
    for number in first.parse().unwrap().. {
        let (slot, content) = step(number);
        match content {
            Some(number) => {
                let expires = Instant::ZERO + LIFE;
                store.insert(Instant::ZERO, key_of(slot), Numbered::new(number), expires).unwrap();
            }
            None => drop(store.remove(&key_of(slot), &slot)),
        }
        writeln!(out, "took {number} {}", unix_millis()).unwrap();
        // So that a second is a few hundred records and not a million.
        thread::sleep(Duration::from_millis(1));
    }
}

/// The number of a step and when it was taken, in milliseconds since 1970.
fn parse(line: &str) -> Option<(u64, u64)> {
    let (number, millis) = line.split_once("took ")?.1.split_once(' ')?;
    Some((number.parse().ok()?, millis.parse().ok()?))
}

fn spawn(path: &Path, first: u64) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["victim", "--exact", "--ignored", "--nocapture"])
        .env(FILE, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Lets a child write for so many milliseconds, by its own clock, and kills it. Gives the steps that it said it took.
fn kill_after(millis: u64, path: &Path, first: u64) -> Vec<(u64, u64)> {
    let mut child = spawn(path, first);
    let mut taken: Vec<(u64, u64)> = Vec::new();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for line in lines.map_while(Result::ok) {
        taken.extend(parse(&line));
        if let [first, .., last] = taken.as_slice()
            && last.1 - first.1 >= millis
        {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    taken
}

/// What is in the slots.
fn read(path: &Path) -> BTreeMap<u64, Numbered> {
    let store = open(path);
    let (mut rng, mut keys, mut records) = (Rng::from_number(0), Vec::new(), Vec::new());
    store.sample_keys(Instant::ZERO, usize::MAX, &mut rng, &mut keys);
    keys.iter().for_each(|key| store.read(Instant::ZERO, key, usize::MAX, &mut rng, &mut records));
    assert_eq!(records.len(), store.len());
    records.into_iter().map(|record| (record.slot(), record)).collect()
}

/// In memory where the system has such a place. A killed process loses nothing that it has written, synced or not; what a busy
/// disk does to a second is not what is tested here.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// One file, killed again and again. Gives how old the oldest step was that a kill undid, in milliseconds.
fn lane(seed: u64, rounds: usize) -> u64 {
    let directory = directory();
    let path = directory.path().join("records");
    let (mut rng, mut first, mut oldest_lost) = (Rng::from_number(seed), 0, 0);
    // What each slot may hold: numbers with the age they had at the kill.
    let mut slots: Vec<Vec<(Option<u64>, u64)>> = (0..SLOTS).map(|_| vec![(None, 0)]).collect();
    for round in 0..rounds {
        let taken = kill_after(1_010 + rng.below(400) as u64, &path, first);
        let (last, killed) = taken[taken.len() - 1];
        // It may have taken one more without a word.
        for (number, taken) in taken.into_iter().chain([(last + 1, killed)]) {
            let ((slot, content), age) = (step(number), killed - taken);
            let allowed = &mut slots[usize::try_from(slot).unwrap()];
            if age > 1_000 {
                allowed.clear();
            }
            allowed.push((content, age));
        }
        let mut found = read(&path);
        for (slot, allowed) in (0..).zip(&mut slots) {
            let record = found.remove(&slot);
            let content = record.as_ref().map(|record| record.number);
            assert_eq!(record, content.map(Numbered::new), "seed {seed}, round {round}: altered");
            let lost = allowed.iter().rev().take_while(|allowed| allowed.0 != content);
            let lost: Vec<u64> =
                lost.filter(|(number, _)| *number != Some(last + 1)).map(|lost| lost.1).collect();
            let explained = allowed.iter().any(|allowed| allowed.0 == content);
            assert!(explained, "seed {seed}, round {round}, slot {slot}: {content:?}, not of {allowed:?}");
            oldest_lost = lost.into_iter().fold(oldest_lost, u64::max);
            *allowed = vec![(content, 0)];
        }
        first = last + 2;
    }
    oldest_lost
}

fn lanes(lanes: u64, rounds: usize) {
    let oldest_lost = thread::scope(|scope| {
        let lanes: Vec<_> = (0..lanes).map(|seed| scope.spawn(move || lane(seed, rounds))).collect();
        lanes.into_iter().map(|lane| lane.join().unwrap()).max()
    });
    println!("the oldest step that was lost was {} ms old", oldest_lost.unwrap_or_default());
}

#[test]
fn a_store_killed_ten_times_keeps_what_is_older_than_a_second() {
    lanes(5, 2);
}

#[test]
#[ignore = "a minute"]
fn a_store_killed_two_hundred_times_keeps_what_is_older_than_a_second() {
    lanes(8, 25);
}

#[test]
fn a_store_killed_while_its_file_is_made_starts_anew() {
    for round in 0..10 {
        let directory = tempfile::tempdir().unwrap();
        let mut child = spawn(&directory.path().join("records"), 0);
        let files = || fs::read_dir(directory.path()).unwrap().count();
        // As soon as there is anything, or a little later.
        while files() == 0 && child.try_wait().unwrap().is_none() {}
        (0..round * 20).for_each(|_| {
            files();
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let found = read(&directory.path().join("records"));
        assert!(found.into_values().all(|record| record == Numbered::new(record.number)));
        assert_eq!(files(), 1);
    }
}
