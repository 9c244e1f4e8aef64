//! `kad demo`: a network of real nodes on this machine, which loses a third of them and still finds everything.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use bittorrent_profile::dht::{PeersSummary, Port};
use bittorrent_profile::{Dht, InfoHash};
use kademlia_core::Rng;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use transport_udp::{UdpConfig, UdpTransport};

use super::median;
use crate::cli;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join::stopped;
use crate::output::{Output, Tone};
use crate::span;

/// Torrents announced, and nodes that look for each.
const TORRENTS: u16 = 10;
const SEEKERS: usize = 5;
/// The whole demo takes seconds; if it takes longer than this, something is wrong.
const LIMIT: Duration = Duration::from_secs(60);
/// Small enough that hundreds of sockets fit into any system's limits.
const SOCKET_BUFFER: usize = 256 * 1_024;

pub(crate) async fn run(args: &cli::Demo, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    tokio::select! {
        shown = timeout(LIMIT, show(args, output)) => match shown {
            Ok(exit) => exit,
            Err(_) => Err(Failure::new(Exit::Nothing, "the demo did not end within a minute").into()),
        },
        () = interrupt.wait() => Err(stopped().into()),
    }
}

/// A torrent, and the peer that was announced for it.
#[derive(Clone, Copy)]
struct Torrent {
    info_hash: InfoHash,
    peer: SocketAddr,
}

async fn show(args: &cli::Demo, output: &Output) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let mut rng = Rng::from_number(args.seed);
    let mut nodes = start(usize::from(args.nodes), &mut rng, output).await?;
    let torrents = announce(&nodes, &mut rng, output).await?;
    let before = look_up("all alive", &nodes, &torrents, &mut rng, output).await?;
    kill(&mut nodes, usize::from(args.nodes) / 3, &mut rng, output).await;
    let after = look_up("a third killed", &nodes, &torrents, &mut rng, output).await?;
    report(args, &[before, after], started.elapsed(), output)
}

/// Starts the nodes. All join through the first one, which knows nobody.
async fn start(count: usize, rng: &mut Rng, output: &Output) -> anyhow::Result<Vec<Dht>> {
    output.note(format!("starting {count} nodes on 127.0.0.1, each with a UDP socket of its own"));
    let mut nodes = Vec::with_capacity(count);
    let mut router = Vec::new();
    for _ in 0..count {
        let dht = Dht::builder().server(true).seed(rng.fork()).requery(Duration::ZERO);
        let dht = dht.bootstrap(router.clone()).spawn(bind().await?)?;
        if router.is_empty() {
            router.extend(dht.local_addrs().first().map(ToString::to_string));
        }
        nodes.push(dht);
    }
    for (at, node) in nodes.iter().enumerate() {
        node.bootstrapped().await?;
        output.progress("joining", Some((at + 1, count)), format!("{} of {count} nodes", at + 1));
    }
    output.note(format!("joined    all {count} know their neighbours"));
    Ok(nodes)
}

async fn bind() -> Result<UdpTransport, Failure> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let config = UdpConfig::default().receive_buffer(SOCKET_BUFFER).send_buffer(SOCKET_BUFFER);
    config.bind(any_port).await.map_err(|error| {
        let failure = Failure::new(Exit::Bind, format!("cannot bind a socket on {any_port}: {error}"));
        failure.hint("fewer nodes need fewer sockets: --nodes 20")
    })
}

/// Announces each torrent from some node, with a port that tells the peers apart.
async fn announce(nodes: &[Dht], rng: &mut Rng, output: &Output) -> anyhow::Result<Vec<Torrent>> {
    let mut torrents = Vec::new();
    for number in 0..TORRENTS {
        let mut hash = [0; 20];
        rng.fill(&mut hash);
        let torrent = Torrent {
            info_hash: InfoHash::new(hash),
            peer: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000 + number)),
        };
        let Some(port) = NonZeroU16::new(torrent.peer.port()) else { continue };
        let announced = any(nodes, rng)?.announce_once(torrent.info_hash, Port::Number(port)).await?;
        torrents.push(torrent);
        let holders = announced.accepted.len();
        let message = format!("{:.8}… at {holders} nodes", torrent.info_hash.to_string());
        output.progress("announcing", Some((torrents.len(), usize::from(TORRENTS))), message);
    }
    output.note(format!("announced {TORRENTS} torrents, each at the nodes closest to it"));
    Ok(torrents)
}

