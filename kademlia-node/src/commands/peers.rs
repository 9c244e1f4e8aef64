//! `kad peers`: who shares a torrent.

mod scrape;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use bittorrent_profile::dht::{Found, Peers, PeersSummary, Port};
use bittorrent_profile::{InfoHash, Mainline};
use kademlia_core::{Event, Family, Key, Keyspace};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

use super::announce::{self, Tally};
use super::written;
use crate::cli;
use crate::config::Settings;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

/// Answers held for the progress display; a display that falls behind misses some.
const EVENTS: usize = 1_024;

#[derive(Serialize)]
struct PeerLine {
    addr: SocketAddr,
    from: String,
    ms: f64,
}

#[derive(Serialize)]
struct Summary<'a> {
    peers: usize,
    v4: usize,
    v6: usize,
    asked: usize,
    answered: usize,
    hops: usize,
    /// How many nodes named each peer.
    sources: &'a BTreeMap<SocketAddr, usize>,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    announced: Option<Tally>,
}

pub(crate) async fn run(
    args: &cli::Peers,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let dht = join::client(&args.join, &args.torrent.nodes, output, &mut interrupt).await?;
    if args.scrape {
        return scrape::run(&dht, args, output, &mut interrupt).await;
    }
    let requery = Settings::load(args.join.socket.config.as_deref(), &[])?.dht.requery;
    let mut search = Search {
        output,
        info_hash: args.torrent.info_hash,
        limit: args.limit.map_or(usize::MAX, |limit| limit as usize),
        answers: dht.handle().events(EVENTS).await?,
        started: Instant::now(),
        deadline: Instant::now() + args.period.unwrap_or(args.join.timeout),
        found: BTreeMap::new(),
        first: None,
        bits: 0,
        took: PeersSummary::default(),
    };
    while search.round(dht.get_peers(args.torrent.info_hash), &mut interrupt).await?.is_continue()
        && args.period.is_some()
    {
        // Asked sooner, the nodes would get the same question twice (C7).
        if search.rest(requery, &mut interrupt).await.is_break() {
            break;
        }
    }
    let took = search.started.elapsed();
    let announced = match args.announce {
        Some(port) => {
            let (hash, port, limit) = (args.torrent.info_hash, Port::Number(port), args.join.timeout);
            announce::once(&dht, hash, port, limit, output, &mut interrupt).await?
        }
        None => None,
    };
    search.conclude(took, announced)
}

struct Search<'a> {
    output: &'a Output,
    info_hash: InfoHash,
    limit: usize,
    answers: mpsc::Receiver<(Family, Event<Mainline>)>,
    started: Instant,
    deadline: Instant,
    /// How many nodes named each peer, in the search in which it was most.
    found: BTreeMap<SocketAddr, usize>,
    first: Option<Duration>,
    /// The longest prefix that somebody who answered shares with the info hash.
    bits: usize,
    /// What all searches so far have taken.
    took: PeersSummary,
}

impl Search<'_> {
    /// Reads one search to its end, unless there is a reason to stop before.
    async fn round(
        &mut self,
        mut peers: Peers,
        interrupt: &mut Interrupt,
    ) -> anyhow::Result<ControlFlow<()>> {
        let before = self.took.clone();
        let flow = loop {
            tokio::select! {
                found = peers.next() => match found {
                    Some(found) => self.print(&found)?,
                    None => break ControlFlow::Continue(()),
                },
                Some((_, event)) = self.answers.recv() => self.show(&event),
                () = interrupt.wait() => break ControlFlow::Break(()),
                () = sleep_until(self.deadline) => break ControlFlow::Break(()),
            }
            self.took = sum(&before, peers.summary());
            if self.found.len() >= self.limit {
                break ControlFlow::Break(());
            }
        };
        self.took = sum(&before, peers.summary());
        for (peer, sources) in &mut self.found {
            *sources = peers.sources(peer).max(*sources);
        }
        Ok(flow)
    }

    async fn rest(&self, pause: Duration, interrupt: &mut Interrupt) -> ControlFlow<()> {
        tokio::select! {
            () = sleep(pause) => ControlFlow::Continue(()),
            () = interrupt.wait() => ControlFlow::Break(()),
            () = sleep_until(self.deadline) => ControlFlow::Break(()),
        }
    }

    fn print(&mut self, found: &Found) -> anyhow::Result<()> {
        if self.found.len() < self.limit && self.found.insert(found.peer, 1).is_none() {
            let after = self.started.elapsed();
            self.first.get_or_insert(after);
            let line = PeerLine { addr: found.peer, from: written(&found.from), ms: span::as_millis(after) };
            self.output.data("peer", &line, found.peer)?;
        }
        Ok(())
    }

    fn show(&mut self, event: &Event<Mainline>) {
        let Event::Answer { from, .. } = event else { return };
        let target: Key<20> = self.info_hash.into();
        self.bits = self.bits.max(target.common_prefix(&from.key));
        let PeersSummary { hops, asked, answered, .. } = self.took;
        let message = format!("hop {hops} · {asked} asked · {answered} answered · {} bits close", self.bits);
        self.output.progress("looking", Some((self.bits, <Key<20>>::BITS)), message);
    }

    fn conclude(&self, took: Duration, announced: Option<Tally>) -> anyhow::Result<Exit> {
        let peers = self.found.len();
        if let Some(failure) = self.took.failure.clone().filter(|_| peers == 0) {
            return Err(failure.into());
        }
        let v4 = self.found.keys().filter(|peer| peer.is_ipv4()).count();
        let v6 = peers - v4;
        let PeersSummary { asked, answered, hops, .. } = self.took;
        let families = if v6 > 0 { format!(" ({v4} v4, {v6} v6)") } else { String::new() };
        let first = self
            .first
            .map_or_else(String::new, |first| format!(", first peer after {}", span::seconds(first)));
        let took_text = span::seconds(took);
        let text = format!(
            "found {peers} peers{families} in {took_text} · {asked} asked, {answered} answered{first}"
        );
        let summary = Summary {
            peers,
            v4,
            v6,
            asked,
            answered,
            hops,
            sources: &self.found,
            ms: span::as_millis(took),
            first_ms: self.first.map(span::as_millis),
            announced,
        };
        self.output.summary(&summary, text)?;
        Ok(exit(peers, announced))
    }
}

/// The first peer of a torrent finds nobody, and has done what it came for.
fn exit(peers: usize, announced: Option<Tally>) -> Exit {
    match announced {
        Some(tally) => tally.exit(1),
        None if peers > 0 => Exit::Success,
        None => Exit::Nothing,
    }
}

/// What two searches took together.
fn sum(one: &PeersSummary, other: PeersSummary) -> PeersSummary {
    PeersSummary {
        peers: one.peers.max(other.peers),
        asked: one.asked + other.asked,
        answered: one.answered + other.answered,
        messages: one.messages + other.messages,
        hops: one.hops.max(other.hops),
        took: one.took + other.took,
        // Of the last one.
        failure: other.failure,
    }
}
