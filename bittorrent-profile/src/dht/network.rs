//! Networks of one's own: nodes that share a name hear each other and nobody else.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use kademlia_core::runtime::{Inbox, Outbox, Transport};
use sha1::{Digest, Sha1};

use crate::bencode::MAX_INPUT;

/// What the datagrams of a network are written over with: as long as the longest that is read, and then again.
///
/// Not a tag in front of them: that would make the longest datagram longer than may be sent. Nor a secret: it keeps
/// networks apart, and nothing from whoever looks.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Mask(Vec<u8>);

impl Mask {
    /// SHA-1 of a counter and the name, again and again.
    pub(super) fn of(name: &str) -> Self {
        let block = |n: u32| Sha1::new().chain_update(n.to_be_bytes()).chain_update(name).finalize();
        Mask((0..).flat_map(block).take(MAX_INPUT).collect())
    }

    /// Twice gives what was there.
    fn apply(&self, datagram: &mut [u8]) {
        datagram.iter_mut().zip(self.0.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask(..)")
    }
}

/// A transport whose datagrams only nodes of the same network can read: to all others, those of the public network among
/// them, they are not even messages. Without a mask it is the transport as it was.
#[derive(Debug)]
pub(super) struct Isolated<T> {
    transport: T,
    mask: Option<Mask>,
    inbox: Inbox,
    outbox: Outbox,
    scratch: Vec<u8>,
}

impl<T> Isolated<T> {
    pub(super) fn new(transport: T, mask: Option<Mask>) -> Self {
        let (inbox, outbox) = (Inbox::default(), Outbox::default());
        Isolated { transport, mask, inbox, outbox, scratch: Vec::new() }
    }
}

#[async_trait::async_trait]
impl<T: Transport> Transport for Isolated<T> {
    async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        let Some(mask) = &self.mask else { return self.transport.recv(inbox).await };
        let received = self.transport.recv(&mut self.inbox).await;
        for (from, datagram) in self.inbox.iter() {
            self.scratch.clear();
            self.scratch.extend_from_slice(datagram);
            mask.apply(&mut self.scratch);
            inbox.push(from, &self.scratch);
        }
        self.inbox.refused().iter().for_each(|addr| inbox.push_refused(*addr));
        self.inbox.clear();
        received
    }

    async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        let Some(mask) = &self.mask else { return self.transport.send(outbox).await };
        self.outbox.clear();
        for (to, datagram) in outbox.iter() {
            self.outbox.push_with(|bytes| {
                let start = bytes.len();
                bytes.extend_from_slice(datagram);
                mask.apply(bytes.get_mut(start..).unwrap_or_default());
                Some(to)
            });
        }
        outbox.clear();
        self.transport.send(&mut self.outbox).await
    }

    fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.transport.local_addrs()
    }
}

#[cfg(test)]
mod tests {
    use kademlia_core::Codec;

    use super::*;
    use crate::krpc::Krpc;

    const PING: &[u8] = b"d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe";

    /// What is sent comes back.
    #[derive(Default)]
    struct Mirror {
        waiting: Vec<(SocketAddr, Vec<u8>)>,
        refused: Vec<SocketAddr>,
    }

    #[async_trait::async_trait]
    impl Transport for Mirror {
        async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()> {
            assert!(inbox.is_empty());
            self.waiting.drain(..).for_each(|(from, datagram)| inbox.push(from, &datagram));
            self.refused.drain(..).for_each(|addr| inbox.push_refused(addr));
            Ok(())
        }

        async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()> {
            self.waiting.extend(outbox.iter().map(|(to, datagram)| (to, datagram.to_vec())));
            outbox.clear();
            Ok(())
        }

        fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
            Ok(Vec::new())
        }
    }

    fn addr(n: u8) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, n], 1))
    }

    fn sending(datagrams: &[&[u8]]) -> Outbox {
        let mut outbox = Outbox::default();
        (1..).zip(datagrams).for_each(|(n, datagram)| outbox.push(addr(n), datagram));
        outbox
    }

    async fn sent(transport: &mut Isolated<Mirror>, datagrams: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut outbox = sending(datagrams);
        transport.send(&mut outbox).await.unwrap();
        assert!(outbox.is_empty());
        transport.transport.waiting.iter().map(|(_, datagram)| datagram.clone()).collect()
    }

    #[tokio::test]
    async fn nodes_that_share_a_name_read_each_other_and_lengths_stay() {
        let long = vec![b'x'; 5_000];
        let datagrams = [PING, b"", &long, b"d"];
        let mut transport = Isolated::new(Mirror::default(), Some(Mask::of("swarm")));
        let on_the_wire = sent(&mut transport, &datagrams).await;
        for (sent, datagram) in on_the_wire.iter().zip(datagrams) {
            assert_eq!(sent.len(), datagram.len());
            assert!(sent.is_empty() || sent != datagram);
        }
        transport.transport.refused.push(addr(9));
        let mut inbox = Inbox::default();
        transport.recv(&mut inbox).await.unwrap();
        let received: Vec<_> = inbox.iter().collect();
        let expected: Vec<_> = (1..).map(addr).zip(datagrams).collect();
        assert_eq!((received, inbox.refused()), (expected, [addr(9)].as_slice()));
        inbox.clear();
        transport.recv(&mut inbox).await.unwrap();
        assert!(inbox.is_empty(), "nothing comes twice");
    }

    #[tokio::test]
    async fn to_others_it_is_not_even_a_message() {
        let named = |name| Isolated::new(Mirror::default(), Some(Mask::of(name)));
        for (from, to) in [("a", ""), ("a", "b"), ("a", "A"), ("", "a")] {
            let wire = sent(&mut named(from), &[PING]).await.remove(0);
            assert!(Krpc::decode(&wire).is_err(), "{from:?} is no Mainline");
            let mut other = named(to);
            other.transport.waiting.push((addr(1), wire));
            let mut inbox = Inbox::default();
            other.recv(&mut inbox).await.unwrap();
            assert!(
                inbox.iter().all(|(_, datagram)| Krpc::decode(datagram).is_err()),
                "{from:?} is not {to:?}"
            );
            // What comes from Mainline itself.
            other.transport.waiting.push((addr(1), PING.to_vec()));
            inbox.clear();
            other.recv(&mut inbox).await.unwrap();
            assert!(inbox.iter().all(|(_, datagram)| Krpc::decode(datagram).is_err()));
        }
    }

    #[tokio::test]
    async fn without_a_name_not_a_byte_changes() {
        let mut transport = Isolated::new(Mirror::default(), None);
        let wire = sent(&mut transport, &[PING, b"", b"d"]).await;
        assert_eq!(wire, [PING, b"", b"d"]);
        let mut inbox = Inbox::default();
        transport.recv(&mut inbox).await.unwrap();
        assert_eq!(inbox.iter().map(|(_, datagram)| datagram).collect::<Vec<_>>(), [PING, b"", b"d"]);
    }

    #[test]
    fn the_mask_of_a_name_never_changes() {
        // Nodes of one network may be of different versions.
        let mut bytes = [0; 4];
        Mask::of("swarm").apply(&mut bytes);
        assert_eq!(bytes, Sha1::digest(b"\0\0\0\0swarm")[..4]);
    }
}
