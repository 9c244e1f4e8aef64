//! The ring of keys: where the nodes stand, and who named whom in which order.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use kademlia_core::{Key, Keyspace};

use super::svg::{FAINT, GOOD, INK, Mark, Search, label, line, mark};

const CENTRE: (f64, f64) = (290.0, 340.0);
const RADIUS: f64 = 225.0;
/// Numbers beside the first asks, unless one stands too near already, as a share of the ring.
const NUMBERED: usize = 40;
const APART: f64 = 0.02;

pub(super) fn draw(text: &mut String, search: &Search<'_>) {
    for key in &search.observed.nodes {
        line(text, place(key, RADIUS), place(key, RADIUS + 5.0), FAINT, 1.0);
    }
    let (x, y) = CENTRE;
    let _ = writeln!(text, "<circle cx=\"{x}\" cy=\"{y}\" r=\"{RADIUS}\" fill=\"none\" stroke=\"{FAINT}\"/>");
    referrals(text, search);
    for holder in &search.observed.holders {
        mark(text, place(&holder.key, RADIUS), GOOD, Mark::Halo, "took the announcement");
    }
    let mut numbered: Vec<f64> = Vec::new();
    for (at, ask) in search.observed.asks.iter().enumerate() {
        let shape = if ask.answer.is_some() { Mark::Dot } else { Mark::Cross };
        mark(text, place(&ask.key, RADIUS), search.color(at), shape, &search.title(at, ask));
        let turn = turn(&ask.key);
        if at < NUMBERED && numbered.iter().all(|other| (turn - other).abs() > APART) {
            let (x, y) = place(&ask.key, RADIUS - 16.0);
            label(text, (x - 5.0, y + 4.0), 10, &(at + 1).to_string());
            numbered.push(turn);
        }
    }
    let Search { observed, .. } = search;
    mark(text, place(&observed.target, RADIUS + 16.0), INK, Mark::Target, "target");
    let (x, y) = place(&observed.searcher, RADIUS + 12.0);
    mark(text, place(&observed.searcher, RADIUS), INK, Mark::Dot, "searcher");
    label(text, (x - 8.0, y + 4.0), 11, "we");
}

/// A curve from whoever named a node to that node; from the searcher to those that its own table named.
fn referrals(text: &mut String, search: &Search<'_>) {
    let asks = &search.observed.asks;
    for (at, ask) in asks.iter().enumerate() {
        let from = ask.named_by.and_then(|by| asks.get(by)).map_or(search.observed.searcher, |by| by.key);
        let ((x1, y1), (x2, y2)) = (place(&from, RADIUS), place(&ask.key, RADIUS));
        let (cx, cy) = CENTRE;
        // The farther apart, the nearer to the centre it passes.
        let near = 1.0 - 0.65 * (x2 - x1).hypot(y2 - y1) / (2.0 * RADIUS);
        let pulled = |a: f64, b: f64, c: f64| c + ((a + b) / 2.0 - c) * near;
        let _ = writeln!(
            text,
            "<path d=\"M{x1:.1} {y1:.1}Q{:.1} {:.1} {x2:.1} {y2:.1}\" stroke=\"{}\" stroke-opacity=\"0.5\" fill=\"none\"/>",
            pulled(x1, x2, cx),
            pulled(y1, y2, cy),
            search.color(at)
        );
    }
}

/// How far around the ring a key stands, in 0 to 1.
fn turn(key: &Key<20>) -> f64 {
    key.head() as f64 / u64::MAX as f64
}

/// Clockwise from the top.
fn place(key: &Key<20>, radius: f64) -> (f64, f64) {
    let (sin, cos) = (TAU * turn(key)).sin_cos();
    (CENTRE.0 + radius * sin, CENTRE.1 - radius * cos)
}
