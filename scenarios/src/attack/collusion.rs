//! Horizontal collusion: a share of all nodes, which point at each other.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bittorrent_profile::krpc::Request;
use bittorrent_profile::{Mainline, node_id};
use kademlia_core::{Body, Contact, Instant, Key, Keyspace, Message, Rng};
use transport_mem::{Outgoing, Peer};

use super::{CHOICES, reply, target_of, with_choice};

/// The port of an attacker under ids forged near the target of a query, and under the nearest ids that its address may
/// have. Under its ordinary id it keeps its port.
const FORGED: u16 = 6_882;
const BOUND: u16 = 6_883;

/// Members named in one reply.
const NAMED: usize = 8;
/// Members that replies about one target choose from, of those under ids that fit their addresses.
const BEST: usize = 32;
/// Keys remembered.
const REMEMBERED: usize = 512;

/// What colluding nodes know in common.
#[derive(Debug)]
pub(crate) struct Collusion {
    members: Vec<SocketAddr>,
    /// For the keys asked for lately: the best that addresses can do where ids are bound to them.
    best: Mutex<BTreeMap<Key<20>, Arc<[Contact<Key<20>>]>>>,
}

impl Collusion {
    pub(crate) fn new(members: Vec<SocketAddr>) -> Arc<Self> {
        Arc::new(Collusion { members, best: Mutex::new(BTreeMap::new()) })
    }

    /// A member's id so near to `target` that nobody honest is nearer.
    fn forged(target: &Key<20>, addr: SocketAddr) -> Key<20> {
        let mut id = target.to_bytes();
        let IpAddr::V4(ip) = addr.ip() else { return *target };
        for (byte, own) in id[15..19].iter_mut().zip(ip.octets()) {
            *byte ^= own;
        }
        Key::new(id)
    }

    /// Members under the nearest ids to `target` that fit their addresses, nearest first.
    fn best(&self, target: &Key<20>) -> Arc<[Contact<Key<20>>]> {
        let mut remembered = self.best.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() > REMEMBERED {
            remembered.clear();
        }
        let found = remembered.entry(*target).or_insert_with(|| {
            let mut all: Vec<_> = self.members.iter().map(|member| best_of(target, *member)).collect();
            all.sort_by(|a, b| target.cmp_distance(&a.key, &b.key));
            all.truncate(BEST);
            all.into()
        });
        Arc::clone(found)
    }

    /// What a reply about `target` names.
    fn named(&self, target: &Key<20>, is_value: bool, rng: &mut Rng) -> Vec<Contact<Key<20>>> {
        let forged = |rng: &mut Rng| {
            let mut addr = self.members[rng.below(self.members.len())];
            addr.set_port(FORGED);
            Contact::new(Self::forged(target, addr), addr)
        };
        if !is_value {
            return (0..NAMED).map(|_| forged(rng)).collect();
        }
        let best = self.best(target);
        (0..NAMED).map(|n| if n % 2 == 0 { forged(rng) } else { best[rng.below(best.len())] }).collect()
    }
}

/// The nearest of the ids that BEP 42 leaves to an address, and the rest of the id as the target has it.
fn best_of(target: &Key<20>, member: SocketAddr) -> Contact<Key<20>> {
    let addr = SocketAddr::new(member.ip(), BOUND);
    let ids = CHOICES.map(|choice| node_id::fit(addr.ip(), &with_choice(target, choice)));
    let nearest = ids.min_by(|a, b| target.cmp_distance(a, b)).unwrap_or(*target);
    Contact::new(nearest, addr)
}

/// Under which id a colluding node is spoken to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guise {
    /// The one that it joined the network with.
    Ordinary(Key<20>),
    /// Forged, next to whatever is asked for.
    Forged,
    /// The nearest to what is asked for that its address may have.
    Bound,
}

/// One socket of a colluding node.
#[derive(Debug)]
pub(crate) struct Colluder {
    guise: Guise,
    collusion: Arc<Collusion>,
    rng: Rng,
}

impl Colluder {
    pub(crate) fn new(guise: Guise, collusion: &Arc<Collusion>, seed: [u8; 32]) -> Self {
        Colluder { guise, collusion: Arc::clone(collusion), rng: Rng::from_seed(seed) }
    }

    /// The address of `addr`'s owner under a guise.
    pub(crate) fn address(guise: Guise, addr: SocketAddr) -> SocketAddr {
        match guise {
            Guise::Ordinary(_) => addr,
            Guise::Forged => SocketAddr::new(addr.ip(), FORGED),
            Guise::Bound => SocketAddr::new(addr.ip(), BOUND),
        }
    }
}

impl Peer<Mainline> for Colluder {
    fn receive(
        &mut self,
        _: Instant,
        me: SocketAddr,
        from: SocketAddr,
        message: &Message<Mainline>,
        out: &mut Vec<Outgoing<Mainline>>,
    ) {
        let Body::Request { sender, request, .. } = &message.body else { return };
        let target = target_of(request).unwrap_or(*sender);
        let key = match self.guise {
            Guise::Ordinary(key) => key,
            Guise::Forged => Collusion::forged(&target, me),
            Guise::Bound => best_of(&target, me).key,
        };
        // What is at stake are values; a node that only looks around is misled more cheaply.
        let is_value = matches!(request, Request::GetPeers { .. });
        let named = self.collusion.named(&target, is_value, &mut self.rng);
        out.push(reply(message, from, key, request, &named));
    }
}
