//! Writing behind the caller's back: a thread that makes in the file what has changed in memory.

use std::io;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::changes::{Changes, Notes};
use crate::disk::Disk;
use crate::error::Unwritten;

/// Rest between two commits: what is lost when the process is killed is what changed in this time and during the commit.
const PACE: Duration = Duration::from_millis(250);
/// Rest after a failure, since the whole file is read again before the next attempt.
const RETRY: Duration = Duration::from_secs(5);

/// How the database keeps up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// Records to write or to remove that are not yet on disk.
    pub waiting: usize,
    /// Attempts to write that have failed since the store was opened.
    pub failures: u64,
    /// Why the last attempt failed, if it did. The store serves from memory meanwhile, and tries again every five seconds.
    pub error: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Writer {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

/// Where callers leave what has to be done. Nobody holds the lock for longer than it takes to note or take it.
#[derive(Debug, Default)]
struct Desk {
    state: Mutex<State>,
    /// Wakes the thread.
    work: Condvar,
    /// Wakes who waits for a flush.
    done: Condvar,
}

#[derive(Debug, Default)]
struct State {
    notes: Notes,
    /// Milliseconds since 1970, as far as callers have said.
    unix: u64,
    /// Changes in the thread's hands.
    in_hand: usize,
    /// Flushes asked for, and those of them that an attempt has followed.
    flushes: u64,
    answered: u64,
    failures: u64,
    error: Option<String>,
    closing: bool,
    /// The thread has ended.
    gone: bool,
}

impl Writer {
    /// Starts the thread, which has `notes` to work off first.
    pub(crate) fn start(disk: Disk, notes: Notes, unix: u64) -> io::Result<Self> {
        let state = State { notes, unix, ..State::default() };
        let desk = Arc::new(Desk { state: Mutex::new(state), ..Desk::default() });
        let thread = thread::Builder::new().name("storage-redb".into()).spawn({
            let desk = desk.clone();
            move || desk.serve(disk)
        })?;
        Ok(Writer { desk, thread: Some(thread) })
    }

    /// Notes changes, made at `unix` or, if that is smaller, at the last time noted.
    pub(crate) fn note(&self, unix: u64, note: impl FnOnce(&mut Notes)) {
        let mut state = self.desk.lock();
        let was_idle = state.notes.is_empty();
        note(&mut state.notes);
        state.unix = state.unix.max(unix);
        if was_idle && !state.notes.is_empty() {
            drop(state);
            self.desk.work.notify_one();
        }
    }

    pub(crate) fn flush(&self) -> Result<(), Unwritten> {
        let mut state = self.desk.lock();
        state.flushes += 1;
        let flush = state.flushes;
        self.desk.work.notify_one();
        let waiting = |state: &mut State| state.answered < flush && !state.gone;
        let state = self.desk.done.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        state.error.clone().map_or(Ok(()), |error| Err(Unwritten(error)))
    }

    pub(crate) fn health(&self) -> Health {
        let state = self.desk.lock();
        Health {
            waiting: state.notes.len() + state.in_hand,
            failures: state.failures,
            error: state.error.clone(),
        }
    }
}

impl Drop for Writer {
    /// Waits until everything is written, or could not be.
    fn drop(&mut self) {
        self.desk.lock().closing = true;
        self.desk.work.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Desk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's life: takes what there is, commits it, rests.
    fn serve(&self, mut disk: Disk) {
        let _farewell = Farewell(self);
        let mut changes = Changes::default();
        // There may be something to purge, whether or not anything has changed.
        let mut more = true;
        loop {
            let idle = |state: &mut State| {
                state.notes.is_empty() && changes.is_empty() && !more && !state.is_urgent()
            };
            let mut state = self.work.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            let (flushes, closing, unix) = (state.flushes, state.closing, state.unix);
            let notes = mem::take(&mut state.notes);
            state.in_hand += notes.len();
            drop(state);

            changes.append(notes, disk.last_id);
            let result = disk.commit(&mut changes, unix);

            let mut state = self.lock();
            state.in_hand = changes.len();
            state.answered = flushes;
            state.failures += u64::from(result.is_err());
            state.error = result.as_ref().err().map(ToString::to_string);
            self.done.notify_all();
            if closing {
                return;
            }
            let rest = if result.is_ok() { PACE } else { RETRY };
            more = result.unwrap_or(true);
            let resting = |state: &mut State| !state.is_urgent();
            drop(self.work.wait_timeout_while(state, rest, resting).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

impl State {
    /// Whether somebody waits.
    fn is_urgent(&self) -> bool {
        self.closing || self.answered < self.flushes
    }
}

/// Lets nobody wait for a thread that has ended.
struct Farewell<'a>(&'a Desk);

impl Drop for Farewell<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.gone = true;
        if !state.closing {
            state.error = Some("the writing thread has ended".into());
        }
        self.0.done.notify_all();
    }
}
