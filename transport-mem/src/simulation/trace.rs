//! The record of a run: a hash over every step, and an observer who may read along.

use std::hash::Hasher;
use std::net::SocketAddr;

use kademlia_core::{Body, Cause, Codec, Contact, Event, Instant, Keyspace, Message, Protocol};
use siphasher::sip::SipHasher13;

use super::{NodeIndex, Payload};
use crate::link::write_address;

/// One thing that happened.
#[derive(Debug)]
pub enum Step<'a, P: Protocol> {
    /// A datagram reached a live node.
    Delivered {
        /// Who sent it.
        from: NodeIndex,
        /// Where it seemed to come from, if not from the sender's own address: forged, or translated on the way.
        seen_as: Option<SocketAddr>,
        /// Whom it reached.
        to: NodeIndex,
        /// Why it was sent; unknown of what no node of ours sent.
        cause: Option<Cause>,
        /// What it said.
        payload: &'a Payload<P>,
    },
    /// A datagram was lost on a link.
    Lost {
        /// Who sent it.
        from: NodeIndex,
        /// Where it should have gone.
        to: SocketAddr,
        /// Which host has that address.
        meant_for: Option<NodeIndex>,
        /// Why it was sent, if a node of ours sent it.
        cause: Option<Cause>,
        /// What it said.
        payload: &'a Payload<P>,
    },
    /// A datagram went to an address without a live node, or with one that sleeps.
    Vanished {
        /// Who sent it.
        from: NodeIndex,
        /// Where it went.
        to: SocketAddr,
        /// Which host has that address.
        meant_for: Option<NodeIndex>,
        /// Why it was sent, if a node of ours sent it.
        cause: Option<Cause>,
        /// What it said.
        payload: &'a Payload<P>,
    },
    /// A datagram reached the translator in front of a host, which did not let it in.
    Refused {
        /// Who sent it.
        from: NodeIndex,
        /// Where it went.
        to: SocketAddr,
        /// Which host has that address.
        meant_for: Option<NodeIndex>,
        /// Why it was sent, if a node of ours sent it.
        cause: Option<Cause>,
        /// What it said.
        payload: &'a Payload<P>,
    },
    /// A node's timer rang.
    Timeout {
        /// Whose.
        node: NodeIndex,
    },
    /// Whoever was at this host is gone.
    Stopped {
        /// Which host.
        node: NodeIndex,
    },
    /// A node has taken the place of an earlier one.
    Started {
        /// At which host.
        node: NodeIndex,
    },
    /// A node told its host something.
    Event {
        /// Which node.
        node: NodeIndex,
        /// What.
        event: &'a Event<P>,
    },
}

