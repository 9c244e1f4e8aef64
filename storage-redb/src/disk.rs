//! The database behind a store: its tables, and the one transaction that changes them.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use crate::changes::Changes;
use crate::error::OpenError;
use crate::row::Place;

/// Of the tables below and what is in them.
const FORMAT: u64 = 1;
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Expiry and id → key and record.
const ROWS: TableDefinition<'_, (u64, u64), &[u8]> = TableDefinition::new("records");

/// Expired records that one transaction clears away at most: the others wait for the next.
const PURGED_AT_ONCE: usize = 4_096;

/// Opens the database, again after each failure: redb gives up on a file with the first error.
pub(crate) type Opener = Box<dyn FnMut() -> Result<Database, redb::Error> + Send>;

pub(crate) struct Disk {
    opener: Opener,
    database: Option<Database>,
    /// Milliseconds since 1970 when the file was last written, as found on opening.
    pub(crate) written: u64,
    /// No row with an id above can be in the file.
    pub(crate) last_id: u64,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("last_id", &self.last_id).finish_non_exhaustive()
    }
}

impl Disk {
    /// Opens the database, and says whether it is one of ours.
    pub(crate) fn open(mut opener: Opener, key_bits: u64) -> Result<Self, OpenError> {
        let database = guarded(&mut opener)?;
        let meta = guarded(|| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(META)?;
            let number = |name| Ok::<_, redb::Error>(table.get(name)?.map_or(0, |value| value.value()));
            Ok([number("format")?, number("key bits")?, number("written")?, number("last id")?])
        });
        let [format, found_bits, written, last_id] = meta?;
        if format != FORMAT {
            return Err(OpenError::Format { found: format, expected: FORMAT });
        }
        if found_bits != key_bits {
            return Err(OpenError::KeyWidth { found: found_bits, expected: key_bits });
        }
        Ok(Disk { opener, database: Some(database), written, last_id })
    }

    /// Hands every row that expires after `unix` to `visit`, in the order of expiry.
    pub(crate) fn read(
        &mut self,
        unix: u64,
        mut visit: impl FnMut(Place, &[u8]) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let database = self.database()?;
        let mut verdict = Ok(());
        guarded(|| {
            let rows = database.begin_read()?.open_table(ROWS)?;
            let Some(first) = unix.checked_add(1) else { return Ok(()) };
            for row in rows.range((first, 0)..)? {
                let (key, value) = row?;
                let (expires, id) = key.value();
                verdict = visit(Place { expires, id }, value.value());
                if verdict.is_err() {
                    break;
                }
            }
            Ok(())
        })?;
        verdict
    }

    /// Makes the changes and clears away what has expired at `unix`, all of it or nothing; gives whether there is more to
    /// clear. The changes remain if they could not be made.
    pub(crate) fn commit(&mut self, changes: &mut Changes, unix: u64) -> Result<bool, redb::Error> {
        self.database()?;
        let Disk { database, last_id, .. } = self;
        let result = guarded(|| match database {
            Some(database) => write(database, changes, last_id, unix),
            None => Err(redb::Error::DatabaseClosed),
        });
        match result {
            Ok(more) => {
                *changes = Changes::default();
                Ok(more)
            }
            Err(error) => {
                let failed = self.database.take();
                // Closing may fail, too; there is nothing to be done about it.
                guarded(|| failed.map_or(Ok(()), |failed| Ok(failed.close()?))).ok();
                Err(error)
            }
        }
    }

    fn database(&mut self) -> Result<&Database, redb::Error> {
        match &mut self.database {
            Some(database) => Ok(database),
            closed => Ok(closed.insert(guarded(&mut self.opener)?)),
        }
    }
}

/// Makes an empty database one of ours.
pub(crate) fn prepare(database: &Database, key_bits: u64) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ROWS)?;
    let mut meta = transaction.open_table(META)?;
    for (name, number) in [("format", FORMAT), ("key bits", key_bits)] {
        meta.insert(name, number)?;
    }
    drop(meta);
    Ok(transaction.commit()?)
}

fn write(
    database: &Database,
    changes: &mut Changes,
    last_id: &mut u64,
    unix: u64,
) -> Result<bool, redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // Strangers decide what is written: they must not be able to write what looks like a commit.
    transaction.set_two_phase_commit(true);
    let mut rows = transaction.open_table(ROWS)?;
    changes.try_clear(|place| Ok::<_, redb::Error>(rows.remove((place.expires, place.id))?.is_some()))?;
    for (place, bytes) in changes.puts() {
        *last_id = place.id.max(*last_id);
        rows.insert((place.expires, place.id), bytes)?;
    }
    let mut purged = 0;
    while purged < PURGED_AT_ONCE && rows.first()?.is_some_and(|(key, _)| key.value().0 <= unix) {
        rows.pop_first()?;
        purged += 1;
    }
    drop(rows);
    let mut meta = transaction.open_table(META)?;
    for (name, number) in [("written", unix), ("last id", *last_id)] {
        meta.insert(name, number)?;
    }
    drop(meta);
    transaction.commit()?;
    Ok(purged == PURGED_AT_ONCE)
}

/// Turns a panic into an error: redb asserts what a damaged file may not keep.
fn guarded<T>(work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, redb::Error> {
    let panicked = |_| Err(redb::Error::Corrupted("the database contradicts itself".into()));
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(panicked)
}
