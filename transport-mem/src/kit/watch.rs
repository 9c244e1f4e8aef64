//! What nodes send, seen on the wire.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kademlia_core::{Instant, Protocol, Reach, Service};

use super::{Kit, Law, Violation};
use crate::simulation::{NodeIndex, Simulation, Step};

/// Looks at every datagram that a node of ours sends. Clones are handles to the same record.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    size: usize,
    reach: Reach,
    seen: Arc<Mutex<Seen>>,
}

/// What was seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    /// Datagrams that nodes of ours sent.
    pub(super) datagrams: usize,
    /// Bytes of the longest.
    pub(super) longest: usize,
    wrong: Option<(Law, String, String)>,
}

impl Watch {
    pub(super) fn new(size: usize, reach: Reach) -> Self {
        Watch { size, reach, seen: Arc::default() }
    }

    /// One datagram of `len` bytes. `to` is not known of what reached somebody: then it was an address to speak to.
    pub(super) fn look(&self, now: Instant, from: NodeIndex, to: Option<SocketAddr>, len: usize) {
        let mut seen = self.lock();
        seen.datagrams += 1;
        seen.longest = seen.longest.max(len);
        if seen.wrong.is_none() && len > self.size {
            let case = format!("a datagram of {len} bytes, sent by node {from} at {now:?}");
            seen.wrong = Some((Law::Size, case, format!("at most {} bytes", self.size)));
        }
        if let Some(to) = to.filter(|to| seen.wrong.is_none() && !self.reach.admits(*to)) {
            let case = format!("a datagram to {to}, sent by node {from} at {now:?}");
            seen.wrong = Some((Law::Addresses, case, "addresses that may be spoken to".into()));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        // Nothing is left half done where somebody panicked.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Protocol, S: Service<P> + Send + 'static> Kit<P, S> {
    /// Where nodes at public addresses may send.
    pub(super) fn reach(&self) -> Reach {
        if self.private { Reach::Private } else { Reach::Global }
    }

    /// Watches all nodes of a network of real bytes from now on.
    pub(super) fn watch(&self, network: &mut Simulation<P, S>) -> Watch {
        let watch = Watch::new(self.size, self.reach());
        let own = watch.clone();
        network.observe(move |now, step| match step {
            Step::Delivered { from, cause: Some(_), payload, .. } => {
                own.look(now, *from, None, payload.len());
            }
            Step::Lost { from, to, cause: Some(_), payload, .. }
            | Step::Vanished { from, to, cause: Some(_), payload, .. }
            | Step::Refused { from, to, cause: Some(_), payload, .. } => {
                own.look(now, *from, Some(*to), payload.len());
            }
            _ => {}
        });
        watch
    }

    /// What was seen, unless a law was broken; and every node that lives examines itself (P8).
    pub(super) fn audit(&self, network: &Simulation<P, S>, watch: &Watch) -> Result<Seen, Violation> {
        let seen = watch.lock().clone();
        if let Some((law, case, expected)) = seen.wrong {
            return Err(self.violation(law, case, expected));
        }
        for (index, node) in network.nodes() {
            node.check().map_err(|broken| {
                let case = format!("node {index} at {:?}: {broken}", network.now());
                self.violation(Law::Bounds, case, "a node that finds itself in order (P8)")
            })?;
            self.weigh(node.service(), &format!("node {index} at {:?}", network.now()))?;
        }
        Ok(seen)
    }

    /// Whether a service holds no more than it may.
    pub(super) fn weigh(&self, service: &S, whose: &str) -> Result<usize, Violation> {
        let Some((bytes, limit)) = &self.holds else { return Ok(0) };
        let held = bytes(service);
        if held <= *limit {
            return Ok(held);
        }
        let case = format!("the service of {whose}, which holds {held} bytes");
        Err(self.violation(Law::Bounds, case, format!("at most {limit}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(to: &str, len: usize) -> Option<Law> {
        let watch = Watch::new(100, Reach::Global);
        watch.look(Instant::ZERO, 0, to.parse().ok(), len);
        watch.look(Instant::ZERO, 0, None, 1);
        let seen = watch.lock();
        assert_eq!((seen.datagrams, seen.longest), (2, len));
        seen.wrong.as_ref().map(|(law, ..)| *law)
    }

    #[test]
    fn p18_p20_what_is_too_long_or_goes_nowhere_is_seen() {
        assert_eq!(wrong("8.8.8.8:1", 100), None);
        assert_eq!(wrong("8.8.8.8:1", 101), Some(Law::Size));
        assert_eq!(wrong("8.8.8.8:0", 100), Some(Law::Addresses));
        assert_eq!(wrong("10.0.0.1:1", 100), Some(Law::Addresses));
    }
}
