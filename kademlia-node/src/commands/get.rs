//! `kad get`: values out of the DHT.

use std::io::{self, Write};

use bittorrent_profile::dht::{ItemSearch, ItemSummary};
use bittorrent_profile::item::{Item, RawValue};
use bittorrent_profile::link::info_hash_in;
use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep_until};

use super::decode::show;
use crate::cli::{self, Target};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::Output;
use crate::span;

#[derive(Serialize)]
struct ItemLine {
    target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    info_hash: Option<String>,
    value: Value,
    /// The value's bencode, in hexadecimal digits.
    bencode: String,
}

#[derive(Serialize)]
struct Summary {
    found: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<i64>,
    holders: usize,
    outdated: usize,
    invalid: usize,
    forked: bool,
    asked: usize,
    answered: usize,
    hops: usize,
    ms: f64,
}

impl Summary {
    fn of(summary: &ItemSummary) -> Self {
        Summary {
            found: summary.found.is_some(),
            seq: summary.found.as_ref().and_then(Item::seq),
            holders: summary.holders,
            outdated: summary.outdated,
            invalid: summary.invalid,
            forked: summary.forked,
            asked: summary.asked,
            answered: summary.answered,
            hops: summary.hops,
            ms: span::as_millis(summary.took),
        }
    }
}

pub(crate) async fn run(args: &cli::Get, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    let is_link = matches!(args.target, Some(Target::Link(_)));
    let dht = join::client(&args.join, &[], output, &mut interrupt).await?;
    let search = match (args.target, args.key) {
        (Some(Target::Hash(target)), _) => dht.get(target),
        (Some(Target::Link(link)), _) => dht.get_mutable(link.key, link.salt),
        (None, Some(key)) => dht.get_mutable(key, args.salt.unwrap_or_default()),
        (None, None) => return Err(Failure::usage("what is to be read?").into()),
    };
    let summary = read(search, args, output, &mut interrupt).await;
    output.clear();
    if let (None, Some(failure)) = (&summary.found, &summary.failure) {
        return Err(failure.clone().into());
    }
    if let Some(item) = &summary.found {
        let info_hash = info_hash_in(item.value()).filter(|_| is_link);
        if is_link && info_hash.is_none() {
            return Err(Failure::new(Exit::BadData, "what is published under this link is no torrent").into());
        }
        write(item, info_hash.map(|hash| hash.to_string()), args.raw, output)?;
    }
    output.summary(&Summary::of(&summary), told(&summary))?;
    Ok(match &summary {
        ItemSummary { found: Some(_), .. } => Exit::Success,
        ItemSummary { invalid: 1.., .. } => Exit::BadData,
        _ => Exit::Nothing,
    })
}

/// Reads to the end, or as long as there is time and patience; nothing can be better than an immutable item.
async fn read(
    mut search: ItemSearch,
    args: &cli::Get,
    output: &Output,
    interrupt: &mut Interrupt,
) -> ItemSummary {
    let deadline = Instant::now() + args.join.timeout;
    output.progress("looking", None, "");
    loop {
        tokio::select! {
            item = search.next() => match item {
                Some(Item::Mutable(item)) => output.progress("looking", None, format!("version {}", item.seq)),
                Some(Item::Immutable(_)) | None => return search.summary(),
            },
            () = interrupt.wait() => return search.summary(),
            () = sleep_until(deadline) => return search.summary(),
        }
    }
}

fn write(item: &Item, info_hash: Option<String>, raw: bool, output: &Output) -> anyhow::Result<()> {
    let value = item.value();
    if raw {
        let mut stdout = io::stdout().lock();
        stdout.write_all(value.as_bytes())?;
        return Ok(stdout.flush()?);
    }
    let shown = value.with(|value| show::value(None, value)).unwrap_or_default();
    let text = match (&info_hash, value.as_string()) {
        (Some(info_hash), _) => info_hash.clone(),
        (None, Some(string)) if !output.is_json() => {
            let mut stdout = io::stdout().lock();
            stdout.write_all(string)?;
            // What is text ends with a line; other bytes are left as they are.
            let ends = string.ends_with(b"\n") || str::from_utf8(string).is_err();
            if !ends {
                writeln!(stdout)?;
            }
            return Ok(stdout.flush()?);
        }
        (None, _) => show::tree(&shown),
    };
    let line = ItemLine {
        target: item.target().to_string(),
        seq: item.seq(),
        info_hash,
        value: shown,
        bencode: hex(value),
    };
    Ok(output.data("item", &line, text)?)
}

fn hex(value: &RawValue) -> String {
    value.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn told(summary: &ItemSummary) -> String {
    let ItemSummary { holders, outdated, invalid, asked, answered, took, .. } = summary;
    let what = match &summary.found {
        None => "nothing found".to_owned(),
        Some(Item::Immutable(_)) => format!("found on {holders} nodes"),
        Some(Item::Mutable(item)) => format!("version {} found on {holders} nodes", item.seq),
    };
    let counted =
        |count: &usize, what: &str| if *count > 0 { format!(" · {count} {what}") } else { String::new() };
    let older = counted(outdated, "have an older one");
    let false_ones = counted(invalid, "answered with something else");
    let forked = if summary.forked { " · its owner gave this number to other values too" } else { "" };
    let took = span::seconds(*took);
    format!("{what}{older}{false_ones}{forked} · {asked} asked, {answered} answered, {took}")
}
