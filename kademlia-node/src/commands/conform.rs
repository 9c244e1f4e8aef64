//! `kad conform`: judging a node by the texts.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use mainline_conformance::{Error, Finding, Level, Options, Report, Score, Scores, Suite, Verdict};
use serde::Serialize;
use tokio::time::Instant;

use crate::cli;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::join;
use crate::output::{Output, Tone};
use crate::span;

/// Longest wait for the host's name to be resolved.
const RESOLVE: Duration = Duration::from_secs(10);
/// Datagrams shown of what failed: the last ones tell.
const SHOWN: usize = 4;
/// Under the levels, which are the longest words of their columns.
const INDENT: &str = "               ";

#[derive(Serialize)]
struct Summary {
    addr: SocketAddr,
    must: Score,
    should: Score,
    practice: Score,
    not_applicable: usize,
    conforms: bool,
    complete: bool,
    datagrams: u32,
    seed: u64,
    ms: f64,
}

pub(crate) async fn run(
    args: &cli::Conform,
    output: &Output,
    mut interrupt: Interrupt,
) -> anyhow::Result<Exit> {
    let addrs = tokio::select! {
        addrs = join::resolve(std::slice::from_ref(&args.host), Instant::now() + RESOLVE) => addrs,
        () = interrupt.wait() => return Err(join::stopped().into()),
    };
    let addr = addrs.iter().find(|addr| join::has_route(**addr)).or(addrs.first());
    let addr =
        *addr.ok_or_else(|| Failure::new(Exit::Nothing, format!("no address found for {}", args.host)))?;
    let options = Options {
        rate: args.rate,
        timeout: args.timeout,
        seed: args.seed.unwrap_or_else(any_seed),
        groups: args.bep.clone(),
        ..Options::default()
    };
    let started = tokio::select! {
        started = Suite::start(addr, options) => started,
        () = interrupt.wait() => return Err(join::stopped().into()),
    };
    let mut suite = started.map_err(refused)?;
    let total = suite.pending();
    let is_finished = loop {
        output.progress("asking", Some((total - suite.pending(), total)), addr);
        tokio::select! {
            finding = suite.next() => match finding {
                Some(finding) => output.data("finding", finding, text(finding, args.verbose, output))?,
                None => break true,
            },
            () = interrupt.wait() => break false,
        }
    };
    conclude(suite.report(), is_finished, output)
}

/// A seed that no run had before, so that what it stores is new to the node.
fn any_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().wrapping_mul(1_000_000_000).wrapping_add(since.subsec_nanos().into())
}

fn refused(error: Error) -> Failure {
    match error {
        Error::Silent(addr) => Failure::new(Exit::Nothing, format!("{addr} does not answer"))
            .hint("is it a DHT node, and may this host speak to it? `kad ping` asks again and again"),
        error => Failure::new(Exit::Bind, error),
    }
}

/// A line for the requirement; below it the reason if it does not pass, and the datagrams that tell.
fn text(finding: &Finding, is_verbose: bool, output: &Output) -> String {
    let Finding { id, level, rule, verdict, exchanges, .. } = finding;
    let word = format!("{:<4}", verdict.word());
    let word = match verdict {
        Verdict::Pass => output.paint(Tone::Good, &word),
        Verdict::Fail(_) => output.paint(Tone::Bad, &word),
        Verdict::NotApplicable(_) => word,
    };
    let mut text = format!("{level:<8} {id:<5} {word} {rule}");
    if let Some(reason) = verdict.reason() {
        let _ = write!(text, "\n{INDENT}{reason}");
    }
    let shown = match verdict {
        _ if is_verbose => exchanges.len(),
        Verdict::Fail(_) => exchanges.len().min(SHOWN),
        _ => 0,
    };
    for exchange in &exchanges[exchanges.len() - shown..] {
        let _ = write!(text, "\n{INDENT}→ {} ({})", exchange.sent, exchange.from);
        for received in &exchange.received {
            let _ = write!(text, "\n{INDENT}← {received}");
        }
    }
    text
}

fn conclude(report: &Report, is_finished: bool, output: &Output) -> anyhow::Result<Exit> {
    output.clear();
    let mut header = format!("\n{:<8}{:>10}{:>10}{:>10}{:>6}\n", "", "MUST", "SHOULD", "practice", "n/a");
    for scores in report.scores() {
        output.data("score", &scores, std::mem::take(&mut header) + &row(&scores))?;
    }
    let score = |level| report.score(None, level);
    let conforms = is_finished && report.conforms();
    let summary = Summary {
        addr: report.target,
        must: score(Level::Must),
        should: score(Level::Should),
        practice: score(Level::Practice),
        not_applicable: report.scores().iter().map(|scores| scores.not_applicable).sum(),
        conforms,
        complete: is_finished && report.complete,
        datagrams: report.datagrams,
        seed: report.seed,
        ms: span::as_millis(report.took),
    };
    let text = format!(
        "{}: MUST {}, SHOULD {}, practice {} · {} datagrams in {} · seed {}{}",
        report.target,
        fraction(summary.must),
        fraction(summary.should),
        fraction(summary.practice),
        report.datagrams,
        span::seconds(report.took),
        report.seed,
        if summary.complete { "" } else { " · not finished" },
    );
    output.summary(&summary, text)?;
    Ok(if conforms { Exit::Success } else { Exit::Nothing })
}

fn row(scores: &Scores) -> String {
    format!(
        "{:<8}{:>10}{:>10}{:>10}{:>6}",
        scores.group,
        fraction(scores.must),
        fraction(scores.should),
        fraction(scores.practice),
        scores.not_applicable,
    )
}

/// `3/4`, or a dash where nothing applies.
fn fraction(score: Score) -> String {
    match score.applicable {
        0 => "–".to_owned(),
        applicable => format!("{}/{applicable}", score.passed),
    }
}
