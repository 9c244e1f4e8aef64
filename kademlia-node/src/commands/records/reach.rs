//! `kad records ping` and `probe`.

use std::net::SocketAddr;

use serde::Serialize;
use signed_records::{AskError, Builder};
use tokio::time::Instant;

use super::client::towards;
use crate::cli::{RecordsPing, RecordsProbe};
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::{Output, Tone};
use crate::span;

#[derive(Serialize)]
struct PongLine<'a> {
    host: &'a str,
    addr: SocketAddr,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct PingSummary {
    asked: usize,
    answered: usize,
}

pub(super) async fn ping(
    args: &RecordsPing,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let mut answered = 0;
    for host in &args.hosts {
        let give_up = Instant::now() + args.timeout;
        let read_only = |node: Builder| node.read_only(true);
        let (records, addr) = towards(host, args.bind, give_up, &mut interrupt, read_only).await?;
        let asking = async {
            let pong = records.ping(addr).await?;
            Ok::<_, AskError>((records.ping_identity(addr).await?, pong.round_trip))
        };
        let outcome = join::in_time(give_up.duration_since(Instant::now()), &mut interrupt, asking).await?;
        let late = || Err(join::no_end(args.timeout).to_string());
        let outcome = outcome.map_or_else(late, |outcome| outcome.map_err(|error| error.to_string()));
        let mut line = PongLine { host, addr, ok: outcome.is_ok(), id: None, ms: None, error: None };
        let text = match outcome {
            Ok((identity, round_trip)) => {
                answered += 1;
                line.id = Some(identity.to_string());
                line.ms = round_trip.map(span::as_millis);
                let took = round_trip.map(span::millis).unwrap_or_default();
                format!("{host} ({addr})  id {identity} {}  {took}", output.paint(Tone::Good, "✔"))
            }
            Err(error) => {
                let text = format!("{host} ({addr})  {}", output.paint(Tone::Bad, &error));
                line.error = Some(error);
                text
            }
        };
        output.data("pong", &line, text)?;
        records.close().await;
    }
    let summary = PingSummary { asked: args.hosts.len(), answered };
    output.summary(&summary, format!("{} asked, {answered} answered", args.hosts.len()))?;
    Ok(if answered > 0 { Exit::Success } else { Exit::Nothing })
}

#[derive(Serialize)]
struct ProbeLine {
    claimed: SocketAddr,
    reached: bool,
}

pub(super) async fn probe(
    args: &RecordsProbe,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let give_up = Instant::now() + args.timeout;
    let (records, peer) = towards(&args.host, args.bind, give_up, &mut interrupt, |node| node).await?;
    output.progress("probing", None, "");
    let probed = async {
        let pong = records.ping(peer).await?;
        let seen = records.status().await.map_err(|_| AskError::Closed)?.apparent;
        let claimed = args.claim.or(seen).unwrap_or(pong.contact.addr);
        Ok::<_, AskError>((claimed, records.probe(peer, claimed).await?))
    };
    let probed = join::in_time(give_up.duration_since(Instant::now()), &mut interrupt, probed).await?;
    let (claimed, reached) = probed.ok_or_else(|| join::no_end(args.timeout))??;
    output.clear();
    let word =
        if reached { output.paint(Tone::Good, "reached") } else { output.paint(Tone::Bad, "not reached") };
    output.data("probe", &ProbeLine { claimed, reached }, format!("{claimed} {word}"))?;
    output.summary(&ProbeLine { claimed, reached }, format!("asked {} ({peer})", args.host))?;
    records.close().await;
    Ok(if reached { Exit::Success } else { Exit::Nothing })
}