type Observer<P> = Box<dyn FnMut(Instant, &Step<'_, P>) + Send>;

pub(super) struct Trace<P: Protocol> {
    hasher: SipHasher13,
    pub(super) contents: bool,
    pub(super) observer: Option<Observer<P>>,
    buffer: Vec<u8>,
}

impl<P: Protocol> Default for Trace<P> {
    fn default() -> Self {
        Trace { hasher: SipHasher13::new(), contents: false, observer: None, buffer: Vec::new() }
    }
}

impl<P: Protocol> Trace<P> {
    pub(super) fn record(&mut self, now: Instant, step: &Step<'_, P>) {
        if let Some(observer) = &mut self.observer {
            observer(now, step);
        }
        self.number(now.as_micros());
        match step {
            Step::Delivered { from, seen_as, to, payload, .. } => {
                self.begin(if seen_as.is_some() { 5 } else { 0 }, *from);
                if let Some(seen_as) = seen_as {
                    write_address(&mut self.hasher, *seen_as);
                }
                self.number(*to as u64);
                self.payload(payload);
            }
            Step::Lost { from, to, .. } => {
                self.begin(1, *from);
                write_address(&mut self.hasher, *to);
            }
            Step::Vanished { from, to, .. } => {
                self.begin(2, *from);
                write_address(&mut self.hasher, *to);
            }
            Step::Refused { from, to, .. } => {
                self.begin(8, *from);
                write_address(&mut self.hasher, *to);
            }
            Step::Timeout { node } => self.begin(3, *node),
            Step::Stopped { node } => self.begin(6, *node),
            Step::Started { node } => self.begin(7, *node),
            Step::Event { node, event } => {
                self.begin(4, *node);
                self.event(event);
            }
        }
    }

    pub(super) fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    fn begin(&mut self, tag: u8, node: NodeIndex) {
        self.hasher.write(&[tag]);
        self.number(node as u64);
    }

    /// Always little-endian, so that a hash is the same on every machine.
    fn number(&mut self, number: u64) {
        self.hasher.write(&number.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.hasher.write(bytes);
    }

    fn payload(&mut self, payload: &Payload<P>) {
        match payload {
            Payload::Bytes(bytes) => self.bytes(bytes),
            Payload::Message(message) if self.contents => self.message(message),
            Payload::Message(_) => {}
        }
    }

    fn message(&mut self, message: &Message<P>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        P::Codec::encode(message, &mut buffer);
        self.bytes(&buffer);
        self.buffer = buffer;
    }

    /// Responses within events are left out: they arrived as a message, and that was recorded.
    fn event(&mut self, event: &Event<P>) {
        match event {
            Event::Bootstrapped => self.number(0),
            Event::Answer { from, .. } => {
                self.number(1);
                self.contact(from);
            }
            Event::LookupDone { report, .. } => {
                self.number(2);
                self.hasher.write(report.target.as_bytes());
                self.number(report.messages as u64);
                self.contacts(&report.closest);
            }
            Event::Stored { stored, .. } => {
                self.number(3);
                self.hasher.write(stored.report.target.as_bytes());
                self.contacts(&stored.accepted);
                self.contacts(&stored.no_answer);
                self.number(stored.refused.len() as u64);
            }
            Event::Requested { result, .. } => {
                self.number(4);
                self.number(u64::from(result.is_ok()));
            }
            Event::External(addr) => {
                self.number(5);
                write_address(&mut self.hasher, *addr);
            }
            Event::Renamed { from, to } => {
                self.number(6);
                self.hasher.write(from.as_bytes());
                self.hasher.write(to.as_bytes());
            }
        }
    }

    fn contacts(&mut self, contacts: &[Contact<P::Key>]) {
        self.number(contacts.len() as u64);
        for contact in contacts {
            self.contact(contact);
        }
    }

    fn contact(&mut self, contact: &Contact<P::Key>) {
        self.hasher.write(contact.key.as_bytes());
        write_address(&mut self.hasher, contact.addr);
    }
}

impl<P: Protocol> std::fmt::Display for Step<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Step::Delivered { from, seen_as: None, to, cause, payload } => {
                write!(f, "{from} → {to}: {}{}", Why(*cause), Said(payload))
            }
            Step::Delivered { from, seen_as: Some(addr), to, cause, payload } => {
                write!(f, "{from} as {addr} → {to}: {}{}", Why(*cause), Said(payload))
            }
            Step::Lost { from, to, cause, payload, .. } => {
                write!(f, "{from} → {to}: lost: {}{}", Why(*cause), Said(payload))
            }
            Step::Vanished { from, to, cause, payload, .. } => {
                write!(f, "{from} → {to}: nobody there: {}{}", Why(*cause), Said(payload))
            }
            Step::Refused { from, to, cause, payload, .. } => {
                write!(f, "{from} → {to}: refused by its NAT: {}{}", Why(*cause), Said(payload))
            }
            Step::Timeout { node } => write!(f, "{node}: timeout"),
            Step::Stopped { node } => write!(f, "{node}: stopped"),
            Step::Started { node } => write!(f, "{node}: started"),
            Step::Event { node, event } => write!(f, "{node}: {event:?}"),
        }
    }
}

/// Why a message was sent, before what it says; a reply says itself why.
pub(super) struct Why(pub(super) Option<Cause>);

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None | Some(Cause::Reply) => Ok(()),
            Some(cause) => write!(f, "[{cause:?}] "),
        }
    }
}

/// A payload for readers.
pub(super) struct Said<'a, P: Protocol>(pub(super) &'a Payload<P>);

impl<P: Protocol> std::fmt::Display for Said<'_, P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(message) = self.0.message() else {
            return write!(f, "{} bytes that are no message", self.0.len());
        };
        match &message.body {
            Body::Request { sender, request, .. } => {
                write!(f, "{sender:#} asks {:?} {request:?}", message.transaction)
            }
            Body::Response { sender, response } => {
                write!(f, "{sender:#} answers {:?} {response:?}", message.transaction)
            }
            Body::Error { code, text } => write!(f, "error {:?} {code} {text}", message.transaction),
        }
    }
}
