//! Counting the swarm of a torrent (BEP 33).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use kademlia_core::runtime::{Closed, RequestFailure};
use kademlia_core::{Effort, Family, LookupOptions, Reach};
use tokio::sync::Semaphore;

use super::Dht;
use crate::id::InfoHash;
use crate::krpc::{Families, Request, Response};
use crate::scrape::{BloomFilter, Scrape};

/// Scrapes of one node at a time; further ones wait (33.6).
const AT_ONCE: usize = 4;
/// Requests of one scrape in flight (33.6).
const IN_FLIGHT: usize = 3;
/// Peers of nodes that do not count which one scrape remembers; more are ignored. So many fill a filter.
const MOST_LISTED: usize = 8_192;
/// A filter of more than this many is none: nobody takes announcements beyond 6,000 (33.5), and an estimate of that many
/// is rarely off by so much.
const MOST_COUNTED: f64 = 7_000.0;

/// About how many share a torrent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scraped {
    /// The filters of all nodes that gave some, added up, and the peers that others listed.
    pub scrape: Scrape,
    /// Nodes that answered with filters.
    pub counting: usize,
    /// Nodes that answered with a list of peers alone (33.6).
    pub listing: usize,
    /// Nodes asked.
    pub asked: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// From the start of the lookup to its end, the longer one where there were two.
    pub took: Duration,
}

impl Scraped {
    /// About how many IP addresses have all of the torrent.
    pub fn seeds(&self) -> f64 {
        estimate(&self.scrape.seeds)
    }

    /// About how many IP addresses share the torrent and do not have all of it, or do not say.
    pub fn peers(&self) -> f64 {
        estimate(&self.scrape.peers)
    }
}

/// BEP 33's formula gives half a peer for the empty set.
fn estimate(filter: &BloomFilter) -> f64 {
    if filter.is_empty() { 0.0 } else { filter.estimate() }
}

/// What the nodes of one network say.
#[derive(Debug, Default)]
struct Gathering {
    scraped: Scraped,
    listed: BTreeSet<IpAddr>,
}

impl Gathering {
    fn add(&mut self, response: &Response, reach: Reach) {
        if let Some(scrape) = &response.scrape
            && scrape.seeds.estimate().max(scrape.peers.estimate()) <= MOST_COUNTED
        {
            self.scraped.scrape.unite(scrape);
            self.scraped.counting += 1;
        } else if !response.values.is_empty() {
            self.scraped.listing += 1;
            let peers = response.values.iter().filter(|peer| reach.admits(**peer)).map(|peer| peer.ip());
            let room = MOST_LISTED.saturating_sub(self.listed.len());
            self.listed.extend(peers.take(room));
        }
    }

    /// Who was listed is a seed only if some filter says so: that is known when all have answered.
    fn finish(mut self) -> Scraped {
        self.listed.into_iter().for_each(|ip| self.scraped.scrape.add_unknown(ip));
        self.scraped
    }
}

impl Dht {
    /// How many share a torrent: a lookup in each network that this node is in, whose answers are added up. A host that
    /// is in both networks counts twice, one with several ports once.
    ///
    /// It is polite as BEP 33 wants: three requests in flight, and at most four scrapes at a time, further ones waiting.
    /// How long a node is waited for is the engine's to say, which measures it ([`RpcConfig`](kademlia_core::RpcConfig));
    /// whoever scrapes again and again should vary the pauses between.
    ///
    /// # Errors
    /// Why it could not be tried. That nobody shares the torrent is no error.
    pub async fn scrape(&self, info_hash: InfoHash) -> Result<Scraped, RequestFailure> {
        let _turn = self.inner.scrapes.acquire().await.map_err(|_| Closed)?;
        let reach_of = |family| self.inner.families.iter().find(|(of, _, _)| *of == family);
        let one = async |family| match reach_of(family) {
            Some((_, _, reach)) => self.scrape_family(family, *reach, info_hash).await,
            None => Ok(Scraped::default()),
        };
        let (v4, v6) = tokio::join!(one(Family::V4), one(Family::V6));
        // Only if neither network could be searched there is nothing to tell.
        match (v4, v6) {
            (Ok(v4), Ok(v6)) => Ok(sum(v4, &v6)),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) if one.asked > 0 => Ok(one),
            (Err(failure), _) | (_, Err(failure)) => Err(failure),
        }
    }

    async fn scrape_family(
        &self,
        family: Family,
        reach: Reach,
        info_hash: InfoHash,
    ) -> Result<Scraped, RequestFailure> {
        let request = Request::GetPeers { info_hash, noseed: false, scrape: true, want: Families::NONE };
        let options = LookupOptions {
            answers: true,
            alpha: Some(IN_FLIGHT),
            // One path: several would each have as many requests in flight.
            effort: Some(Effort::Dense),
            ..LookupOptions::default()
        };
        let mut search = self.inner.handle.lookup(family, info_hash.into(), request, options).await?;
        let mut gathering = Gathering::default();
        while let Some(answer) = search.next().await {
            gathering.add(&answer.response, reach);
        }
        let report = search.finish().await?;
        let (asked, answered, took) = (report.asked, report.answered, report.took);
        Ok(Scraped { asked, answered, took, ..gathering.finish() })
    }
}

