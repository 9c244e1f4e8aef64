//! BEP 5: `get_peers`, `announce_peer` and tokens.

use std::net::SocketAddr;

use crate::bencode::Item;
use crate::check::Check;
use crate::check::Level::{Must, Should};
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::reply::Reply;
use crate::verdict::{Judged, Unmet, given, require};

pub(super) const CHECKS: &[Check] = &[
    Check::asked("5.8", "token", Must, "get_peers gets a token", |p| Box::pin(token_comes(p))),
    Check::asked("5.8", "nodes-or-values", Must, "get_peers gets peers or, without any, nodes", |p| {
        Box::pin(nodes_or_values(p))
    }),
    Check::asked("5.9", "accepted", Must, "an announcement with its token is accepted", |p| {
        Box::pin(accepted(p))
    }),
    Check::asked(
        "5.9",
        "handed-out",
        Must,
        "who was announced is found: its IP address, the port it named",
        |p| Box::pin(handed_out(p)),
    ),
    Check::asked("5.9", "bad-token", Must, "an announcement with an invented token is refused", |p| {
        Box::pin(bad_token(p))
    }),
    Check::asked("5.9", "bad-token-code", Must, "an error for a bad token has the code 203", |p| {
        Box::pin(bad_token_code(p))
    }),
    Check::asked("5.9", "other-ip", Must, "a token from another IP address is refused", |p| {
        Box::pin(token_of_another_ip(p))
    }),
    Check::asked("5.9", "other-port", Should, "a token is good for another port of its IP address", |p| {
        Box::pin(token_of_another_port(p))
    }),
    Check::asked(
        "5.9",
        "implied-port",
        Should,
        "with `implied_port` = 1 the source port counts, not `port`",
        |p| Box::pin(implied_port(p)),
    ),
    Check::asked("5.9", "no-implied-port", Must, "with `implied_port` = 0 the named port counts", |p| {
        Box::pin(no_implied_port(p))
    }),
    Check::asked("5.10", "again", Should, "a token is good for some time, and more than once", |p| {
        Box::pin(token_again(p))
    }),
];

/// A token for announcing under `info_hash`.
pub(super) async fn token(probe: &mut Probe, seat: Seat, info_hash: [u8; 20]) -> Result<Vec<u8>, Unmet> {
    probe.ask(seat, Query::get_peers(info_hash)).await?.token()
}

/// Announces, with a fresh token; the announcement has to be accepted.
pub(super) async fn announce(
    probe: &mut Probe,
    seat: Seat,
    info_hash: [u8; 20],
    port: u16,
    more: impl FnOnce(Query) -> Query,
) -> Judged {
    let token = token(probe, seat, info_hash).await?;
    let reply = probe.ask(seat, more(Query::announce(info_hash, port, &token))).await?;
    reply.response().map(drop)
}

/// The peers that the node hands out.
pub(super) async fn peers(probe: &mut Probe, info_hash: [u8; 20]) -> Result<Vec<SocketAddr>, Unmet> {
    let reply = probe.ask(Seat::Second, Query::get_peers(info_hash)).await?;
    reply.response()?;
    reply.values()
}

/// Whether the peers have one with this port, and no other IP address than ours for it where that is known.
fn has_port(probe: &Probe, seat: Seat, peers: &[SocketAddr], port: u16) -> bool {
    let ip = probe.own_ip(seat);
    peers.iter().any(|peer| peer.port() == port && ip.is_none_or(|ip| peer.ip() == ip))
}

fn shown(peers: &[SocketAddr]) -> String {
    if peers.is_empty() {
        return "nobody".to_owned();
    }
    peers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

async fn token_comes(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    let token = token(probe, Seat::Main, info_hash).await?;
    require!(!token.is_empty(), "the token is empty");
    Ok(())
}

async fn nodes_or_values(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    let reply = probe.ask(Seat::Main, Query::get_peers(info_hash)).await?;
    reply.response()?;
    require!(reply.values()?.is_empty(), "peers for a random info hash");
    let nodes = reply.nodes(probe.target.is_ipv6())?;
    require!(nodes.is_some(), "neither nodes nor peers");
    Ok(())
}

async fn accepted(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 6881, |query| query).await
}

