//! `kad find`: the nodes closest to an id.

use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::NodeId;
use kademlia_core::{Key, Keyspace};
use serde::Serialize;
use tokio::time::timeout;

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

#[derive(Serialize)]
struct NodeLine {
    id: String,
    addr: SocketAddr,
    distance: String,
    /// The distance is below 2 to this power.
    log2: usize,
}

#[derive(Default, Serialize)]
struct Summary {
    nodes: usize,
    asked: usize,
    answered: usize,
    messages: usize,
    hops: usize,
    ms: f64,
}

pub(crate) async fn run(args: &cli::Find, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    // Ids and info hashes are points of the same space.
    let target = Key::from(args.target.info_hash);
    let dht = join::client(&args.join, &args.target.nodes, output, &mut interrupt).await?;
    output.progress("looking", None, "");
    let reports = tokio::select! {
        reports = timeout(args.join.timeout, dht.find_node(target.into())) => reports,
        () = interrupt.wait() => return Err(join::stopped().into()),
    };
    let reports = reports.map_err(|_| {
        Failure::new(Exit::Nothing, "nothing found in time").hint("allow more with --timeout")
    })??;
    let mut summary = Summary::default();
    let mut took = Duration::ZERO;
    for report in &reports {
        for contact in &report.closest {
            let log2 = <Key<20>>::BITS - target.common_prefix(&contact.key);
            let (id, addr) = (NodeId::from(contact.key).to_string(), contact.addr);
            let text = format!("{id}  {:<21}  distance < 2^{log2}", addr.to_string());
            let distance = target.distance(&contact.key).to_string();
            output.data("node", &NodeLine { id, addr, distance, log2 }, text)?;
        }
        summary.nodes += report.closest.len();
        summary.asked += report.asked;
        summary.answered += report.answered;
        summary.messages += report.messages;
        summary.hops = summary.hops.max(report.hops);
        took += report.took;
    }
    summary.ms = span::as_millis(took);
    let Summary { nodes, asked, answered, hops, .. } = &summary;
    let text = format!(
        "{nodes} nodes in {} · {hops} hops · {asked} asked, {answered} answered",
        span::seconds(took)
    );
    output.summary(&summary, text)?;
    Ok(if summary.nodes > 0 { Exit::Success } else { Exit::Nothing })
}
