//! The transport as its users see it.

use std::io;
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};

use async_trait::async_trait;
use kademlia_core::runtime::{Inbox, Outbox, Transport};
use tokio::net::ToSocketAddrs;

use crate::config::UdpConfig;
use crate::counters::Counters;
use crate::socket::SystemSocket;
use crate::sockets::Sockets;

/// Datagrams over one UDP socket, or over two: one for each address family. A destination's family chooses the
/// socket; a datagram for a family without one is lost and counted.
///
/// Receiving is cancel safe and serves both sockets alike. A dropped `send` may have sent a part of its outbox.
/// Dropping the transport closes its sockets; it has no tasks.
#[derive(Debug)]
pub struct UdpTransport {
    sockets: Sockets<SystemSocket>,
}

impl UdpTransport {
    /// Binds one socket with the default [`UdpConfig`].
    ///
    /// # Errors
    /// See [`UdpConfig::bind`].
    pub async fn bind(addr: impl ToSocketAddrs) -> io::Result<Self> {
        UdpConfig::default().bind(addr).await
    }

    /// Binds one socket of each address family with the default [`UdpConfig`].
    ///
    /// # Errors
    /// See [`UdpConfig::bind_dual`].
    pub async fn bind_dual(v4: SocketAddrV4, v6: SocketAddrV6) -> io::Result<Self> {
        UdpConfig::default().bind_dual(v4, v6).await
    }

    pub(crate) fn new(sockets: Sockets<SystemSocket>) -> Self {
        UdpTransport { sockets }
    }

    /// The live counters, to be kept by whoever gives the transport away.
    pub fn counters(&self) -> Counters {
        self.sockets.counters().clone()
    }
}

#[async_trait]
impl Transport for UdpTransport {
    async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        self.sockets.recv(inbox).await
    }

    async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        self.sockets.send(outbox).await;
        Ok(())
    }

    fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(self.sockets.local_addrs())
    }
}
