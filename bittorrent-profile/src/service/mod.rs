//! How a Mainline node behaves towards others.

mod items;
mod peers;
mod ration;
mod room;
mod samples;
mod stores;

use core::net::SocketAddr;
use core::num::NonZeroU16;
use core::time::Duration;

use kademlia_core::{
    Admission, Contact, Instant, Key, NoRoom, Reply, Rng, ServeContext, Service, Storage, StorageLimits,
    Tokens,
};

use crate::item::{ItemStore, StoredItem};
use crate::krpc::{ErrorCode, Families, Nodes, Refusal, Request, Response, VERSION, Version};
use crate::mainline::Mainline;
use crate::node_id;
use crate::peers::{Peer, PeerStore};
use crate::strictness::Strictness;
pub(crate) use items::{item, may_replace};
pub(crate) use ration::Ration;
pub(crate) use room::Room;
use samples::Sampler;
use stores::Stores;

/// Nodes in one list of a reply (BEP 5: k = 8).
const NODES: usize = 8;
/// Expired peers looked at in one timeout. What is left then comes at the next, [`EXPIRY_PAUSE`] later.
const EXPIRY_WORK: usize = 4_096;
/// Least time between two timeouts, so that expiry goes in batches. Expired peers are not handed out meanwhile.
const EXPIRY_PAUSE: Duration = Duration::from_secs(1);

/// How a [`MainlineService`] behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceConfig {
    /// Keep nodes whose id does not fit their address (BEP 42) out of the routing table. They are still answered, and
    /// still asked in lookups. Off by default: most of the network does not comply.
    pub strict_bep42: bool,
    /// How long an announced peer is kept. 30 minutes (A10): twice the 15 after which deployed clients announce again,
    /// so one lost announcement does no harm; T7's 45 would only keep the departed longer.
    pub peer_ttl: Duration,
    /// How long an item is kept. Two hours (44.9): twice the hour after which it is put again.
    pub item_ttl: Duration,
    /// Answers per second to one address outside the routing table that are many times as long as their question: values
    /// and scrape filters (T9: 4); 0 for no limit.
    pub large_answers: u32,
    /// Most peers in one reply (C.3: 20 to 100); fewer where they do not fit.
    pub peers_per_reply: usize,
    /// Whether an IP address holds one peer per torrent (BEP 33) or one for each port.
    pub one_peer_per_ip: bool,
    /// Limits of the stores: [`StorageLimits::bytes`] of both together, the others of each; of items, which are longer, a
    /// subnet may have a quarter as many.
    pub storage: StorageLimits,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        ServiceConfig {
            strict_bep42: false,
            peer_ttl: Duration::from_secs(30 * 60),
            item_ttl: Duration::from_secs(2 * 60 * 60),
            large_answers: 4,
            peers_per_reply: 50,
            one_peer_per_ip: true,
            storage: StorageLimits::default(),
        }
    }
}

impl ServiceConfig {
    /// For networks in which many nodes share one host, like [`kademlia_core::Config::private_network`]: nothing is
    /// counted per IP address or subnet.
    #[must_use]
    pub fn private_network(mut self) -> Self {
        self.one_peer_per_ip = false;
        self.large_answers = 0;
        self.storage.per_source = 0;
        self.storage.per_subnet = 0;
        self
    }
}

/// A full Mainline node's behaviour: the answering side of BEP 5, 32, 33, 42, 44 and 51, over any stores of peers and
/// items.
///
/// Answers every query in bounded time. Keeps nothing per asker but what he stores.
#[derive(Debug)]
pub struct MainlineService<P = PeerStore, I = ItemStore> {
    config: ServiceConfig,
    stores: Stores<P, I>,
    tokens: Tokens,
    samples: Sampler,
    ration: Ration,
    rng: Rng,
    /// What one query found, kept for its room.
    found: Vec<Peer>,
    /// No timeout is wanted before.
    rests_until: Instant,
}

impl MainlineService {
    /// A service with its stores in memory. `seed` has to come from the operating system's random source: the token
    /// secret is drawn from it (A11). Never the node's own seed, and never one that was used before.
    pub fn new(config: ServiceConfig, seed: [u8; 32]) -> Self {
        Self::of(config, Stores::in_memory(config.storage), seed)
    }
}

