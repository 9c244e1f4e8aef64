//! Convergence: how near the nodes were that answered, over time.

use std::time::Duration;

use kademlia_core::{Key, Keyspace};
use kademlia_scenarios::Role;

use super::svg::{FAINT, GOOD, Mark, Search, label, line, mark};

const LEFT: f64 = 620.0;
const RIGHT: f64 = 1_090.0;
const TOP: f64 = 100.0;
const BOTTOM: f64 = 560.0;
/// Bits below the nearest honest node.
const MARGIN: usize = 3;
/// Lines across the chart.
const STEPS: usize = 5;

pub(super) fn draw(text: &mut String, search: &Search<'_>) {
    let scale = Scale::new(search);
    scale.draw(text);
    let asks = &search.observed.asks;
    for (at, ask) in asks.iter().enumerate() {
        let end = scale.place(ask.answer.map_or(ask.at, |answer| answer.at), search.bits(&ask.key));
        let named_by = ask.named_by.and_then(|by| asks.get(by));
        if let Some((by, answer)) = named_by.and_then(|by| Some((by, by.answer?))) {
            let start = scale.place(answer.at, search.bits(&by.key));
            line(text, start, end, search.color(at), 0.4);
        }
    }
    for (at, ask) in asks.iter().enumerate() {
        let end = scale.place(ask.answer.map_or(ask.at, |answer| answer.at), search.bits(&ask.key));
        let shape = if ask.answer.is_some() { Mark::Dot } else { Mark::Cross };
        let title = search.title(at, ask);
        mark(text, end, search.color(at), shape, &title);
        if search.is_holder(ask) {
            mark(text, end, GOOD, Mark::Halo, &title);
        }
    }
}

/// From times and distances to places. Forged keys can be nearer than any honest one: those stand at the lower edge.
struct Scale {
    longest: f64,
    nearest: usize,
    farthest: usize,
}

impl Scale {
    fn new(search: &Search<'_>) -> Self {
        let asks = &search.observed.asks;
        let times = asks.iter().map(|ask| ask.answer.map_or(ask.at, |answer| answer.at));
        let bits = || asks.iter().map(|ask| search.bits(&ask.key));
        let honest = asks.iter().filter(|ask| ask.role != Role::Attacker).map(|ask| search.bits(&ask.key));
        Scale {
            longest: times.max().unwrap_or_default().as_secs_f64().max(0.001),
            nearest: honest.min().unwrap_or(0).saturating_sub(MARGIN),
            farthest: bits().max().unwrap_or(<Key<20>>::BITS),
        }
    }

    fn place(&self, at: Duration, bits: usize) -> (f64, f64) {
        let height = (self.farthest - self.nearest).max(1) as f64;
        let x = LEFT + (RIGHT - LEFT) * at.as_secs_f64() / self.longest;
        let above = self.farthest.saturating_sub(bits.max(self.nearest));
        let y = TOP + (BOTTOM - TOP) * above as f64 / height;
        (x, y)
    }

    fn draw(&self, text: &mut String) {
        label(text, (LEFT - 40.0, TOP - 22.0), 12, "distance to the target in bits, by time");
        for step in 0..=STEPS {
            let share = step as f64 / STEPS as f64;
            let bits = self.farthest - (self.farthest - self.nearest) * step / STEPS;
            let (_, y) = self.place(Duration::ZERO, bits);
            line(text, (LEFT, y), (RIGHT, y), FAINT, 0.5);
            label(text, (LEFT - 34.0, y + 4.0), 11, &bits.to_string());
            let x = LEFT + (RIGHT - LEFT) * share;
            label(text, (x - 10.0, BOTTOM + 20.0), 11, &format!("{:.1} s", self.longest * share));
        }
    }
}
