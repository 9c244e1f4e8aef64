//! Addresses that the user wants nothing to do with (P20).

use core::net::{IpAddr, SocketAddr};

use super::Node;
use crate::protocol::Protocol;
use crate::service::Service;
use crate::time::Instant;

impl<P: Protocol, S: Service<P>> Node<P, S> {
    /// Has nothing more to do with `ip`: it is sent nothing, heard by nobody, and named to nobody as a contact, until
    /// [`unblock`](Self::unblock). What was asked of it fails. What the service keeps of it stays.
    pub fn block(&mut self, now: Instant, ip: IpAddr) {
        let (now, ip) = (self.advance(now), ip.to_canonical());
        if !self.blocked.insert(ip) {
            return;
        }
        for promoted in self.table.remove(now, ip) {
            self.service.contact_added(now, &promoted, &self.table);
        }
        self.join.forget(ip);
        self.foreign.retain(|contact| contact.addr.ip() != ip);
        self.outbox.retain(|outgoing| outgoing.to.ip() != ip);
        self.replies.retain(|outgoing| outgoing.to.ip() != ip);
        self.transactions.abandon(now, ip);
        self.expire_requests(now);
        self.run_searches(now);
        self.run_tasks(now);
    }

    /// Treats `ip` as any other again; whether it had been blocked. What was removed has to come back by itself.
    pub fn unblock(&mut self, ip: IpAddr) -> bool {
        self.blocked.remove(&ip.to_canonical())
    }

    /// The blocked addresses, in their order.
    pub fn blocked(&self) -> impl Iterator<Item = IpAddr> {
        self.blocked.iter().copied()
    }

    /// Whether anything may go to this address, or come from it: it is within reach (T13) and not blocked.
    pub(super) fn admits(&self, addr: SocketAddr) -> bool {
        self.config.reach.admits(addr) && !self.blocked.contains(&addr.ip())
    }
}
