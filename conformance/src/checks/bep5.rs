//! BEP 5: messages and errors.

use std::time::Duration;

use crate::bencode::{Item, string};
use crate::check::Check;
use crate::check::Level::{Must, Practice, Should};
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::reply::Reply;
use crate::verdict::{Judged, Unmet, require};

pub(super) const CHECKS: &[Check] = &[
    Check::asked(
        "5.1",
        "envelope",
        Must,
        "a reply is one dictionary with `y` = `r`, `r` and the query's `t`",
        |p| Box::pin(envelope(p)),
    ),
    Check::asked("5.1", "one-reply", Must, "one query gets one reply", |p| Box::pin(one_reply(p))),
    Check::asked("5.1", "error-form", Must, "an error is a list of a code and a text under `e`", |p| {
        Box::pin(error_form(p))
    }),
    Check::reviewed("5.1", "bencode", Must, "everything sent is bencode, keys in order", bencode),
    Check::asked("5.2", "t-length", Should, "a `t` of 1 to 20 bytes comes back unchanged", |p| {
        Box::pin(transactions(p, &[1, 2, 3, 4, 8, 16, 20]))
    }),
    Check::asked("5.2", "t-extremes", Practice, "a `t` of 0 or 32 bytes comes back unchanged", |p| {
        Box::pin(transactions(p, &[0, 32]))
    }),
    Check::asked("5.2", "t-in-errors", Must, "the `t` of an error is the query's", |p| {
        Box::pin(transactions_of_errors(p))
    }),
    Check::reviewed(
        "5.2",
        "version",
        Should,
        "responses say by `v` what program they are from, in 4 bytes; with a value or filters, they need not",
        version,
    ),
    Check::asked("5.3", "id", Must, "every response has an id of 20 bytes", |p| Box::pin(id(p))),
    Check::asked("5.3", "asker-id", Must, "a query without an id of 20 bytes gets no response", |p| {
        Box::pin(asker_id(p))
    }),
    Check::asked(
        "5.4",
        "nodes",
        Must,
        "`nodes` is a string of 26 bytes for each node, `nodes6` of 38",
        |p| Box::pin(compact_nodes(p)),
    ),
    Check::asked("5.5", "unknown-method", Must, "an error for an unknown method has the code 204", |p| {
        Box::pin(unknown_method(p))
    }),
    Check::asked("5.5", "told", Should, "an unknown method gets an error, not silence", |p| {
        Box::pin(told(p))
    }),
    Check::asked(
        "5.5",
        "bad-arguments",
        Must,
        "wrong or missing arguments get error 203, if not silence",
        |p| Box::pin(bad_arguments(p)),
    ),
    Check::asked("5.5", "bad-arguments-told", Should, "a missing argument gets an error, not silence", |p| {
        Box::pin(bad_arguments_told(p))
    }),
    Check::asked("5.6", "ping", Must, "ping gets the node's id", |p| Box::pin(ping(p))),
];

async fn envelope(probe: &mut Probe) -> Judged {
    let reply = probe.ask(Seat::Main, Query::ping().transaction(*b"\xff\0")).await?;
    let response = reply.response()?;
    require!(response.is_dict(), "`r` is no dictionary");
    Ok(())
}

async fn one_reply(probe: &mut Probe) -> Judged {
    for query in [Query::ping(), Query::get_peers([0x5a; 20])] {
        let reply = probe.ask(Seat::Main, query).await?;
        let settle = probe.settle();
        let more = probe.overhear(settle).await;
        let same =
            |bytes: &[u8]| Item::parse(bytes).is_ok_and(|more| more.get("t") == reply.message.get("t"));
        let again = more.iter().filter(|(_, bytes)| same(bytes)).count();
        require!(again < reply.attempts, "{} replies to {} query", again + 1, reply.attempts);
    }
    Ok(())
}

/// Some error: what an unknown method gets, or else missing arguments.
async fn some_error(probe: &mut Probe) -> Result<Reply, Unmet> {
    for query in [novel(), Query::new("find_node")] {
        let reply = probe.try_ask(Seat::Main, query.transaction(*b"e\x80\0")).await?;
        if let Some(reply) = reply.filter(Reply::is_error) {
            return Ok(reply);
        }
        let is_error = |bytes: &[u8]| Item::parse(bytes).is_ok_and(|stray| stray.get("e").is_some());
        let strays = probe.overhear(Duration::ZERO).await;
        require!(!strays.iter().any(|(_, bytes)| is_error(bytes)), "an error with another `t`");
    }
    Err(Unmet::NotApplicable("nothing is answered with an error".to_owned()))
}

fn novel() -> Query {
    Query::new("no_such_method")
}