/// Looks every torrent up from several nodes, all at once.
async fn look_up(
    phase: &'static str,
    nodes: &[Dht],
    torrents: &[Torrent],
    rng: &mut Rng,
    output: &Output,
) -> anyhow::Result<Phase> {
    let mut searches = JoinSet::new();
    for torrent in torrents.iter().copied() {
        for _ in 0..SEEKERS {
            searches.spawn(search(any(nodes, rng)?.clone(), torrent));
        }
    }
    let total = searches.len();
    let mut ended = Vec::with_capacity(total);
    while let Some(search) = searches.join_next().await {
        ended.push(search?);
        output.progress("looking", Some((ended.len(), total)), format!("{} of {total} lookups", ended.len()));
    }
    let phase = Phase::new(phase, nodes.len(), &ended);
    output.note(format!("looked up {} times, {} found the peer", phase.lookups, phase.found));
    Ok(phase)
}

/// Whether the announced peer was found, and what it took.
async fn search(dht: Dht, torrent: Torrent) -> (bool, PeersSummary) {
    let mut peers = dht.get_peers(torrent.info_hash);
    let mut found = false;
    while let Some(peer) = peers.next().await {
        found |= peer.peer == torrent.peer;
    }
    (found, peers.summary())
}

async fn kill(nodes: &mut Vec<Dht>, count: usize, rng: &mut Rng, output: &Output) {
    for killed in 1..=count {
        let node = nodes.swap_remove(rng.below(nodes.len()));
        node.shutdown().await;
        output.progress("killing", Some((killed, count)), format!("{killed} of {count}"));
    }
    output.note(format!("killed    {count} nodes, without a farewell"));
}

fn any<'a>(nodes: &'a [Dht], rng: &mut Rng) -> Result<&'a Dht, Failure> {
    nodes.get(rng.below(nodes.len())).ok_or_else(|| Failure::new(Exit::Nothing, "no node is left"))
}

/// One line of the closing table.
#[derive(Serialize)]
struct Phase {
    phase: &'static str,
    nodes: usize,
    lookups: usize,
    found: usize,
    /// Medians.
    hops: usize,
    messages: usize,
    ms: f64,
    #[serde(skip)]
    took: Duration,
}

impl Phase {
    fn new(phase: &'static str, nodes: usize, ended: &[(bool, PeersSummary)]) -> Self {
        let middle = |of: fn(&PeersSummary) -> usize| {
            let mut all: Vec<_> = ended.iter().map(|(_, summary)| of(summary)).collect();
            median(&mut all).unwrap_or(0)
        };
        let mut times: Vec<_> = ended.iter().map(|(_, summary)| summary.took).collect();
        let took = median(&mut times).unwrap_or_default();
        Phase {
            phase,
            nodes,
            lookups: ended.len(),
            found: ended.iter().filter(|(found, _)| *found).count(),
            hops: middle(|summary| summary.hops),
            messages: middle(|summary| summary.messages),
            ms: span::as_millis(took),
            took,
        }
    }

    fn is_complete(&self) -> bool {
        self.found == self.lookups
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Phase { phase, nodes, lookups, found, hops, messages, took, .. } = self;
        let took = format!("{:.1} ms", took.as_secs_f64() * 1_000.0);
        write!(f, "{phase:<16}{nodes:>6}{lookups:>9}{found:>8}{hops:>6}{messages:>10}{took:>13}")
    }
}

#[derive(Serialize)]
struct Summary {
    nodes: u16,
    seed: u64,
    lookups: usize,
    found: usize,
    ms: f64,
}

fn report(args: &cli::Demo, phases: &[Phase], took: Duration, output: &Output) -> anyhow::Result<Exit> {
    output.clear();
    let heads = ["phase", "nodes", "lookups", "found", "hops", "messages", "median time"];
    let [phase, nodes, lookups, found, hops, messages, time] = heads;
    let head = format!("{phase:<16}{nodes:>6}{lookups:>9}{found:>8}{hops:>6}{messages:>10}{time:>13}");
    for (at, phase) in phases.iter().enumerate() {
        let line = if at == 0 { format!("{head}\n{phase}") } else { phase.to_string() };
        output.data("phase", phase, line)?;
    }
    let summary = Summary {
        nodes: args.nodes,
        seed: args.seed,
        lookups: phases.iter().map(|phase| phase.lookups).sum(),
        found: phases.iter().map(|phase| phase.found).sum(),
        ms: span::as_millis(took),
    };
    let complete = phases.iter().all(Phase::is_complete);
    let (tone, verdict) =
        if complete { (Tone::Good, "everything was found") } else { (Tone::Bad, "not everything was found") };
    output.summary(&summary, format!("{} in {}", output.paint(tone, verdict), span::seconds(took)))?;
    Ok(if complete { Exit::Success } else { Exit::Nothing })
}
