//! A host: who lives there, where it is, and what its surroundings do to it.

use std::net::SocketAddr;

use kademlia_core::{Instant, Node, Protocol};

use super::resident::Resident;
use crate::clock::Clock;
use crate::nat::Translator;
use crate::wheel::EventId;

pub(super) struct Host<P: Protocol, S> {
    /// Its address on the network: behind a translator, that one's.
    pub(super) addr: SocketAddr,
    pub(super) resident: Resident<P, S>,
    /// The one timer in the queue. It may be too early: then it is set again when it rings.
    pub(super) timer: Option<(Instant, EventId)>,
    /// `None` while it shows virtual time.
    pub(super) clock: Option<Box<Clock>>,
    pub(super) nat: Option<Box<Translator>>,
    pub(super) suspended: bool,
    pub(super) isolated: bool,
}

impl<P: Protocol, S> Host<P, S> {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Host {
            addr,
            resident: Resident::Nobody,
            timer: None,
            clock: None,
            nat: None,
            suspended: false,
            isolated: false,
        }
    }

    /// What its clock shows at virtual time `now`.
    pub(super) fn read_clock(&self, now: Instant) -> Instant {
        self.clock.as_ref().map_or(now, |clock| clock.read(now))
    }

    /// The virtual time at which its clock shows `deadline`.
    pub(super) fn when(&self, deadline: Instant) -> Instant {
        self.clock.as_ref().map_or(deadline, |clock| clock.when(deadline))
    }

    /// Its node, if a datagram has a chance to reach it.
    pub(super) fn reachable(&self) -> Option<&Node<P, S>> {
        self.resident.node().filter(|_| !self.suspended && !self.isolated)
    }

    /// Whether everybody can reach a node here.
    pub(super) fn is_open(&self) -> bool {
        self.reachable().is_some() && self.nat.is_none()
    }

    /// What becomes of a datagram from `source` that arrives for `goal`, which was the host's address, or a port of
    /// its translator, when it was sent.
    pub(super) fn welcome(&self, now: Instant, source: SocketAddr, goal: SocketAddr) -> Welcome {
        if self.isolated {
            return Welcome::CutOff;
        }
        match &self.nat {
            Some(_) if self.addr.ip() != goal.ip() => Welcome::Absent,
            Some(nat) if !nat.admits(now, source, goal) => Welcome::Refused,
            None if self.addr != goal => Welcome::Absent,
            _ if self.suspended || matches!(self.resident, Resident::Nobody) => Welcome::Absent,
            _ => Welcome::In,
        }
    }
}

/// What becomes of a datagram at its goal.
pub(super) enum Welcome {
    In,
    /// The cable is pulled.
    CutOff,
    /// Nobody there, nobody awake, or the host has moved.
    Absent,
    /// Not let in by the translator.
    Refused,
}