impl<P: Storage<Key<20>, Peer>, I: Storage<Key<20>, StoredItem>> MainlineService<P, I> {
    /// The same over other stores, which share the bytes of `config.storage`; the other limits are theirs to know.
    pub fn with_storage(config: ServiceConfig, peers: P, items: I, seed: [u8; 32]) -> Self {
        Self::of(config, Stores::new(peers, items, config.storage.bytes), seed)
    }

    fn of(config: ServiceConfig, stores: Stores<P, I>, seed: [u8; 32]) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut secret = [0; 16];
        rng.fill(&mut secret);
        MainlineService {
            config,
            stores,
            tokens: Tokens::new(&secret),
            samples: Sampler::default(),
            ration: Ration::new(config.large_answers, &mut rng),
            rng,
            found: Vec::new(),
            rests_until: Instant::ZERO,
        }
    }

    /// The peers announced here.
    pub fn peers(&self) -> &P {
        self.stores.peers()
    }

    /// The items put here.
    pub fn items(&self) -> &I {
        self.stores.items()
    }

    /// How it behaves.
    pub fn config(&self) -> &ServiceConfig {
        &self.config
    }

    /// Whether an answer of about `bytes`, which is many times the question, may go to this asker.
    fn may_be_large(&mut self, cx: &ServeContext<'_, Mainline>, bytes: usize) -> bool {
        cx.is_known() || self.ration.take(cx.now, cx.from.ip(), bytes)
    }
}

/// The error for what the stores have no room for.
fn no_room(limit: NoRoom) -> Refusal {
    match limit {
        NoRoom::Source | NoRoom::Subnet => (ErrorCode::Server, "your network stores too much here"),
        NoRoom::Key | NoRoom::Bytes => (ErrorCode::Server, "no room"),
    }
}

/// A response with nothing in it but who we are.
pub(crate) fn blank() -> Response {
    Response { version: Some(Version::from_array(VERSION)), ..Response::default() }
}

/// The lists that were asked for, or else the one of the request's own family.
pub(crate) fn closest(target: &Key<20>, want: Families, cx: &ServeContext<'_, Mainline>) -> Nodes {
    let mut nodes = Nodes::default();
    for family in want.or(cx.family()).iter() {
        nodes.open(family);
        cx.closest(target, family, NODES, &mut nodes);
    }
    nodes
}

impl<P: Storage<Key<20>, Peer>, I: Storage<Key<20>, StoredItem>> Service<Mainline> for MainlineService<P, I> {
    fn admit(&self, contact: &Contact<Key<20>>) -> Admission {
        Strictness(self.config.strict_bep42).admission(contact)
    }

    /// By BEP 42.
    fn is_bound(&self, contact: &Contact<Key<20>>) -> bool {
        node_id::verify(contact.addr.ip(), &contact.key)
    }

    fn serve(&mut self, request: Request, cx: &ServeContext<'_, Mainline>) -> Reply<Mainline> {
        let room = Room::of(&request, cx, 0);
        let answer = match request {
            Request::Ping => Ok(blank()),
            Request::FindNode { target, want } => {
                Ok(Response { nodes: closest(&target, want, cx), ..blank() })
            }
            Request::GetPeers { info_hash, noseed, scrape, want } => {
                Ok(self.get_peers(info_hash, noseed, scrape, want, room, cx))
            }
            Request::AnnouncePeer { implied_port, info_hash, port, seed, token } => {
                let port = if implied_port { NonZeroU16::new(cx.from.port()) } else { port };
                self.announce(info_hash, port, seed, &token, cx)
            }
            Request::Get { seq, target, want } => Ok(self.get(&target, seq, want, cx)),
            Request::Put { cas, key, salt, seq, signature, token, value } => {
                items::item(key, salt, seq, signature, value).and_then(|item| self.put(item, cas, &token, cx))
            }
            Request::SampleInfohashes { target, want } => Ok(self.sample(&target, want, room, cx)),
        };
        match answer {
            Ok(mut response) => {
                room.trim(&mut response);
                Reply::Response(response)
            }
            Err((code, text)) => Reply::Error { code: code.into(), text: text.into() },
        }
    }

    /// An id that fits the address already is kept (BEP 42).
    fn rename(&mut self, external: SocketAddr, current: Key<20>, rng: &mut Rng) -> Key<20> {
        if node_id::verify(external.ip(), &current) { current } else { node_id::derive(external.ip(), rng) }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.stores.next_expiry().map(|due| due.max(self.rests_until))
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.stores.expire(now, EXPIRY_WORK);
        self.rests_until = now + EXPIRY_PAUSE;
    }
}

#[cfg(test)]
mod tests;
