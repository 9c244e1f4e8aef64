//! A foreign node in a process of its own.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bittorrent_profile::InfoHash;
use bittorrent_profile::item::{Item, SecretKey};
use kademlia_core::Key;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use crate::V4;

/// The programs promise an answer within a minute.
const ANSWER: Duration = Duration::from_secs(75);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Libtorrent,
    BittorrentDht,
}

/// Killed when it is dropped.
pub(crate) struct Client {
    pub(crate) kind: Kind,
    pub(crate) addr: SocketAddr,
    pub(crate) id: Key<20>,
    stdin: ChildStdin,
    events: Lines<BufReader<ChildStdout>>,
    _process: Child,
}

impl Client {
    /// Starts a node that joins through `router`.
    pub(crate) async fn start(kind: Kind, router: SocketAddr) -> Self {
        let (ip, bootstrap) = (router.ip(), router.to_string());
        let start = json!({ "cmd": "start", "host": ip.to_string(), "port": 0, "bootstrap": bootstrap });
        Self::start_with(kind, ip, start).await
    }

    /// Starts the first node of a network.
    pub(crate) async fn alone(kind: Kind) -> Self {
        Self::start_with(kind, V4, json!({ "cmd": "start", "port": 0 })).await
    }

    async fn start_with(kind: Kind, ip: IpAddr, start: Value) -> Self {
        let mut process = command(kind)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| panic!("{kind:?} does not start: {error}"));
        let stdin = process.stdin.take().expect("piped");
        let events = BufReader::new(process.stdout.take().expect("piped")).lines();
        let nowhere = (SocketAddr::new(ip, 0), Key::new([0; 20]));
        let mut client = Client { kind, addr: nowhere.0, id: nowhere.1, stdin, events, _process: process };
        let listening = client.ask("listening", start).await;
        let port = listening["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        client.addr.set_port(port.expect("a port"));
        client.id = listening["id"].as_str().expect("an id").parse().expect("of 40 digits");
        client
    }

    /// Announces a peer at this host; gives back how many other nodes accepted it.
    pub(crate) async fn announce(&mut self, info_hash: InfoHash, port: u16) -> u64 {
        let command = json!({ "cmd": "announce", "info_hash": info_hash.to_string(), "port": port });
        self.ask("announced", command).await["nodes"].as_u64().expect("a number")
    }

    /// Searches to the end.
    pub(crate) async fn get_peers(&mut self, info_hash: InfoHash) -> Vec<SocketAddr> {
        self.peers(json!({ "cmd": "get_peers", "info_hash": info_hash.to_string() })).await
    }

    /// Searches until one peer is found, which takes no longer because somebody has gone. Has to be the last search.
    pub(crate) async fn get_one_peer(&mut self, info_hash: InfoHash) -> Vec<SocketAddr> {
        self.peers(json!({ "cmd": "get_peers", "info_hash": info_hash.to_string(), "enough": 1 })).await
    }

    /// Tells libtorrent of other nodes, which it asks.
    pub(crate) async fn meet(&mut self, nodes: impl Iterator<Item = SocketAddr>) {
        let nodes: Vec<_> = nodes.map(|addr| addr.to_string()).collect();
        self.ask("added", json!({ "cmd": "add", "nodes": nodes })).await;
    }

    /// Announces a seed of a torrent, which libtorrent alone can.
    pub(crate) async fn announce_seed(&mut self, info_hash: InfoHash, port: u16) -> u64 {
        let info_hash = info_hash.to_string();
        let command = json!({ "cmd": "announce", "info_hash": info_hash, "port": port, "seed": true });
        self.ask("announced", command).await["nodes"].as_u64().expect("a number")
    }

    /// Puts a string; with an owner's seed a mutable item. Gives back how many nodes took it.
    pub(crate) async fn put(&mut self, value: &str, owner: Option<[u8; 32]>, salt: &str, seq: i64) -> u64 {
        let mut command = json!({ "cmd": "put", "value": hex(value.as_bytes()) });
        if let Some(seed) = owner {
            let secret = SecretKey::from_seed(&seed);
            command["key"] = secret.public().to_string().into();
            command["secret"] = hex(&*secret.to_expanded()).into();
            command["seed"] = hex(&seed).into();
            command["salt"] = hex(salt.as_bytes()).into();
            command["seq"] = seq.into();
        }
        self.ask("put", command).await["nodes"].as_u64().expect("a number")
    }

    /// Gets a string, and its sequence number if it is a mutable item.
    pub(crate) async fn get(&mut self, item: &Item) -> Option<(String, Option<i64>)> {
        let mut command = json!({ "cmd": "get", "target": item.target().to_string() });
        if let Item::Mutable(item) = item {
            command["key"] = item.key.to_string().into();
            command["salt"] = hex(item.salt.as_bytes()).into();
        }
        let found = self.ask("item", command).await;
        let digits = found["value"].as_str()?.as_bytes().chunks(2);
        let bytes = digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        let value = bytes.collect::<Option<Vec<u8>>>().expect("hexadecimal digits");
        Some((String::from_utf8(value).expect("text"), found["seq"].as_i64()))
    }

    /// Lets libtorrent sample a node: the hashes, and how many there are.
    pub(crate) async fn sample(&mut self, addr: SocketAddr) -> (Vec<String>, u64) {
        let sampled = self.ask("samples", json!({ "cmd": "sample", "addr": addr.to_string() })).await;
        let samples = sampled["samples"].as_array().expect("a list").iter();
        let samples = samples.map(|sample| sample.as_str().expect("a hash").to_owned()).collect();
        (samples, sampled["num"].as_u64().expect("a number"))
    }

    async fn peers(&mut self, command: Value) -> Vec<SocketAddr> {
        let event = self.ask("peers", command).await;
        addresses(&event["peers"])
    }

    /// One command, one event.
    async fn ask(&mut self, event: &str, command: Value) -> Value {
        let kind = self.kind;
        self.stdin.write_all(format!("{command}\n").as_bytes()).await.expect("it reads commands");
        let line = timeout(ANSWER, self.events.next_line()).await;
        let line = line.unwrap_or_else(|_| panic!("{kind:?} does not answer {command}"));
        let line = line.expect("its output can be read");
        let line = line.unwrap_or_else(|| panic!("{kind:?} ended at {command}"));
        let answer: Value = serde_json::from_str(&line).expect("an event is JSON");
        assert_eq!(answer["event"], event, "{kind:?} on {command}: {answer}");
        answer
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Sorted, so that they can be compared.
fn addresses(list: &Value) -> Vec<SocketAddr> {
    let texts = list.as_array().expect("a list").iter().map(|addr| addr.as_str().expect("an address"));
    let mut addrs: Vec<_> = texts.map(|text| text.parse().expect("an address")).collect();
    addrs.sort();
    addrs
}

fn command(kind: Kind) -> Command {
    let directory = directory();
    let (program, script) = match kind {
        Kind::Libtorrent => (directory.join("venv/bin/python"), "libtorrent_node.py"),
        Kind::BittorrentDht => (PathBuf::from("node"), "bittorrent_dht_node.js"),
    };
    let mut command = Command::new(program);
    command.arg(directory.join(script));
    command
}

fn directory() -> PathBuf {
    let directory = std::env::var_os("INTEROP_DIR").map(PathBuf::from).filter(|path| path.is_dir());
    directory.expect("INTEROP_DIR names the directory that tests/interop/setup.sh was run for: setup.sh DIR")
}
