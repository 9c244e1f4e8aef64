//! Nodes, tokens and samples.

use std::net::{IpAddr, SocketAddr};

use super::wire::{Arguments, Entry, compact, int, string};
use super::{Answer, Flaw, Node, sha1};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: [u8; 20],
    pub(super) addr: SocketAddr,
}

impl Known {
    /// A dozen of each family.
    pub(super) fn made_up() -> Vec<Known> {
        let known = |n: u8| {
            let v4 = IpAddr::from([64, 1, n, 1]);
            let v6 = IpAddr::from([0x2a00, 1, u16::from(n), 0, 0, 0, 0, 1]);
            [v4, v6].map(|ip| Known { id: sha1(&[&[n], b"node"]), addr: SocketAddr::new(ip, 6_881) })
        };
        (0..12).flat_map(known).collect()
    }
}

impl Node {
    /// The lists of nodes that `want` asks for, or else the one of the asker's family.
    pub(super) fn nodes(
        &self,
        from: SocketAddr,
        target: [u8; 20],
        a: Arguments<'_>,
        method: &[u8],
    ) -> Answer {
        let wanted = |name: &[u8]| {
            let want = a.value("want").and_then(|want| want.list());
            want.map_or(0, |mut want| want.by_ref().filter(|item| item.bytes() == Some(name)).count())
        };
        let (mut v4, mut v6) = (wanted(b"n4"), wanted(b"n6"));
        let is_own_only = self.has(Flaw::WantInFindNodeOnly) && method != b"find_node";
        if v4 + v6 == 0 || is_own_only {
            (v4, v6) = (usize::from(from.is_ipv4()), usize::from(from.is_ipv6()));
            if self.has(Flaw::AlwaysBoth) {
                (v4, v6) = (1, 1);
            }
            let names = a.value("want").and_then(|want| want.list());
            if self.has(Flaw::RefusesUnknownWant) && names.is_some_and(|mut names| names.next().is_some()) {
                return Err((203, "unknown family"));
            }
        } else if self.has(Flaw::WantMeansBoth) {
            (v4, v6) = (1, 1);
        }
        if !self.verified.contains(&from) && method != b"find_node" {
            // Who never answered gets no more than five times what it sent.
            (v4, v6) = if from.is_ipv4() { (v4, 0) } else { (0, v6) };
        }
        let mut lists = Vec::new();
        for (key, times, is_v6) in [("nodes", v4, false), ("nodes6", v6, true)] {
            if times > 0 && !self.has(Flaw::NoNodes) {
                lists.push(self.list(key, times, is_v6, from, target));
            }
        }
        Ok(lists)
    }

    fn list(
        &self,
        key: &'static str,
        times: usize,
        is_v6: bool,
        from: SocketAddr,
        target: [u8; 20],
    ) -> Entry {
        let distance =
            |known: &Known| -> Vec<u8> { known.id.iter().zip(target).map(|(a, b)| a ^ b).collect() };
        let asker = |known: &Known| known.addr == from && !self.has(Flaw::HandsOutAsker);
        let mut known: Vec<_> =
            self.known.iter().filter(|known| known.addr.is_ipv6() == is_v6 && !asker(known)).collect();
        known.sort_by_key(|known| distance(known));
        if self.has(Flaw::FarthestNodes) {
            known.reverse();
        }
        let mut own = [Known { id: self.id, addr: self.addr }, Known { id: [1; 20], addr: self.addr }];
        own[1].addr.set_port(0);
        if self.has(Flaw::HandsOutItself) {
            known.insert(0, &own[0]);
        }
        if self.has(Flaw::HandsOutPortZero) {
            known.insert(0, &own[1]);
        }
        // Eight IPv6 nodes are more than three times the shortest question for them.
        let most = if is_v6 && !self.verified.contains(&from) { 7 } else { 8 };
        known.truncate(if self.has(Flaw::TwentyNodes) { 20 } else { most });
        let mut nodes: Vec<u8> =
            known.iter().flat_map(|known| [&known.id[..], &compact(known.addr)].concat()).collect();
        if self.has(Flaw::WantCounts) {
            nodes = nodes.repeat(times.min(4));
        }
        if self.has(Flaw::RaggedNodes) {
            nodes.push(0);
        }
        (key, string(nodes))
    }

    pub(super) fn token(&self, from: SocketAddr, target: [u8; 20]) -> Vec<u8> {
        let ip = from.ip().to_string();
        if self.has(Flaw::XorTokens) {
            let (ip, target) = (sha1(&[ip.as_bytes()]), sha1(&[&target]));
            return ip.iter().zip(target).map(|(a, b)| a ^ b).collect();
        }
        let ip = if self.has(Flaw::TokensForAnyIp) { "" } else { &ip };
        let port = if self.has(Flaw::TokensForOnePort) { from.port().to_be_bytes() } else { [0; 2] };
        sha1(&[b"secret", ip.as_bytes(), &port, &target])[..8].to_vec()
    }

    pub(super) fn is_good(&mut self, from: SocketAddr, target: [u8; 20], token: Option<&[u8]>) -> bool {
        let token = token.unwrap_or_default();
        let is_used = self.has(Flaw::TokensForOneUse) && self.used.iter().any(|used| used == token);
        self.used.push(token.to_vec());
        self.has(Flaw::TakesAnyToken) || token == self.token(from, target) && !is_used
    }

    pub(super) fn sample(&mut self, from: SocketAddr, target: [u8; 20], a: Arguments<'_>) -> Answer {
        let all: Vec<_> = self.peers.keys().copied().collect();
        if self.samples.is_none() || self.has(Flaw::FreshSamples) {
            self.samples = Some(all.iter().rev().take(6).copied().collect());
        }
        let mut samples = self.samples.clone().unwrap_or_default();
        if self.has(Flaw::SamplesByTarget) && target[0] < 0x80 {
            samples = samples.iter().map(|sample| sample.map(|byte| !byte)).collect();
        }
        if self.has(Flaw::RepeatedSamples) {
            samples.extend(samples.clone());
        }
        let num = if self.has(Flaw::NumIsOfSamples) { samples.len() } else { all.len() };
        let num = i64::try_from(num).unwrap();
        let mut samples = samples.concat();
        if self.has(Flaw::RaggedSamples) {
            samples.push(0);
        }
        let mut response = if self.has(Flaw::SamplesWithoutNodes) {
            Vec::new()
        } else {
            self.nodes(from, target, a, b"sample_infohashes")?
        };
        response.push(("samples", string(samples)));
        response.push(("num", int(if self.has(Flaw::NumIsNone) { 0 } else { num })));
        response.push(("interval", int(if self.has(Flaw::LongInterval) { 21_601 } else { 21_600 })));
        Ok(response)
    }
}
