//! The suite against models: one that does all that is demanded, and one for each thing that can be wrong.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

mod model;

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use mainline_conformance::{Check, Error, Level, Options, Report, Suite, Verdict};
use model::{Flaw, Model};
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

/// As fast as it goes; a lost datagram costs a second, and on loopback none is lost.
fn options() -> Options {
    Options {
        rate: NonZeroU32::new(10_000).unwrap(),
        patience: Duration::from_secs(1),
        timeout: Duration::from_secs(120),
        ..Options::default()
    }
}

async fn run(host: &str, flaw: Option<Flaw>, options: Options) -> Report {
    let model = Model::start(host, flaw, !options.local_exempt).await;
    Suite::start(model.addr, options).await.unwrap().finish().await
}

fn failed(report: &Report) -> Vec<String> {
    report
        .failures()
        .map(|finding| format!("{} {}: {:?}", finding.id, finding.check, finding.verdict))
        .collect()
}

fn not_applicable(report: &Report) -> BTreeSet<String> {
    let findings =
        report.findings.iter().filter(|finding| matches!(finding.verdict, Verdict::NotApplicable(_)));
    findings.map(|finding| format!("{} {}", finding.id, finding.check)).collect()
}

fn observable() -> BTreeSet<String> {
    Check::all().filter(|check| check.unseen_because().is_none()).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_node_that_does_everything_passes_everything() {
    let report = run("127.0.0.1", None, options()).await;
    assert_eq!(failed(&report), [""; 0]);
    assert!(report.conforms());
    let unseen: BTreeSet<_> =
        Check::all().filter(|check| check.unseen_because().is_some()).map(ToString::to_string).collect();
    let on_loopback = ["32.7 teredo", "33.5 one-per-ip", "42.2 id"].map(str::to_owned);
    let expected: BTreeSet<_> = unseen.into_iter().chain(on_loopback).collect();
    assert_eq!(not_applicable(&report), expected);
    let score = report.score(None, Level::Must);
    assert!(score.passed == score.applicable && score.passed > 50, "{score:?}");
    assert!(report.datagrams < 500, "{} datagrams", report.datagrams);
}

#[tokio::test]
async fn a_node_on_ipv6_passes_too() {
    let report = run("::1", None, options()).await;
    assert_eq!(failed(&report), [""; 0]);
    assert!(not_applicable(&report).contains("5.9 other-ip"), "::1 is the only address there");
}

#[tokio::test]
async fn local_networks_are_let_off_only_if_that_is_wanted() {
    let strict = Options { local_exempt: false, ..options() };
    let report = run("127.0.0.1", None, strict.clone()).await;
    assert_eq!(failed(&report), [""; 0]);
    for (id, check) in [("33.5", "one-per-ip"), ("42.2", "id")] {
        assert_eq!(report.finding(id, check).unwrap().verdict, Verdict::Pass);
    }
    let report = run("::1", None, strict).await;
    let failed: Vec<_> = report.failures().map(|finding| finding.id).collect();
    assert_eq!(failed, ["32.7"], "::1 is no global address");
}

/// What fails for a flaw but should not be missed: all that is named for it.
async fn missed(flaw: Flaw, expected: &'static [&'static str]) -> Vec<String> {
    let is_of = |check: &&Check| expected.contains(&check.to_string().as_str());
    let groups = Check::all().filter(is_of).map(Check::group).collect();
    let is_strict = matches!(flaw, Flaw::PortsArePeers | Flaw::AnyId);
    let report =
        run("127.0.0.1", Some(flaw), Options { groups, local_exempt: !is_strict, ..options() }).await;
    let verdict = |name: &str| {
        let finding =
            report.findings.iter().find(|finding| format!("{} {}", finding.id, finding.check) == name);
        finding.map(|finding| finding.verdict.clone())
    };
    let is_missed = |name: &&&str| !matches!(verdict(name), Some(Verdict::Fail(_)));
    expected.iter().filter(is_missed).map(|name| format!("{flaw:?}: {name}: {:?}", verdict(name))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_flaw_is_found() {
    let mut runs = JoinSet::new();
    let mut all_missed = Vec::new();
    for (flaw, expected) in Flaw::ALL {
        // Enough at a time to wait for nobody, and few enough that none waits for its turn.
        if runs.len() == 8 {
            all_missed.extend(runs.join_next().await.unwrap().unwrap());
        }
        runs.spawn(missed(*flaw, expected));
    }
    while let Some(missed) = runs.join_next().await {
        all_missed.extend(missed.unwrap());
    }
    assert_eq!(all_missed, [""; 0]);
}

#[test]
fn every_check_is_shown_able_to_fail() {
    let shown: BTreeSet<_> =
        Flaw::ALL.iter().flat_map(|(_, checks)| *checks).map(|check| (*check).to_owned()).collect();
    let mut not_shown: BTreeSet<_> = observable().difference(&shown).cloned().collect();
    assert!(not_shown.remove("32.7 teredo"), "shown above: the address itself is at fault");
    assert_eq!(not_shown, BTreeSet::new());
    assert_eq!(shown.difference(&observable()).next(), None, "names of checks");
}

#[tokio::test]
async fn what_a_node_does_not_speak_is_not_applicable() {
    let options = Options { groups: vec!["44".parse().unwrap()], ..options() };
    let report = run("127.0.0.1", Some(Flaw::NoItems), options).await;
    assert!(report.findings.iter().all(|finding| matches!(finding.verdict, Verdict::NotApplicable(_))));
    assert!(report.conforms() && report.datagrams < 10, "{} datagrams", report.datagrams);
}

#[tokio::test]
async fn the_same_seed_asks_the_same() {
    let options = || Options { groups: vec!["32".parse().unwrap()], seed: 7, ..options() };
    let sent = |report: &Report| -> Vec<String> {
        report
            .findings
            .iter()
            .flat_map(|finding| &finding.exchanges)
            .map(|exchange| exchange.sent.clone())
            .collect()
    };
    let (first, second) = (run("127.0.0.1", None, options()).await, run("127.0.0.1", None, options()).await);
    // Tokens are bound to the secret and the address, of which neither changes.
    assert_eq!(sent(&first), sent(&second));
    let other = run("127.0.0.1", None, Options { seed: 8, ..options() }).await;
    assert_ne!(sent(&first), sent(&other));
}

#[tokio::test]
async fn a_run_is_bounded_and_what_is_left_is_said_to_be() {
    let report = run("127.0.0.1", None, Options { datagrams: 20, ..options() }).await;
    assert_eq!(report.datagrams, 20);
    assert!(!report.complete && !report.conforms());
    let last_asked = report.finding("51.1", "samples").unwrap();
    assert_eq!(last_asked.verdict.reason(), Some("not judged: enough datagrams were sent"));
    assert_eq!(report.findings.len(), Check::all().count(), "every line is there");
    let report = run("127.0.0.1", None, Options { timeout: Duration::from_millis(1), ..options() }).await;
    assert!(!report.complete);
}

#[tokio::test]
async fn a_run_keeps_to_its_pace() {
    let options =
        Options { rate: NonZeroU32::new(50).unwrap(), groups: vec!["5".parse().unwrap()], ..options() };
    let report = run("127.0.0.1", None, options).await;
    // But for answers to the node's own queries, of which it sends one to each socket.
    assert!(report.datagrams > 50);
    assert!(report.took >= Duration::from_millis(20) * (report.datagrams - 10), "{:?}", report.took);
}

#[tokio::test]
async fn where_nobody_answers_there_is_nothing_to_judge() {
    let mute = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let options = Options { patience: Duration::from_millis(50), ..options() };
    let silent = Suite::start(mute.local_addr().unwrap(), options).await;
    assert!(matches!(silent, Err(Error::Silent(_))));
}
