//! The sockets, and who sits at them.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::task::Poll;

use bittorrent_profile::bencode::MAX_INPUT;
use kademlia_core::Rng;
use tokio::io::ReadBuf;
use tokio::net::UdpSocket;

use crate::bencode::{Item, dict, string};

/// Where on loopback another IP address is, besides 127.0.0.1.
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// An asker: a socket and a node id of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Seat {
    Main,
    /// The same IP address, another port.
    Second,
    /// Another IP address; on loopback only.
    Elsewhere,
    /// Asks, but answers nobody, and does not say so.
    Mute,
    /// Asks with `ro`, and answers nobody (BEP 43).
    ReadOnly,
}

impl Seat {
    const ALL: [Seat; 5] = [Seat::Main, Seat::Second, Seat::Elsewhere, Seat::Mute, Seat::ReadOnly];

    pub(crate) const fn answers(self) -> bool {
        matches!(self, Seat::Main | Seat::Second | Seat::Elsewhere)
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Seat::Main => "main socket",
            Seat::Second => "another port",
            Seat::Elsewhere => "another IP",
            Seat::Mute => "mute socket",
            Seat::ReadOnly => "read-only socket",
        })
    }
}

#[derive(Debug)]
pub(super) struct Received {
    pub(super) seat: Seat,
    pub(super) from: SocketAddr,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
struct Desk {
    seat: Seat,
    id: [u8; 20],
    addr: SocketAddr,
    socket: UdpSocket,
}

#[derive(Debug)]
pub(super) struct Desks {
    desks: Vec<Desk>,
    buffer: Vec<u8>,
}

impl Desks {
    /// Binds the address that this host would speak to `target` from, one port for each seat.
    pub(super) async fn bind(target: SocketAddr, rng: &mut Rng) -> io::Result<Self> {
        let own = local_ip(target)?;
        let mut desks = Vec::new();
        for seat in Seat::ALL {
            let mut id = [0; 20];
            rng.fill(&mut id);
            let ip = match (seat, own) {
                (Seat::Elsewhere, IpAddr::V4(v4)) if v4.is_loopback() => IpAddr::V4(ELSEWHERE),
                (Seat::Elsewhere, _) => continue,
                _ => own,
            };
            let socket = match UdpSocket::bind((ip, 0)).await {
                Ok(socket) => socket,
                // Not every system has all of 127/8.
                Err(_) if seat == Seat::Elsewhere => continue,
                Err(error) => return Err(error),
            };
            desks.push(Desk { seat, id, addr: socket.local_addr()?, socket });
        }
        // One byte more than is read, so that what is longer is seen to be.
        Ok(Desks { desks, buffer: vec![0; MAX_INPUT + 1] })
    }

    fn desk(&self, seat: Seat) -> Option<&Desk> {
        self.desks.iter().find(|desk| desk.seat == seat)
    }

    pub(super) fn id(&self, seat: Seat) -> [u8; 20] {
        self.desk(seat).map_or([0; 20], |desk| desk.id)
    }

    pub(super) fn addr(&self, seat: Seat) -> Option<SocketAddr> {
        self.desk(seat).map(|desk| desk.addr)
    }

    /// What the system refuses counts as lost.
    pub(super) async fn send(&self, seat: Seat, datagram: &[u8], to: SocketAddr) {
        if let Some(desk) = self.desk(seat) {
            let _ = desk.socket.send_to(datagram, to).await;
        }
    }

    /// The next datagram at any socket. Loses nothing if dropped.
    pub(super) async fn receive(&mut self) -> Received {
        let Desks { desks, buffer } = self;
        poll_fn(|cx| {
            for Desk { seat, socket, .. } in &*desks {
                let mut read = ReadBuf::new(buffer);
                // An error is an ICMP message about an earlier datagram: that one is lost.
                if let Poll::Ready(Ok(from)) = socket.poll_recv_from(cx, &mut read) {
                    return Poll::Ready(Received { seat: *seat, from, bytes: read.filled().to_vec() });
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The address that this host speaks to `target` from; nothing is sent.
fn local_ip(target: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = if target.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let socket = std::net::UdpSocket::bind(any)?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

/// What a node that knows nobody answers; `None` if nothing can be.
pub(super) fn answer(id: &[u8; 20], query: &Item) -> Option<Vec<u8>> {
    let transaction = query.get("t")?.bytes()?;
    let method = query.get("q")?.bytes()?;
    let mut response = vec![("id", string(id))];
    if method != b"ping" {
        response.push(("nodes", string("")));
    }
    Some(dict(&[("r", dict(&response)), ("t", string(transaction)), ("y", string("r"))]))
}
