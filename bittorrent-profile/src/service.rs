//! How a Mainline node behaves towards others.

use core::net::SocketAddr;
use core::num::NonZeroU16;
use core::time::Duration;

use kademlia_core::{
    Admission, Contact, Instant, Key, NoRoom, Reply, Rng, ServeContext, Service, Storage, StorageLimits,
};

use crate::id::InfoHash;
use crate::krpc::{ErrorCode, Families, Nodes, Request, Response, Token, VERSION, Version, values_that_fit};
use crate::mainline::Mainline;
use crate::node_id;
use crate::peers::{Peer, PeerStore};
use crate::token::Tokens;

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
    /// Most peers in one reply (C.3: 20 to 100); fewer where they do not fit.
    pub peers_per_reply: usize,
    /// Whether an IP address holds one peer per torrent (BEP 33) or one for each port.
    pub one_peer_per_ip: bool,
    /// Limits of the peer store.
    pub storage: StorageLimits,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        ServiceConfig {
            strict_bep42: false,
            peer_ttl: Duration::from_secs(30 * 60),
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
        self.storage.per_source = 0;
        self.storage.per_subnet = 0;
        self
    }
}

/// A full Mainline node's behaviour: BEP 5, 32 and 42 on the answering side, over any store of peers.
///
/// Answers every query in bounded time. Keeps nothing per asker but announced peers.
#[derive(Debug)]
pub struct MainlineService<S = PeerStore> {
    config: ServiceConfig,
    peers: S,
    tokens: Tokens,
    rng: Rng,
    /// What one query found, kept for its room.
    found: Vec<Peer>,
    /// No timeout is wanted before.
    rests_until: Instant,
}

impl MainlineService {
    /// A service with its peers in memory. `seed` has to come from the operating system's random source: the token secret
    /// is drawn from it (A11). Never the node's own seed, and never one that was used before.
    pub fn new(config: ServiceConfig, seed: [u8; 32]) -> Self {
        Self::with_storage(config, PeerStore::new(config.storage), seed)
    }
}

impl<S: Storage<Key<20>, Peer>> MainlineService<S> {
    /// The same over another store; `config.storage` is then the store's own business.
    pub fn with_storage(config: ServiceConfig, peers: S, seed: [u8; 32]) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut secret = [0; 16];
        rng.fill(&mut secret);
        let tokens = Tokens::new(&secret);
        MainlineService { config, peers, tokens, rng, found: Vec::new(), rests_until: Instant::ZERO }
    }

    /// The peers announced here.
    pub fn peers(&self) -> &S {
        &self.peers
    }

    /// How it behaves.
    pub fn config(&self) -> &ServiceConfig {
        &self.config
    }

    fn peer(&self, addr: SocketAddr) -> Peer {
        if self.config.one_peer_per_ip { Peer::sole(addr) } else { Peer::one_of_many(addr) }
    }

    /// Nodes, whatever else there is to say: a lookup that finds peers goes on all the same (BEP 5 and 32, 5.8, 32.5).
    fn get_peers(
        &mut self,
        info_hash: InfoHash,
        want: Families,
        cx: &ServeContext<'_, Mainline>,
    ) -> Response {
        let target = info_hash.into();
        let mut response = Response { nodes: closest(&target, want, cx), ..blank() };
        response.token = self.token_for(&target, cx);
        let n = values_that_fit(&response, cx.family()).min(self.config.peers_per_reply);
        self.found.clear();
        self.peers.read(cx.now, &target, n, &mut self.rng, &mut self.found);
        response.values = self.found.iter().map(Peer::addr).collect();
        response
    }

    /// No token for whom there is no room: it would announce in vain, and others would take this for a holder (T7, BEP 33).
    fn token_for(&mut self, target: &Key<20>, cx: &ServeContext<'_, Mainline>) -> Option<Token> {
        self.peers.recenter(cx.local);
        self.peers.admits(target, &self.peer(cx.from)).ok()?;
        Some(self.tokens.issue(cx.now, cx.from.ip(), target))
    }

    fn announce(
        &mut self,
        info_hash: InfoHash,
        port: Option<NonZeroU16>,
        token: &Token,
        cx: &ServeContext<'_, Mainline>,
    ) -> Result<Response, (ErrorCode, &'static str)> {
        let target = info_hash.into();
        if !self.tokens.verify(cx.now, cx.from.ip(), &target, token) {
            return Err((ErrorCode::Protocol, "bad token"));
        }
        let port = port.ok_or((ErrorCode::Protocol, "no port"))?;
        let peer = self.peer(SocketAddr::new(cx.from.ip(), port.get()));
        self.peers.recenter(cx.local);
        match self.peers.insert(cx.now, target, peer, cx.now + self.config.peer_ttl) {
            Ok(_) => Ok(blank()),
            Err(NoRoom::Source | NoRoom::Subnet) => {
                Err((ErrorCode::Server, "too many announcements from your network"))
            }
            Err(NoRoom::Key | NoRoom::Bytes) => Err((ErrorCode::Server, "no room")),
        }
    }
}

/// A response with nothing in it but who we are.
fn blank() -> Response {
    Response { version: Some(Version::from_array(VERSION)), ..Response::default() }
}

/// The lists that were asked for, or else the one of the request's own family.
fn closest(target: &Key<20>, want: Families, cx: &ServeContext<'_, Mainline>) -> Nodes {
    let mut nodes = Nodes::default();
    for family in want.or(cx.family()).iter() {
        nodes.open(family);
        cx.closest(target, family, NODES, &mut nodes);
    }
    nodes
}

impl<S: Storage<Key<20>, Peer>> Service<Mainline> for MainlineService<S> {
    fn admit(&self, contact: &Contact<Key<20>>) -> Admission {
        if self.config.strict_bep42 && !node_id::verify(contact.addr.ip(), &contact.key) {
            return Admission::Visitable;
        }
        Admission::Eligible
    }

    /// By BEP 42.
    fn is_bound(&self, contact: &Contact<Key<20>>) -> bool {
        node_id::verify(contact.addr.ip(), &contact.key)
    }

    fn serve(&mut self, request: Request, cx: &ServeContext<'_, Mainline>) -> Reply<Mainline> {
        let answer = match request {
            Request::Ping => Ok(blank()),
            Request::FindNode { target, want } => {
                Ok(Response { nodes: closest(&target, want, cx), ..blank() })
            }
            Request::GetPeers { info_hash, want } => Ok(self.get_peers(info_hash, want, cx)),
            Request::AnnouncePeer { implied_port, info_hash, port, token } => {
                let port = if implied_port { NonZeroU16::new(cx.from.port()) } else { port };
                self.announce(info_hash, port, &token, cx)
            }
        };
        match answer {
            Ok(response) => Reply::Response(response),
            Err((code, text)) => Reply::Error { code: code.into(), text: text.into() },
        }
    }

    /// An id that fits the address already is kept (BEP 42).
    fn rename(&mut self, external: SocketAddr, current: Key<20>, rng: &mut Rng) -> Key<20> {
        if node_id::verify(external.ip(), &current) { current } else { node_id::derive(external.ip(), rng) }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.peers.next_expiry().map(|due| due.max(self.rests_until))
    }

    fn handle_timeout(&mut self, now: Instant) {
        self.peers.expire(now, EXPIRY_WORK);
        self.rests_until = now + EXPIRY_PAUSE;
    }
}

#[cfg(test)]
mod tests;
