//! How sockets are opened.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{ToSocketAddrs, UdpSocket, lookup_host};

use crate::socket::SystemSocket;
use crate::sockets::Sockets;
use crate::transport::UdpTransport;

/// Default for both buffers, in bytes. On Linux, which doubles it, some 5,000 small datagrams: what arrives in 25 ms at
/// the rate of a bare echo server, so that a node may be busy for so long.
const BUFFER: usize = 2 << 20;

/// The settings of a [`UdpTransport`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpConfig {
    receive_buffer: usize,
    send_buffer: usize,
    batched: bool,
}

impl Default for UdpConfig {
    fn default() -> Self {
        UdpConfig { receive_buffer: BUFFER, send_buffer: BUFFER, batched: true }
    }
}

impl UdpConfig {
    /// Bytes of receive buffer asked for (default: 2 MiB); 0 keeps the system's own. The system may give less
    /// (Linux: `net.core.rmem_max`), and that is not an error.
    #[must_use]
    pub const fn receive_buffer(mut self, bytes: usize) -> Self {
        self.receive_buffer = bytes;
        self
    }

    /// Bytes of send buffer asked for (default: 2 MiB), as for [`receive_buffer`](Self::receive_buffer).
    #[must_use]
    pub const fn send_buffer(mut self, bytes: usize) -> Self {
        self.send_buffer = bytes;
        self
    }

    /// Whether one system call may carry many datagrams (default: yes). Without effect where the system has no such
    /// call; switching it off shows what those systems get, and helps where a sandbox forbids the call.
    #[must_use]
    pub const fn batched(mut self, batched: bool) -> Self {
        self.batched = batched;
        self
    }

    /// Binds one socket to the first of the addresses that can be had. An IPv6 socket carries IPv6 only.
    /// Port 0 lets the system choose. A host name is resolved, a literal address is not.
    ///
    /// # Errors
    /// What the system says of the last address tried, or `InvalidInput` if there is none.
    pub async fn bind(&self, addr: impl ToSocketAddrs) -> io::Result<UdpTransport> {
        let mut failure = io::Error::new(io::ErrorKind::InvalidInput, "the name has no address");
        for addr in lookup_host(addr).await? {
            match self.open(&[addr]) {
                Ok(transport) => return Ok(transport),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Binds one socket for IPv4 and one for IPv6; both may have the same port.
    ///
    /// # Errors
    /// What the system says if either cannot be had.
    pub async fn bind_dual(&self, v4: SocketAddrV4, v6: SocketAddrV6) -> io::Result<UdpTransport> {
        self.open(&[v4.into(), v6.into()])
    }

    /// One socket for each address.
    fn open(&self, addrs: &[SocketAddr]) -> io::Result<UdpTransport> {
        let mut sockets = Vec::new();
        for &addr in addrs {
            sockets.push(SystemSocket::new(self.socket(addr)?, self.batched)?);
        }
        Ok(UdpTransport::new(Sockets::new(sockets)))
    }

    fn socket(&self, addr: SocketAddr) -> io::Result<UdpSocket> {
        let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
        if addr.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        // Some systems cut an excessive size, others refuse it; neither is a reason not to start.
        if self.receive_buffer > 0 {
            let _ = socket.set_recv_buffer_size(self.receive_buffer);
        }
        if self.send_buffer > 0 {
            let _ = socket.set_send_buffer_size(self.send_buffer);
        }
        socket.set_nonblocking(true)?;
        socket.bind(&addr.into())?;
        UdpSocket::from_std(socket.into())
    }
}
