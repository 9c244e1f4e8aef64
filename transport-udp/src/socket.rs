//! One socket, and the calls on it that may fail: the seam at which tests inject every error.

#[cfg(target_os = "linux")]
mod batch;
mod single;

use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

use tokio::net::UdpSocket;

use crate::MAX_DATAGRAM;
#[cfg(not(target_os = "linux"))]
use single as batch;

/// Most datagrams that one `try_recv` or `try_send` carries.
const BATCH: usize = 64;

/// One byte more than is received whole, so that a longer datagram is seen to be longer.
const BUFFER: usize = MAX_DATAGRAM + 1;

/// A bound socket. What it delivers is delivered, whatever it returns afterwards.
pub(crate) trait Socket: Send + Sync + 'static {
    fn local_addr(&self) -> SocketAddr;

    /// Ready when `try_recv` is worth a call. An error is the runtime's, not the socket's.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when `try_send` is worth a call. An error is the runtime's, not the socket's.
    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Delivers up to a batch of datagrams, each cut at `BUFFER` bytes. `WouldBlock`: that was all there is.
    fn try_recv(&self, deliver: impl FnMut(SocketAddr, &[u8])) -> io::Result<()>;

    /// Sends from the front of `datagrams`, at least one, and says how many. An error concerns the first.
    fn try_send(&self, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize>;
}

/// A socket of the operating system.
#[derive(Debug)]
pub(crate) struct SystemSocket {
    socket: UdpSocket,
    local: SocketAddr,
    batched: bool,
}

impl SystemSocket {
    pub(crate) fn new(socket: UdpSocket, batched: bool) -> io::Result<Self> {
        Ok(SystemSocket { local: socket.local_addr()?, socket, batched })
    }
}

impl Socket for SystemSocket {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_recv_ready(cx)
    }

    fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_send_ready(cx)
    }

    fn try_recv(&self, deliver: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        if self.batched { batch::receive(self, deliver) } else { single::receive(self, deliver) }
    }

    fn try_send(&self, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize> {
        if self.batched { batch::send(self, datagrams) } else { single::send(self, datagrams) }
    }
}
