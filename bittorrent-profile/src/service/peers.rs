//! Who shares what: BEP 5, and BEP 33's counting.

use core::net::SocketAddr;
use core::num::NonZeroU16;

use kademlia_core::{Key, Keyspace, Rng, ServeContext, Storage};

use super::{MainlineService, Room, blank, closest, no_room};
use crate::id::InfoHash;
use crate::item::StoredItem;
use crate::krpc::{ErrorCode, Families, Refusal, Response, Samples, Token};
use crate::mainline::Mainline;
use crate::peers::Peer;
use crate::scrape::Scrape;

/// What the two filters add to an answer, in bytes.
const FILTERS: usize = 532;

impl<P: Storage<Key<20>, Peer>, I: Storage<Key<20>, StoredItem>> MainlineService<P, I> {
    fn peer(&self, addr: SocketAddr) -> Peer {
        if self.config.one_peer_per_ip { Peer::sole(addr) } else { Peer::one_of_many(addr) }
    }

    /// Nodes, whatever else there is to say: a lookup that finds peers goes on all the same (BEP 5 and 32, 5.8, 32.5).
    pub(super) fn get_peers(
        &mut self,
        info_hash: InfoHash,
        noseed: bool,
        scrape: bool,
        want: Families,
        room: Room,
        cx: &ServeContext<'_, Mainline>,
    ) -> Response {
        let target = info_hash.into();
        let mut response = Response { nodes: closest(&target, want, cx), ..blank() };
        response.token = self.token_for_peer(&target, cx);
        if scrape && self.stores.peers().has(cx.now, &target) && self.may_be_large(cx, FILTERS) {
            response.scrape = Some(Box::new(self.scrape(&target, cx)));
        }
        let n = room.peers(&response).min(self.config.peers_per_reply);
        self.found.clear();
        let read = if noseed { usize::MAX } else { n };
        self.stores.peers().read(cx.now, &target, read, &mut self.rng, &mut self.found);
        if noseed {
            prefer_leeches(&mut self.found, n, &mut self.rng);
        }
        response.values = self.found.iter().map(Peer::addr).collect();
        response
    }

    /// The target decides on the nodes and on nothing else (51.1). Present even when empty, which tells a node that
    /// samples from one that takes the method for `find_node`.
    pub(super) fn sample(
        &mut self,
        target: &Key<20>,
        want: Families,
        room: Room,
        cx: &ServeContext<'_, Mainline>,
    ) -> Response {
        let mut response = Response { nodes: closest(target, want, cx), ..blank() };
        let samples = self.samples.sample(cx.now, self.stores.peers(), &mut self.rng);
        response.samples = Some(Box::new(Samples { info_hashes: Vec::new(), ..samples }));
        let n = room.samples(&response);
        let info_hashes = samples.info_hashes.into_iter().take(n).collect();
        response.samples = Some(Box::new(Samples { info_hashes, ..samples }));
        response
    }

    fn scrape(&mut self, target: &Key<20>, cx: &ServeContext<'_, Mainline>) -> Scrape {
        self.found.clear();
        self.stores.peers().read(cx.now, target, usize::MAX, &mut self.rng, &mut self.found);
        let mut scrape = Scrape::default();
        for peer in &self.found {
            let filter = if peer.is_seed() { &mut scrape.seeds } else { &mut scrape.peers };
            filter.set(peer.bits());
        }
        scrape
    }

    /// No token for whom there is no room: it would announce in vain, and others would take this for a holder (T7, BEP 33).
    fn token_for_peer(&mut self, target: &Key<20>, cx: &ServeContext<'_, Mainline>) -> Option<Token> {
        let peer = self.peer(cx.from);
        self.stores.peers_mut(cx.local).admits(target, &peer).ok()?;
        Some(Token::from_array(self.tokens.issue(cx.now, cx.from.ip(), target.as_bytes())))
    }

    pub(super) fn announce(
        &mut self,
        info_hash: InfoHash,
        port: Option<NonZeroU16>,
        seed: bool,
        token: &Token,
        cx: &ServeContext<'_, Mainline>,
    ) -> Result<Response, Refusal> {
        let target: Key<20> = info_hash.into();
        if !self.tokens.verify(cx.now, cx.from.ip(), target.as_bytes(), token.as_bytes()) {
            return Err((ErrorCode::Protocol, "bad token"));
        }
        let port = port.ok_or((ErrorCode::Protocol, "no port"))?;
        let peer = self.peer(SocketAddr::new(cx.from.ip(), port.get())).counted(seed);
        let expires = cx.now + self.config.peer_ttl;
        self.stores.insert_peer(cx.now, cx.local, target, peer, expires).map_err(no_room)?;
        Ok(blank())
    }
}

/// Leaves `n` at random, those that are no seeds first (BEP 33).
fn prefer_leeches(found: &mut Vec<Peer>, n: usize, rng: &mut Rng) {
    found.sort_by_cached_key(|peer| (peer.is_seed(), rng.next_u64()));
    found.truncate(n);
}
