//! BEP 33: seeds, downloaders, and filters over both.

use std::net::{IpAddr, SocketAddr};

use crate::check::Check;
use crate::check::Level::{Must, Practice};
use crate::checks::bep5_peers::{announce, peers};
use crate::checks::bep32::{CROWD, crowd, is_seed};
use crate::digest::sha1;
use crate::probe::{Feature, Probe, Seat};
use crate::query::Query;
use crate::verdict::{Judged, Unmet, given, require};

/// Bytes of a filter.
const FILTER: usize = 256;

pub(super) const CHECKS: &[Check] = &[
    Check::asked("33.1", "seed", Must, "`seed` = 1 announces a seed", |p| Box::pin(seed(p))),
    Check::asked(
        "33.1",
        "downloader",
        Must,
        "without `seed`, or with another value, it is a downloader",
        |p| Box::pin(downloader(p)),
    ),
    Check::asked("33.2", "both", Must, "`scrape` = 1 gets both filters, 256 bytes each", |p| {
        Box::pin(both(p))
    }),
    Check::asked("33.2", "unasked", Practice, "without `scrape` no filter comes", |p| Box::pin(unasked(p))),
    Check::asked("33.2", "noseed", Practice, "with `noseed` = 1 seeds come only after everybody else", |p| {
        Box::pin(noseed(p))
    }),
    Check::asked("33.3", "bits", Must, "a filter has the two bits of each IP address, and no others", |p| {
        Box::pin(bits(p))
    }),
    Check::asked("33.3", "port", Must, "the port has no bits", |p| Box::pin(port(p))),
    Check::unseen(
        "33.4",
        Must,
        "what a filter's bits count, and the union of filters",
        "it is computed by who asks",
    ),
    Check::asked("33.5", "moves", Must, "a downloader that becomes a seed is in one filter only", |p| {
        Box::pin(moves(p))
    }),
    Check::asked("33.5", "one-per-ip", Must, "an IP address is one peer, whatever ports it announces", |p| {
        Box::pin(one_per_ip(p))
    }),
    Check::unseen(
        "33.6",
        Must,
        "replies without filters are counted, and scrapes are paced",
        "it is for who asks",
    ),
];

type Filter = [u8; FILTER];

/// The filter of these addresses: two bits of 2,048 for each, from the SHA-1 of its 4 or 16 bytes.
fn filter(ips: &[IpAddr]) -> Filter {
    let mut filter = [0; FILTER];
    for ip in ips {
        let hash = match ip {
            IpAddr::V4(ip) => sha1(&[&ip.octets()]),
            IpAddr::V6(ip) => sha1(&[&ip.octets()]),
        };
        for pair in [[hash[0], hash[1]], [hash[2], hash[3]]] {
            let bit = usize::from(u16::from_le_bytes(pair)) % (8 * FILTER);
            filter[bit / 8] |= 1 << (bit % 8);
        }
    }
    filter
}

/// Seeds' filter and downloaders', which have to be there.
async fn scrape(probe: &mut Probe, info_hash: [u8; 20]) -> Result<[Filter; 2], Unmet> {
    let reply = probe.ask(Seat::Second, Query::get_peers(info_hash).int("scrape", 1)).await?;
    reply.response()?;
    let filter = |key: &str| {
        let bytes = reply.get(key).ok_or_else(|| Unmet::failed(format!("no `{key}`")))?.bytes();
        let filter = bytes.and_then(|bytes| Filter::try_from(bytes).ok());
        filter.ok_or_else(|| Unmet::failed(format!("`{key}` is no string of 256 bytes")))
    };
    Ok([filter("BFsd")?, filter("BFpe")?])
}

/// Not applicable if the node never gives filters.
async fn spoken(probe: &mut Probe) -> Judged {
    if let Some(known) = probe.known(Feature::Scrape) {
        return known;
    }
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_330, |query| query.int("seed", 1)).await?;
    let reply = probe.ask(Seat::Second, Query::get_peers(info_hash).int("scrape", 1)).await?;
    let has = ["BFsd", "BFpe"].iter().any(|key| reply.get(key).is_some());
    probe.learn(Feature::Scrape, has, "it does not speak BEP 33: a scrape gets no filter")
}

/// The address that the filters should have, which behind a NAT only the node may know.
fn own_ip(probe: &Probe, seat: Seat) -> Result<IpAddr, Unmet> {
    probe
        .own_ip(seat)
        .ok_or_else(|| Unmet::NotApplicable("this host does not know its own address".to_owned()))
}

fn count(filter: &Filter) -> u32 {
    filter.iter().map(|byte| byte.count_ones()).sum()
}

fn same(name: &str, found: &Filter, expected: &Filter) -> Judged {
    require!(
        found == expected,
        "the filter of {name} has {} bits, of which {} are right, instead of {}",
        count(found),
        found.iter().zip(expected).map(|(a, b)| (a & b).count_ones()).sum::<u32>(),
        count(expected)
    );
    Ok(())
}

