//! `kad ping`: asking nodes for a sign of life, again and again.

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::dht::Pong;
use bittorrent_profile::krpc::Version;
use bittorrent_profile::{Dht, node_id};
use kademlia_core::runtime::{RequestFailure, Transport};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::cli;
use crate::config::Settings;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::{Output, Tone};
use crate::span;

#[derive(Serialize)]
struct PongLine<'a> {
    host: &'a str,
    addr: SocketAddr,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    /// Whether the id fits the address; absent where none is demanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    bep42: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// A node that is asked, and how it did.
struct Node {
    host: String,
    addr: SocketAddr,
    sent: usize,
    round_trips: Vec<Duration>,
}

#[derive(Default, Serialize)]
struct Summary {
    sent: usize,
    answered: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    avg_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ms: Option<f64>,
}

impl Summary {
    fn of<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Self {
        let mut sent = 0;
        let mut round_trips = Vec::new();
        for node in nodes {
            sent += node.sent;
            round_trips.extend(node.round_trips.iter().map(|round_trip| span::as_millis(*round_trip)));
        }
        let answered = round_trips.len();
        let total: f64 = round_trips.iter().sum();
        Summary {
            sent,
            answered,
            min_ms: round_trips.iter().copied().reduce(f64::min),
            avg_ms: (answered > 0).then(|| total / answered as f64),
            max_ms: round_trips.iter().copied().reduce(f64::max),
        }
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} sent, {} answered", self.sent, self.answered)?;
        if let (Some(min), Some(avg), Some(max)) = (self.min_ms, self.avg_ms, self.max_ms) {
            write!(f, ", min/avg/max {min:.1}/{avg:.1}/{max:.1} ms")?;
        }
        Ok(())
    }
}

pub(crate) async fn run(args: &cli::Ping, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    let mut hosts = Vec::new();
    for host in &args.hosts {
        let addrs = tokio::select! {
            addrs = join::resolve(std::slice::from_ref(host), Instant::now() + args.timeout * 2) => addrs,
            () = interrupt.wait() => return Err(join::stopped().into()),
        };
        if addrs.is_empty() {
            return Err(no_address(host).into());
        }
        hosts.push((host, addrs));
    }
    let addrs: Vec<_> = hosts.iter().flat_map(|(_, addrs)| addrs).copied().collect();
    let settings = Settings::load(args.socket.config.as_deref(), &[])?;
    let transport = join::bind_for(&args.socket, &addrs, &settings).await?;
    let bound = transport.local_addrs()?;
    let mut nodes = Vec::new();
    for (host, addrs) in hosts {
        let addr = join::choose(&bound, &addrs).ok_or_else(|| no_address(host))?;
        nodes.push(Node { host: host.clone(), addr, sent: 0, round_trips: Vec::new() });
    }
    let timeout = args.timeout;
    // One request is one ping: it is neither repeated nor given up before its time.
    let builder = join::in_network(settings.builder(), args.socket.network.as_deref());
    let builder = builder.configure(move |config| {
        let rpc = &mut config.rpc;
        rpc.retries = 0;
        (rpc.initial_timeout, rpc.min_timeout, rpc.max_timeout) = (timeout, timeout, timeout);
    });
    let dht = builder.spawn(transport)?;
    let mut round = 0;
    let mut next = Instant::now();
    while args.count == 0 || round < args.count {
        tokio::select! {
            () = interrupt.wait() => break,
            () = sleep_until(next) => {}
        }
        tokio::select! {
            () = interrupt.wait() => break,
            result = ping_all(&dht, &mut nodes, output) => result?,
        }
        round += 1;
        next = next_round(next, args.interval, Instant::now());
    }
    if nodes.len() > 1 {
        for node in &nodes {
            output.note(format!("{} ({}): {}", node.host, node.addr.ip(), Summary::of([node])));
        }
    }
    let summary = Summary::of(&nodes);
    output.summary(&summary, &summary)?;
    Ok(if summary.answered > 0 { Exit::Success } else { Exit::Nothing })
}

