//! The seam to the network: datagrams in batches.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;

/// Carries datagrams. Batched, so that one boxed future serves many datagrams and an implementation may hand
/// many to the system in one call.
#[async_trait]
pub trait Transport: Send + 'static {
    /// Waits for datagrams and puts at least one and as many as are at hand into `inbox`, which is empty on entry.
    /// Cancel safe: a dropped `recv` loses nothing.
    ///
    /// # Errors
    /// What no waiting will mend. The driver pauses and calls again.
    async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()>;

    /// Sends every datagram of `outbox` and empties it. What the system refuses counts as lost on the way.
    ///
    /// # Errors
    /// What concerns the whole transport rather than one datagram. The driver goes on.
    async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()>;

    /// Addresses this transport is bound to, at most one for each family.
    ///
    /// # Errors
    /// Whatever the system says.
    fn local_addrs(&self) -> io::Result<Vec<SocketAddr>>;
}

/// Received datagrams, in one buffer that is used again and again.
#[derive(Debug, Default)]
pub struct Inbox {
    datagrams: Batch,
    refused: Vec<SocketAddr>,
}

/// Datagrams to be sent, in one buffer that is used again and again.
#[derive(Debug, Default)]
pub struct Outbox {
    datagrams: Batch,
}

#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Peer's address and the datagram's end in `bytes`.
    ends: Vec<(SocketAddr, usize)>,
}

impl Batch {
    fn close(&mut self, addr: SocketAddr) {
        self.ends.push((addr, self.bytes.len()));
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn iter(&self) -> impl ExactSizeIterator<Item = (SocketAddr, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(addr, end)| {
            let datagram = &self.bytes[start..end];
            start = end;
            (addr, datagram)
        })
    }
}

impl Inbox {
    /// Appends a received datagram.
    pub fn push(&mut self, from: SocketAddr, datagram: &[u8]) {
        self.datagrams.bytes.extend_from_slice(datagram);
        self.datagrams.close(from);
    }

    /// Notes that the system says `addr` cannot be reached (an ICMP error).
    pub fn push_refused(&mut self, addr: SocketAddr) {
        self.refused.push(addr);
    }

    /// The datagrams and whence they came, in order of arrival.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SocketAddr, &[u8])> {
        self.datagrams.iter()
    }

    /// Addresses that the system says cannot be reached.
    pub fn refused(&self) -> &[SocketAddr] {
        &self.refused
    }

    /// Keeps the datagrams for which `wanted` says so, in their order.
    pub fn retain(&mut self, mut wanted: impl FnMut(SocketAddr, &[u8]) -> bool) {
        let Batch { bytes, ends } = &mut self.datagrams;
        let (mut start, mut kept) = (0, 0);
        ends.retain_mut(|(from, end)| {
            let datagram = start..*end;
            start = *end;
            let keep = bytes.get(datagram.clone()).is_some_and(|datagram| wanted(*from, datagram));
            if keep {
                *end = kept + datagram.len();
                bytes.copy_within(datagram, kept);
                kept = *end;
            }
            keep
        });
        bytes.truncate(kept);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.datagrams.ends.is_empty() && self.refused.is_empty()
    }

    /// Empties it and keeps the buffers.
    pub fn clear(&mut self) {
        self.datagrams.clear();
        self.refused.clear();
    }
}

impl Outbox {
    /// Appends a datagram: `write` appends its bytes and says where they go, or says `None` and nothing is appended.
    /// Gives back whether there was one.
    pub fn push_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Option<SocketAddr>) -> bool {
        let start = self.datagrams.bytes.len();
        if let Some(to) = write(&mut self.datagrams.bytes) {
            self.datagrams.close(to);
            true
        } else {
            self.datagrams.bytes.truncate(start);
            false
        }
    }

    /// Appends a datagram.
    pub fn push(&mut self, to: SocketAddr, datagram: &[u8]) {
        self.push_with(|bytes| {
            bytes.extend_from_slice(datagram);
            Some(to)
        });
    }

    /// The datagrams and where they go, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (SocketAddr, &[u8])> {
        self.datagrams.iter()
    }

    /// Number of datagrams.
    pub fn len(&self) -> usize {
        self.datagrams.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.datagrams.ends.is_empty()
    }

    /// Empties it and keeps the buffer.
    pub fn clear(&mut self) {
        self.datagrams.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datagrams_come_out_as_they_went_in_and_an_unsent_one_leaves_no_trace() {
        let addr = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut outbox = Outbox::default();
        outbox.push(addr, b"one");
        assert!(!outbox.push_with(|bytes| {
            bytes.extend_from_slice(b"half");
            None
        }));
        outbox.push(addr, b"");
        let seen: Vec<_> = outbox.iter().collect();
        assert_eq!(seen, [(addr, b"one".as_slice()), (addr, b"".as_slice())]);
        outbox.clear();
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_is_not_wanted_is_taken_out_and_the_rest_stays_as_it_was() {
        let addr = |n| SocketAddr::from(([127, 0, 0, 1], n));
        let datagrams: [&[u8]; 5] = [b"one", b"", b"three", b"4", b"fifth"];
        for wanted in 0..32_u32 {
            let mut inbox = Inbox::default();
            for (n, datagram) in (1..).zip(datagrams) {
                inbox.push(addr(n), datagram);
            }
            let is_wanted = |from: SocketAddr| wanted & (1 << (from.port() - 1)) != 0;
            inbox.retain(|from, _| is_wanted(from));
            let all = (1..).map(addr).zip(datagrams);
            let expected: Vec<_> = all.filter(|(from, _)| is_wanted(*from)).collect();
            assert_eq!(inbox.iter().collect::<Vec<_>>(), expected);
        }
    }
}
