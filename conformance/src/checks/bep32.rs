//! BEP 32: IPv6, and how long a datagram may be.

use std::net::IpAddr;

use crate::bencode::{Item, int, list, string};
use crate::check::Check;
use crate::check::Level::{Must, Should};
use crate::checks::bep5_peers::{announce, token};
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::reply::Reply;
use crate::verdict::{Judged, Unmet, given, require};

/// Longest payload that may be sent (BEP 32).
const LONGEST: usize = 1_024;
/// Announcements that make a torrent popular.
pub(super) const CROWD: u16 = 32;

pub(super) const CHECKS: &[Check] = &[
    Check::unseen(
        "32.1",
        Must,
        "two networks, two tables, no storage across",
        "it takes both addresses of a node",
    ),
    Check::asked(
        "32.2",
        "nodes6",
        Must,
        "`nodes6` is a string of 38 bytes for each of at most 8 nodes",
        |p| Box::pin(nodes6(p)),
    ),
    Check::asked("32.3", "n4", Must, "`want` = n4 gets `nodes`", |p| {
        Box::pin(wanted(p, &["n4"], &["nodes"]))
    }),
    Check::asked("32.3", "n6", Must, "`want` = n6 gets `nodes6`", |p| {
        Box::pin(wanted(p, &["n6"], &["nodes6"]))
    }),
    Check::asked("32.3", "both", Must, "`want` = n4, n6 gets both", |p| {
        Box::pin(wanted(p, &["n4", "n6"], &["nodes", "nodes6"]))
    }),
    Check::asked(
        "32.3",
        "absent",
        Must,
        "without `want` come nodes of the query's family, and no others",
        |p| Box::pin(absent(p)),
    ),
    Check::asked("32.3", "unknown", Must, "what is unknown in `want` is ignored", |p| Box::pin(unknown(p))),
    Check::asked("32.4", "values", Must, "`values` have 6 bytes over IPv4 and 18 over IPv6", |p| {
        Box::pin(values(p))
    }),
    Check::asked("32.5", "nodes-too", Should, "nodes come beside peers, not instead of them", |p| {
        Box::pin(nodes_beside_values(p))
    }),
    Check::asked(
        "32.6",
        "popular",
        Must,
        "a popular torrent's reply, with everything asked for, fits 1,024 bytes",
        |p| Box::pin(popular(p)),
    ),
    Check::reviewed("32.6", "sent", Must, "nothing sent but a stored value is longer than 1,024 bytes", sent),
    Check::asked("32.6", "accepted", Must, "a query of 1,024 bytes is answered", |p| {
        Box::pin(accepted(p, LONGEST))
    }),
    Check::asked("32.6", "longer", Should, "a query of 1,200 bytes is answered", |p| {
        Box::pin(accepted(p, 1_200))
    }),
    Check::asked("32.7", "teredo", Should, "the IPv6 address is a global one and no tunnel", |p| {
        Box::pin(address(p))
    }),
    Check::unseen("32.8", Must, "PORT is for the family of its TCP connection", "it comes by TCP"),
];

fn want(names: &[&str]) -> Vec<u8> {
    list(&names.iter().map(string).collect::<Vec<_>>())
}

/// The keys for nodes of the own family and of the other.
fn keys(probe: &Probe) -> [&'static str; 2] {
    if probe.target.is_ipv6() { ["nodes6", "nodes"] } else { ["nodes", "nodes6"] }
}

/// A reply to find_node and one to get_peers.
async fn both(probe: &mut Probe, want: Option<Vec<u8>>) -> Result<[Reply; 2], Unmet> {
    let target = probe.random_key();
    let with_want = |query: Query| match &want {
        Some(want) => query.raw("want", want.clone()),
        None => query,
    };
    let find_node = with_want(Query::find_node(target));
    let get_peers = with_want(Query::get_peers(target));
    let replies = [probe.ask(Seat::Main, find_node).await?, probe.ask(Seat::Main, get_peers).await?];
    replies[0].response()?;
    replies[1].response()?;
    Ok(replies)
}

/// Whether the node knows of the other family at all.
async fn is_dual(probe: &mut Probe) -> Judged {
    let [reply, _] = both(probe, Some(want(&["n4", "n6"]))).await?;
    let [own, other] = keys(probe);
    given!(
        reply.get(other).is_some(),
        "it gives no `{other}`{}: it does not speak that family",
        if reply.get(own).is_some() { "" } else { ", and no nodes at all" }
    );
    Ok(())
}

async fn nodes6(probe: &mut Probe) -> Judged {
    if probe.target.is_ipv4() {
        is_dual(probe).await?;
    }
    for reply in both(probe, Some(want(&["n6"]))).await? {
        let nodes = reply.nodes(true)?;
        let nodes = nodes.ok_or_else(|| Unmet::failed("no `nodes6`, though wanted"))?;
        require!(nodes.len() <= 8, "{} nodes", nodes.len());
    }
    Ok(())
}

