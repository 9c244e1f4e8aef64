//! A database's file: how it comes to be, and how it is opened.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use redb::backends::FileBackend;
use redb::{Builder, Database};

/// Everything is in memory anyway; the cache only serves the commit under way.
const CACHE_BYTES: usize = 8 << 20;

/// Makes the database unless there is one. `prepare` fills it before it can be seen: whoever is killed on the way leaves a file
/// under another name, which the next one takes away.
pub(crate) fn create(
    path: &Path,
    prepare: impl FnOnce(&Database) -> Result<(), redb::Error>,
) -> Result<(), redb::Error> {
    match path.metadata() {
        Ok(found) if found.len() > 0 => return Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => (),
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => (),
    }
    let file = private(OpenOptions::new().create_new(true)).open(&unfinished)?;
    let database = builder().create_with_backend(FileBackend::new(file)?)?;
    prepare(&database)?;
    database.close()?;
    std::fs::rename(&unfinished, path)?;
    sync_directory(path)?;
    Ok(())
}

/// Opens an existing database, and verifies every checksum in it.
pub(crate) fn open(path: &Path) -> Result<Database, redb::Error> {
    let file = private(&mut OpenOptions::new()).open(path)?;
    restrict(&file)?;
    Ok(builder().create_with_backend(FileBackend::new(file)?)?)
}

pub(crate) fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    builder
}

/// To read and write; what it creates is its owner's only.
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.read(true).write(true)
}

/// Takes away from others what an older file may allow them.
#[cfg(unix)]
fn restrict(file: &File) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if file.metadata()?.permissions().mode() & 0o077 == 0 {
        return Ok(());
    }
    file.set_permissions(PermissionsExt::from_mode(0o600))
}

#[cfg(not(unix))]
fn restrict(_: &File) -> io::Result<()> {
    Ok(())
}

/// Without this the new name may be lost with the power.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}
