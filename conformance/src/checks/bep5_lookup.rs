//! BEP 5: `find_node`, and what shows of the routing table.

use crate::check::Check;
use crate::check::Level::{Must, Practice, Should};
use crate::probe::{Probe, Seat};
use crate::query::Query;
use crate::reply::Named;
use crate::verdict::{Judged, Unmet, given, require};

/// Nodes in a reply.
const K: usize = 8;

pub(super) const CHECKS: &[Check] = &[
    Check::asked("5.7", "nodes", Must, "find_node gets nodes, if there are any", |p| Box::pin(gets_nodes(p))),
    Check::asked("5.7", "k", Should, "find_node gets the 8 closest good nodes, not more", |p| {
        Box::pin(at_most_k(p))
    }),
    Check::asked("5.7", "target", Should, "find_node for a node that is known gets that node", |p| {
        Box::pin(knows_its_own(p))
    }),
    Check::asked("5.7", "asker", Practice, "nobody is told of himself", |p| Box::pin(asker_left_out(p))),
    Check::asked(
        "5.11",
        "xor",
        Should,
        "the nodes that find_node gets are the closest by XOR that are known",
        |p| Box::pin(closest(p)),
    ),
    Check::asked("5.12", "unverified", Must, "whoever asked but never answered is not handed out", |p| {
        Box::pin(unverified(p))
    }),
    Check::unseen("5.13", Must, "one bucket splits around the own id; good nodes stay", "buckets are inside"),
    Check::unseen("5.14", Should, "buckets are refreshed after 15 minutes", "it takes longer than a run"),
    Check::unseen(
        "5.15",
        Should,
        "joining looks for the own id; the table is saved",
        "it is over when the run begins",
    ),
    Check::unseen(
        "5.16",
        Should,
        "PORT messages and torrents' `nodes` are used",
        "they come by TCP and in files",
    ),
];

/// The nodes of the own family that are named for `target`.
async fn nodes_for(probe: &mut Probe, target: [u8; 20]) -> Result<Vec<Named>, Unmet> {
    let is_v6 = probe.target.is_ipv6();
    let reply = probe.ask(Seat::Main, Query::find_node(target)).await?;
    reply.response()?;
    let key = if is_v6 { "nodes6" } else { "nodes" };
    reply.nodes(is_v6)?.ok_or_else(|| Unmet::failed(format!("no `{key}`")))
}

async fn gets_nodes(probe: &mut Probe) -> Judged {
    let target = probe.random_key();
    nodes_for(probe, target).await.map(drop)
}

async fn at_most_k(probe: &mut Probe) -> Judged {
    let target = probe.random_key();
    let nodes = nodes_for(probe, target).await?;
    require!(nodes.len() <= K, "{} nodes", nodes.len());
    Ok(())
}

async fn knows_its_own(probe: &mut Probe) -> Judged {
    // Somebody who answers: a node may ask, and know this one from now on.
    probe.ask(Seat::Second, Query::ping()).await?;
    let settle = probe.settle();
    probe.overhear(settle).await;
    let target = probe.random_key();
    let known = nodes_for(probe, target).await?;
    let asker = probe.id(Seat::Main);
    let Some(known) = known.into_iter().find(|node| node.id != asker) else {
        return Err(Unmet::NotApplicable("it names nobody".to_owned()));
    };
    let nodes = nodes_for(probe, known.id).await?;
    require!(
        nodes.iter().any(|node| node.id == known.id),
        "not the node {} that it named before",
        known.addr
    );
    Ok(())
}

async fn asker_left_out(probe: &mut Probe) -> Judged {
    let own = probe.id(Seat::Main);
    let nodes = nodes_for(probe, own).await?;
    let port = probe.port(Seat::Main);
    let is_asker = |node: &Named| node.id == own && node.addr.port() == port;
    require!(!nodes.iter().any(is_asker), "its own contact came back to the asker");
    Ok(())
}

/// Asks for one target before and after the opposite one: who is named in between is in the table all the time, and has
/// to be among the first target's nodes if closer than any of them.
async fn closest(probe: &mut Probe) -> Judged {
    let near = probe.random_key();
    let far = near.map(|byte| !byte);
    let before = nodes_for(probe, near).await?;
    let between = nodes_for(probe, far).await?;
    let after = nodes_for(probe, near).await?;
    let distance = |node: &Named| {
        let mut distance = near;
        distance.iter_mut().zip(node.id).for_each(|(own, other)| *own ^= other);
        distance
    };
    let full = before.len() >= K && after.len() >= K;
    let bound = before.iter().map(distance).max().min(after.iter().map(distance).max());
    for node in between.iter().filter(|node| !before.contains(node) && !after.contains(node)) {
        let closer = bound.is_none_or(|bound| distance(node) < bound);
        require!(full && !closer, "{} was left out, though known and closer", node.addr);
    }
    Ok(())
}

async fn unverified(probe: &mut Probe) -> Judged {
    let id = probe.id(Seat::Mute);
    for _ in 0..3 {
        probe.ask(Seat::Mute, Query::find_node(id)).await?;
    }
    let settle = probe.settle();
    probe.overhear(settle).await;
    let nodes = nodes_for(probe, id).await?;
    let port = probe.port(Seat::Mute);
    given!(!nodes.is_empty(), "it names nobody");
    let is_mute = |node: &Named| {
        node.id == id || (node.addr.port() == port && Some(node.addr.ip()) == probe.own_ip(Seat::Mute))
    };
    require!(!nodes.iter().any(is_mute), "an asker that never answered is handed out");
    Ok(())
}
