//! BEP 43: read-only nodes.

use crate::bencode::int;
use crate::check::Check;
use crate::check::Level::{Must, Practice};
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::verdict::{Judged, given, require};

pub(super) const CHECKS: &[Check] = &[
    Check::reviewed("43.1", "answers", Must, "a node that answers does not call itself read-only", answers),
    Check::asked("43.2", "served", Must, "a query with `ro` = 1 is answered as any other", |p| {
        Box::pin(served(p))
    }),
    Check::asked("43.2", "not-kept", Must, "who asks with `ro` = 1 is not handed out", |p| {
        Box::pin(not_kept(p))
    }),
    Check::reviewed("43.2", "not-pinged", Must, "who asks with `ro` = 1 is not asked", not_pinged),
    Check::reviewed("43.2", "responses", Practice, "responses have no `ro`", no_ro_in_responses),
];

fn answers(probe: &Probe) -> Judged {
    given!(!probe.seen.queries.is_empty(), "it asked nothing during the run");
    let read_only = probe.seen.queries.iter().filter(|(_, is_read_only)| *is_read_only).count();
    require!(read_only == 0, "{read_only} of {} queries had `ro` = 1", probe.seen.queries.len());
    Ok(())
}

fn read_only(query: Query) -> Query {
    query.top("ro", int(1))
}

async fn served(probe: &mut Probe) -> Judged {
    for query in [Query::ping(), Query::find_node([0x43; 20]), Query::get_peers([0x43; 20])] {
        let reply = probe.ask(Seat::ReadOnly, read_only(query)).await?;
        reply.response()?;
    }
    Ok(())
}

async fn not_kept(probe: &mut Probe) -> Judged {
    let id = probe.id(Seat::ReadOnly);
    for _ in 0..3 {
        probe.ask(Seat::ReadOnly, read_only(Query::find_node(id))).await?;
    }
    let settle = probe.settle();
    probe.overhear(settle).await;
    let is_v6 = probe.target.is_ipv6();
    let reply = probe.ask(Seat::Main, Query::find_node(id)).await?;
    let nodes = reply.nodes(is_v6)?.unwrap_or_default();
    given!(!nodes.is_empty(), "it names nobody");
    let port = probe.port(Seat::ReadOnly);
    require!(!nodes.iter().any(|node| node.id == id), "the read-only node at port {port} is handed out");
    Ok(())
}

fn not_pinged(probe: &Probe) -> Judged {
    let asked = probe.seen.queries.iter().filter(|(seat, _)| *seat == Seat::ReadOnly).count();
    require!(asked == 0, "it was asked {asked} times");
    Ok(())
}

fn no_ro_in_responses(probe: &Probe) -> Judged {
    let response = probe.seen.read_only.as_deref();
    require!(response.is_none(), "{}", response.unwrap_or_default());
    Ok(())
}