/// What is known of both networks. A peer that one node lists and another counts as a seed is of one network.
fn sum(mut one: Scraped, other: &Scraped) -> Scraped {
    one.scrape.unite(&other.scrape);
    Scraped {
        scrape: one.scrape,
        counting: one.counting + other.counting,
        listing: one.listing + other.listing,
        asked: one.asked + other.asked,
        answered: one.answered + other.answered,
        took: one.took.max(other.took),
    }
}

/// The turns of one node's scrapes.
pub(super) fn turns() -> Semaphore {
    Semaphore::new(AT_ONCE)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn ip(n: u8) -> IpAddr {
        IpAddr::from([20, 0, 0, n])
    }

    fn counting(seeds: &[u8], peers: &[u8]) -> Response {
        let mut scrape = Scrape::default();
        seeds.iter().for_each(|n| scrape.seeds.insert(ip(*n)));
        peers.iter().for_each(|n| scrape.peers.insert(ip(*n)));
        Response { scrape: Some(Box::new(scrape)), ..Response::default() }
    }

    fn listing(peers: &[u8]) -> Response {
        let values = peers.iter().map(|n| SocketAddr::new(ip(*n), 1)).collect();
        Response { values, ..Response::default() }
    }

    fn scraped(answers: &[Response]) -> Scraped {
        let mut gathering = Gathering::default();
        answers.iter().for_each(|answer| gathering.add(answer, Reach::Global));
        gathering.finish()
    }

    #[test]
    fn bep33_33_4_the_filters_of_all_nodes_are_added_up() {
        let scraped = scraped(&[counting(&[1, 2], &[3]), counting(&[2, 4], &[3, 5]), Response::default()]);
        assert_eq!((scraped.counting, scraped.listing), (2, 0));
        assert!((scraped.seeds() - 3.0).abs() < 0.1 && (scraped.peers() - 2.0).abs() < 0.1, "{scraped:?}");
        let nobody = Scraped::default();
        assert!(nobody.seeds() == 0.0 && nobody.peers() == 0.0);
    }

    #[test]
    fn bep33_33_6_who_is_only_listed_counts_as_a_peer_unless_some_filter_has_it_as_a_seed() {
        // The list comes before the filter that knows 1 for a seed.
        let scraped = scraped(&[listing(&[1, 2, 3]), counting(&[1], &[2]), listing(&[3])]);
        assert_eq!((scraped.counting, scraped.listing), (1, 2));
        assert!((scraped.seeds() - 1.0).abs() < 0.1, "{scraped:?}");
        assert!((scraped.peers() - 2.0).abs() < 0.1, "2 and 3: {scraped:?}");
    }

    #[test]
    fn bep33_33_5_a_filter_of_more_than_anybody_holds_counts_for_nothing() {
        let full = BloomFilter::from_bytes([0xff; 256]);
        let lie = Scrape { seeds: full.clone(), peers: full };
        let lie = Response { scrape: Some(Box::new(lie)), ..listing(&[7]) };
        let scraped = scraped(&[counting(&[1], &[]), lie]);
        assert_eq!((scraped.counting, scraped.listing), (1, 1));
        assert!(scraped.seeds() < 2.0 && scraped.peers() < 2.0, "{scraped:?}");
    }

    #[test]
    fn bep33_33_6_a_scrape_remembers_a_bounded_number_of_listed_peers() {
        let mut gathering = Gathering::default();
        for n in 0..200_u32 {
            let peer = |m: u32| SocketAddr::from(((0x1400_0000 + n * 100 + m).to_be_bytes(), 1));
            let values = (0..100).map(peer).collect();
            gathering.add(&Response { values, ..Response::default() }, Reach::Global);
        }
        assert_eq!(gathering.listed.len(), MOST_LISTED);
    }
}
