//! `kad keygen`: secret keys in files, and nowhere else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use bittorrent_profile::item::SecretKey;
use serde::Serialize;

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::source::Source;

/// Longest file that may hold a key, in bytes.
const LONGEST: usize = 4_096;
/// As many bytes as an expanded key has, so one cannot be told from the other by its length.
const SEED_DIGITS: usize = 64;
/// What a key file begins with, for people who wonder what it is.
const HEADER: &str = "# secret key of a DHT item's owner (BEP 44); whoever reads this can change your items";

#[derive(Serialize)]
struct KeyLine {
    public: String,
}

#[derive(Serialize)]
struct Summary {
    file: String,
    /// Whether the file is new.
    written: bool,
}

pub(crate) async fn run(
    args: &cli::Keygen,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let key = if args.public {
        load(&args.file)?
    } else {
        let key = match &args.import {
            Some(source) => import(source, &mut interrupt).await?,
            None => SecretKey::generate().map_err(|error| Failure::new(Exit::Nothing, error))?,
        };
        save(&args.file, &key)?;
        key
    };
    let public = key.public().to_string();
    output.data("key", &KeyLine { public: public.clone() }, public)?;
    let summary = Summary { file: args.file.display().to_string(), written: !args.public };
    // `$(kad keygen FILE --public)` should say nothing else.
    if summary.written || output.is_json() {
        output.summary(&summary, format!("wrote {}; its public key is above", summary.file))?;
    }
    Ok(Exit::Success)
}

/// The key in a file that this command wrote.
pub(super) fn load(path: &Path) -> Result<SecretKey, Failure> {
    let cannot = |why: &dyn std::fmt::Display| format!("cannot read the key in {}: {why}", path.display());
    let file = File::open(path).map_err(|error| {
        Failure::usage(cannot(&error)).hint(format!("`kad keygen {}` makes one", path.display()))
    })?;
    let bytes = read(file).map_err(|error| Failure::usage(cannot(&error)))?;
    parse(&bytes).ok_or_else(|| Failure::new(Exit::BadData, cannot(&"it is no key file")))
}

async fn import(source: &Path, interrupt: &mut Interrupt) -> Result<SecretKey, Failure> {
    let bytes = Source::of_path(source).read("the key", LONGEST, interrupt).await?;
    if digits(&bytes).is_some_and(|digits| digits.len() == SEED_DIGITS) {
        let failure = Failure::new(Exit::BadData, "64 hexadecimal digits are a seed or a public key");
        return Err(failure.hint("an expanded secret key has 128: the SHA-512 hash of the seed, clamped"));
    }
    let failure = || Failure::new(Exit::BadData, "expected 64 bytes or 128 hexadecimal digits");
    parse(&bytes).ok_or_else(failure)
}

fn read(source: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(LONGEST as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// 64 bytes as they are, or in hexadecimal digits, after lines that begin with `#`.
fn parse(bytes: &[u8]) -> Option<SecretKey> {
    let Some(digits) = digits(bytes) else {
        return bytes.try_into().ok().map(SecretKey::from_expanded);
    };
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let mut bytes = [0; 64];
    if pairs.len() != bytes.len() {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(pairs) {
        *byte = u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(SecretKey::from_expanded(&bytes))
}

/// The hexadecimal digits of a text that has nothing else but lines that begin with `#`.
fn digits(bytes: &[u8]) -> Option<String> {
    let lines = str::from_utf8(bytes).ok()?.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let digits: String = lines.collect();
    let all = !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    all.then_some(digits)
}

/// A new file that only its owner can read. One that is there stays as it is.
fn save(path: &Path, key: &SecretKey) -> Result<(), Failure> {
    let digits: String = key.to_expanded().iter().map(|byte| format!("{byte:02x}")).collect();
    let write = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(path)?;
        let written = writeln!(file, "{HEADER}\n{digits}").and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(path);
        }
        written
    };
    write().map_err(|error| {
        let failure = Failure::usage(format!("cannot write {}: {error}", path.display()));
        match error.kind() {
            io::ErrorKind::AlreadyExists => failure.hint("keys are never overwritten; name another file"),
            _ => failure,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPANDED: &str = "e06d3183d14159228433ed599221b80bd0a5ce8352e4bdf0262f76786ef1c74d\
                            b7e7a9fea2c0eb269d61e3b38e450a22e754941ac78479d6c54e1faf6037881d";
    const PUBLIC: &str = "77ff84905a91936367c01360803104f92432fcd904a43511876df5cdf3e7e548";

    #[test]
    fn bep44_keys_are_read_as_bytes_and_as_digits() {
        let raw = parse(EXPANDED.as_bytes()).unwrap().to_expanded();
        for text in [EXPANDED.to_owned(), EXPANDED.to_uppercase(), format!("# about\n\n {EXPANDED}\n")] {
            assert_eq!(parse(text.as_bytes()).unwrap().public().to_string(), PUBLIC);
        }
        assert_eq!(parse(&raw[..]).unwrap().public().to_string(), PUBLIC);
        assert!(parse(PUBLIC.as_bytes()).is_none(), "64 bytes, but no expanded key");
        for other in
            ["", &EXPANDED[2..], &EXPANDED[1..], &EXPANDED.replace('e', "g"), &EXPANDED.replace("e0", "+0")]
        {
            assert!(parse(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn a_key_file_is_read_back_and_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("me.key");
        let key = SecretKey::generate().unwrap();
        save(&path, &key).unwrap();
        assert_eq!(load(&path).unwrap().public(), key.public());
        let failure = save(&path, &SecretKey::generate().unwrap()).unwrap_err();
        assert!(failure.to_string().contains("cannot write"), "{failure}");
        assert_eq!(load(&path).unwrap().public(), key.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
