//! A network in the simulator, and operations on its nodes that are waited for in virtual time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use kademlia_core::{Config, Instant, Key, Node};
use signed_records::{
    Clock, Draft, PublicKey, RecordsConfig, RecordsService, Replicas, SecretKey, SignedRecords, Timestamp,
    engine_config,
};
use transport_mem::{Birth, LinkModel, NodeIndex, Simulation};

pub(crate) type RecordsNode = Node<SignedRecords, RecordsService>;
pub(crate) type Network = Simulation<SignedRecords, RecordsService>;

/// What the wall clock shows when the simulation begins.
pub(crate) const EPOCH: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Only a failed test waits so long.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) fn clock() -> Clock {
    Clock::new(Instant::ZERO, EPOCH)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Somebody who publishes.
pub(crate) fn person(n: u8) -> Arc<SecretKey> {
    Arc::new(SecretKey::from_seed(&[n; 32]))
}

/// An ordinary node, whose identity is drawn from its seed.
pub(crate) fn node(birth: Birth<Key<32>>) -> RecordsNode {
    configured(birth, &engine_config(), RecordsConfig::default())
}

pub(crate) fn configured(birth: Birth<Key<32>>, engine: &Config, records: RecordsConfig) -> RecordsNode {
    let identity = SecretKey::from_seed(&birth.seed);
    // Never the node's own seed: whoever knows one must not know the other.
    let mut secrets = birth.seed;
    secrets.reverse();
    RecordsService::new(identity, clock(), records, secrets).into_node(engine.clone(), birth.seed, birth.now)
}

/// A network of `n` nodes that speak bytes, all of them joined.
pub(crate) fn grown(seed: u64, n: usize, links: LinkModel) -> Network {
    let mut network = Simulation::new(seed, links).wire(true);
    network.watch(|_, _| false);
    network.grow(n, Duration::from_millis(200), node);
    network.run_for(seconds(30));
    network
}

/// Begins an operation at a node, and lets time pass until it has ended.
pub(crate) fn finish<T: Send + 'static>(
    network: &mut Network,
    at: NodeIndex,
    begin: impl FnOnce(&mut RecordsService, Instant, Box<dyn FnOnce(T) + Send>),
) -> T {
    let (sender, receiver) = channel();
    let done = Box::new(move |result| sender.send(result).unwrap());
    network.call(at, |node, now| begin(node.service_mut(), now, done)).expect("a live node");
    let mut result = receiver.try_recv().ok();
    network.run_while(PATIENCE, |_| {
        result = result.take().or_else(|| receiver.try_recv().ok());
        result.is_none()
    });
    result.expect("an end")
}

/// Publishes, and waits until the closest nodes were offered the first version.
pub(crate) fn publish(
    network: &mut Network,
    at: NodeIndex,
    publisher: &Arc<SecretKey>,
    draft: Draft,
) -> Replicas {
    let publisher = Arc::clone(publisher);
    finish(network, at, |service, now, done| {
        service.publish(now, publisher, draft, done).unwrap();
    })
}

pub(crate) fn address(network: &Network, at: NodeIndex) -> SocketAddr {
    network.address(at).unwrap()
}

pub(crate) fn identity(network: &Network, at: NodeIndex) -> PublicKey {
    network.node(at).unwrap().service().identity()
}
