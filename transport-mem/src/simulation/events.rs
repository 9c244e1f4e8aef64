//! What happens: timers ring, datagrams arrive, and nodes say what comes of it.

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::{Cause, Instant, Protocol, Service};

use super::flight::Flight;
use super::host::Welcome;
use super::resident::Resident;
use super::{Due, NodeIndex, Payload, Simulation, Step};
use crate::nat::Place;
use crate::peers::Outgoing;

impl<P: Protocol, S: Service<P>> Simulation<P, S> {
    /// Works through the next event, unless it is later than `until`. False if there was none.
    pub(super) fn step_until(&mut self, until: Instant) -> bool {
        let Some((now, due)) = self.queue.pop(until) else {
            return false;
        };
        self.now = self.now.max(now);
        match due {
            Due::Timer(host) => self.ring(host),
            Due::Arrival(flight) => {
                if let Some(flight) = self.flights.land(flight) {
                    self.arrive(flight);
                }
            }
        }
        true
    }

    pub(super) fn ring(&mut self, number: u32) {
        let host = &mut self.hosts[number as usize];
        host.timer = None;
        let now = host.read_clock(self.now);
        if host.resident.poll_timeout().is_some_and(|due| due <= now) {
            match &mut host.resident {
                Resident::Nobody => {}
                Resident::Node(node) => node.handle_timeout(now),
                Resident::Peer(peer) => peer.handle_timeout(now, host.addr, &mut self.outgoing),
            }
            self.traffic.timeouts += 1;
            self.trace.record(self.now, &Step::Timeout { node: number as NodeIndex });
        }
        self.drain(number);
    }

    fn arrive(&mut self, flight: Flight<P>) {
        let Flight { from, source, foreign, to, goal, cause, payload } = flight;
        let (from, host) = (from as NodeIndex, &mut self.hosts[to as usize]);
        match host.welcome(self.now, source, goal) {
            Welcome::In => {}
            Welcome::CutOff => return self.fail(Fate::Lost, from, goal, cause, &payload),
            Welcome::Absent => return self.fail(Fate::Vanished, from, goal, cause, &payload),
            Welcome::Refused => return self.fail(Fate::Refused, from, goal, cause, &payload),
        }
        let now = host.read_clock(self.now);
        self.traffic.delivered += 1;
        let seen = foreign.then_some(source);
        let step = Step::Delivered { from, seen_as: seen, to: to as NodeIndex, cause, payload: &payload };
        self.trace.record(self.now, &step);
        match (&mut host.resident, payload) {
            (Resident::Node(node), Payload::Bytes(datagram)) => {
                node.handle_datagram(now, source, &datagram);
            }
            (Resident::Node(node), Payload::Message(message)) => {
                node.handle_message(now, source, *message);
            }
            (Resident::Peer(peer), payload) => {
                if let Some(message) = payload.message() {
                    peer.receive(now, host.addr, source, &message, &mut self.outgoing);
                }
            }
            (Resident::Nobody, _) => {}
        }
        self.drain(to);
    }

    /// Carries out what a host's resident wants: sends, keeps its events, sets its timer.
    pub(super) fn drain(&mut self, number: u32) {
        self.dispatch(number);
        let own = self.hosts[number as usize].addr;
        while let Some((to, cause, payload)) = self.poll_payload(number) {
            self.send(number, own, to, cause, payload);
        }
        let host = &mut self.hosts[number as usize];
        if let Resident::Node(node) = &mut host.resident {
            while let Some(event) = node.poll_event() {
                let node = number as NodeIndex;
                self.trace.record(self.now, &Step::Event { node, event: &event });
                if self.watch.as_mut().is_none_or(|watch| watch(node, &event)) {
                    self.events.push((node, event));
                }
            }
        }
        self.arm(number);
    }

    /// Sets a host's timer, if it has to ring earlier than it would. One that rings too early costs one look at the
    /// resident; setting it anew at every message would cost more.
    pub(super) fn arm(&mut self, number: u32) {
        let host = &mut self.hosts[number as usize];
        let due = host.resident.poll_timeout().map(|deadline| host.when(deadline));
        // `NEVER` is no time at which something happens, and where a clock has run out, every deadline is that.
        let Some(due) = due.filter(|due| *due < Instant::NEVER && !host.suspended) else {
            return;
        };
        if host.timer.is_none_or(|(at, _)| due < at) {
            if let Some((_, event)) = host.timer.take() {
                self.queue.cancel(event);
            }
            host.timer = Some((due, self.queue.schedule(due, Due::Timer(number))));
        }
    }

