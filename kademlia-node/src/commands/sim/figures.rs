//! What came of a scenario, as a table and as a summary.

use std::fmt;
use std::io;
use std::time::Duration;

use kademlia_scenarios::{Found, Outcome, Scenario, Spread};
use serde::Serialize;

use super::{peak_memory, rate};
use crate::output::{Output, Tone};
use crate::span;

/// One line of the table.
#[derive(Serialize)]
struct Figure {
    figure: &'static str,
    unit: &'static str,
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

impl Figure {
    fn count(figure: &'static str, Spread { p50, p95, p99, max }: Spread<usize>) -> Self {
        let [p50, p95, p99, max] = [p50, p95, p99, max].map(|count| count as f64);
        Figure { figure, unit: "", p50, p95, p99, max }
    }

    fn time(figure: &'static str, Spread { p50, p95, p99, max }: Spread<Duration>) -> Self {
        let [p50, p95, p99, max] = [p50, p95, p99, max].map(span::as_millis);
        Figure { figure, unit: "ms", p50, p95, p99, max }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<24}", self.figure)?;
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        [self.p50, self.p95, self.p99, self.max]
            .into_iter()
            .try_for_each(|value| write!(f, "{:>11}", format!("{value:.0}{unit}")))
    }
}

/// The table.
pub(super) fn write(outcome: &Outcome, output: &Output) -> io::Result<()> {
    let figures = [
        Figure::count("search messages", outcome.searches.messages),
        Figure::count("search hops", outcome.searches.hops),
        Figure::time("search time", outcome.searches.took),
        Figure::time("first peer after", outcome.first),
        Figure::count("announcement messages", outcome.announcements.messages),
        Figure::count("announcement hops", outcome.announcements.hops),
        Figure::time("announcement time", outcome.announcements.took),
        Figure::count("nodes that took it", outcome.holders),
    ];
    let head = format!("{:<24}{:>11}{:>11}{:>11}{:>11}", "", "p50", "p95", "p99", "max");
    for (at, figure) in figures.iter().enumerate() {
        let line = if at == 0 { format!("{head}\n{figure}") } else { figure.to_string() };
        output.data("figure", figure, line)?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Summary<'a> {
    trials: usize,
    found: usize,
    lost: &'a [usize],
    recall: f64,
    estimate: f64,
    crowded: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    by_place: Option<[Placed; 4]>,
    nodes: usize,
    node_bytes: usize,
    peak_bytes: Option<usize>,
    events: u64,
    events_per_s: u64,
    virtual_s: f64,
    ms: f64,
    trace: String,
    replay: &'a str,
}

/// Announcements of those in the open or behind NATs, searched for by those in the open or behind NATs.
#[derive(Serialize)]
struct Placed {
    writer: &'static str,
    reader: &'static str,
    trials: usize,
    found: usize,
}

impl Placed {
    fn of(outcome: &Outcome) -> [Self; 4] {
        [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(writer, reader)| {
            let Found { trials, found } = outcome.by_place[writer][reader];
            let name = |place: usize| if place == 0 { "open" } else { "nat" };
            Placed { writer: name(writer), reader: name(reader), trials, found }
        })
    }
}

impl fmt::Display for Placed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Placed { writer, reader, trials, found } = self;
        write!(f, "{writer} → {reader} {found} of {trials}")
    }
}

/// What the table does not say, and whether all was found.
pub(super) fn summary(
    scenario: &Scenario,
    outcome: &Outcome,
    took: Duration,
    output: &Output,
) -> io::Result<()> {
    let Outcome {
        trials, found, recall, size, crowded, nodes, bytes_per_node, events, lasted, trace, ..
    } = outcome;
    let replay = format!("kad sim {scenario} --replay");
    let peak = peak_memory();
    let summary = Summary {
        trials: *trials,
        found: *found,
        lost: &outcome.lost,
        recall: *recall,
        estimate: *size,
        crowded: *crowded,
        by_place: (scenario.nat > 0.0).then(|| Placed::of(outcome)),
        nodes: *nodes,
        node_bytes: *bytes_per_node,
        peak_bytes: peak,
        events: *events,
        events_per_s: rate(*events, took),
        virtual_s: lasted.as_secs_f64(),
        ms: span::as_millis(took),
        trace: format!("{trace:016x}"),
        replay: &replay,
    };
    let percent = 100.0 * recall;
    output.note(format!(
        "{percent:.2} % of the nearest nodes met · the nodes guess {size:.0} nodes · {crowded} noticed a crowd"
    ));
    if let Some(places) = &summary.by_place {
        let places = places.each_ref().map(Placed::to_string).join(" · ");
        output.note(format!("found by where announcer and searcher were: {places}"));
    }
    let resident = peak.map(|bytes| format!(", {} MB in all", bytes / 1_000_000)).unwrap_or_default();
    let (seconds, wall) = (lasted.as_secs(), span::seconds(took));
    output.note(format!(
        "{nodes} nodes of {bytes_per_node} bytes{resident} · {seconds} s in {wall}: {events} events, {} a second",
        rate(*events, took)
    ));
    output.note(format!("trace {trace:016x} · replay with: {replay}"));
    let text = format!("{found} of {trials} announcements were found");
    let tone = if outcome.is_complete() { Tone::Good } else { Tone::Bad };
    output.summary(&summary, output.paint(tone, &text))
}