async fn error_form(probe: &mut Probe) -> Judged {
    let reply = some_error(probe).await?;
    require!(reply.error().is_some(), "`e` is not a list of an integer and a string");
    Ok(())
}

async fn transactions_of_errors(probe: &mut Probe) -> Judged {
    // Its `t` of three bytes is what it was waited for by.
    some_error(probe).await.map(drop)
}

fn bencode(probe: &Probe) -> Judged {
    if let Some(invalid) = &probe.seen.invalid {
        return Err(Unmet::failed(format!("no bencode: {invalid}")));
    }
    let unsorted = probe.seen.unsorted.as_deref();
    require!(unsorted.is_none(), "keys out of order: {}", unsorted.unwrap_or_default());
    Ok(())
}

async fn transactions(probe: &mut Probe, lengths: &[usize]) -> Judged {
    let mut wrong = Vec::new();
    for &length in lengths {
        let mut transaction = vec![0; length];
        probe.rng.fill(&mut transaction);
        if probe.try_ask(Seat::Main, Query::ping().transaction(transaction)).await?.is_none() {
            wrong.push(length.to_string());
        }
    }
    require!(wrong.is_empty(), "not echoed: `t` of {} bytes", wrong.join(", "));
    Ok(())
}

fn version(probe: &Probe) -> Judged {
    let (responses, with_version) = probe.seen.versions;
    require!(with_version == responses, "{with_version} of {responses} responses have a `v` of 4 bytes");
    Ok(())
}

async fn id(probe: &mut Probe) -> Judged {
    for query in [Query::ping(), Query::find_node([0x33; 20]), Query::get_peers([0x33; 20])] {
        let reply = probe.ask(Seat::Main, query).await?;
        reply.response()?;
        require!(reply.id().is_some(), "a response without an `id` of 20 bytes");
    }
    Ok(())
}

async fn asker_id(probe: &mut Probe) -> Judged {
    for query in [
        Query::ping().without("id"),
        Query::ping().string("id", [0x11; 19]),
        Query::ping().string("id", [0x11; 21]),
        Query::ping().int("id", 7),
    ] {
        let reply = probe.try_ask(Seat::Main, query).await?;
        require!(
            !reply.is_some_and(|reply| reply.is_response()),
            "a response to a query without a proper id"
        );
    }
    Ok(())
}

async fn compact_nodes(probe: &mut Probe) -> Judged {
    let reply = probe.ask(Seat::Main, Query::find_node([0x44; 20])).await?;
    reply.response()?;
    let v4 = reply.nodes(false)?;
    let v6 = reply.nodes(true)?;
    require!(v4.is_some() || v6.is_some(), "neither `nodes` nor `nodes6`");
    Ok(())
}

async fn unknown_method(probe: &mut Probe) -> Judged {
    let Some(reply) = probe.try_ask(Seat::Main, novel()).await? else {
        return Err(Unmet::NotApplicable("silence".to_owned()));
    };
    let Some((code, text)) = reply.error() else { return Err(Unmet::failed("no error, but a response")) };
    require!(code == 204, "error {code} \"{}\" instead of 204", text.escape_default());
    Ok(())
}

async fn told(probe: &mut Probe) -> Judged {
    let reply = probe.ask(Seat::Main, novel()).await?;
    require!(reply.is_error(), "no error");
    Ok(())
}

/// Queries of which each has one thing wrong.
fn malformed() -> [Query; 7] {
    let announce = || Query::announce([0x22; 20], 6881, b"token");
    [
        Query::new("find_node"),
        Query::new("find_node").string("target", [0x22; 19]),
        Query::new("find_node").int("target", 7),
        Query::new("get_peers"),
        Query::new("get_peers").raw("info_hash", b"le".to_vec()),
        announce().without("token"),
        announce().raw("port", string("6881")),
    ]
}

async fn bad_arguments(probe: &mut Probe) -> Judged {
    for query in malformed() {
        let Some(reply) = probe.try_ask(Seat::Main, query).await? else { continue };
        let Some((code, text)) = reply.error() else { return Err(Unmet::failed("no error, but a response")) };
        require!(code == 203, "error {code} \"{}\" instead of 203", text.escape_default());
    }
    Ok(())
}

async fn bad_arguments_told(probe: &mut Probe) -> Judged {
    for query in [Query::new("find_node"), Query::new("get_peers"), Query::ping().without("id")] {
        let reply = probe.ask(Seat::Main, query).await?;
        require!(reply.is_error(), "no error");
    }
    Ok(())
}

async fn ping(probe: &mut Probe) -> Judged {
    let reply = probe.ask(Seat::Main, Query::ping()).await?;
    reply.response()?;
    require!(reply.id().is_some(), "no `id` of 20 bytes");
    Ok(())
}
