//! Returns every datagram to its sender, with no node in between: what a node's rate is measured against.
//!
//! `echo [ADDRESS [single]]` (default `127.0.0.1:0`) prints the address it is bound to and runs until it is killed;
//! with `single` each datagram takes its own system calls.

use std::io::{self, Write};

use kademlia_core::runtime::Transport;
use transport_udp::UdpConfig;

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let mut args = std::env::args().skip(1);
    let addr = args.next().unwrap_or_else(|| "127.0.0.1:0".into());
    let batched = args.next().as_deref() != Some("single");
    let transport = UdpConfig::default().batched(batched).bind(addr).await?;
    for addr in transport.local_addrs()? {
        writeln!(io::stdout(), "{addr}")?;
    }
    match tests::load::echo(transport).await? {}
}
