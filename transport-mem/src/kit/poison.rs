//! P20, T13: nodes that name addresses to which nobody may send, and requests from there.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kademlia_core::{Body, Codec, Keyspace, LookupOptions, Message, Protocol, Rng, Service};

use super::codec::encoded;
use super::subject::{Subject, ask};
use super::{Kit, Law, Proof};
use crate::link::LinkModel;
use crate::peers::{Outgoing, Sending, Tamper, Tampered};
use crate::simulation::Simulation;

const NODES: usize = 24;
/// Every so many nodes, one poisons its answers.
const POISONERS: usize = 4;

/// IPv4 addresses and ports that no node on the Internet may send to, and no overlay should need.
const NOWHERE: [([u8; 4], u16); 8] = [
    ([0, 0, 0, 0], 6881),
    ([127, 0, 0, 1], 6881),
    ([10, 0, 0, 1], 6881),
    ([192, 168, 1, 1], 6881),
    ([169, 254, 1, 1], 6881),
    ([224, 0, 0, 1], 6881),
    ([255, 255, 255, 255], 6881),
    ([8, 8, 8, 8], 0),
];

pub(super) fn prove<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::Addresses;
    let refused = answer_from_nowhere(kit)?;
    let mut rng = kit.rng(law);
    let mut network = Simulation::new(rng.next_u64(), LinkModel::internet()).wire(true);
    network.grow(NODES, Duration::from_secs(1), &kit.make);
    network.run_for(Duration::from_secs(60));
    let poisoned = Arc::new(AtomicUsize::new(0));
    for index in (1..NODES).step_by(POISONERS) {
        let poisoned = Arc::clone(&poisoned);
        network.turn(index, |node, seed| {
            Box::new(Tampered::new(node, Poisoning { rng: Rng::from_seed(seed), poisoned }))
        });
    }
    let watch = kit.watch(&mut network);
    for _ in 0..4 {
        for index in 0..NODES {
            let target = P::Key::random(&mut rng);
            network.call(index, |node, now| {
                node.lookup(now, target, P::find_node(target), LookupOptions::default()).is_ok()
            });
        }
        network.run_for(Duration::from_secs(60));
        kit.audit(&network, &watch)?;
    }
    let seen = kit.audit(&network, &watch)?;
    let poisoned = poisoned.load(Ordering::Relaxed);
    Ok(format!(
        "{} datagrams, {poisoned} addresses forged in replies, {refused} requests from nowhere",
        seen.datagrams
    ))
}

/// Requests that seem to come from addresses to which no answer may go.
fn answer_from_nowhere<P: Protocol, S: Service<P> + Send + 'static>(
    kit: &Kit<P, S>,
) -> Result<usize, super::Violation> {
    let law = Law::Addresses;
    let mut rng = kit.rng(law);
    let specimens = kit.specimens(law)?;
    let mut subject = Subject { node: specimens.node, now: specimens.now };
    let requests = kit.draw_requests(law, 64);
    let nowhere = NOWHERE.into_iter().map(SocketAddr::from).filter(|from| !kit.reach().admits(*from));
    let mut asked = 0;
    for from in nowhere {
        for request in &requests {
            subject.pass(kit, Duration::from_millis(10))?;
            asked += 1;
            let sent =
                subject.receive(from, &ask::<P>(P::Key::random(&mut rng), rng.next_u32(), request.clone()));
            if let Some((to, _)) = sent.iter().find(|(to, _)| !kit.reach().admits(*to)) {
                let case = format!("{request:?} from {from}, after which the node sends to {to}");
                return Err(kit.violation(law, case, "addresses that may be spoken to"));
            }
        }
    }
    Ok(asked)
}

/// Writes addresses that lead nowhere over those in its replies, wherever the codec has put them as they are.
struct Poisoning {
    rng: Rng,
    poisoned: Arc<AtomicUsize>,
}

impl<P: Protocol> Tamper<P> for Poisoning {
    fn send(&mut self, sending: Sending<'_, P>, message: Message<P>, out: &mut Vec<Outgoing<P>>) {
        let Body::Response { response, .. } = &message.body else {
            out.push(Outgoing::message(sending.to, message));
            return;
        };
        let mut bytes = encoded(&message);
        for contact in P::contacts(response) {
            let (ip, port) = NOWHERE[self.rng.below(NOWHERE.len())];
            let lie = SocketAddr::from((ip, port));
            if overwrite(&mut bytes, contact.addr, lie) {
                self.poisoned.fetch_add(1, Ordering::Relaxed);
            }
        }
        // What the codec finds out to be wrong says nothing.
        let lie = P::Codec::decode(&bytes).unwrap_or(message);
        out.push(Outgoing::message(sending.to, lie));
    }
}

/// Most codecs write an IPv4 address as its four bytes, and many the port right behind it.
fn overwrite(bytes: &mut [u8], addr: SocketAddr, lie: SocketAddr) -> bool {
    let (IpAddr::V4(ip), IpAddr::V4(new)) = (addr.ip(), lie.ip()) else { return false };
    let Some(at) = bytes.windows(4).position(|window| window == ip.octets()) else { return false };
    bytes[at..at + 4].copy_from_slice(&new.octets());
    if bytes[at + 4..].starts_with(&addr.port().to_be_bytes()) {
        bytes[at + 4..at + 6].copy_from_slice(&lie.port().to_be_bytes());
    }
    true
}
