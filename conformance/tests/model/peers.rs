//! Peers, and filters over them.

use std::net::{IpAddr, SocketAddr};

use super::wire::{Arguments, compact, list, string};
use super::{Answer, Flaw, Node, sha1};

#[derive(Clone, Copy)]
pub(super) struct Peer {
    addr: SocketAddr,
    is_seed: bool,
}

impl Node {
    pub(super) fn get_peers(&mut self, from: SocketAddr, info_hash: [u8; 20], a: Arguments<'_>) -> Answer {
        let mut response = self.nodes(from, info_hash, a, b"get_peers")?;
        if !self.has(Flaw::NoToken) {
            response.push(("token", string(self.token(from, info_hash))));
        }
        let peers: Vec<_> = self.peers.get(&info_hash).into_iter().flatten().copied().collect();
        if peers.is_empty() {
            if self.has(Flaw::NoNodesForPeers) {
                response.retain(|(key, _)| *key == "token");
            }
            return Ok(response);
        }
        if a.is_one("scrape") || self.has(Flaw::FiltersUnasked) {
            response.push(("BFsd", self.filter(peers.iter().filter(|peer| peer.is_seed))));
            let is_listed = |peer: &&Peer| !peer.is_seed || self.has(Flaw::SeedsAreBoth);
            response.push(("BFpe", self.filter(peers.iter().filter(is_listed))));
            // Filters, both families' nodes and peers do not fit into 1,024 bytes.
            response.retain(|(key, _)| *key != if from.is_ipv4() { "nodes6" } else { "nodes" });
            if self.has(Flaw::OneFilter) {
                response.pop();
            }
        }
        let leaves_seeds = a.is_one("noseed") && !self.has(Flaw::IgnoresNoseed);
        let most = match (from.is_ipv4(), a.is_one("scrape")) {
            _ if self.has(Flaw::HandsOutFive) => 5,
            (_, true) => 2,
            _ if !self.verified.contains(&from) => 8,
            (_, false) => 20,
        };
        let listed = peers
            .iter()
            .filter(|peer| peer.addr.is_ipv4() == from.is_ipv4() && !(leaves_seeds && peer.is_seed));
        let mut values: Vec<_> = listed.take(most).map(|peer| string(compact(peer.addr))).collect();
        if self.has(Flaw::MixedValues) {
            let other = if from.is_ipv4() { [1; 18].to_vec() } else { [1; 6].to_vec() };
            values.push(string(other));
        }
        response.push(("values", list(&values)));
        if self.has(Flaw::PeersInsteadOfNodes) {
            response.retain(|(key, _)| !key.starts_with("nodes"));
        }
        Ok(response)
    }

    pub(super) fn announce(&mut self, from: SocketAddr, info_hash: [u8; 20], a: Arguments<'_>) -> Answer {
        let implied = a.int("implied_port").unwrap_or(0) != 0 && !self.has(Flaw::IgnoresImpliedPort);
        let port = if implied || self.has(Flaw::AlwaysImpliesPort) {
            from.port()
        } else {
            a.int("port").and_then(|port| u16::try_from(port).ok()).ok_or((203, "missing argument"))?
        };
        a.bytes("token").ok_or((203, "missing argument"))?;
        if !self.is_good(from, info_hash, a.bytes("token")) {
            return Err((203, "bad token"));
        }
        if self.has(Flaw::RefusesAnnouncements) {
            return Err((202, "no room"));
        }
        if self.has(Flaw::ForgetsPeers) {
            return Ok(Vec::new());
        }
        let is_seed = a.is_one("seed") && !self.has(Flaw::NobodySeeds) || self.has(Flaw::EverybodySeeds);
        let addr = SocketAddr::new(from.ip(), port);
        let by_ip = self.is_strict && !self.has(Flaw::PortsArePeers);
        let keeps_both = self.has(Flaw::SeedsAreBoth);
        let peers = self.peers.entry(info_hash).or_default();
        let is_same = |peer: &Peer| if by_ip { peer.addr.ip() == addr.ip() } else { peer.addr == addr };
        peers.retain(|peer| keeps_both || !is_same(peer));
        peers.push(Peer { addr, is_seed });
        Ok(Vec::new())
    }

    fn filter<'a>(&self, peers: impl Iterator<Item = &'a Peer>) -> Vec<u8> {
        let mut filter = [0_u8; 256];
        for peer in peers {
            let mut bytes = match peer.addr.ip() {
                IpAddr::V4(ip) => ip.octets().to_vec(),
                IpAddr::V6(ip) => ip.octets().to_vec(),
            };
            if self.has(Flaw::HashesPorts) {
                bytes = compact(peer.addr);
            }
            if self.has(Flaw::HashesText) {
                bytes = peer.addr.ip().to_string().into_bytes();
            }
            let hash = sha1(&[&bytes]);
            for bit in [u16::from_le_bytes([hash[0], hash[1]]), u16::from_le_bytes([hash[2], hash[3]])] {
                let bit = usize::from(bit) % 2_048;
                filter[bit / 8] |= 1 << (bit % 8);
            }
        }
        string(filter)
    }
}
