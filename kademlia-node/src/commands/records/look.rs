//! `kad records resolve`, `find` and `list`.

use kademlia_core::Key;
use serde::Serialize;
use signed_records::{FindError, Found, Kind, Records, ResolveError, SignedRecord};
use tokio::time::Instant;

use super::client::client;
use super::shown::{RecordLine, said};
use crate::cli::{OverlayJoin, RecordsFind, RecordsList, RecordsResolve, RecordsTarget};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::Output;
use crate::overlay::patiently;
use crate::span;

#[derive(Serialize)]
struct Summary {
    found: usize,
    asked: usize,
    answered: usize,
    hops: usize,
    ms: f64,
}

pub(super) async fn resolve(
    args: &RecordsResolve,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let records = client(&args.join, output, &mut interrupt).await?;
    output.progress("looking", None, "");
    let began = Instant::now();
    let found = patiently(&args.join, &mut interrupt, records.resolve(args.publisher)).await?;
    output.clear();
    let (exit, told) = match found {
        Ok(record) => {
            output.data("record", &RecordLine::of(&record), said(&record))?;
            (Exit::Success, format!("version {}", record.sequence))
        }
        Err(error @ (ResolveError::NoRecords | ResolveError::NoEndpoint | ResolveError::Stale)) => {
            (Exit::Nothing, error.to_string())
        }
        Err(error) => return Err(error.into()),
    };
    let took = began.elapsed();
    #[derive(Serialize)]
    struct Resolved {
        found: bool,
        ms: f64,
    }
    let summary = Resolved { found: exit == Exit::Success, ms: span::as_millis(took) };
    output.summary(&summary, format!("{told} · {}", span::seconds(took)))?;
    records.close().await;
    Ok(exit)
}

pub(super) async fn find(args: &RecordsFind, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    look(&args.join, &args.target, Records::find, output, interrupt).await
}

pub(super) async fn list(args: &RecordsList, output: &Output, interrupt: Interrupt) -> anyhow::Result<Exit> {
    look(&args.join, &args.target, Records::aggregate, output, interrupt).await
}

async fn look(
    join: &OverlayJoin,
    target: &RecordsTarget,
    search: impl AsyncFnOnce(&Records, Key<32>, Option<Kind>) -> Result<Found, FindError>,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let records = client(join, output, &mut interrupt).await?;
    output.progress("looking", None, "");
    let (key, kind) = wanted(target)?;
    let found = patiently(join, &mut interrupt, search(&records, key, kind)).await?;
    report(&records, found, output).await
}

/// The key to look under.
fn wanted(target: &RecordsTarget) -> Result<(Key<32>, Option<Kind>), Failure> {
    let key = match (&target.publisher, &target.topic) {
        (Some(publisher), _) => publisher.key(),
        (None, Some(topic)) => topic.key(),
        (None, None) => return Err(Failure::usage("what is to be found?")),
    };
    Ok((key, target.kind.map(Kind::from)))
}

async fn report(records: &Records, found: Result<Found, FindError>, output: &Output) -> anyhow::Result<Exit> {
    output.clear();
    let (exit, told, found) = match found {
        Ok(found) => (Exit::Success, format!("{} records", found.records.len()), Some(found)),
        Err(error @ (FindError::NoRecords | FindError::Stale)) => (Exit::Nothing, error.to_string(), None),
        Err(error) => return Err(error.into()),
    };
    let all = found.as_ref().map_or(&[][..], |found| &found.records);
    for record in all {
        output.data("record", &RecordLine::of(record), line(record))?;
    }
    let counts = found.as_ref();
    let summary = Summary {
        found: all.len(),
        asked: counts.map_or(0, |found| found.asked),
        answered: counts.map_or(0, |found| found.answered),
        hops: counts.map_or(0, |found| found.hops),
        ms: counts.map_or(0.0, |found| span::as_millis(found.took)),
    };
    let told = match counts {
        Some(Found { asked, answered, took, .. }) => {
            format!("{told} · {asked} asked, {answered} answered, {}", span::seconds(*took))
        }
        None => told,
    };
    output.summary(&summary, told)?;
    records.close().await;
    Ok(exit)
}

fn line(record: &SignedRecord) -> String {
    format!("{}  {}  {}", record.publisher, record.subject, said(record))
}