fn no_address(host: &str) -> Failure {
    Failure::new(Exit::Nothing, format!("no address found for {host}"))
}

/// At the interval, and no sooner for it if a round took longer.
fn next_round(last: Instant, interval: Duration, now: Instant) -> Instant {
    (last + interval).max(now)
}

/// Asks every node once, all at the same time.
async fn ping_all(dht: &Dht, nodes: &mut [Node], output: &Output) -> anyhow::Result<()> {
    let mut pings = JoinSet::new();
    for (at, node) in nodes.iter_mut().enumerate() {
        node.sent += 1;
        let (dht, addr) = (dht.clone(), node.addr);
        pings.spawn(async move { (at, dht.ping(addr).await) });
    }
    while let Some(ping) = pings.join_next().await {
        let (at, result) = ping?;
        if let Some(node) = nodes.get_mut(at) {
            if let Ok(Pong { round_trip, .. }) = &result {
                node.round_trips.extend(*round_trip);
            }
            print(node, &result, output)?;
        }
    }
    Ok(())
}

fn print(node: &Node, result: &Result<Pong, RequestFailure>, output: &Output) -> anyhow::Result<()> {
    let Node { host, addr, .. } = node;
    let mut line = PongLine {
        host,
        addr: *addr,
        ok: result.is_ok(),
        id: None,
        version: None,
        bep42: None,
        ms: None,
        error: None,
    };
    let text = match result {
        Ok(pong) => {
            let version = pong.version.as_ref().map_or_else(|| "?".to_owned(), program);
            let exempt = node_id::is_exempt(addr.ip());
            let fits = node_id::verify(addr.ip(), &pong.id.into());
            let sign = match (exempt, fits) {
                (true, _) => "–".to_owned(),
                (false, true) => output.paint(Tone::Good, "✔"),
                (false, false) => output.paint(Tone::Bad, "✘"),
            };
            line.id = Some(pong.id.to_string());
            line.version = pong.version.as_ref().map(program);
            line.bep42 = (!exempt).then_some(fits);
            line.ms = pong.round_trip.map(span::as_millis);
            let took = pong.round_trip.map_or_else(String::new, span::millis);
            format!("{host} ({})  id {}  {version}  BEP42 {sign}  {took}", addr.ip(), pong.id)
        }
        Err(failure) => {
            line.error = Some(failure.to_string());
            format!("{host} ({})  {}", addr.ip(), failure.to_string().escape_debug())
        }
    };
    Ok(output.data("pong", &line, text)?)
}

/// Two letters for the program and its version's bytes, by convention; anything else in hexadecimal.
fn program(version: &Version) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    match version.as_bytes() {
        [a, b, number @ ..] if a.is_ascii_graphic() && b.is_ascii_graphic() => {
            format!("{}{} {}", char::from(*a), char::from(*b), hex(number))
        }
        bytes => hex(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_two_letters_and_a_number() {
        let named = |bytes: [u8; 4]| program(&Version::from_array(bytes));
        assert_eq!(named([b'L', b'T', 2, 9]), "LT 0209");
        assert_eq!(named([0, 1, 2, 0xff]), "000102ff");
    }

    #[test]
    fn after_a_slow_round_none_is_made_up_for() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        assert_eq!(next_round(start, second, start), start + second);
        let late = next_round(start, second, start + 5 * second);
        assert_eq!(late, start + 5 * second);
        assert_eq!(next_round(late, second, late), late + second);
    }

    #[test]
    fn statistics_count_what_was_answered() {
        let node = |sent, millis: &[u64]| Node {
            host: String::new(),
            addr: SocketAddr::from(([127, 0, 0, 1], 1)),
            sent,
            round_trips: millis.iter().map(|millis| Duration::from_millis(*millis)).collect(),
        };
        let nodes = [node(3, &[10, 20]), node(1, &[])];
        assert_eq!(Summary::of(&nodes).to_string(), "4 sent, 2 answered, min/avg/max 10.0/15.0/20.0 ms");
        assert_eq!(Summary::of([&nodes[1]]).to_string(), "1 sent, 0 answered");
    }
}
