//! One socket, and the calls on it that may fail: the seam at which tests inject every error.

#[cfg(target_os = "linux")]
mod batch;
#[cfg(target_os = "linux")]
mod errors;
mod single;

use std::future::Future;
use std::io;
use std::net::SocketAddr;

use tokio::io::Interest;
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

    /// Waits until `try_recv` or `try_refused` is worth a call. An error is the runtime's, not the socket's.
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;

    /// Delivers up to a batch of datagrams, each cut at `BUFFER` bytes. `WouldBlock`: that was all there is.
    fn try_recv(&self, deliver: impl FnMut(SocketAddr, &[u8])) -> io::Result<()>;

    /// Delivers up to a batch of addresses that an earlier datagram did not reach, as the system was told by ICMP.
    /// Where it does not tell, there are none.
    fn try_refused(&self, deliver: impl FnMut(SocketAddr));

    /// Sends from the front of `datagrams`, at least one, and says how many. An error concerns the first.
    fn try_send(&self, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize>;
}

/// A socket of the operating system.
#[derive(Debug)]
pub(crate) struct SystemSocket {
    socket: UdpSocket,
    local: SocketAddr,
    batched: bool,
    /// Whether the system keeps what ICMP says of this socket's datagrams.
    told: bool,
}

impl SystemSocket {
    pub(crate) fn new(socket: UdpSocket, batched: bool) -> io::Result<Self> {
        let local = socket.local_addr()?;
        #[cfg(target_os = "linux")]
        let told = batched && errors::keep(&socket, local);
        #[cfg(not(target_os = "linux"))]
        let told = false;
        Ok(SystemSocket { socket, local, batched, told })
    }
}

impl Socket for SystemSocket {
    fn local_addr(&self) -> SocketAddr {
        self.local
    }

    async fn readable(&self) -> io::Result<()> {
        let interest = if self.told { Interest::READABLE | Interest::ERROR } else { Interest::READABLE };
        self.socket.ready(interest).await.map(drop)
    }

    fn try_recv(&self, deliver: impl FnMut(SocketAddr, &[u8])) -> io::Result<()> {
        if self.batched { batch::receive(self, deliver) } else { single::receive(self, deliver) }
    }

    #[cfg(target_os = "linux")]
    fn try_refused(&self, deliver: impl FnMut(SocketAddr)) {
        if self.told {
            errors::take(self, deliver);
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn try_refused(&self, _: impl FnMut(SocketAddr)) {}

    fn try_send(&self, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize> {
        if self.batched { batch::send(self, datagrams) } else { single::send(self, datagrams) }
    }
}
