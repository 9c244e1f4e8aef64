//! `kad peers --scrape`: how many share a torrent (BEP 33).

use bittorrent_profile::Dht;
use serde::Serialize;
use tokio::time::timeout;

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

#[derive(Serialize)]
struct Swarm {
    seeds: f64,
    peers: f64,
    /// Nodes that answered with filters.
    counting: usize,
    /// Nodes that answered with a list of peers alone.
    listing: usize,
    asked: usize,
    answered: usize,
    ms: f64,
}

pub(super) async fn run(
    dht: &Dht,
    args: &cli::Peers,
    output: &Output,
    interrupt: &mut Interrupt,
) -> anyhow::Result<Exit> {
    output.progress("counting", None, "");
    let scraped = tokio::select! {
        scraped = timeout(args.join.timeout, dht.scrape(args.torrent.info_hash)) => scraped,
        () = interrupt.wait() => return Err(join::stopped().into()),
    };
    let scraped = scraped.map_err(|_| {
        Failure::new(Exit::Nothing, "nothing counted in time").hint("allow more with --timeout")
    })??;
    let swarm = Swarm {
        seeds: tenths(scraped.seeds()),
        peers: tenths(scraped.peers()),
        counting: scraped.counting,
        listing: scraped.listing,
        asked: scraped.asked,
        answered: scraped.answered,
        ms: span::as_millis(scraped.took),
    };
    let Swarm { seeds, peers, counting, listing, asked, answered, .. } = &swarm;
    output.data("swarm", &swarm, format!("about {seeds:.0} seeds and {peers:.0} other peers"))?;
    let text = format!(
        "{counting} nodes counted, {listing} only listed peers · {asked} asked, {answered} answered in {}",
        span::seconds(scraped.took)
    );
    output.summary(&swarm, text)?;
    Ok(if scraped.scrape.seeds.is_empty() && scraped.scrape.peers.is_empty() {
        Exit::Nothing
    } else {
        Exit::Success
    })
}

/// An estimate has no more digits than that.
fn tenths(count: f64) -> f64 {
    (count * 10.0).round() / 10.0
}
