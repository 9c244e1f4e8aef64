//! BEP 33 and 51 through the front door, and networks apart, over the in-memory network in virtual time.

#![allow(clippy::unwrap_used, reason = "helpers of tests may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::NodeId;
use bittorrent_profile::dht::Builder;
use bittorrent_profile::sweep::SweepConfig;
use kademlia_core::Family;
use tests::live::{PORT, describe, hash, router, servers, spawn};
use tokio::time::{Instant, sleep, timeout};
use transport_mem::{LinkModel, MemNetwork, address_v4, address_v6};

fn network() -> MemNetwork {
    MemNetwork::new(LinkModel::internet(), 33)
}

#[tokio::test(start_paused = true)]
async fn bep33_33_1_33_2_33_4_seeds_and_peers_are_announced_counted_and_told_apart() {
    let network = network();
    let servers = servers(&network, 30).await;
    for (n, server) in servers.iter().enumerate().take(20) {
        let announced = if n < 6 {
            server.announce_once(hash(1), PORT.seeding()).await
        } else {
            server.announce_once(hash(1), PORT).await
        };
        assert!(announced.unwrap().accepted.len() >= 8);
    }
    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    let scraped = client.scrape(hash(1)).await.unwrap();
    assert!(scraped.counting >= 8 && scraped.answered >= scraped.counting, "{scraped:?}");
    assert!((scraped.seeds() - 6.0).abs() < 1.0 && (scraped.peers() - 14.0).abs() < 1.0, "{scraped:?}");
    let nobody = client.scrape(hash(2)).await.unwrap();
    assert!(nobody.seeds() == 0.0 && nobody.peers() == 0.0 && nobody.counting == 0, "{nobody:?}");
    // One that has become a seed counts there alone.
    servers[10].announce_once(hash(1), PORT.seeding()).await.unwrap();
    let scraped = client.scrape(hash(1)).await.unwrap();
    assert!((scraped.seeds() - 7.0).abs() < 1.0, "{scraped:?}");
}

#[tokio::test(start_paused = true)]
async fn bep33_33_2_who_seeds_is_told_of_those_who_do_not_first() {
    let network = network();
    let mut servers = vec![spawn(
        &network,
        0,
        describe(0).server(true).configure_service(|config| config.peers_per_reply = 5),
    )];
    for n in 1..20 {
        let few = describe(n).server(true).configure_service(|config| config.peers_per_reply = 5);
        let server = spawn(&network, n, few.bootstrap(router()));
        server.bootstrapped().await.unwrap();
        servers.push(server);
    }
    sleep(Duration::from_secs(40 * 60)).await;
    for (n, server) in servers.iter().enumerate() {
        let announce = if n < 15 { PORT.seeding() } else { PORT.into() };
        server.announce_once(hash(1), announce).await.unwrap();
    }
    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    let mut found = BTreeSet::new();
    let mut peers = client.get_downloaders(hash(1));
    while let Some(peer) = peers.next().await {
        found.insert(peer.peer);
    }
    let expected: BTreeSet<_> = (15..20).map(|n| SocketAddr::new(address_v4(n).ip(), 51_413)).collect();
    // Each node names five, and there are five who are no seeds; but not every node knows all of them.
    assert!(expected.is_subset(&found) && found.len() < 10, "{found:?}");
    let all = client.get_peers(hash(1)).finish().await.peers;
    assert!(all > found.len() + 5, "another search, with seeds: {all}");
}

#[tokio::test(start_paused = true)]
async fn bep33_33_6_at_most_four_scrapes_run_at_a_time_with_three_requests_each() {
    let network = network();
    let _servers = servers(&network, 20).await;
    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    client.bootstrapped().await.unwrap();
    sleep(Duration::from_secs(60)).await;
    let running: Vec<_> = (0..12_u8)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.scrape(hash(n)).await.unwrap().asked })
        })
        .collect();
    let outstanding = async || {
        let count = client
            .handle()
            .with(|shell, _| shell.stack.nodes().map(|(_, node)| node.outstanding()).sum::<usize>());
        count.await.unwrap()
    };
    let mut most = 0;
    while running.iter().any(|task| !task.is_finished()) {
        most = most.max(outstanding().await);
        sleep(Duration::from_millis(5)).await;
    }
    for task in running {
        assert!(task.await.unwrap() >= 8);
    }
    // A slow answer frees its place, and some are upkeep; twelve at a time would be 36 and more.
    assert!((4 * 3..=2 * 4 * 3).contains(&most), "{most} requests in flight");
}

