//! What one or two sockets do together, and what becomes of their errors.

#[cfg(test)]
#[cfg(unix)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::runtime::{Inbox, Outbox};
use tokio::time::sleep;

use crate::MAX_DATAGRAM;
use crate::counters::Counters;
use crate::socket::Socket;

/// Errors in one `recv` without a datagram in between, after which the caller has to know: it pauses.
const MAX_ERRORS: usize = 16;

/// Pauses in one `send` for buffers to drain: 91 ms at most, in which only a link that hardly moves frees nothing. A node that
/// cannot send shall still receive.
const MAX_PAUSES: u32 = 8;
/// The first of them; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

/// Sockets of different address families.
#[derive(Debug)]
pub(crate) struct Sockets<S> {
    sockets: Vec<S>,
    counters: Counters,
}

impl<S: Socket> Sockets<S> {
    pub(crate) fn new(sockets: Vec<S>) -> Self {
        Sockets { sockets, counters: Counters::default() }
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) fn local_addrs(&self) -> Vec<SocketAddr> {
        self.sockets.iter().map(Socket::local_addr).collect()
    }

    /// Waits until there is at least one datagram or unreachable address, then takes up to a batch from each socket, so
    /// that none starves another. Nothing is awaited once something is taken: that makes it cancel safe.
    ///
    /// An error on receiving is usually news of something sent earlier (ICMP), so the call is made again.
    pub(crate) async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        let mut errors = 0;
        loop {
            self.readable().await?;
            let mut failure = None;
            for socket in &self.sockets {
                match self.receive(socket, inbox) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => failure = Some(error),
                    _ => {}
                }
            }
            if !inbox.is_empty() {
                return Ok(());
            }
            if let Some(error) = failure {
                errors += 1;
                if errors == MAX_ERRORS {
                    return Err(error);
                }
            }
        }
    }

    async fn readable(&self) -> io::Result<()> {
        match self.sockets.as_slice() {
            [] => std::future::pending().await,
            [socket] => socket.readable().await,
            // One of each family: there are no more.
            [v4, v6, ..] => tokio::select! {
                biased;
                ready = v4.readable() => ready,
                ready = v6.readable() => ready,
            },
        }
    }

    fn receive(&self, socket: &S, inbox: &mut Inbox) -> io::Result<()> {
        let (mut received, mut truncated, mut unreachable) = (0, 0, 0);
        // First, as it takes the errors away that the other call would otherwise return.
        socket.try_refused(|to| {
            unreachable += 1;
            inbox.push_refused(to);
        });
        let result = socket.try_recv(|from, datagram| {
            received += 1;
            truncated += u64::from(datagram.len() > MAX_DATAGRAM);
            inbox.push(from, datagram);
        });
        self.counters.update(|counts| {
            counts.received += received;
            counts.truncated += truncated;
            counts.unreachable += unreachable;
            counts.receive_calls += u64::from(received > 0);
            let failed = result.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::WouldBlock);
            counts.receive_errors += u64::from(failed);
        });
        result
    }

    /// Sends what the outbox holds, through the socket of each destination's family, and empties it.
    pub(crate) async fn send(&mut self, outbox: &mut Outbox) {
        let mut homeless = outbox.len() as u64;
        for socket in &self.sockets {
            let v6 = socket.local_addr().is_ipv6();
            let datagrams: Vec<_> = outbox.iter().filter(|(to, _)| to.is_ipv6() == v6).collect();
            homeless -= datagrams.len() as u64;
            self.send_all(socket, &datagrams).await;
        }
        self.counters.update(|counts| counts.no_socket += homeless);
        outbox.clear();
    }

    async fn send_all(&self, socket: &S, mut datagrams: &[(SocketAddr, &[u8])]) {
        let mut pauses = 0;
        while let [_, others @ ..] = datagrams {
            match socket.try_send(datagrams) {
                Ok(sent) => {
                    self.counters.update(|counts| {
                        counts.sent += sent as u64;
                        counts.send_calls += 1;
                    });
                    datagrams = &datagrams[sent..];
                }
                Err(error) if is_passing(&error) => {
                    if pauses == MAX_PAUSES {
                        self.counters.update(|counts| counts.congested += datagrams.len() as u64);
                        break;
                    }
                    // Not until the socket is writable: of missing memory no event tells, and once ICMP has told of a
                    // datagram, tokio takes a socket for writable for good.
                    sleep((FIRST_PAUSE * (1 << pauses)).min(LONGEST_PAUSE)).await;
                    pauses += 1;
                }
                Err(_) => {
                    self.counters.update(|counts| counts.refused += 1);
                    datagrams = others;
                }
            }
        }
    }
}

/// Whether the same datagram may pass a moment later.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted | io::ErrorKind::OutOfMemory
    ) || error.raw_os_error() == Some(NO_BUFFERS)
}

#[cfg(unix)]
const NO_BUFFERS: i32 = nix::errno::Errno::ENOBUFS as i32;
/// `WSAENOBUFS`.
#[cfg(not(unix))]
const NO_BUFFERS: i32 = 10_055;