async fn seed(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_331, |query| query.int("seed", 1)).await?;
    let [seeds, downloaders] = scrape(probe, info_hash).await?;
    require!(count(&seeds) > 0, "the seed is not among the seeds");
    require!(count(&downloaders) == 0, "the seed is among the downloaders");
    Ok(())
}

async fn downloader(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    for flag in [None, Some(0)] {
        let info_hash = probe.random_key();
        let add = |query: Query| match flag {
            Some(flag) => query.int("seed", flag),
            None => query,
        };
        announce(probe, Seat::Main, info_hash, 7_332, add).await?;
        let [seeds, downloaders] = scrape(probe, info_hash).await?;
        require!(count(&downloaders) > 0, "the downloader is not among the downloaders");
        require!(count(&seeds) == 0, "the downloader is among the seeds");
    }
    Ok(())
}

async fn both(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_333, |query| query).await?;
    scrape(probe, info_hash).await.map(drop)
}

async fn unasked(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_334, |query| query).await?;
    for query in [Query::get_peers(info_hash), Query::get_peers(info_hash).int("scrape", 0)] {
        let reply = probe.ask(Seat::Second, query).await?;
        require!(reply.get("BFsd").or(reply.get("BFpe")).is_none(), "a filter that was not asked for");
    }
    Ok(())
}

/// Best effort, says the text: seeds may come where all others have.
async fn noseed(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let info_hash = crowd(probe).await?;
    let reply = probe.ask(Seat::Second, Query::get_peers(info_hash).int("noseed", 1)).await?;
    let peers = reply.values()?;
    given!(peers.len() > 1, "it keeps one peer for an IP address");
    let (seeds, others): (Vec<_>, Vec<_>) =
        peers.into_iter().partition(|peer: &SocketAddr| is_seed(peer.port()));
    let left_out = usize::from(CROWD / 2) - others.len().min(usize::from(CROWD / 2));
    require!(
        seeds.is_empty() || left_out == 0,
        "{} seeds come, and {left_out} downloaders are left out",
        seeds.len()
    );
    Ok(())
}

async fn bits(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let info_hash = probe.random_key();
    let mut expected = vec![own_ip(probe, Seat::Main)?];
    announce(probe, Seat::Main, info_hash, 7_337, |query| query.int("seed", 1)).await?;
    same("seeds", &scrape(probe, info_hash).await?[0], &filter(&expected))?;
    if probe.has_elsewhere() {
        announce(probe, Seat::Elsewhere, info_hash, 7_338, |query| query.int("seed", 1)).await?;
        expected.push(own_ip(probe, Seat::Elsewhere)?);
        same("seeds", &scrape(probe, info_hash).await?[0], &filter(&expected))?;
    }
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_339, |query| query).await?;
    same("downloaders", &scrape(probe, info_hash).await?[1], &filter(&expected[..1]))
}

async fn port(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let mut filters = Vec::new();
    for port in [7_340, 7_341] {
        let info_hash = probe.random_key();
        announce(probe, Seat::Main, info_hash, port, |query| query).await?;
        filters.push(scrape(probe, info_hash).await?[1]);
    }
    require!(filters.windows(2).all(|pair| pair[0] == pair[1]), "other bits for another port");
    Ok(())
}

async fn moves(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_342, |query| query).await?;
    announce(probe, Seat::Main, info_hash, 7_342, |query| query.int("seed", 1)).await?;
    let [seeds, downloaders] = scrape(probe, info_hash).await?;
    require!(count(&seeds) > 0, "it is not among the seeds");
    require!(count(&downloaders) == 0, "it is still among the downloaders");
    Ok(())
}

async fn one_per_ip(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    given!(!probe.is_exempt(), "in a local network, where many nodes share an address");
    let info_hash = probe.random_key();
    for port in [7_343, 7_344] {
        announce(probe, Seat::Main, info_hash, port, |query| query).await?;
    }
    let ports: Vec<_> = peers(probe, info_hash).await?.iter().map(|peer| peer.port()).collect();
    require!(ports == [7_344], "found the ports {ports:?} instead of the last one");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bep33_33_3_the_published_filter() {
        let v4 = (0..=255).map(|last| IpAddr::from([192, 0, 2, last]));
        let v6 = (0..=0x3e7).map(|last| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, last]));
        let filter = filter(&v4.chain(v6).collect::<Vec<_>>());
        assert_eq!(filter[..8], [0xf6, 0xc3, 0xf5, 0xea, 0xa0, 0x7f, 0xfd, 0x91]);
        assert_eq!(filter[252..], [0xfd, 0x8f, 0x72, 0xef]);
        assert_eq!(8 * 256 - count(&filter), 619);
    }
}
