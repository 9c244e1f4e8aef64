//! What no BEP says and deployed nodes agree on.

use std::net::{IpAddr, SocketAddr};

use crate::bencode::{dict, int, string};
use crate::check::Check;
use crate::check::Level::Practice;
use crate::checks::bep32::crowd;
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::verdict::{Judged, given, require};

pub(super) const CHECKS: &[Check] = &[
    Check::asked(
        "C.1",
        "target",
        Practice,
        "an unknown method with a `target` gets nodes, as find_node does",
        |p| Box::pin(like_find_node(p, "target")),
    ),
    Check::asked("C.1", "info-hash", Practice, "an unknown method with an `info_hash` gets nodes", |p| {
        Box::pin(like_find_node(p, "info_hash"))
    }),
    Check::asked("C.2", "unknown-keys", Practice, "keys that it does not know change nothing", |p| {
        Box::pin(unknown_keys(p))
    }),
    Check::asked(
        "C.2",
        "order",
        Practice,
        "keys out of order, but for those of a value, change nothing",
        |p| Box::pin(order(p)),
    ),
    Check::asked(
        "C.2",
        "wrong-types",
        Practice,
        "a `v`, `ip` or `ro` of another type or length changes nothing",
        |p| Box::pin(wrong_types(p)),
    ),
    Check::asked("C.2", "inside-strings", Practice, "what looks like a key inside a string is none", |p| {
        Box::pin(inside_strings(p))
    }),
    Check::asked(
        "C.3",
        "peers",
        Practice,
        "a popular torrent's reply has 20 to 100 peers, or as many as five times the query holds (T9)",
        |p| Box::pin(peers(p)),
    ),
    Check::unseen("C.4", Practice, "a token is used for its own target only", "it is for who asks"),
    Check::reviewed("C.5", "one-id", Practice, "all replies come under one id", one_id),
];

async fn like_find_node(probe: &mut Probe, argument: &'static str) -> Judged {
    let target = probe.random_key();
    let reply = probe.ask(Seat::Main, Query::new("no_such_method").string(argument, target)).await?;
    reply.response()?;
    require!(reply.nodes(probe.target.is_ipv6())?.is_some(), "no nodes");
    Ok(())
}

async fn unknown_keys(probe: &mut Probe) -> Judged {
    let odd = || dict(&[("a", int(1)), ("q", string("ping"))]);
    for query in [Query::ping(), Query::find_node([0x52; 20]), Query::get_peers([0x52; 20])] {
        let query =
            query.raw("aa", odd()).string("zz", "no").top("aa", odd()).top("r", odd()).top("zz", int(-1));
        let reply = probe.ask(Seat::Main, query).await?;
        reply.response()?;
    }
    Ok(())
}

async fn order(probe: &mut Probe) -> Judged {
    for query in [Query::ping(), Query::find_node([0x52; 20]), Query::get_peers([0x52; 20])] {
        let reply = probe.ask(Seat::Main, query.unsorted()).await?;
        reply.response()?;
    }
    Ok(())
}

async fn wrong_types(probe: &mut Probe) -> Judged {
    for query in [
        Query::ping().top("v", int(2)),
        Query::ping().top("v", string([0xff; 40])),
        Query::ping().top("v", b"le".to_vec()),
        // No address: what could be taken for one could make a node believe it (BEP 42).
        Query::ping().top("ip", string("?")),
        Query::ping().top("ro", string("1")),
    ] {
        let reply = probe.ask(Seat::Main, query).await?;
        reply.response()?;
    }
    Ok(())
}

/// A key that holds what looks like the rest of another query: `find_node` would get nodes, `ping` must not.
async fn inside_strings(probe: &mut Probe) -> Judged {
    let bait = "1:q9:find_node1:t2:zz6:target20:mnopqrstuvwxyz1234561:y1:q";
    let query = Query::ping().string("aaa", bait).top("aaa", string(bait));
    let reply = probe.ask(Seat::Main, query).await?;
    reply.response()?;
    require!(reply.nodes(probe.target.is_ipv6())?.is_none(), "nodes for a ping");
    Ok(())
}

async fn peers(probe: &mut Probe) -> Judged {
    let info_hash = crowd(probe).await?;
    let reply = probe.ask(Seat::Main, Query::get_peers(info_hash)).await?;
    let values = reply.values()?.len();
    given!(values != 1, "it keeps one peer for an IP address");
    // Where the node keeps to T9, one peer more would be too long.
    let is_full = reply.ratio_with(if reply.is_v6 { "18:".len() + 18 } else { "6:".len() + 6 }) > 5.0;
    require!(values <= 100 && (values >= 20 || is_full), "{values} peers");
    Ok(())
}

fn one_id(probe: &Probe) -> Judged {
    let ids = probe.seen.ids.len();
    require!(ids == 1, "{ids} ids");
    Ok(())
}

/// Whether nobody on the public network can be there.
pub(super) fn is_martian(addr: SocketAddr) -> bool {
    if addr.port() == 0 {
        return true;
    }
    match addr.ip() {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmarks = a == 198 && (b == 18 || b == 19);
            a == 0
                || a >= 224
                || ip.is_loopback()
                || ip.is_private()
                || ip.is_link_local()
                || shared
                || benchmarks
        }
        IpAddr::V6(ip) => ip.segments()[0] & 0xe000 != 0x2000,
    }
}
