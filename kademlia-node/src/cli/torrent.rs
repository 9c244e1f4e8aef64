//! Info hashes as people have them: digits, magnet links, torrent files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bittorrent_profile::torrent::MAX_SIZE;
use bittorrent_profile::{InfoHash, NodeId};

/// An info hash in digits, a magnet link, or the path of a torrent file.
pub(super) fn info_hash(text: &str) -> Result<InfoHash, String> {
    let error = match text.parse() {
        Ok(info_hash) => return Ok(info_hash),
        Err(error) => error,
    };
    let path = Path::new(text);
    let is_named_so = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"));
    if !is_named_so && !path.is_file() {
        return Err(format!("{error}, a magnet link, or a torrent file"));
    }
    let file = read(path).map_err(|error| format!("cannot read it: {error}"))?;
    InfoHash::from_torrent(&file).map_err(|error| error.to_string())
}

/// Ids and info hashes are points of the same space.
pub(super) fn target(text: &str) -> Result<NodeId, String> {
    info_hash(text).map(|info_hash| NodeId::new(info_hash.to_bytes()))
}

/// One byte more than may be is enough to see that it is too long.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_SIZE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_torrent_file_is_as_good_as_its_hash() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.torrent");
        let info = "d4:name1:a6:pieces0:e";
        fs::write(&path, format!("d4:info{info}e")).unwrap();
        let expected = InfoHash::from_torrent(format!("d4:info{info}e").as_bytes()).unwrap();
        assert_eq!(info_hash(path.to_str().unwrap()), Ok(expected));
        fs::write(&path, "d4:infod12:meta versioni2eee").unwrap();
        let error = info_hash(path.to_str().unwrap()).unwrap_err();
        assert!(error.contains("version 2"), "{error}");
        let error = info_hash("no-such.torrent").unwrap_err();
        assert!(error.contains("cannot read it"), "{error}");
        let error = info_hash("nonsense").unwrap_err();
        assert!(error.contains("40 hexadecimal") && error.contains("torrent file"), "{error}");
    }
}
