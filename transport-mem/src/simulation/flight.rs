//! What is on its way from one host to another.

use std::borrow::Cow;
use std::net::SocketAddr;

use kademlia_core::{Cause, Codec, Message, Protocol};

use crate::link::Delivery;

/// One datagram, in the form in which the simulated network carries it.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload<P: Protocol> {
    /// Real bytes.
    Bytes(Box<[u8]>),
    /// A typed message.
    Message(Box<Message<P>>),
}

impl<P: Protocol> Payload<P> {
    /// Number of bytes; 0 for a typed message.
    pub fn len(&self) -> usize {
        match self {
            Payload::Bytes(bytes) => bytes.len(),
            Payload::Message(_) => 0,
        }
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What it says; `None` for bytes that are no message.
    pub fn message(&self) -> Option<Cow<'_, Message<P>>> {
        match self {
            Payload::Bytes(bytes) => P::Codec::decode(bytes).ok().map(Cow::Owned),
            Payload::Message(message) => Some(Cow::Borrowed(message)),
        }
    }

    /// The same as bytes.
    pub(super) fn into_bytes(self) -> Self {
        match self {
            Payload::Bytes(_) => self,
            Payload::Message(message) => {
                let mut bytes = Vec::new();
                P::Codec::encode(&message, &mut bytes);
                Payload::Bytes(bytes.into())
            }
        }
    }

    /// Whether anything arrives. Nothing of a typed message that was corrupted: the checksum would find it.
    pub(super) fn survives(&self, delivery: &Delivery) -> bool {
        matches!(self, Payload::Bytes(_)) || delivery.inverted.is_none()
    }

    /// What arrives.
    pub(super) fn after(mut self, delivery: &Delivery) -> Self {
        if let Payload::Bytes(bytes) = &mut self {
            delivery.apply(bytes);
        }
        self
    }
}

#[derive(Debug)]
pub(super) struct Flight<P: Protocol> {
    /// Number of the sending host.
    pub(super) from: u32,
    /// The sender's address as the receiver sees it.
    pub(super) source: SocketAddr,
    /// Whether that is not the sender's own: forged, or translated.
    pub(super) foreign: bool,
    /// Number of the host that had the address when it was sent.
    pub(super) to: u32,
    /// The address that it was sent to.
    pub(super) goal: SocketAddr,
    /// Why, if a node sent it.
    pub(super) cause: Option<Cause>,
    pub(super) payload: Payload<P>,
}

/// All flights, in places that are used again; the event queue holds only their numbers.
#[derive(Debug)]
pub(super) struct Flights<P: Protocol> {
    places: Vec<Option<Flight<P>>>,
    vacant: Vec<u32>,
}

impl<P: Protocol> Default for Flights<P> {
    fn default() -> Self {
        Flights { places: Vec::new(), vacant: Vec::new() }
    }
}

impl<P: Protocol> Flights<P> {
    pub(super) fn launch(&mut self, flight: Flight<P>) -> u32 {
        if let Some(number) = self.vacant.pop() {
            self.places[number as usize] = Some(flight);
            return number;
        }
        self.places.push(Some(flight));
        u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn land(&mut self, number: u32) -> Option<Flight<P>> {
        let flight = self.places.get_mut(number as usize)?.take()?;
        self.vacant.push(number);
        Some(flight)
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.vacant.len()
    }
}
