//! Keeps a window of datagrams outstanding at one address and prints how many are answered a second.
//!
//! `load ADDRESS [PAYLOAD [WINDOW [SECONDS]]]`; defaults `ping`, 256 and 5. PAYLOAD is `ping`, `find_node` or
//! `get_peers` (Mainline requests), `hex:…` or `file:…`. Run it on another core than what it measures.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kademlia_core::runtime::{Inbox, Outbox, Transport};
use tokio::time::timeout;
use transport_udp::UdpTransport;

const PING: &[u8] = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t4:aaaa1:y1:qe";
const FIND_NODE: &[u8] =
    b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t4:aaaa1:y1:qe";
const GET_PEERS: &[u8] =
    b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t4:aaaa1:y1:qe";

/// A window without any answer for so long is lost, and is sent again.
const LOST: Duration = Duration::from_millis(200);

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let to: SocketAddr =
        args.next().ok_or_else(|| invalid("an address is needed"))?.parse().map_err(invalid)?;
    let payload = payload(&args.next().unwrap_or_else(|| "ping".into()))?;
    let window: usize = args.next().as_deref().unwrap_or("256").parse().map_err(invalid)?;
    let seconds: u64 = args.next().as_deref().unwrap_or("5").parse().map_err(invalid)?;

    let mut transport = UdpTransport::bind(if to.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" }).await?;
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    let (mut replies, mut losses, mut due) = (0, 0, window);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(seconds) {
        for _ in 0..due {
            outbox.push(to, &payload);
        }
        transport.send(&mut outbox).await?;
        due = match timeout(LOST, transport.recv(&mut inbox)).await {
            Ok(result) => result.map(|()| inbox.iter().len())?,
            Err(_) => {
                losses += 1;
                window
            }
        };
        replies += inbox.iter().len();
        inbox.clear();
    }

    let rate = replies as f64 / start.elapsed().as_secs_f64();
    let counts = transport.counters().read();
    let batch = counts.received as f64 / counts.receive_calls.max(1) as f64;
    writeln!(
        io::stdout(),
        "{rate:.0} replies/s, window {window} (lost {losses} times), mean batch {batch:.1}"
    )
}

fn payload(name: &str) -> io::Result<Vec<u8>> {
    match (name, name.split_once(':')) {
        ("ping", _) => Ok(PING.to_vec()),
        ("find_node", _) => Ok(FIND_NODE.to_vec()),
        ("get_peers", _) => Ok(GET_PEERS.to_vec()),
        (_, Some(("file", path))) => std::fs::read(path),
        (_, Some(("hex", digits))) => digits
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(str::from_utf8(pair).map_err(invalid)?, 16).map_err(invalid))
            .collect(),
        _ => Err(invalid("the payload is ping, find_node, get_peers, hex:… or file:…")),
    }
}

fn invalid(reason: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}
