//! One system call for many datagrams, through nix's safe wrappers of `recvmmsg` and `sendmmsg`.

use std::array;
use std::cell::RefCell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};

use nix::sys::socket::{MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg, sendmmsg};
use tokio::io::Interest;

use super::{BATCH, BUFFER, SystemSocket};

thread_local! {
    /// Of the thread and not of the transport: headers hold raw pointers, so whoever keeps them cannot move to another
    /// thread. It also saves memory, as all transports of a thread take turns.
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::new());
}

struct Scratch {
    v4: Headers<SockaddrIn>,
    v6: Headers<SockaddrIn6>,
    buffers: Vec<u8>,
}

/// Sending leaves pointers to its addresses in the headers, to which receiving would write: never the same for both.
/// Nor the same for both families, as the system cuts the room for an address to the length of the last one.
struct Headers<A> {
    receive: MultiHeaders<A>,
    send: MultiHeaders<A>,
}

impl Scratch {
    fn new() -> Self {
        Scratch { v4: Headers::new(), v6: Headers::new(), buffers: vec![0; BATCH * BUFFER] }
    }
}

impl<A: SockaddrLike + Copy> Headers<A> {
    fn new() -> Self {
        Headers {
            receive: MultiHeaders::preallocate(BATCH, None),
            send: MultiHeaders::preallocate(BATCH, None),
        }
    }
}

pub(super) fn receive(
    SystemSocket { socket, local, .. }: &SystemSocket,
    deliver: impl FnMut(SocketAddr, &[u8]),
) -> io::Result<()> {
    let fd = socket.as_raw_fd();
    socket.try_io(Interest::READABLE, || {
        let received = SCRATCH.with_borrow_mut(|Scratch { v4, v6, buffers }| match local {
            SocketAddr::V4(_) => receive_batch::<_, SocketAddrV4>(fd, &mut v4.receive, buffers, deliver),
            SocketAddr::V6(_) => receive_batch::<_, SocketAddrV6>(fd, &mut v6.receive, buffers, deliver),
        })?;
        // Less than there was room for means that the queue is empty: saying so saves the call that would find it out.
        if received < BATCH { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    })
}

fn receive_batch<A, B>(
    fd: RawFd,
    headers: &mut MultiHeaders<A>,
    buffers: &mut [u8],
    mut deliver: impl FnMut(SocketAddr, &[u8]),
) -> io::Result<usize>
where
    A: SockaddrLike + Copy + Into<B>,
    B: Into<SocketAddr>,
{
    let mut buffers = buffers.chunks_exact_mut(BUFFER);
    let mut slices: [_; BATCH] = array::from_fn(|_| [IoSliceMut::new(buffers.next().unwrap_or_default())]);
    let mut received = 0;
    for message in recvmmsg(fd, headers, slices.iter_mut(), MsgFlags::MSG_DONTWAIT, None)? {
        received += 1;
        if let Some(from) = message.address {
            deliver(from.into().into(), message.iovs().next().unwrap_or_default());
        }
    }
    Ok(received)
}

pub(super) fn send(
    SystemSocket { socket, told, .. }: &SystemSocket,
    datagrams: &[(SocketAddr, &[u8])],
) -> io::Result<usize> {
    let fd = socket.as_raw_fd();
    let Some((first, _)) = datagrams.first() else {
        return Ok(0);
    };
    let send = || {
        SCRATCH.with_borrow_mut(|Scratch { v4, v6, .. }| match first {
            SocketAddr::V4(_) => send_batch(fd, &mut v4.send, datagrams, |to| match to {
                SocketAddr::V4(to) => Some(to.into()),
                SocketAddr::V6(_) => None,
            }),
            SocketAddr::V6(_) => send_batch(fd, &mut v6.send, datagrams, |to| match to {
                SocketAddr::V6(to) => Some(to.into()),
                SocketAddr::V4(_) => None,
            }),
        })
    };
    socket.try_io(Interest::WRITABLE, || match send() {
        // Perhaps news of an earlier datagram (ICMP), which is told once. It is the first's own if it comes again.
        Err(error) if *told && error.kind() != io::ErrorKind::WouldBlock => send(),
        result => result,
    })
}

fn send_batch<A: SockaddrLike + Copy>(
    fd: RawFd,
    headers: &mut MultiHeaders<A>,
    datagrams: &[(SocketAddr, &[u8])],
    addr: impl Fn(SocketAddr) -> Option<A>,
) -> io::Result<usize> {
    let mut addrs = [None; BATCH];
    let mut slices = [[IoSlice::new(&[])]; BATCH];
    for ((&(to, datagram), place), slice) in datagrams.iter().zip(&mut addrs).zip(&mut slices) {
        *place = addr(to);
        *slice = [IoSlice::new(datagram)];
    }
    let batch = slices.iter().take(datagrams.len());
    // A datagram at which the system stops is the first of the next call, which gets the error.
    Ok(sendmmsg(fd, headers, batch, addrs, [], MsgFlags::MSG_DONTWAIT)?.count())
}