async fn wanted(probe: &mut Probe, names: &[&str], expected: &[&str]) -> Judged {
    let [_, other] = keys(probe);
    if expected.contains(&other) {
        is_dual(probe).await?;
    }
    for reply in both(probe, Some(want(names))).await? {
        for key in ["nodes", "nodes6"] {
            let (has, due) = (reply.get(key).is_some(), expected.contains(&key));
            require!(
                has == due,
                "{} `{key}` for `want` = {}",
                if has { "a" } else { "no" },
                names.join(", ")
            );
        }
    }
    Ok(())
}

async fn absent(probe: &mut Probe) -> Judged {
    let [own, other] = keys(probe);
    for reply in both(probe, None).await? {
        require!(reply.get(own).is_some(), "no `{own}`");
        require!(reply.get(other).is_none(), "a `{other}` that was not asked for");
    }
    Ok(())
}

async fn unknown(probe: &mut Probe) -> Judged {
    let [own, _] = keys(probe);
    let known = if own == "nodes" { "n4" } else { "n6" };
    for names in [want(&[known, "n9"]), want(&["zz"]), list(&[string(known), int(4)]), list(&[])] {
        let all_unknown = names == want(&["zz"]) || names == list(&[]);
        for reply in both(probe, Some(names)).await? {
            // With nothing left that it knows, a node may give its own family's nodes or none.
            require!(all_unknown || reply.get(own).is_some(), "no `{own}`");
        }
    }
    Ok(())
}

async fn values(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_321, |query| query).await?;
    let size = if probe.target.is_ipv6() { 18 } else { 6 };
    for names in [None, Some(want(&["n4", "n6"]))] {
        let mut query = Query::get_peers(info_hash);
        if let Some(names) = names {
            query = query.raw("want", names);
        }
        let reply = probe.ask(Seat::Main, query).await?;
        let values = reply.get("values").and_then(Item::list).unwrap_or_default();
        require!(!values.is_empty(), "the announced peer is not found");
        for value in values {
            let length = value.bytes().map_or(0, <[u8]>::len);
            require!(length == size, "a value of {length} bytes");
        }
    }
    Ok(())
}

async fn nodes_beside_values(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_325, |query| query).await?;
    let reply = probe.ask(Seat::Main, Query::get_peers(info_hash)).await?;
    require!(!reply.values()?.is_empty(), "the announced peer is not found");
    let [own, _] = keys(probe);
    require!(reply.get(own).is_some(), "`values` without `{own}`");
    Ok(())
}

/// An info hash under which many ports of one address are announced, half of them as seeds. Whether they count as many
/// peers is the node's affair.
pub(super) async fn crowd(probe: &mut Probe) -> Result<[u8; 20], Unmet> {
    if let Some(info_hash) = probe.crowd {
        return Ok(info_hash);
    }
    let info_hash = probe.random_key();
    let token = token(probe, Seat::Main, info_hash).await?;
    for port in 0..CROWD {
        let port = 7_400 + port;
        let announce = Query::announce(info_hash, port, &token).int("seed", is_seed(port).into());
        probe.ask(Seat::Main, announce).await?;
    }
    probe.crowd = Some(info_hash);
    Ok(info_hash)
}

/// Whether this one of the crowd is a seed.
pub(super) const fn is_seed(port: u16) -> bool {
    port % 2 == 1
}

async fn popular(probe: &mut Probe) -> Judged {
    let info_hash = crowd(probe).await?;
    let everything = Query::get_peers(info_hash).int("scrape", 1).raw("want", want(&["n4", "n6"]));
    let reply = probe.ask(Seat::Main, everything).await?;
    reply.response()?;
    require!(reply.sizes.1 <= LONGEST, "{} bytes", reply.sizes.1);
    Ok(())
}

fn sent(probe: &Probe) -> Judged {
    if let Some(worst) = &probe.seen.sizes.longest_without_value {
        require!(worst.figure <= LONGEST, "{} bytes for {}", worst.figure, worst.query);
    }
    Ok(())
}

/// A ping filled up to `length` bytes with a key that no text has.
async fn accepted(probe: &mut Probe, length: usize) -> Judged {
    let bare = Query::ping().string("zz", []).transaction(*b"aa");
    let (bytes, _) = bare.encode(&[0; 20], b"");
    // Three digits more than the one of the empty string's length.
    let padding = vec![b'x'; length - bytes.len() - 3 + usize::from(length - bytes.len() < 1_003)];
    let reply = probe.ask(Seat::Main, Query::ping().string("zz", padding)).await?;
    reply.response().map(drop)
}

async fn address(probe: &mut Probe) -> Judged {
    let IpAddr::V6(ip) = probe.target.ip() else { return Err(Unmet::NotApplicable("IPv4".to_owned())) };
    given!(!probe.is_exempt(), "a local address");
    let [first, second, ..] = ip.segments();
    require!(first & 0xe000 == 0x2000, "no global unicast address");
    require!((first, second) != (0x2001, 0), "a Teredo address");
    Ok(())
}
