//! BEP 44: `get`, `put` and immutable items.

use crate::bencode::{dict, int, list, string};
use crate::check::Check;
use crate::check::Level::{Must, Practice, Should};
use crate::digest::sha1;
use crate::item::{PUBLISHED_TARGET, PUBLISHED_VALUE, bytes, put};
use crate::probe::{Feature, Probe, Seat};
use crate::query::Query;
use crate::reply::Reply;
use crate::verdict::{Judged, Unmet, given, require};

pub(super) const CHECKS: &[Check] = &[
    Check::asked("44.1", "get", Must, "get gets a token, whether there is a value or not", |p| {
        Box::pin(get(p))
    }),
    Check::asked("44.1", "nodes", Should, "get gets nodes, whether there is a value or not", |p| {
        Box::pin(nodes(p))
    }),
    Check::asked("44.1", "put", Must, "a put without target, with a token, is accepted", |p| {
        Box::pin(put_accepted(p))
    }),
    Check::asked(
        "44.2",
        "types",
        Must,
        "strings, integers, lists and dictionaries come back as the bytes put",
        |p| Box::pin(types(p)),
    ),
    Check::asked("44.2", "unsorted", Must, "a value with keys out of order is not stored", |p| {
        Box::pin(unsorted(p))
    }),
    Check::asked("44.2", "unsorted-code", Should, "a value with keys out of order gets error 203", |p| {
        Box::pin(unsorted_code(p))
    }),
    Check::asked(
        "44.2",
        "too-big-code",
        Should,
        "a value over 1,000 bytes that is refused gets error 205",
        |p| Box::pin(too_big_code(p)),
    ),
    Check::asked(
        "44.2",
        "exactly",
        Practice,
        "a value of exactly 1,000 bytes is taken, and comes back",
        |p| Box::pin(exactly(p)),
    ),
    Check::asked(
        "44.3",
        "immutable",
        Must,
        "an immutable item is found under the SHA-1 of its bencoded value",
        |p| Box::pin(immutable(p)),
    ),
    Check::asked("44.9", "bad-token", Must, "a put with an invented token is refused", |p| {
        Box::pin(bad_token(p))
    }),
    Check::asked(
        "44.9",
        "other-ip",
        Practice,
        "a put with a token from another IP address is refused",
        |p| Box::pin(other_ip(p)),
    ),
    Check::unseen(
        "44.9",
        Should,
        "items are kept two hours and put again every hour",
        "it takes longer than a run",
    ),
];

/// Not applicable if the node does not know `get`: what answers unknown methods like find_node gives no token.
pub(super) async fn spoken(probe: &mut Probe) -> Judged {
    if let Some(known) = probe.known(Feature::Items) {
        return known;
    }
    let target = probe.random_key();
    let reply = probe.try_ask(Seat::Main, Query::get(target)).await?;
    let has_token = reply.is_some_and(|reply| reply.get("token").is_some());
    probe.learn(Feature::Items, has_token, "it does not speak BEP 44: get gets no token")
}

/// Puts with a fresh token for `target`; `None` is silence.
pub(super) async fn try_put(probe: &mut Probe, target: [u8; 20], put: Query) -> Result<Option<Reply>, Unmet> {
    let token = probe.ask(Seat::Main, Query::get(target)).await?.token()?;
    probe.try_ask(Seat::Main, put.string("token", token)).await
}

/// Puts with a fresh token; it has to be accepted.
pub(super) async fn must_put(probe: &mut Probe, target: [u8; 20], put: Query) -> Judged {
    let reply = try_put(probe, target, put).await?;
    reply.ok_or_else(|| Unmet::failed("no answer to a put"))?.response().map(drop)
}

/// What get gets, which has to be a response.
pub(super) async fn stored(probe: &mut Probe, target: [u8; 20]) -> Result<Reply, Unmet> {
    let reply = probe.ask(Seat::Second, Query::get(target)).await?;
    reply.response()?;
    Ok(reply)
}

/// Requires that `value` and nothing else is stored, byte for byte.
pub(super) fn require_value(reply: &Reply, value: &[u8]) -> Judged {
    let found = reply.get("v").ok_or_else(|| Unmet::failed("the value is not found"))?;
    require!(found.raw == value, "found another value: {found}");
    Ok(())
}

/// The code of a put's error; not applicable if it was met with silence or accepted.
pub(super) fn require_code(reply: Option<&Reply>, expected: i64) -> Judged {
    let Some(reply) = reply else { return Err(Unmet::failed("silence instead of an error")) };
    let Some((code, text)) = reply.error() else { return Err(Unmet::failed("accepted, not refused")) };
    require!(code == expected, "error {code} \"{}\" instead of {expected}", text.escape_default());
    Ok(())
}

/// A string that nobody stored before, of so many bytes with its length.
fn unheard_of(probe: &mut Probe, size: usize) -> Vec<u8> {
    let digits = if size > 104 { 4 } else { 3 };
    let mut content = vec![0; size - digits];
    probe.rng.fill(&mut content);
    string(content)
}

