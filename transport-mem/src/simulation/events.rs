//! What happens: timers ring, datagrams arrive, and nodes say what comes of it.

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::{Instant, Protocol, Service};

use super::flight::Flight;
use super::{Due, NodeIndex, Payload, Simulation, Step};

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

    fn ring(&mut self, number: u32) {
        let host = &mut self.hosts[number as usize];
        host.timer = None;
        let Some(node) = host.node.as_deref_mut() else {
            return;
        };
        if node.poll_timeout().is_some_and(|due| due <= self.now) {
            node.handle_timeout(self.now);
            self.traffic.timeouts += 1;
            self.trace.record(self.now, &Step::Timeout { node: number as NodeIndex });
        }
        self.drain(number);
    }

    fn arrive(&mut self, Flight { from, to, payload }: Flight<P>) {
        let sender = &self.hosts[from as usize];
        let (from, addr) = (from as NodeIndex, sender.addr);
        let Some(node) = self.hosts[to as usize].node.as_deref_mut() else {
            self.traffic.vanished += 1;
            self.trace.record(self.now, &Step::Vanished { from, to: self.hosts[to as usize].addr });
            return;
        };
        self.traffic.delivered += 1;
        self.trace.record(self.now, &Step::Delivered { from, to: to as NodeIndex, payload: &payload });
        match payload {
            Payload::Bytes(datagram) => node.handle_datagram(self.now, addr, &datagram),
            Payload::Message(message) => node.handle_message(self.now, addr, *message),
        }
        self.drain(to);
    }

    /// Carries out what a node wants: sends, keeps its events, sets its timer.
    pub(super) fn drain(&mut self, number: u32) {
        while let Some((to, payload)) = self.poll_payload(number) {
            self.send(number, to, payload);
        }
        let host = &mut self.hosts[number as usize];
        let Some(node) = host.node.as_deref_mut() else {
            return;
        };
        while let Some(event) = node.poll_event() {
            let node = number as NodeIndex;
            self.trace.record(self.now, &Step::Event { node, event: &event });
            self.events.push((node, event));
        }
        // A timer that rings too early costs one look at the node; setting it anew at every message would cost more.
        if let Some(due) = node.poll_timeout()
            && host.timer.is_none_or(|(at, _)| due < at)
        {
            if let Some((_, event)) = host.timer.take() {
                self.queue.cancel(event);
            }
            host.timer = Some((due, self.queue.schedule(due, Due::Timer(number))));
        }
    }

    fn poll_payload(&mut self, number: u32) -> Option<(SocketAddr, Payload<P>)> {
        let node = self.hosts[number as usize].node.as_deref_mut()?;
        if self.wire {
            self.buffer.clear();
            let to = node.poll_transmit(&mut self.buffer)?;
            Some((to, Payload::Bytes(self.buffer.as_slice().into())))
        } else {
            node.poll_message().map(|(to, message)| (to, Payload::Message(Box::new(message))))
        }
    }

    fn send(&mut self, sender: u32, to: SocketAddr, payload: Payload<P>) {
        let from = sender as NodeIndex;
        self.traffic.sent += 1;
        self.traffic.bytes += payload.len() as u64;
        let Some(&receiver) = self.addresses.get(&to) else {
            self.traffic.vanished += 1;
            self.trace.record(self.now, &Step::Vanished { from, to });
            return;
        };
        let transit = self.links.transit(self.now, self.hosts[from].addr, to, payload.len());
        let deliveries = transit.deliveries();
        let copy = (deliveries.len() == 2).then(|| payload.clone());
        if deliveries.is_empty() {
            self.lose(from, to);
        }
        for (delivery, payload) in deliveries.iter().zip([Some(payload), copy].into_iter().flatten()) {
            match payload.after(delivery) {
                Some(payload) => self.launch(delivery.delay, Flight { from: sender, to: receiver, payload }),
                None => self.lose(from, to),
            }
        }
    }

    fn lose(&mut self, from: NodeIndex, to: SocketAddr) {
        self.traffic.lost += 1;
        self.trace.record(self.now, &Step::Lost { from, to });
    }

    fn launch(&mut self, delay: Duration, flight: Flight<P>) {
        let flight = self.flights.launch(flight);
        self.queue.schedule(self.now + delay, Due::Arrival(flight));
    }
}
