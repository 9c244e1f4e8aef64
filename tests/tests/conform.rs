//! Our own node before the conformance suite: it does all that the texts demand and recommend, over both families.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::net::IpAddr;
use std::num::NonZeroU32;

use bittorrent_profile::Dht;
use mainline_conformance::{Group, Level, Options, Report, Suite};
use transport_udp::UdpTransport;

/// As fast as it goes.
fn options() -> Options {
    Options { rate: NonZeroU32::new(5_000).unwrap(), ..Options::default() }
}

async fn judge(ip: IpAddr) -> Report {
    let transport = UdpTransport::bind((ip, 0)).await.unwrap();
    let dht = Dht::builder().server(true).spawn(transport).unwrap();
    Suite::start(dht.local_addrs()[0], options()).await.unwrap().finish().await
}

/// Everything that fails, with what was sent and what came back.
fn failures(report: &Report) -> String {
    report.failures().map(|finding| format!("{finding:#?}\n")).collect()
}

fn assert_conforms(report: &Report) {
    assert_eq!(failures(report), "");
    assert!(report.conforms(), "and everything was judged");
    for group in Group::ALL.into_iter().filter(|group| *group != Group::Bep(50)) {
        let score = report.score(Some(group), Level::Must);
        let other = report.score(Some(group), Level::Practice);
        assert!(score.applicable + other.applicable > 0, "{group}: our node speaks it");
    }
}

#[tokio::test]
async fn our_node_passes_every_must_should_and_practice() {
    assert_conforms(&judge([127, 0, 0, 1].into()).await);
}

#[tokio::test]
async fn our_node_passes_over_ipv6_as_well() {
    assert_conforms(&judge([0, 0, 0, 0, 0, 0, 0, 1].into()).await);
}
