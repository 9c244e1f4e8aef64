//! Replies per second of a node with a full routing table, against a server that only echoes.
//!
//! One core for the server and one for the load. Only the ratios count: both servers take turns under the same load in
//! the same run, several rounds of it, and each of the node's rates is divided by the echo's of its round.
#![allow(missing_docs)]

#[path = "../../bittorrent-profile/tests/full_node/mod.rs"]
mod full_node;

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use full_node::full_node;
use kademlia_core::runtime::{Driver, DriverConfig, Transport};
use kademlia_core::{Config, DualStack};
use tests::load::{REQUESTS, echo, load};
use tokio::runtime::{Builder, Runtime};
use transport_udp::UdpTransport;

const ROUNDS: usize = 31;
/// Short, so that what else the machine does falls on all alike.
const TURN: Duration = Duration::from_millis(300);
/// Not measured, before each turn: the server wakes up and the caches fill.
const WARM_UP: Duration = Duration::from_millis(50);
/// Datagrams on their way at any time: two and more full batches.
const WINDOW: usize = 256;

fn main() -> io::Result<()> {
    let mut out = io::stdout();
    let runtime = runtime()?;
    let measure = |server: SocketAddr, payload| -> io::Result<f64> {
        runtime.block_on(load(server, payload, WINDOW, WARM_UP))?;
        Ok(runtime.block_on(load(server, payload, WINDOW, TURN))?.rate())
    };
    let echo = start(async |transport| drop(echo(transport).await))?;
    let node = start(serve)?;
    let [ping, ..] = REQUESTS;
    let mut echoed = Vec::new();
    let mut answered = REQUESTS.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        echoed.push(measure(echo, ping.1)?);
        for ((_, request), rates) in REQUESTS.iter().zip(&mut answered) {
            rates.push(measure(node, request)?);
        }
    }
    writeln!(out, "{:9}  {:>9}  {:>6}", "", "replies/s", "ratio")?;
    writeln!(out, "{:9}  {:9.0}  {:6.2}", "echo", median(&echoed), 1.0)?;
    for ((name, _), rates) in REQUESTS.iter().zip(&answered) {
        let ratios: Vec<f64> = rates.iter().zip(&echoed).map(|(rate, echo)| rate / echo).collect();
        writeln!(out, "{name:9}  {:9.0}  {:6.2}", median(rates), median(&ratios))?;
    }
    Ok(())
}

/// A node as any host runs it. On a loopback address no sender is limited.
async fn serve(transport: UdpTransport) {
    let config = Config::default().private_network();
    let (driver, _handle) =
        Driver::new(transport, DriverConfig::default(), |now| DualStack::from(full_node(config, now)));
    driver.run().await;
}

/// Starts a server on a thread of its own; gives its address.
fn start<S, F>(serve: S) -> io::Result<SocketAddr>
where
    S: FnOnce(UdpTransport) -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || -> io::Result<()> {
        runtime()?.block_on(async {
            let transport = UdpTransport::bind("127.0.0.1:0").await?;
            let _ = sender.send(transport.local_addrs()?);
            serve(transport).await;
            Ok(())
        })
    });
    let addrs = receiver.recv().unwrap_or_default();
    addrs.first().copied().ok_or_else(|| io::Error::other("the server did not start"))
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}
