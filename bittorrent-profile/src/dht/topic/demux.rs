//! One socket for Mainline and for every topic: whose message a datagram is decides who gets it.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kademlia_core::Key;
use kademlia_core::runtime::{Inbox, Outbox, Transport};
use tokio::sync::mpsc;

use crate::krpc::topic_of;

/// Datagrams that wait for one topic, and that wait to be sent for all of them. More are lost, as in any full buffer.
const WAITING: usize = 1_024;

/// What arrives for a topic.
#[derive(Debug)]
pub(super) enum Arrival {
    Datagram(SocketAddr, Box<[u8]>),
    /// The system says that nobody is there.
    Refused(SocketAddr),
}

/// The way to the socket for topics.
#[derive(Clone, Debug)]
pub(in crate::dht) struct Lines {
    topics: Arc<Mutex<BTreeMap<Key<20>, mpsc::Sender<Arrival>>>>,
    outgoing: mpsc::Sender<(SocketAddr, Vec<u8>)>,
}

impl Lines {
    /// What arrives for this topic goes to the receiver from now on, and to no other. The sender names the line.
    pub(super) fn open(&self, topic: Key<20>) -> (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        self.lock().insert(topic, sender.clone());
        (sender, receiver)
    }

    /// Closes this line, if it is still the topic's.
    pub(super) fn close(&self, topic: &Key<20>, line: &mpsc::Sender<Arrival>) {
        let mut topics = self.lock();
        if topics.get(topic).is_some_and(|current| current.same_channel(line)) {
            topics.remove(topic);
        }
    }

    /// Sends a topic's datagram.
    pub(super) fn send(&self, to: SocketAddr, datagram: Vec<u8>) {
        let _ = self.outgoing.try_send((to, datagram));
    }

    /// Waits until the socket is gone.
    pub(in crate::dht) async fn closed(&self) {
        self.outgoing.closed().await;
    }

    /// Takes what belongs to topics out of the inbox. What names a topic that nobody here has subscribed to gets no answer,
    /// of Mainline's least of all.
    fn take(&self, inbox: &mut Inbox) {
        let topics = self.lock();
        inbox.retain(|from, datagram| {
            let Some(topic) = topic_of(datagram) else { return true };
            if let Some(line) = topics.get(&topic) {
                let _ = line.try_send(Arrival::Datagram(from, datagram.into()));
            }
            false
        });
        for addr in inbox.refused() {
            for line in topics.values() {
                let _ = line.try_send(Arrival::Refused(*addr));
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key<20>, mpsc::Sender<Arrival>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A transport for Mainline that carries topics, too.
#[derive(Debug)]
pub(in crate::dht) struct Demultiplexer<T> {
    transport: T,
    lines: Lines,
    outgoing: mpsc::Receiver<(SocketAddr, Vec<u8>)>,
    /// What topics send, until it is sent.
    outbox: Outbox,
}

impl<T: Transport> Demultiplexer<T> {
    pub(in crate::dht) fn new(transport: T) -> (Self, Lines) {
        let (sender, outgoing) = mpsc::channel(WAITING);
        let lines = Lines { topics: Arc::default(), outgoing: sender };
        let demultiplexer =
            Demultiplexer { transport, lines: lines.clone(), outgoing, outbox: Outbox::default() };
        (demultiplexer, lines)
    }

    async fn send_outgoing(&mut self) {
        if !self.outbox.is_empty() {
            // Taken out first: of what is cancelled half sent the rest is lost, and nothing goes out twice. What cannot be sent
            // is lost as well; its sender asks again.
            let mut outbox = std::mem::take(&mut self.outbox);
            let _ = self.transport.send(&mut outbox).await;
            outbox.clear();
            self.outbox = outbox;
        }
    }
}

#[async_trait]
impl<T: Transport> Transport for Demultiplexer<T> {
    /// Cancel safe: between taking datagrams in and giving them on nothing is awaited.
    async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        loop {
            self.send_outgoing().await;
            tokio::select! {
                biased;
                Some((to, datagram)) = self.outgoing.recv() => {
                    self.outbox.push(to, &datagram);
                    while let Ok((to, datagram)) = self.outgoing.try_recv() {
                        self.outbox.push(to, &datagram);
                    }
                }
                received = self.transport.recv(inbox) => {
                    received?;
                    self.lines.take(inbox);
                    if !inbox.is_empty() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        self.transport.send(outbox).await
    }

    fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.transport.local_addrs()
    }
}
