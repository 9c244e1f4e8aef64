//! `kad kv dump`.

use key_value::dump::LookupDump;
use key_value::{Wanted, key_of};

use super::client::client;
use crate::cli::KvDump;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::overlay::patiently;

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
    } else {
        let dump = kv.dump().await?;
        output.clear();
        output.data("node", &dump, drawn(dump.to_json(), dump.to_plantuml()).trim_end())?;
    }
    kv.shutdown().await;
    Ok(Exit::Success)
}