#[tokio::test(start_paused = true)]
async fn bep33_33_6_both_networks_are_counted() {
    let network = network();
    let dual = |n: u32, describe: Builder| {
        describe.spawn(network.bind_dual(address_v4(n), address_v6(n)).unwrap()).unwrap()
    };
    let routers = [address_v4(0).to_string(), address_v6(0).to_string()];
    let mut nodes = vec![dual(0, describe(0).server(true))];
    for n in 1..12 {
        let node = dual(n, describe(n).server(true).bootstrap(routers.clone()));
        node.bootstrapped().await.unwrap();
        nodes.push(node);
    }
    sleep(Duration::from_secs(40 * 60)).await;
    nodes[3].announce_once(hash(1), PORT.seeding()).await.unwrap();
    nodes[4].announce_once(hash(1), PORT).await.unwrap();
    let scraped = nodes[5].scrape(hash(1)).await.unwrap();
    assert!((scraped.seeds() - 2.0).abs() < 0.5, "a host in both networks counts twice: {scraped:?}");
    assert!((scraped.peers() - 2.0).abs() < 0.5, "{scraped:?}");
}

#[tokio::test(start_paused = true)]
async fn bep51_51_1_a_node_is_sampled() {
    let network = network();
    let servers = servers(&network, 10).await;
    for n in 0..5 {
        servers[1].announce_once(hash(n), PORT).await.unwrap();
    }
    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    client.bootstrapped().await.unwrap();
    let sampled = client.sample(address_v4(2), NodeId::new([0; 20])).await.unwrap();
    assert_eq!(sampled.from.addr, address_v4(2));
    let samples = sampled.samples.unwrap();
    assert_eq!((samples.num, samples.info_hashes.len()), (5, 5));
    assert_eq!(sampled.nodes.len(), 8);
    let silent = client.sample(address_v4(77), NodeId::new([0; 20])).await;
    assert!(silent.is_err());
}

#[tokio::test(start_paused = true)]
async fn bep51_51_2_a_sweep_streams_every_hash_once_and_respects_its_rate() {
    let network = network();
    let servers = servers(&network, 40).await;
    for n in 0..30 {
        servers[usize::from(n)].announce_once(hash(n), PORT).await.unwrap();
    }
    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    let started = Instant::now();
    let mut sweep = client.sweep(SweepConfig { rate: 2, ..SweepConfig::default() });
    let mut found = BTreeMap::new();
    while let Some(collected) = sweep.next().await {
        assert_eq!(found.insert(collected.info_hash, collected.from), None, "each once");
    }
    let progress = sweep.progress();
    let [(Family::V4, progress)] = progress[..] else { panic!("one network") };
    assert_eq!(found.len(), 30, "{progress:?}");
    assert_eq!((progress.requests, progress.sampled, progress.hashes), (40, 40, 30), "{progress:?}");
    assert!((progress.coverage - 1.0).abs() < f64::EPSILON);
    assert!(started.elapsed() >= Duration::from_millis(39 * 500), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn bep51_51_2_a_dropped_sweep_asks_nobody_any_more() {
    let network = network();
    let servers = servers(&network, 40).await;
    servers[1].announce_once(hash(1), PORT).await.unwrap();
    let client = spawn(&network, 100, describe(100).bootstrap(router()));
    let mut sweep = client.sweep(SweepConfig { rate: 1, ..SweepConfig::default() });
    assert!(sweep.next().await.is_some());
    drop(sweep);
    sleep(Duration::from_secs(5)).await;
    let asked = async || client.state().await.unwrap().families[0].counters.asked;
    let before = asked().await;
    sleep(Duration::from_secs(30)).await;
    assert!(asked().await - before < 10, "upkeep alone");
}

#[tokio::test(start_paused = true)]
async fn networks_of_different_names_share_a_wire_and_nothing_else() {
    let network = network();
    let lab = |n: u32| describe(n).server(true).network("lab");
    let router_of_lab = [address_v4(10).to_string()];
    let public = servers(&network, 5).await;
    let mut labs = vec![spawn(&network, 10, lab(10))];
    for n in 11..15 {
        let node = spawn(&network, n, lab(n).bootstrap(router_of_lab.clone()));
        node.bootstrapped().await.unwrap();
        labs.push(node);
    }
    labs[1].announce_once(hash(1), PORT).await.unwrap();
    assert_eq!(labs[2].get_peers(hash(1)).finish().await.peers, 1);
    assert_eq!(public[2].get_peers(hash(1)).finish().await.peers, 0);
    // Neither gets in through the other, and what is heard of the other is no message.
    let stray = spawn(&network, 20, describe(20).bootstrap(router_of_lab));
    assert!(timeout(Duration::from_secs(60), stray.bootstrapped()).await.is_err());
    let stray = spawn(&network, 21, describe(21).network("other").bootstrap(router()));
    assert!(timeout(Duration::from_secs(60), stray.bootstrapped()).await.is_err());
    let state = labs[0].state().await.unwrap();
    assert!(state.families[0].counters.malformed > 0, "the stray was heard");
    let known: Vec<_> = labs[0].snapshots().await.unwrap().remove(0).1.contacts;
    assert!(!known.is_empty() && known.iter().all(|contact| (10..15).any(|n| contact.addr == address_v4(n))));
}