/// Puts an immutable item; gives its target.
async fn put_immutable(probe: &mut Probe, value: &[u8]) -> Result<[u8; 20], Unmet> {
    let target = sha1(&[value]);
    must_put(probe, target, put(value)).await?;
    Ok(target)
}

async fn get(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let value = unheard_of(probe, 40);
    let target = sha1(&[&value]);
    for _ in 0..2 {
        let reply = probe.ask(Seat::Main, Query::get(target)).await?;
        require!(!reply.token()?.is_empty(), "the token is empty");
        put_immutable(probe, &value).await?;
    }
    Ok(())
}

async fn nodes(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let value = unheard_of(probe, 40);
    let is_v6 = probe.target.is_ipv6();
    let before = stored(probe, sha1(&[&value])).await?;
    require!(before.nodes(is_v6)?.is_some(), "no nodes, and no value either");
    let target = put_immutable(probe, &value).await?;
    let reply = stored(probe, target).await?;
    require!(reply.nodes(is_v6)?.is_some(), "no nodes beside the value");
    Ok(())
}

async fn put_accepted(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let value = unheard_of(probe, 40);
    put_immutable(probe, &value).await.map(drop)
}

async fn types(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let unique = probe.random_key();
    let number = i64::from_be_bytes(unique[..8].try_into().unwrap_or_default());
    let inner = dict(&[("a", list(&[])), ("b", int(-1))]);
    for value in [
        string(unique),
        int(number),
        list(&[string(unique), int(0), list(&[string("")])]),
        dict(&[("", string(unique)), ("a", int(number)), ("b", inner)]),
    ] {
        let target = put_immutable(probe, &value).await?;
        let reply = stored(probe, target).await?;
        require_value(&reply, &value)?;
    }
    Ok(())
}

/// A value with its keys the wrong way round, put; the reply, and whether it was stored.
async fn put_unsorted(probe: &mut Probe) -> Result<(Option<Reply>, bool), Unmet> {
    spoken(probe).await?;
    let unique = probe.random_key();
    let value = dict(&[("b", string(unique)), ("a", int(1))]);
    let sorted = dict(&[("a", int(1)), ("b", string(unique))]);
    let reply = try_put(probe, sha1(&[&value]), put(&value)).await?;
    let mut is_stored = false;
    for value in [value, sorted] {
        is_stored |= stored(probe, sha1(&[&value])).await?.get("v").is_some();
    }
    Ok((reply, is_stored))
}

async fn unsorted(probe: &mut Probe) -> Judged {
    let (reply, is_stored) = put_unsorted(probe).await?;
    require!(!reply.is_some_and(|reply| reply.is_response()), "accepted");
    require!(!is_stored, "refused, but stored");
    Ok(())
}

async fn unsorted_code(probe: &mut Probe) -> Judged {
    let (reply, _) = put_unsorted(probe).await?;
    require_code(reply.as_ref(), 203)
}

async fn too_big_code(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let value = unheard_of(probe, 1_001);
    let reply = try_put(probe, sha1(&[&value]), put(&value)).await?;
    given!(!reply.as_ref().is_some_and(Reply::is_response), "accepted, which is allowed");
    require_code(reply.as_ref(), 205)
}

async fn exactly(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let value = unheard_of(probe, 1_000);
    let target = put_immutable(probe, &value).await?;
    let reply = stored(probe, target).await?;
    require_value(&reply, &value)
}

async fn immutable(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let target: [u8; 20] = bytes(PUBLISHED_TARGET);
    must_put(probe, target, put(PUBLISHED_VALUE)).await?;
    let reply = stored(probe, target).await?;
    require_value(&reply, PUBLISHED_VALUE)?;
    require!(reply.get("k").or(reply.get("sig")).is_none(), "an immutable item with a key or signature");
    Ok(())
}

async fn refused(probe: &mut Probe, value: &[u8], token: &[u8]) -> Judged {
    let reply = probe.try_ask(Seat::Main, put(value).string("token", token)).await?;
    require!(!reply.is_some_and(|reply| reply.is_response()), "accepted");
    let reply = stored(probe, sha1(&[value])).await?;
    require!(reply.get("v").is_none(), "refused, but stored");
    Ok(())
}

async fn bad_token(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let value = unheard_of(probe, 40);
    let mut forged = probe.ask(Seat::Main, Query::get(sha1(&[&value]))).await?.token()?;
    forged.iter_mut().take(1).for_each(|byte| *byte ^= 0x80);
    for token in [forged, b"aoeusnth".to_vec(), Vec::new()] {
        refused(probe, &value, &token).await?;
    }
    Ok(())
}

async fn other_ip(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    given!(probe.has_elsewhere(), "this host has one address only to ask from");
    let value = unheard_of(probe, 40);
    let token = probe.ask(Seat::Elsewhere, Query::get(sha1(&[&value]))).await?.token()?;
    refused(probe, &value, &token).await
}