    pub(super) fn disarm(&mut self, number: u32) {
        if let Some((_, event)) = self.hosts[number as usize].timer.take() {
            self.queue.cancel(event);
        }
    }

    /// Sends what a scripted peer put down.
    fn dispatch(&mut self, number: u32) {
        let own = self.hosts[number as usize].addr;
        let mut outgoing = std::mem::take(&mut self.outgoing);
        for Outgoing { from, to, payload } in outgoing.drain(..) {
            let payload = if self.wire { payload.into_bytes() } else { payload };
            self.send(number, from.unwrap_or(own), to, None, payload);
        }
        self.outgoing = outgoing;
    }

    fn poll_payload(&mut self, number: u32) -> Option<(SocketAddr, Option<Cause>, Payload<P>)> {
        let node = self.hosts[number as usize].resident.node_mut()?;
        let cause = node.next_cause();
        if self.wire {
            self.buffer.clear();
            let to = node.poll_transmit(&mut self.buffer)?;
            Some((to, cause, Payload::Bytes(self.buffer.as_slice().into())))
        } else {
            let (to, message) = node.poll_message()?;
            Some((to, cause, Payload::Message(Box::new(message))))
        }
    }

    /// Sends from `sender`'s place, whatever address it goes by: forging one does not change who is near.
    fn send(
        &mut self,
        sender: u32,
        source: SocketAddr,
        to: SocketAddr,
        cause: Option<Cause>,
        payload: Payload<P>,
    ) {
        let from = sender as NodeIndex;
        self.traffic.sent += 1;
        self.traffic.bytes += payload.len() as u64;
        let host = &mut self.hosts[from];
        let (own, isolated) = (host.addr, host.isolated);
        let source = match &mut host.nat {
            Some(nat) => nat.outgoing(self.now, to, &mut self.addresses),
            None => source,
        };
        // Hosts are apart, not the ports that a translator gives out. The receiver is looked at only where it must be:
        // in a large network it is far away in memory, too.
        let (receiver, place) = match self.addresses.get(&to) {
            Some(&Place::Host(host)) => (host, to),
            Some(&Place::Port(host)) => (host, self.hosts[host as usize].addr),
            None => return self.fail(Fate::Vanished, from, to, cause, &payload),
        };
        if isolated {
            return self.fail(Fate::Lost, from, to, cause, &payload);
        }
        let foreign = source != own;
        let transit = self.links.transit(self.now, own, place, payload.len());
        let deliveries = transit.deliveries();
        let copy = (deliveries.len() == 2).then(|| payload.clone());
        if deliveries.is_empty() {
            self.fail(Fate::Lost, from, to, cause, &payload);
        }
        for (delivery, payload) in deliveries.iter().zip([Some(payload), copy].into_iter().flatten()) {
            if payload.survives(delivery) {
                let payload = payload.after(delivery);
                let flight = Flight { from: sender, source, foreign, to: receiver, goal: to, cause, payload };
                self.launch(delivery.delay, flight);
            } else {
                self.fail(Fate::Lost, from, to, cause, &payload);
            }
        }
    }

    /// A datagram does not arrive.
    fn fail(
        &mut self,
        fate: Fate,
        from: NodeIndex,
        to: SocketAddr,
        cause: Option<Cause>,
        payload: &Payload<P>,
    ) {
        let meant_for = self.addresses.get(&to).map(|place| place.host() as NodeIndex);
        let (count, step) = match fate {
            Fate::Lost => (&mut self.traffic.lost, Step::Lost { from, to, meant_for, cause, payload }),
            Fate::Vanished => {
                (&mut self.traffic.vanished, Step::Vanished { from, to, meant_for, cause, payload })
            }
            Fate::Refused => {
                (&mut self.traffic.refused, Step::Refused { from, to, meant_for, cause, payload })
            }
        };
        *count += 1;
        self.trace.record(self.now, &step);
    }

    fn launch(&mut self, delay: Duration, flight: Flight<P>) {
        let flight = self.flights.launch(flight);
        self.queue.schedule(self.now + delay, Due::Arrival(flight));
    }
}

/// Why a datagram does not arrive.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Lost,
    Vanished,
    Refused,
}
