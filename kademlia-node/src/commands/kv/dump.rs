//! `kad kv dump`.

use key_value::dump::LookupDump;
use key_value::{Wanted, key_of};
use serde::Serialize;

use super::client::client;
use super::get::{Summary, told};
use crate::cli::KvDump;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::overlay::patiently;

#[derive(Serialize)]
struct NodeSummary {
    nodes: usize,
    pairs: usize,
}

pub(super) async fn run(args: &KvDump, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    let kv = client(&args.join, output, &mut interrupt).await?;
    output.progress("looking", None, "");
    let drawn = |json: String, plantuml: String| if args.plantuml { plantuml } else { json };
    if let Some(name) = &args.name {
        let got = kv.lookup_value(key_of(name), Wanted::Newest);
        let got = patiently(&args.join, &mut interrupt, got).await??;
        let dump = LookupDump::from(&got);
        output.clear();
        output.data("lookup", &dump, drawn(dump.to_json(), dump.to_plantuml()).trim_end())?;
        let summary = Summary::of(&got);
        output.summary(&summary, told(&got, &summary))?;
    } else {
        let dump = kv.dump().await?;
        output.clear();
        output.data("node", &dump, drawn(dump.to_json(), dump.to_plantuml()).trim_end())?;
        let nodes = dump.buckets.iter().map(|bucket| bucket.nodes.len()).sum();
        let summary = NodeSummary { nodes, pairs: dump.pairs.len() };
        output.summary(&summary, format!("knows {nodes} nodes, holds {} pairs", summary.pairs))?;
    }
    kv.shutdown().await;
    Ok(Exit::Success)
}
