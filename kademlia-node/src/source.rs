//! What a command reads: its argument, a file, or stdin.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;
use tracing::debug;

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;

/// Where bytes come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Text(String),
    File(PathBuf),
    Stdin,
}

impl Source {
    /// A file if there is one, otherwise the text; `-` is stdin.
    pub(crate) fn of(file: Option<&Path>, text: Option<&str>) -> Self {
        match (file, text) {
            (Some(path), _) => Source::File(path.to_owned()),
            (None, Some("-")) => Source::Stdin,
            (None, text) => Source::Text(text.unwrap_or_default().to_owned()),
        }
    }

    /// A file; `-` is stdin.
    pub(crate) fn of_path(path: &Path) -> Self {
        if path == Path::new("-") { Source::Stdin } else { Source::File(path.to_owned()) }
    }

    /// All of it, or one byte more than `most`: enough to see that it is too long. A terminal or a pipe may never end, so
    /// it is read on a thread of its own, which Ctrl-C leaves behind.
    pub(crate) async fn read(
        self,
        what: &str,
        most: usize,
        interrupt: &mut Interrupt,
    ) -> Result<Vec<u8>, Failure> {
        if let Source::Text(text) = self {
            return Ok(text.into_bytes());
        }
        let most = most as u64 + 1;
        debug!("reading {what}");
        let reading = spawn_blocking(move || match self {
            Source::Text(text) => Ok(text.into_bytes()),
            Source::File(path) => File::open(path).and_then(|file| all(file, most)),
            Source::Stdin => all(io::stdin().lock(), most),
        });
        let read = tokio::select! {
            read = reading => read.map_err(|error| Failure::new(Exit::Nothing, error))?,
            () = interrupt.wait() => return Err(join::stopped()),
        };
        read.map_err(|error| Failure::usage(format!("cannot read {what}: {error}")))
    }
}

fn all(source: impl Read, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}
