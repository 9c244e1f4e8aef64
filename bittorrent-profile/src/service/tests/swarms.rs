//! BEP 33 and 51 on the answering side.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::*;
use crate::krpc::{MAX_SAMPLES, Samples};
use crate::scrape::Scrape;

fn announce_seed(node: &mut Node<Mainline, MainlineService>, from: &str, info_hash: u8, seed: bool) {
    let asker = Asker::at(from);
    let token = asker.ask(node, get_peers(info_hash)).token.unwrap();
    let info_hash = InfoHash::new([info_hash; 20]);
    let announce = Request::AnnouncePeer { implied_port: true, info_hash, port: None, seed, token };
    asker.ask(node, announce);
}

fn ask_for(info_hash: u8, noseed: bool, scrape: bool) -> Request {
    let info_hash = InfoHash::new([info_hash; 20]);
    Request::GetPeers { info_hash, noseed, scrape, want: Families::NONE }
}

fn scrape(node: &mut Node<Mainline, MainlineService>, from: &str) -> Option<Scrape> {
    Asker::at(from).ask(node, ask_for(1, false, true)).scrape.map(|scrape| *scrape)
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn bep33_33_1_33_2_seeds_and_others_are_counted_apart_and_only_who_asks_is_told() {
    let mut node = node(ServiceConfig::default());
    assert_eq!(scrape(&mut node, "9.9.9.9:1"), None, "nothing is known");
    announce_seed(&mut node, "8.8.1.8:1", 1, true);
    announce_seed(&mut node, "8.8.2.8:1", 1, false);
    let counted = scrape(&mut node, "9.9.9.9:1").expect("both filters");
    let [seed, other] = ["8.8.1.8", "8.8.2.8"].map(ip);
    assert!(counted.seeds.contains(seed) && !counted.seeds.contains(other));
    assert!(counted.peers.contains(other) && !counted.peers.contains(seed));
    assert_eq!(Asker::at("9.9.9.9:1").ask(&mut node, get_peers(1)).scrape, None);
    assert_eq!(Asker::at("9.9.9.9:1").ask(&mut node, ask_for(2, false, true)).scrape, None);
}

#[test]
fn bep33_33_3_the_filters_are_over_the_address_alone() {
    let mut node = node(ServiceConfig::default().private_network());
    announce_seed(&mut node, "8.8.1.8:1", 1, false);
    announce_seed(&mut node, "8.8.1.8:2", 1, false);
    let counted = scrape(&mut node, "9.9.9.9:1").unwrap();
    let mut expected = Scrape::default();
    expected.peers.insert(ip("8.8.1.8"));
    assert_eq!(counted, expected);
}

#[test]
fn bep33_33_5_a_later_announcement_changes_port_and_seed() {
    let mut node = node(ServiceConfig::default());
    announce_seed(&mut node, "8.8.1.8:1", 1, false);
    announce_seed(&mut node, "8.8.1.8:2", 1, true);
    let response = Asker::at("9.9.9.9:1").ask(&mut node, ask_for(1, false, true));
    assert_eq!(response.values, [addr("8.8.1.8:2")], "one for each address");
    let counted = response.scrape.unwrap();
    assert!(counted.peers.is_empty() && counted.seeds.contains(ip("8.8.1.8")));
}

#[test]
fn bep33_33_2_noseed_gets_the_others_first() {
    let mut node = node(ServiceConfig { peers_per_reply: 10, ..ServiceConfig::default() });
    for n in 0..40 {
        announce_seed(&mut node, &format!("65.{n}.1.1:1"), 1, n % 8 != 0);
    }
    let asker = Asker::at("9.9.9.9:1");
    let values = asker.ask(&mut node, ask_for(1, true, false)).values;
    assert_eq!(values.len(), 10, "seeds fill up");
    let leeches = values.iter().filter(|peer| matches!(peer.ip(), IpAddr::V4(ip) if ip.octets()[1] % 8 == 0));
    assert_eq!(leeches.count(), 5, "all there are");
}

#[test]
fn bep33_33_6_t9_filters_are_rationed() {
    let mut node = node(ServiceConfig::default());
    announce_seed(&mut node, "8.8.1.8:1", 1, true);
    let given = (0..20).filter(|_| scrape(&mut node, "9.9.9.9:1").is_some()).count();
    assert_eq!(given, 4);
}

fn sample(node: &mut Node<Mainline, MainlineService>, now: Instant, target: u8) -> Samples {
    let request = Request::SampleInfohashes { target: Key::new([target; 20]), want: Families::NONE };
    *Asker::at("9.9.9.9:1").ask_at(node, now, request).samples.expect("always there, even empty (51.1)")
}

/// Announces one peer under each of so many hashes.
fn hold(node: &mut Node<Mainline, MainlineService>, hashes: u8) -> BTreeSet<InfoHash> {
    for n in 0..hashes {
        announce_from(node, &format!("65.{n}.1.1:1"), n, 1);
    }
    (0..hashes).map(|n| InfoHash::new([n; 20])).collect()
}

#[test]
fn bep51_51_1_p45_few_hashes_are_all_given_and_nothing_is_an_answer_too() {
    let mut node = node(ServiceConfig::default());
    let empty = sample(&mut node, START, 1);
    assert_eq!((empty.num, &empty.info_hashes[..]), (0, &[][..]));
    assert!(empty.interval <= Duration::from_secs(300), "what is new is told soon");
    let held = hold(&mut node, 7);
    let samples = sample(&mut node, after(400), 1);
    assert_eq!(samples.num, 7);
    assert_eq!(samples.info_hashes.iter().copied().collect::<BTreeSet<_>>(), held);
}

#[test]
fn bep51_51_1_51_2_p45_a_choice_of_many_stands_for_the_interval_whatever_the_target() {
    let mut node = node(ServiceConfig::default());
    strangers(10, Family::V4).iter().for_each(|contact| introduce(&mut node, *contact));
    let held = hold(&mut node, 100);
    let first = sample(&mut node, after(1), 1);
    assert_eq!(first.num, 100);
    assert!((10..=MAX_SAMPLES).contains(&first.info_hashes.len()), "{}", first.info_hashes.len());
    assert!(first.info_hashes.iter().all(|info_hash| held.contains(info_hash)));
    assert!(first.interval <= Samples::MAX_INTERVAL && first.interval > Duration::from_secs(20_000));
    for step in 2..100_u8 {
        let again = sample(&mut node, after(step.into()), step);
        assert_eq!(again.info_hashes, first.info_hashes, "no fast enumeration");
    }
    let request = Request::SampleInfohashes { target: Key::new([1; 20]), want: Families::NONE };
    assert_eq!(Asker::at("9.9.9.9:1").ask(&mut node, request).nodes.contacts().len(), 8);
}

#[test]
fn bep51_51_2_p45_nobody_is_sent_after_hashes_that_are_gone() {
    let mut node = node(ServiceConfig::default());
    hold(&mut node, 100);
    assert!(!sample(&mut node, after(1), 1).info_hashes.is_empty());
    let later = sample(&mut node, after(31 * 60), 1);
    assert_eq!(later.info_hashes, [], "all expired, though the choice still stands");
}

/// P45: over many intervals everything is seen.
#[test]
fn bep51_51_2_the_choice_changes_with_the_interval() {
    let config = ServiceConfig { peer_ttl: Duration::from_secs(1_000_000_000), ..ServiceConfig::default() };
    let mut node = node(config);
    let held = hold(&mut node, 100);
    let seen: BTreeSet<_> =
        (0..60).flat_map(|n| sample(&mut node, after(1 + n * 21_600), 1).info_hashes).collect();
    assert_eq!(seen, held);
}
