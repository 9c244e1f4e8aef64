//! What hosts go through: clocks that err, sleep, cables pulled, translators, other addresses.

use std::net::SocketAddr;

use kademlia_core::{Instant, Protocol, Service};

use super::{NodeIndex, Simulation, host_number};
use crate::clock::{Clock, Jump};
use crate::nat::{Nat, Place, Translator};

/// Conditions of single hosts. An unknown index changes nothing.
impl<P: Protocol, S: Service<P>> Simulation<P, S> {
    /// Puts a translator in front of a host, another one, or none. It knows no mappings at first, so nobody gets in
    /// before the host has sent something. The host's address is the translator's external one.
    pub fn set_nat(&mut self, index: NodeIndex, nat: Option<Nat>) {
        let Some(host) = self.hosts.get_mut(index) else {
            return;
        };
        if let Some(mut before) = host.nat.take() {
            before.clear(&mut self.addresses);
        }
        host.nat = nat.map(|nat| Box::new(Translator::new(nat, host.addr, host_number(index))));
    }

    /// The translator in front of a host.
    pub fn nat(&self, index: NodeIndex) -> Option<Nat> {
        self.hosts.get(index)?.nat.as_deref().map(Translator::nat)
    }

    /// Moves a host to another address, its translator with it, which forgets its mappings (T15). The resident is not
    /// told. Datagrams on their way to the old address vanish; those that the host sent arrive from there.
    /// An address that another host has passes to this one.
    pub fn readdress(&mut self, index: NodeIndex, addr: SocketAddr) {
        let nat = self.nat(index);
        self.set_nat(index, None);
        let Some(host) = self.hosts.get_mut(index) else {
            return;
        };
        let old = std::mem::replace(&mut host.addr, addr);
        let place = Place::Host(host_number(index));
        if self.addresses.get(&old) == Some(&place) {
            self.addresses.remove(&old);
        }
        self.addresses.insert(addr, place);
        self.links.moved(old, addr);
        self.set_nat(index, nat);
    }

    /// Moves a host to another free port of its IP address, as when its translator was started anew.
    pub fn rebind(&mut self, index: NodeIndex) {
        let Some(mut addr) = self.address(index) else {
            return;
        };
        while self.addresses.contains_key(&addr) {
            let port = 1_024 + self.rng.below(64_512);
            addr.set_port(u16::try_from(port).unwrap_or(u16::MAX));
        }
        self.readdress(index, addr);
    }

    /// From now on the host's clock gains this many millionths of virtual time, or loses them. Its resident sees that
    /// clock only. At −1,000,000 and below it stands still.
    pub fn set_skew(&mut self, index: NodeIndex, ppm: i32) {
        self.set_clock(index, |clock, now| clock.set_skew(now, ppm));
    }

    /// Sets the host's clock. Deadlines that it thereby passes are due at once, later by virtual time if it went back.
    pub fn jump_clock(&mut self, index: NodeIndex, jump: Jump) {
        self.set_clock(index, |clock, now| clock.jump(now, jump));
    }

    fn set_clock(&mut self, index: NodeIndex, change: impl FnOnce(&mut Clock, Instant)) {
        let Some(host) = self.hosts.get_mut(index) else {
            return;
        };
        change(host.clock.get_or_insert_with(|| Box::new(Clock::TRUE)), self.now);
        self.disarm(host_number(index));
        self.arm(host_number(index));
    }

    /// Sends a host to sleep: no timer rings, what arrives is gone, and no [`call`](Self::call) reaches it.
    pub fn suspend(&mut self, index: NodeIndex) {
        if let Some(host) = self.hosts.get_mut(index) {
            host.suspended = true;
            self.disarm(host_number(index));
        }
    }

    /// Wakes a host. Its clock went on meanwhile (as Windows' and macOS' does; for one that stood, as Linux' does,
    /// [`jump_clock`](Self::jump_clock) back), so that a timer that should have rung rings now, late.
    pub fn resume(&mut self, index: NodeIndex) {
        if let Some(host) = self.hosts.get_mut(index)
            && std::mem::take(&mut host.suspended)
        {
            self.ring(host_number(index));
        }
    }

    /// Whether a host sleeps.
    pub fn is_suspended(&self, index: NodeIndex) -> bool {
        self.hosts.get(index).is_some_and(|host| host.suspended)
    }

    /// Pulls a host's cable, or plugs it in again: meanwhile nothing leaves it and nothing arrives, what is on its way
    /// to it included. Its timers go on. No partition touches this, and [`heal`](Self::heal) does not end it.
    pub fn isolate(&mut self, index: NodeIndex, isolated: bool) {
        if let Some(host) = self.hosts.get_mut(index) {
            host.isolated = isolated;
        }
    }

    /// Whether a host's cable is pulled.
    pub fn is_isolated(&self, index: NodeIndex) -> bool {
        self.hosts.get(index).is_some_and(|host| host.isolated)
    }
}
