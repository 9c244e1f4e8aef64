//! What ICMP says of datagrams sent earlier: Linux keeps it in a queue of the socket, beside the datagrams.

use std::io::{self, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};

use nix::cmsg_space;
use nix::libc::{EMSGSIZE, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, sock_extended_err, sockaddr_in6};
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, SockaddrIn, SockaddrIn6, SockaddrLike, recvmsg, setsockopt,
};
use tokio::io::Interest;
use tokio::net::UdpSocket;

use super::{BATCH, SystemSocket};

/// Has the system keep these errors, and says whether it will: a sandbox may not know how.
///
/// A socket that is told gets each error twice: in the queue, and as the result of whatever call comes next.
pub(super) fn keep(socket: &UdpSocket, local: SocketAddr) -> bool {
    match local {
        SocketAddr::V4(_) => setsockopt(socket, Ipv4RecvErr, &true).is_ok(),
        SocketAddr::V6(_) => setsockopt(socket, Ipv6RecvErr, &true).is_ok(),
    }
}

/// Delivers up to a batch of unreachable addresses. The queue takes room from the datagrams, so all of it is read.
pub(super) fn take(SystemSocket { socket, local, .. }: &SystemSocket, deliver: impl FnMut(SocketAddr)) {
    let fd = socket.as_raw_fd();
    // The result only says whether there may be more, and the socket's readiness has heard it.
    let _ = socket.try_io(Interest::ERROR, || match local {
        SocketAddr::V4(_) => take_batch::<SockaddrIn, SocketAddrV4>(fd, deliver),
        SocketAddr::V6(_) => take_batch::<SockaddrIn6, SocketAddrV6>(fd, deliver),
    });
}

fn take_batch<A, B>(fd: RawFd, mut deliver: impl FnMut(SocketAddr)) -> io::Result<()>
where
    A: SockaddrLike + Into<B>,
    B: Into<SocketAddr>,
{
    // The longest of what comes along: an IPv6 error, and the address of the router that sent it.
    let mut control = cmsg_space!((sock_extended_err, sockaddr_in6));
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    for _ in 0..BATCH {
        let mut nothing = [IoSliceMut::new(&mut [])];
        let message = recvmsg::<A>(fd, &mut nothing, Some(&mut control), flags)?;
        let is_unreachable = message.cmsgs()?.any(|control| match control {
            ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                is_unreachable(&error)
            }
            _ => false,
        });
        // The address is where the datagram went, not where the error comes from.
        if let Some(to) = message.address.filter(|_| is_unreachable) {
            deliver(to.into().into());
        }
    }
    Ok(())
}

/// Whether the network says so, and not that a datagram was too long for it.
fn is_unreachable(error: &sock_extended_err) -> bool {
    let from_network = matches!(error.ee_origin, SO_EE_ORIGIN_ICMP | SO_EE_ORIGIN_ICMP6);
    from_network && i32::try_from(error.ee_errno) != Ok(EMSGSIZE)
}
