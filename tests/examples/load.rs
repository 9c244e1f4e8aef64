//! Keeps a window of datagrams outstanding at one address and prints how many are answered a second.
//!
//! `load ADDRESS [PAYLOAD [WINDOW [SECONDS]]]`; defaults `ping`, 256 and 5. PAYLOAD is `ping`, `find_node` or
//! `get_peers` (Mainline requests), `hex:…` or `file:…`. Run it on another core than what it measures.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tests::load::{REQUESTS, load};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let to: SocketAddr =
        args.next().ok_or_else(|| invalid("an address is needed"))?.parse().map_err(invalid)?;
    let payload = payload(&args.next().unwrap_or_else(|| "ping".into()))?;
    let window: usize = args.next().as_deref().unwrap_or("256").parse().map_err(invalid)?;
    let seconds: u64 = args.next().as_deref().unwrap_or("5").parse().map_err(invalid)?;

    let answers = load(to, &payload, window, Duration::from_secs(seconds)).await?;
    let (rate, losses) = (answers.rate(), answers.losses);
    let batch = answers.counts.received as f64 / answers.counts.receive_calls.max(1) as f64;
    writeln!(
        io::stdout(),
        "{rate:.0} replies/s, window {window} (lost {losses} times), mean batch {batch:.1}"
    )
}

fn payload(name: &str) -> io::Result<Vec<u8>> {
    if let Some((_, request)) = REQUESTS.iter().find(|(known, _)| *known == name) {
        return Ok(request.to_vec());
    }
    match name.split_once(':') {
        Some(("file", path)) => std::fs::read(path),
        Some(("hex", digits)) => digits
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
