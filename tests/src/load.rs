//! Load for UDP servers, and the least server there is: what replies per second are measured with, and against.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kademlia_core::runtime::{Inbox, Outbox, Transport};
use tokio::time::timeout;
use transport_udp::{Counts, UdpTransport};

/// Mainline requests by their names, from one asker about one target.
pub const REQUESTS: [(&str, &[u8]); 3] = [
    ("ping", b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t4:aaaa1:y1:qe"),
    (
        "find_node",
        b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t4:aaaa1:y1:qe",
    ),
    (
        "get_peers",
        b"d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t4:aaaa1:y1:qe",
    ),
];

/// A window without any answer for so long is lost, and is sent again.
const LOST: Duration = Duration::from_millis(200);

/// Returns every datagram to its sender, with no node in between.
///
/// # Errors
/// What the transport says; until then it runs.
pub async fn echo(mut transport: impl Transport) -> io::Result<Infallible> {
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    loop {
        transport.recv(&mut inbox).await?;
        for (from, datagram) in inbox.iter() {
            outbox.push(from, datagram);
        }
        inbox.clear();
        transport.send(&mut outbox).await?;
    }
}

/// What a server answered.
#[derive(Clone, Copy, Debug)]
pub struct Answers {
    /// Datagrams that came back.
    pub replies: usize,
    /// How often a whole window was given up for lost.
    pub losses: usize,
    /// How long the load lasted.
    pub took: Duration,
    /// What the asking socket carried.
    pub counts: Counts,
}

impl Answers {
    /// Replies per second.
    pub fn rate(&self) -> f64 {
        self.replies as f64 / self.took.as_secs_f64()
    }
}

/// Keeps `window` copies of a datagram outstanding at `to` for some time, and counts the answers. Belongs on another
/// core than the server.
///
/// # Errors
/// What the transport says.
pub async fn load(to: SocketAddr, payload: &[u8], window: usize, time: Duration) -> io::Result<Answers> {
    let mut transport = UdpTransport::bind(if to.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" }).await?;
    let (mut inbox, mut outbox) = (Inbox::default(), Outbox::default());
    let (mut replies, mut losses, mut due) = (0, 0, window);
    let start = Instant::now();
    while start.elapsed() < time {
        for _ in 0..due {
            outbox.push(to, payload);
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
    Ok(Answers { replies, losses, took: start.elapsed(), counts: transport.counters().read() })
}
