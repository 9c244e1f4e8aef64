//! What a search for peers has found so far, in little room (T14: 64 KiB).

use std::net::SocketAddr;
use std::time::Duration;

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Contact, Family, Key, LookupReport, Reach};

/// Peers that one search collects; more are ignored (T14).
const MOST_PEERS: usize = 1_000;

/// Nodes remembered for having named a peer first; what others add is ignored.
const MOST_SOURCES: usize = 256;

/// A peer, and who named it first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where the peer takes connections, according to the node that named it.
    pub peer: SocketAddr,
    /// That node.
    pub from: Contact<Key<20>>,
}

/// What a search found, and what it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeersSummary {
    /// Different peers.
    pub peers: usize,
    /// Nodes asked.
    pub asked: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// Messages sent, repetitions included.
    pub messages: usize,
    /// Longest chain of referrals to one of the closest nodes.
    pub hops: usize,
    /// From the start of the lookup to its end, the longer one where there were two.
    pub took: Duration,
    /// Why no network could be searched, if none could: then that nobody was found means nothing.
    pub failure: Option<RequestFailure>,
}

/// What a lookup took so far.
#[derive(Clone, Copy, Debug, Default)]
struct Took {
    asked: usize,
    answered: usize,
    messages: usize,
    hops: usize,
    took: Duration,
}

/// A peer that was named.
#[derive(Clone, Copy, Debug)]
struct Named {
    peer: SocketAddr,
    /// The place of the first node that named it among the sources.
    first: u16,
    /// The last answer that named it.
    last: u16,
    /// Answers that named it.
    answers: u16,
}

/// Everything a search has found so far. It only grows, and every reader has its own place in it.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// In the order in which they were found.
    peers: Vec<Named>,
    /// Their places, by address.
    order: Vec<u16>,
    sources: Vec<Contact<Key<20>>>,
    /// Answers so far: each of another node.
    answers: u16,
    /// How far the lookups are, in the networks of IPv4 and of IPv6.
    lookups: [Took; 2],
    failure: Option<RequestFailure>,
    pub(super) state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Running,
    Finished,
    /// Every reader left.
    Abandoned,
}

impl Log {
    /// Takes in the peers that a node names; gives back whether any is new.
    pub(super) fn add(&mut self, from: Contact<Key<20>>, values: &[SocketAddr], reach: Reach) -> bool {
        let before = self.peers.len();
        self.answers = self.answers.saturating_add(1);
        for peer in values.iter().filter(|peer| reach.admits(**peer)) {
            match self.find(peer) {
                Ok(place) => self.count(place),
                Err(at) => self.append(at, *peer, from),
            }
        }
        self.peers.len() > before
    }

    /// The place of a peer, or where in the order a new one belongs.
    fn find(&self, peer: &SocketAddr) -> Result<usize, usize> {
        let known = |place: &u16| self.peers.get(usize::from(*place)).map(|named| named.peer);
        let at = self.order.binary_search_by(|place| known(place).cmp(&Some(*peer)))?;
        Ok(self.order.get(at).copied().unwrap_or_default().into())
    }

    /// It was named again. Twice in one answer counts once.
    fn count(&mut self, place: usize) {
        if let Some(named) = self.peers.get_mut(place).filter(|named| named.last != self.answers) {
            named.last = self.answers;
            named.answers = named.answers.saturating_add(1);
        }
    }

    fn append(&mut self, at: usize, peer: SocketAddr, from: Contact<Key<20>>) {
        let Ok(place) = u16::try_from(self.peers.len()) else { return };
        if self.peers.len() >= MOST_PEERS {
            return;
        }
        if self.sources.last() != Some(&from) {
            if self.sources.len() >= MOST_SOURCES {
                return;
            }
            self.sources.push(from);
        }
        let first = u16::try_from(self.sources.len() - 1).unwrap_or_default();
        self.order.insert(at, place);
        self.peers.push(Named { peer, first, last: self.answers, answers: 1 });
    }

    /// The peer found after so many others.
    pub(super) fn found(&self, place: usize) -> Option<Found> {
        let named = self.peers.get(place)?;
        let from = *self.sources.get(usize::from(named.first))?;
        Some(Found { peer: named.peer, from })
    }

    /// How many nodes have named a peer.
    pub(super) fn sources(&self, peer: &SocketAddr) -> usize {
        let named = self.find(peer).ok().and_then(|place| self.peers.get(place));
        named.map_or(0, |named| named.answers.into())
    }

    /// The lookup in the network of one family has come so far.
    pub(super) fn progress(&mut self, family: Family, report: &LookupReport<Key<20>>) {
        let [v4, v6] = &mut self.lookups;
        let lookup = if family == Family::V4 { v4 } else { v6 };
        *lookup = Took {
            asked: report.asked,
            answered: report.answered,
            messages: report.messages,
            hops: report.hops,
            took: report.took,
        };
    }

    /// It has ended: in one network at least, or for this reason in none.
    pub(super) fn end(&mut self, failure: Option<RequestFailure>) {
        self.state = State::Finished;
        self.failure = failure;
    }

    pub(super) fn summary(&self) -> PeersSummary {
        let [v4, v6] = self.lookups;
        PeersSummary {
            peers: self.peers.len(),
            asked: v4.asked + v6.asked,
            answered: v4.answered + v6.answered,
            messages: v4.messages + v6.messages,
            hops: v4.hops.max(v6.hops),
            took: v4.took.max(v6.took),
            failure: self.failure.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8) -> Contact<Key<20>> {
        Contact::new(Key::new([n; 20]), SocketAddr::from(([20, n, 1, 1], 6_881)))
    }

    fn peer(n: usize) -> SocketAddr {
        let [.., a, b] = n.to_be_bytes();
        SocketAddr::from(([8, 8, a, b], 1))
    }

    #[test]
    fn t14_each_node_counts_once_for_each_peer_it_names() {
        let mut log = Log::default();
        assert!(log.add(node(1), &[peer(2), peer(1), peer(2)], Reach::Global));
        assert!(!log.add(node(2), &[peer(1), peer(1)], Reach::Global));
        assert!(log.add(node(3), &[peer(3), peer(1)], Reach::Global));
        assert_eq!([1, 2, 3, 4].map(|n| log.sources(&peer(n))), [3, 1, 1, 0]);
        let found: Vec<_> = (0..4).map_while(|place| log.found(place)).collect();
        let expected = [(2, 1), (1, 1), (3, 3)].map(|(n, by)| Found { peer: peer(n), from: node(by) });
        assert_eq!(found, expected, "in the order in which they were found");
    }

    #[test]
    fn t14_a_thousand_peers_from_everybody_take_at_most_64_kib() {
        let mut log = Log::default();
        for n in 0..400_usize {
            let values: Vec<_> = (0..5).map(|i| peer(n * 5 + i)).collect();
            let [.., low] = n.to_be_bytes();
            log.add(Contact::new(Key::new([low; 20]), peer(n)), &values, Reach::Global);
        }
        assert_eq!(log.summary().peers, MOST_PEERS);
        for n in 0..2_000 {
            log.add(Contact::new(Key::new([0; 20]), peer(n)), &[peer(n), peer(3_000 + n)], Reach::Global);
        }
        let bytes = log.peers.capacity() * size_of::<Named>()
            + log.order.capacity() * size_of::<u16>()
            + log.sources.capacity() * size_of::<Contact<Key<20>>>();
        assert!(bytes <= 64 << 10, "{bytes} bytes");
        assert_eq!(log.sources(&peer(0)), 2);
    }
}
