//! BEP 42: ids bound to IP addresses, and telling an asker its own.

use crate::check::Check;
use crate::check::Level::{Must, Should};
use crate::digest::crc_prefix;
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::reply::Reply;
use crate::verdict::{Judged, Unmet, given, require};

pub(super) const CHECKS: &[Check] = &[
    Check::unseen("42.1", Must, "the checksum of the masked address", "it shows in the id: 42.2"),
    Check::asked(
        "42.2",
        "id",
        Must,
        "21 bits of the id are the checksum of the address, by the id's last byte",
        |p| Box::pin(id(p)),
    ),
    Check::unseen(
        "42.3",
        Must,
        "local networks are exempt",
        "it shows in whom a node prefers, to nobody else",
    ),
    Check::asked("42.4", "responses", Should, "responses have the asker's address under `ip`", |p| {
        Box::pin(ip_in_responses(p))
    }),
    Check::asked("42.4", "errors", Should, "errors have the asker's address under `ip`", |p| {
        Box::pin(ip_in_errors(p))
    }),
    Check::asked("42.4", "right", Must, "`ip` is the address and port that the query came from", |p| {
        Box::pin(ip_is_right(p))
    }),
    Check::asked("42.5", "served", Must, "who asks under an id that does not fit is served", |p| {
        Box::pin(served(p))
    }),
];

async fn id(probe: &mut Probe) -> Judged {
    given!(!probe.is_exempt(), "a node in a local network has any id");
    let reply = probe.ask(Seat::Main, Query::ping()).await?;
    reply.response()?;
    let id = reply.id().ok_or_else(|| Unmet::failed("no id of 20 bytes"))?;
    let expected = crc_prefix(probe.target.ip(), id[19]);
    let own = [id[0], id[1], id[2] & 0xf8];
    require!(
        own == expected,
        "the id begins with {own:02x?}, the checksum of its address with {expected:02x?}"
    );
    Ok(())
}

async fn ip_in_responses(probe: &mut Probe) -> Judged {
    for query in [Query::ping(), Query::find_node([0x42; 20]), Query::get_peers([0x42; 20])] {
        let reply = probe.ask(Seat::Main, query).await?;
        reply.response()?;
        require!(reply.observed().is_some(), "no `ip` of 6 or 18 bytes");
    }
    Ok(())
}

async fn ip_in_errors(probe: &mut Probe) -> Judged {
    for query in [Query::new("no_such_method"), Query::new("find_node"), Query::new("get_peers")] {
        let reply = probe.try_ask(Seat::Main, query).await?;
        if let Some(reply) = reply.filter(Reply::is_error) {
            require!(reply.observed().is_some(), "an error without an `ip` of 6 or 18 bytes");
            return Ok(());
        }
    }
    Err(Unmet::NotApplicable("nothing is answered with an error".to_owned()))
}

async fn ip_is_right(probe: &mut Probe) -> Judged {
    let mut told = false;
    for seat in [Seat::Main, Seat::Second, Seat::Elsewhere] {
        if seat == Seat::Elsewhere && !probe.has_elsewhere() {
            continue;
        }
        let reply = probe.ask(seat, Query::ping()).await?;
        let Some(raw) = reply.message.get("ip") else { continue };
        told = true;
        let observed = reply.observed().ok_or_else(|| Unmet::failed(format!("`ip` is {raw}")))?;
        // Behind a NAT the node sees an address and a port that nobody here knows.
        require!(observed.is_ipv4() == probe.target.is_ipv4(), "`ip` is {observed}, of the other family");
        if probe.target.ip().is_loopback() {
            let own = (probe.own_ip(seat), probe.port(seat));
            require!(
                (Some(observed.ip()), observed.port()) == own,
                "`ip` is {observed}, asked from port {}",
                own.1
            );
        }
    }
    given!(told, "it does not tell");
    Ok(())
}

async fn served(probe: &mut Probe) -> Judged {
    let mut id = probe.random_key();
    if let Some(ip) = probe.own_ip(Seat::Main) {
        // Wrong in its first bit for certain.
        id[0] = !crc_prefix(ip, id[19])[0];
    }
    for query in [Query::ping(), Query::find_node(id), Query::get_peers(id)] {
        let reply = probe.ask(Seat::Second, query.string("id", id)).await?;
        reply.response()?;
    }
    Ok(())
}