async fn handed_out(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_001, |query| query).await?;
    let peers = peers(probe, info_hash).await?;
    require!(has_port(probe, Seat::Main, &peers, 7_001), "found {} instead of port 7001", shown(&peers));
    Ok(())
}

/// An announcement that has to be refused, if with silence: whoever it names must not be found.
async fn refused(
    probe: &mut Probe,
    seat: Seat,
    info_hash: [u8; 20],
    token: &[u8],
) -> Result<Option<Reply>, Unmet> {
    let reply = probe.try_ask(seat, Query::announce(info_hash, 7_002, token)).await?;
    require!(!reply.as_ref().is_some_and(Reply::is_response), "accepted");
    let peers = peers(probe, info_hash).await?;
    require!(peers.is_empty(), "refused, but then found: {}", shown(&peers));
    Ok(reply)
}

/// As long as the true one, and wrong in its first bit.
fn forged(token: &[u8]) -> Vec<u8> {
    let mut forged = token.to_vec();
    forged.iter_mut().take(1).for_each(|byte| *byte ^= 0x80);
    forged
}

async fn bad_token(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    let token = token(probe, Seat::Main, info_hash).await?;
    for token in [forged(&token), b"aoeusnth".to_vec(), Vec::new()] {
        refused(probe, Seat::Main, info_hash, &token).await?;
    }
    Ok(())
}

async fn bad_token_code(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    let token = token(probe, Seat::Main, info_hash).await?;
    let Some(reply) = probe.try_ask(Seat::Main, Query::announce(info_hash, 7_002, &forged(&token))).await?
    else {
        return Err(Unmet::NotApplicable("silence".to_owned()));
    };
    let Some((code, text)) = reply.error() else { return Err(Unmet::failed("accepted")) };
    require!(code == 203, "error {code} \"{}\" instead of 203", text.escape_default());
    Ok(())
}

async fn token_of_another_ip(probe: &mut Probe) -> Judged {
    given!(probe.has_elsewhere(), "this host has one address only to ask from");
    let info_hash = probe.random_key();
    let token = token(probe, Seat::Elsewhere, info_hash).await?;
    refused(probe, Seat::Main, info_hash, &token).await.map(drop)
}

async fn token_of_another_port(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    let token = token(probe, Seat::Second, info_hash).await?;
    let reply = probe.ask(Seat::Main, Query::announce(info_hash, 7_003, &token)).await?;
    reply.response().map(drop)
}

async fn implied_port(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_004, |query| query.int("implied_port", 1)).await?;
    let peers = peers(probe, info_hash).await?;
    let port = probe.port(Seat::Main);
    // A NAT may change the source port; `port` it never is.
    let is_local = probe.target.ip().is_loopback();
    let right = if is_local { has_port(probe, Seat::Main, &peers, port) } else { !peers.is_empty() };
    let wrong = peers.iter().any(|peer| peer.port() == 7_004);
    require!(right && !wrong, "found {} instead of port {port}", shown(&peers));
    Ok(())
}

async fn no_implied_port(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    announce(probe, Seat::Main, info_hash, 7_005, |query| query.int("implied_port", 0)).await?;
    let peers = peers(probe, info_hash).await?;
    require!(has_port(probe, Seat::Main, &peers, 7_005), "found {} instead of port 7005", shown(&peers));
    Ok(())
}

async fn token_again(probe: &mut Probe) -> Judged {
    let info_hash = probe.random_key();
    let token = token(probe, Seat::Main, info_hash).await?;
    for port in [7_006, 7_007] {
        let reply = probe.ask(Seat::Main, Query::announce(info_hash, port, &token)).await?;
        reply.response()?;
        // Whatever was asked in between changes nothing.
        let other = probe.random_key();
        let reply = probe.ask(Seat::Main, Query::get_peers(other)).await?;
        require!(reply.get("id").is_some_and(|id| Item::bytes(id).is_some()), "no id");
    }
    Ok(())
}
