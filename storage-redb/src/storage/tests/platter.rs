//! A disk in memory.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{Database, ReadableDatabase, ReadableTableMetadata, StorageBackend, TableDefinition};

use crate::disk::{self, Opener};
use crate::file;

/// Its clones are the same disk.
#[derive(Clone, Debug)]
pub(super) struct Platter(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    bytes: Mutex<Vec<u8>>,
    broken: AtomicBool,
    capacity: AtomicU64,
}

impl Default for Platter {
    fn default() -> Self {
        Platter::with(Vec::new())
    }
}

impl Platter {
    pub(super) fn with(bytes: Vec<u8>) -> Self {
        let (broken, capacity) = (AtomicBool::new(false), AtomicU64::new(u64::MAX));
        Platter(Arc::new(Parts { bytes: Mutex::new(bytes), broken, capacity }))
    }

    /// What a process killed at this moment would leave.
    pub(super) fn copy(&self) -> Self {
        Platter::with(self.bytes().clone())
    }

    pub(super) fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.bytes.lock().unwrap()
    }

    /// From now on nothing can be read or written, or everything again.
    pub(super) fn set_broken(&self, broken: bool) {
        self.0.broken.store(broken, Ordering::SeqCst);
    }

    /// From now on the file cannot become longer than that.
    pub(super) fn set_capacity(&self, bytes: u64) {
        self.0.capacity.store(bytes, Ordering::SeqCst);
    }

    /// Opens it, and prepares it for keys of so many bits if there is nothing on it.
    pub(super) fn opener(&self, key_bits: u64) -> Opener {
        let platter = self.clone();
        Box::new(move || {
            let empty = platter.bytes().is_empty();
            let database = file::builder().create_with_backend(platter.clone())?;
            if empty {
                disk::prepare(&database, key_bits)?;
            }
            Ok(database)
        })
    }

    /// Records in a copy of the file, expired ones included.
    pub(super) fn rows(&self) -> u64 {
        let rows: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("records");
        let database = self.copy().database();
        database.begin_read().unwrap().open_table(rows).unwrap().len().unwrap()
    }

    pub(super) fn database(&self) -> Database {
        file::builder().create_with_backend(self.clone()).unwrap()
    }

    fn check(&self, fine: bool, kind: io::ErrorKind) -> io::Result<()> {
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("broken"));
        }
        if fine { Ok(()) } else { Err(kind.into()) }
    }
}

impl StorageBackend for Platter {
    fn len(&self) -> io::Result<u64> {
        self.check(true, io::ErrorKind::Other)?;
        Ok(self.bytes().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let (bytes, start) = (self.bytes(), usize::try_from(offset).unwrap());
        let stored = bytes.get(start..).and_then(|bytes| bytes.get(..out.len()));
        self.check(stored.is_some(), io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(stored.unwrap());
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut bytes = self.bytes();
        let fits = len <= self.0.capacity.load(Ordering::SeqCst) || len <= bytes.len() as u64;
        self.check(fits, io::ErrorKind::StorageFull)?;
        bytes.resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.check(true, io::ErrorKind::Other)
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let (mut bytes, start) = (self.bytes(), usize::try_from(offset).unwrap());
        let place = bytes.get_mut(start..).and_then(|bytes| bytes.get_mut(..data.len()));
        self.check(place.is_some(), io::ErrorKind::UnexpectedEof)?;
        place.unwrap().copy_from_slice(data);
        Ok(())
    }
}
