//! One system call a datagram: for systems that know no other, and for comparison.

use std::io;
use std::net::SocketAddr;

use super::{BATCH, BUFFER, SystemSocket};

pub(super) fn receive(
    SystemSocket { socket, .. }: &SystemSocket,
    mut deliver: impl FnMut(SocketAddr, &[u8]),
) -> io::Result<()> {
    let mut buffer = [0; BUFFER];
    for _ in 0..BATCH {
        let (length, from) = socket.try_recv_from(&mut buffer)?;
        deliver(from, &buffer[..length]);
    }
    Ok(())
}

pub(super) fn send(
    SystemSocket { socket, .. }: &SystemSocket,
    datagrams: &[(SocketAddr, &[u8])],
) -> io::Result<usize> {
    let mut sent = 0;
    for &(to, datagram) in datagrams.iter().take(BATCH) {
        match socket.try_send_to(datagram, to) {
            Ok(_) => sent += 1,
            Err(error) if sent == 0 => return Err(error),
            // It concerns what is then the first: the next call meets it again.
            Err(_) => break,
        }
    }
    Ok(sent)
}
