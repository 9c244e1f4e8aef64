//! `kad kv get`.

use std::io::{self, Write};

use key_value::{Got, Wanted, key_of};
use serde::Serialize;

use super::client::client;
use crate::cli::KvGet;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::overlay::patiently;
use crate::span;

#[derive(Serialize)]
struct ValueLine<'a> {
    name: &'a str,
    key: String,
    version: u64,
    /// If it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// In hexadecimal digits.
    value: String,
}

#[derive(Serialize)]
pub(super) struct Summary {
    found: bool,
    asked: usize,
    answered: usize,
    hops: usize,
    ms: f64,
}

impl Summary {
    pub(super) fn of(got: &Got) -> Self {
        let report = got.report.as_ref();
        let count = |count: fn(&_) -> usize| report.map_or(0, count);
        Summary {
            found: got.value().is_some(),
            asked: count(|report| report.asked),
            answered: count(|report| report.answered),
            hops: count(|report| report.hops),
            ms: span::as_millis(report.map(|report| report.took).unwrap_or_default()),
        }
    }
}

pub(super) async fn run(args: &KvGet, output: &Output, mut interrupt: Interrupt) -> anyhow::Result<Exit> {
    let kv = client(&args.join, output, &mut interrupt).await?;
    output.progress("looking", None, "");
    let wanted = if args.newest { Wanted::Newest } else { Wanted::First };
    let got = patiently(&args.join, &mut interrupt, kv.lookup_value(key_of(&args.name), wanted)).await??;
    output.clear();
    write(&args.name, &got, output)?;
    let summary = Summary::of(&got);
    output.summary(&summary, told(&got, &summary))?;
    // Which also sends the copy that the paper asks for.
    kv.shutdown().await;
    Ok(if summary.found { Exit::Success } else { Exit::Nothing })
}

fn write(name: &str, got: &Got, output: &Output) -> anyhow::Result<()> {
    let (Some(value), Some(item)) = (got.value(), &got.item) else { return Ok(()) };
    let bytes = value.as_bytes();
    let text = str::from_utf8(bytes).ok();
    if output.is_json() {
        let value = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let line = ValueLine { name, key: got.key.to_string(), version: item.version, text, value };
        return Ok(output.data("value", &line, "")?);
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    // What is text ends with a line; other bytes are left as they are.
    if text.is_some_and(|text| !text.ends_with('\n')) {
        writeln!(stdout)?;
    }
    Ok(stdout.flush()?)
}

pub(super) fn told(got: &Got, summary: &Summary) -> String {
    let what = match (&got.item, got.holders.first()) {
        (None, _) => "nothing found".to_owned(),
        (Some(item), _) if item.value.is_none() => "it was removed".to_owned(),
        (Some(item), Some(from)) => format!("version {} from {}", item.version, from.addr),
        (Some(item), None) => format!("version {}", item.version),
    };
    let Summary { asked, answered, .. } = summary;
    let took = span::seconds(got.report.as_ref().map(|report| report.took).unwrap_or_default());
    format!("{what} · {asked} asked, {answered} answered, {took}")
}
