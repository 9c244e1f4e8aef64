//! Torrents as people have them: digits, magnet links, files.

use std::fs::File;
use std::io::{self, Read};
use std::net::Ipv6Addr;
use std::path::Path;

use bittorrent_profile::torrent::{self, MAX_SIZE};
use bittorrent_profile::{InfoHash, NodeId};

/// A torrent that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Torrent {
    pub(crate) info_hash: InfoHash,
    /// Hosts that its file names to join through, as `HOST:PORT` (BEP 5).
    pub(crate) nodes: Vec<String>,
}

/// From an info hash in digits, a magnet link, or the path of a torrent file.
pub(super) fn torrent(text: &str) -> Result<Torrent, String> {
    let error = match text.parse() {
        Ok(info_hash) => return Ok(Torrent { info_hash, nodes: Vec::new() }),
        Err(error) => error,
    };
    let path = Path::new(text);
    let is_named_so = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("torrent"));
    if !is_named_so && !path.is_file() {
        return Err(format!("{error}, a magnet link, or a torrent file"));
    }
    let file = read(path).map_err(|error| format!("cannot read it: {error}"))?;
    let torrent = torrent::Torrent::read(&file).map_err(|error| error.to_string())?;
    let nodes = torrent.nodes().iter().map(|(host, port)| host_port(host, *port)).collect();
    Ok(Torrent { info_hash: torrent.info_hash(), nodes })
}

/// Ids and info hashes are points of the same space.
pub(super) fn target(text: &str) -> Result<NodeId, String> {
    torrent(text).map(|torrent| NodeId::new(torrent.info_hash.to_bytes()))
}

fn host_port(host: &str, port: u16) -> String {
    match host.parse::<Ipv6Addr>() {
        Ok(ip) => format!("[{ip}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    }
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
    fn bep5_5_16_a_torrent_file_is_as_good_as_its_hash_and_names_nodes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.torrent");
        let info = "d4:name1:a6:pieces0:e";
        let nodes = "ll9:127.0.0.1i6881eel3:::1i6882eel1:ai6883eee";
        let file = format!("d4:info{info}5:nodes{nodes}e");
        fs::write(&path, &file).unwrap();
        let info_hash = InfoHash::from_torrent(file.as_bytes()).unwrap();
        let nodes = ["127.0.0.1:6881", "[::1]:6882", "a:6883"].map(str::to_owned).to_vec();
        assert_eq!(torrent(path.to_str().unwrap()), Ok(Torrent { info_hash, nodes }));
        fs::write(&path, "d4:infod12:meta versioni2eee").unwrap();
        let error = torrent(path.to_str().unwrap()).unwrap_err();
        assert!(error.contains("version 2"), "{error}");
        let error = torrent("no-such.torrent").unwrap_err();
        assert!(error.contains("cannot read it"), "{error}");
        let error = torrent("nonsense").unwrap_err();
        assert!(error.contains("40 hexadecimal") && error.contains("torrent file"), "{error}");
    }
}
