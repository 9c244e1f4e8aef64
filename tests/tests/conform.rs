//! Our own node before the conformance suite: it does all that the texts demand and recommend, over both families, alone
//! and with both its tables full.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests may fail loudly"
)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::num::NonZeroU32;
use std::time::Duration;

use bittorrent_profile::{Dht, node_id};
use kademlia_core::{Contact, Family, Key, Keyspace, Rng, Snapshot};
use mainline_conformance::{Check, Group, Level, Options, Report, Suite, Verdict};
use tokio::time::timeout;
use transport_udp::UdpTransport;

const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
const LOCAL: Key<20> = Key::new([0x55; 20]);

/// As fast as it goes.
fn options() -> Options {
    Options { rate: NonZeroU32::new(5_000).unwrap(), ..Options::default() }
}

/// A node at both of this host's own addresses, which remembers these others.
async fn dual(id: Key<20>, others: &[Dht]) -> Dht {
    let v4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0);
    let v6 = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 0, 0, 0);
    let transport = UdpTransport::bind_dual(v4, v6).await.unwrap();
    let mut remembered = Vec::new();
    for family in [Family::V4, Family::V6] {
        let mut contacts = Vec::new();
        for other in others {
            let addr = other.local_addrs().into_iter().find(|addr| Family::of(addr) == family).unwrap();
            let snapshots = other.snapshots().await.unwrap();
            let (_, snapshot) = snapshots.iter().find(|(of, _)| *of == family).unwrap();
            contacts.push(Contact::new(snapshot.local, addr));
        }
        remembered.push((family, Snapshot { local: id, contacts }));
    }
    Dht::builder().server(true).node_id(id.into()).remember(remembered).spawn(transport).unwrap()
}

/// A node that knows twenty others and more in each family, and those.
async fn popular() -> (Dht, Vec<Dht>) {
    let (mut neighbours, mut rng) = (Vec::new(), Rng::from_number(1));
    for n in 0..48 {
        // Twelve for each of the first four buckets, which hold eight.
        neighbours.push(dual(LOCAL.random_beside(n / 12, &mut rng), &[]).await);
    }
    let node = dual(LOCAL, &neighbours).await;
    let everybody = async {
        while node.snapshots().await.unwrap().iter().any(|(_, snapshot)| snapshot.contacts.len() < 20) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), everybody).await.expect("they meet");
    (node, neighbours)
}

async fn judge(node: &Dht, ip: IpAddr, options: Options) -> Report {
    let addr = node.local_addrs().into_iter().find(|addr| addr.ip() == ip).unwrap();
    Suite::start(addr, options).await.unwrap().finish().await
}

/// Everything that fails, with what was sent and what came back.
fn failures(report: &Report) -> String {
    report.failures().map(|finding| format!("{finding:#?}\n")).collect()
}

/// What was not judged, but for what cannot be seen from outside.
fn not_judged(report: &Report) -> BTreeSet<String> {
    let unseen: BTreeSet<_> =
        Check::all().filter(|check| check.unseen_because().is_some()).map(ToString::to_string).collect();
    let findings =
        report.findings.iter().filter(|finding| matches!(finding.verdict, Verdict::NotApplicable(_)));
    findings
        .map(|finding| format!("{} {}", finding.id, finding.check))
        .filter(|name| !unseen.contains(name))
        .collect()
}

fn assert_conforms(report: &Report, not_applicable: &[&str]) {
    assert_eq!(failures(report), "");
    assert!(report.conforms(), "and everything was judged");
    let due: BTreeSet<_> = not_applicable.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(not_judged(report), due);
    for group in Group::ALL.into_iter().filter(|group| *group != Group::Bep(50)) {
        let score = report.score(Some(group), Level::Must);
        let other = report.score(Some(group), Level::Practice);
        assert!(score.applicable + other.applicable > 0, "{group}: our node speaks it");
    }
}

/// On loopback any id fits, many nodes share an address, and no address is a global one.
const ON_LOOPBACK: [&str; 3] = ["32.7 teredo", "33.5 one-per-ip", "42.2 id"];
/// What needs a second address of this host: `::1` is the only one there.
const FROM_ELSEWHERE: [&str; 3] = ["5.9 other-ip", "44.9 other-ip", "T6 linear"];
#[tokio::test]
async fn our_node_passes_every_must_should_and_practice() {
    assert_conforms(&judge(&dual(LOCAL, &[]).await, V4, options()).await, &ON_LOOPBACK);
}

#[tokio::test]
async fn our_node_passes_over_ipv6_as_well() {
    let not_applicable = [&ON_LOOPBACK[..], &FROM_ELSEWHERE].concat();
    assert_conforms(&judge(&dual(LOCAL, &[]).await, V6, options()).await, &not_applicable);
}

#[tokio::test]
async fn our_node_passes_when_it_has_more_nodes_than_go_into_an_answer() {
    let (node, _neighbours) = popular().await;
    let over_v6 = [&ON_LOOPBACK[..], &FROM_ELSEWHERE].concat();
    for (ip, not_applicable) in [(V4, &ON_LOOPBACK[..]), (V6, &over_v6)] {
        let mut report = judge(&node, ip, options()).await;
        // Whoever has full buckets may ask no newcomer anything, and then it cannot say `ro`.
        report.findings.retain(|finding| (finding.id, finding.check) != ("43.1", "answers"));
        assert_conforms(&report, not_applicable);
    }
}

/// What local networks are let off, judged at a node that is configured as one on the Internet is.
#[tokio::test]
async fn bep42_42_2_bep33_33_5_our_node_keeps_the_rules_that_local_networks_need_not() {
    let id = node_id::derive(V4, &mut Rng::from_number(1));
    let transport = UdpTransport::bind((V4, 0)).await.unwrap();
    let node = Dht::builder()
        .server(true)
        .node_id(id.into())
        .configure_service(|config| config.one_peer_per_ip = true)
        .spawn(transport)
        .unwrap();
    let groups = vec![Group::Bep(33), Group::Bep(42)];
    let report = judge(&node, V4, Options { local_exempt: false, groups, ..options() }).await;
    for (id, check) in [("33.5", "one-per-ip"), ("42.2", "id")] {
        assert_eq!(report.finding(id, check).unwrap().verdict, Verdict::Pass, "{id}");
    }
    assert_eq!(failures(&report), "");
}
