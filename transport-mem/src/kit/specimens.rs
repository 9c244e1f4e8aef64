//! What nodes of the overlay say to each other, and a node that has lived among others.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kademlia_core::{Body, Event, Instant, Keyspace, Message, Node, Protocol, Rng, Service, TransactionId};

use super::codec::encoded;
use super::mangle::Bytes;
use super::{Kit, Law, Violation};
use crate::link::LinkModel;
use crate::simulation::{Payload, Simulation, Step};

/// Nodes in the network that is listened to.
const NODES: usize = 12;
/// Requests by strategy that each of them asks.
const REQUESTS: usize = 8;
/// Between two of them.
const PACE: Duration = Duration::from_millis(200);
/// Different datagrams that are kept.
const KEPT: usize = 2_000;

/// What a small network gives.
pub(super) struct Specimens<P: Protocol, S> {
    /// Different datagrams, as they were sent.
    pub(super) heard: Arc<[Bytes]>,
    /// These, and replies as the strategies give them.
    pub(super) known: Arc<[Bytes]>,
    /// A node that knows the others, and has answered them.
    pub(super) node: Node<P, S>,
    /// The present.
    pub(super) now: Instant,
}

impl<P: Protocol, S: Service<P> + Send + 'static> Kit<P, S> {
    /// Lets a small network grow on links without fault, asks in it what the strategy asks, and listens.
    pub(super) fn specimens(&self, law: Law) -> Result<Specimens<P, S>, Violation> {
        let mut rng = self.rng(law);
        let mut network = Simulation::new(rng.next_u64(), LinkModel::internet()).wire(true);
        let heard = Arc::new(Mutex::new(BTreeSet::new()));
        let record = Arc::clone(&heard);
        network.observe(move |_, step| {
            if let Step::Delivered { payload: Payload::Bytes(bytes), .. } = step {
                let mut record = record.lock().unwrap_or_else(PoisonError::into_inner);
                if record.len() < KEPT {
                    record.insert(Bytes(bytes.to_vec()));
                }
            }
        });
        network.grow(NODES, Duration::from_secs(1), &self.make);
        network.run_for(Duration::from_secs(60));
        self.ask_around(&mut network, &mut rng, self.draw_requests(law, NODES * REQUESTS));
        network.run_for(Duration::from_secs(10));
        let now = network.now();
        let node = network.crash(0).ok_or_else(|| self.violation(law, "the first node", "that it lives"))?;
        let heard = std::mem::take(&mut *heard.lock().unwrap_or_else(PoisonError::into_inner));
        if heard.is_empty() {
            return Err(self.violation(
                law,
                format!("{NODES} nodes that say nothing to each other"),
                "datagrams",
            ));
        }
        let known = heard.iter().cloned().chain(self.replies(law)).collect();
        Ok(Specimens { heard: heard.into_iter().collect(), known, node, now })
    }

    /// Lets the nodes of a network ask each other these things, and what follows from the answers.
    pub(super) fn ask_around(
        &self,
        network: &mut Simulation<P, S>,
        rng: &mut Rng,
        requests: Vec<P::Request>,
    ) {
        let nodes = network.len();
        for (n, request) in requests.into_iter().enumerate() {
            let (from, to) = (n % nodes, (n + 1 + rng.below(nodes - 1)) % nodes);
            let Some((key, addr)) = network.node(to).map(Node::local).zip(network.address(to)) else {
                continue;
            };
            network.events(from);
            network.call(from, |node, now| node.request(now, addr, Some(key), request.clone()));
            network.run_for(PACE);
            for event in network.events(from) {
                if let Event::Requested { result: Ok(answered), .. } = event
                    && let Some(next) = (self.follow_up)(&request, &answered.response)
                {
                    network.call(from, |node, now| node.request(now, addr, Some(key), next));
                }
            }
        }
    }

    /// Replies to nothing.
    fn replies(&self, law: Law) -> Vec<Bytes> {
        let mut rng = self.rng(law);
        let drawn =
            self.responses.iter().flat_map(|responses| self.draw(law, responses, self.cases as usize));
        let responses = drawn.map(|response| Body::Response { sender: P::Key::random(&mut rng), response });
        let errors = self.errors.iter().map(|(code, text)| Body::Error { code: *code, text: text.clone() });
        let bodies: Vec<_> = responses.chain(errors).collect();
        let message =
            |body| Message { transaction: TransactionId::from(rng.next_u32()), observed: None, body };
        bodies.into_iter().map(message).map(|message| Bytes(encoded::<P>(&message))).collect()
    }
}
