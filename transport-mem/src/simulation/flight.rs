//! What is on its way from one host to another.

use kademlia_core::{Message, Protocol};

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

    /// What arrives. Of a typed message nothing, if it was corrupted: the checksum would find it.
    pub(super) fn after(mut self, delivery: &Delivery) -> Option<Self> {
        match &mut self {
            Payload::Bytes(bytes) => delivery.apply(bytes),
            Payload::Message(_) if delivery.inverted.is_some() => return None,
            Payload::Message(_) => {}
        }
        Some(self)
    }
}

#[derive(Debug)]
pub(super) struct Flight<P: Protocol> {
    /// Number of the sending host.
    pub(super) from: u32,
    /// Number of the receiving host.
    pub(super) to: u32,
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
