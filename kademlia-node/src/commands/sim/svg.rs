//! One search as a drawing: whom it asked on the ring of keys, and how near it came when.

use std::fmt::Write as _;

use kademlia_core::{Key, Keyspace};
use kademlia_scenarios::{Ask, Observed, Role, Scenario};

use super::chart;
use super::ring;

/// Colours of the paths: those who were named, directly or not, by the same node of the searcher's own table.
const PATHS: [&str; 8] =
    ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#bcbd22", "#17becf"];
/// Attackers, holders, and what is neither.
pub(super) const BAD: &str = "#d62728";
pub(super) const GOOD: &str = "#188038";
pub(super) const FAINT: &str = "#b8bcc4";
pub(super) const INK: &str = "#202124";

const WIDTH: u32 = 1_120;
const HEIGHT: u32 = 640;

/// A standalone document.
pub(super) fn draw(scenario: &Scenario, observed: &Observed) -> String {
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n\
         <title>search {} of kad sim {scenario}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        observed.trial
    );
    let search = Search::new(observed);
    label(&mut text, (24.0, 30.0), 15, &search.headline());
    label(&mut text, (24.0, 50.0), 11, &format!("kad sim {scenario}"));
    ring::draw(&mut text, &search);
    chart::draw(&mut text, &search);
    legend(&mut text);
    text + "</svg>\n"
}

/// What both drawings need to know.
pub(super) struct Search<'a> {
    pub(super) observed: &'a Observed,
    /// The path of each ask.
    pub(super) paths: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(observed: &'a Observed) -> Self {
        let (mut paths, mut roots): (Vec<usize>, usize) = (Vec::new(), 0);
        for ask in &observed.asks {
            // Who names comes before who is named.
            let path = ask.named_by.and_then(|by| paths.get(by)).copied().unwrap_or_else(|| {
                roots += 1;
                roots - 1
            });
            paths.push(path);
        }
        Search { observed, paths }
    }

    /// Bits of the distance from a key to the target.
    pub(super) fn bits(&self, key: &Key<20>) -> usize {
        <Key<20>>::BITS - self.observed.target.common_prefix(key)
    }

    pub(super) fn color(&self, at: usize) -> &'static str {
        match self.observed.asks.get(at).map(|ask| ask.role) {
            Some(Role::Attacker) => BAD,
            _ => PATHS[self.paths.get(at).copied().unwrap_or(0) % PATHS.len()],
        }
    }

    pub(super) fn is_holder(&self, ask: &Ask) -> bool {
        self.observed.holders.iter().any(|holder| holder.addr == ask.addr)
    }

    /// What a pointer that rests on it shows.
    pub(super) fn title(&self, at: usize, ask: &Ask) -> String {
        let role = match ask.role {
            Role::Honest => "",
            Role::Attacker => ", an attacker",
            Role::Dead => ", dead",
        };
        let came = match ask.answer {
            Some(answer) if answer.peers > 0 => format!("told {} peers", answer.peers),
            Some(answer) => format!("named {} nodes", answer.nodes),
            None => "no answer".to_owned(),
        };
        let bits = self.bits(&ask.key);
        format!("{}. {:#}{role}: {bits} bits away, {} requests, {came}", at + 1, ask.key, ask.requests)
    }

    fn headline(&self) -> String {
        let Observed { target, asks, took, .. } = self.observed;
        let answered = asks.iter().filter(|ask| ask.answer.is_some()).count();
        let found = asks.iter().any(|ask| ask.answer.is_some_and(|answer| answer.peers > 0));
        let found = if found { "found" } else { "not found" };
        let took = took.map(|took| format!(" in {:.1} s", took.as_secs_f64())).unwrap_or_default();
        format!("{target:#}: {found}{took}, {} nodes asked, {answered} answered", asks.len())
    }
}

fn legend(text: &mut String) {
    let y = f64::from(HEIGHT) - 22.0;
    let entries = [
        ("answered, coloured by path", PATHS[0], Mark::Dot),
        ("no answer", PATHS[0], Mark::Cross),
        ("attacker", BAD, Mark::Dot),
        ("took the announcement", GOOD, Mark::Halo),
        ("target", INK, Mark::Target),
    ];
    let mut x = 30.0;
    for (name, color, shape) in entries {
        mark(text, (x, y), color, shape, name);
        label(text, (x + 12.0, y + 4.0), 12, name);
        x += 44.0 + 7.0 * name.len() as f64;
    }
}

/// The signs of the drawing.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mark {
    Dot,
    Cross,
    Halo,
    Target,
}

pub(super) fn mark(text: &mut String, (x, y): (f64, f64), color: &str, shape: Mark, title: &str) {
    let title = format!("<title>{}</title>", escaped(title));
    let _ = match shape {
        Mark::Dot => {
            writeln!(text, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\">{title}</circle>")
        }
        Mark::Halo => writeln!(
            text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"7\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\">{title}</circle>"
        ),
        Mark::Cross => writeln!(
            text,
            "<path d=\"M{:.1} {:.1}l7 7m0 -7l-7 7\" stroke=\"{color}\" stroke-width=\"1.5\" fill=\"none\">{title}</path>",
            x - 3.5,
            y - 3.5
        ),
        Mark::Target => writeln!(
            text,
            "<path d=\"M{:.1} {y:.1}l6 -6 6 6 -6 6z\" fill=\"{color}\">{title}</path>",
            x - 6.0
        ),
    };
}

pub(super) fn label(text: &mut String, (x, y): (f64, f64), size: u32, words: &str) {
    let words = escaped(words);
    let _ = writeln!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\">{words}</text>");
}

pub(super) fn line(text: &mut String, from: (f64, f64), to: (f64, f64), color: &str, width: f64) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        text,
        "<path d=\"M{x1:.1} {y1:.1}L{x2:.1} {y2:.1}\" stroke=\"{color}\" stroke-width=\"{width}\" fill=\"none\"/>"
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
