//! BEPs 45, 46 and 50: several addresses, torrents that change, and topics. Little of them shows from outside.

use crate::bencode::{dict, string};
use crate::check::Check;
use crate::check::Level::{Must, Should};
use crate::checks::bep44::{must_put, require_value, stored};
use crate::checks::bep44_mutable::spoken;
use crate::item::Mutable;
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::verdict::{Judged, Unmet};

const NEEDS_A_TOPIC: &str = "it takes a topic that the node has subscribed to";

pub(super) const CHECKS: &[Check] = &[
    Check::asked("45.1", "same-socket", Must, "a reply comes from the address that was asked", |p| {
        Box::pin(same_socket(p))
    }),
    Check::unseen(
        "45.2",
        Should,
        "one port for an IP address, and no unspecified address",
        "sockets are inside",
    ),
    Check::unseen("45.3", Should, "several addresses share a table and storage", "tables are inside"),
    Check::asked(
        "46.1",
        "torrent",
        Must,
        "a mutable item can be a dictionary with an info hash under `ih`",
        |p| Box::pin(torrent(p)),
    ),
    Check::unseen("46.2", Must, "magnet links name a key and a salt", "links are not sent to nodes"),
    Check::unseen("50.1", Must, "a topic is an overlay of its own, with K = 1", NEEDS_A_TOPIC),
    Check::unseen(
        "50.2",
        Must,
        "messages of a topic have `c`; get_peers and announce_peer are prohibited",
        NEEDS_A_TOPIC,
    ),
    Check::unseen("50.3", Should, "a newer put goes on to all nodes of the topic", NEEDS_A_TOPIC),
    Check::unseen("50.4", Should, "subscribers announce themselves under the topic", NEEDS_A_TOPIC),
];

async fn same_socket(probe: &mut Probe) -> Judged {
    for query in [Query::ping(), Query::find_node([0x45; 20]), Query::get_peers([0x45; 20])] {
        probe.try_ask(Seat::Main, query).await?;
    }
    match &probe.seen.foreign {
        Some((from, reply)) => Err(Unmet::failed(format!("{reply} came from {from}"))),
        None => Ok(()),
    }
}

async fn torrent(probe: &mut Probe) -> Judged {
    spoken(probe).await?;
    let value = dict(&[("ih", string(probe.random_key()))]);
    let item = Mutable::new(&mut probe.rng);
    must_put(probe, item.target(), item.put(1, &value)).await?;
    let reply = stored(probe, item.target()).await?;
    require_value(&reply, &value)
}
