//! Five writers change one item at the same time, with a tenth of all datagrams lost (issue 4: no lost update, every
//! reader sees a sequence number that never falls, all writers finish).

use std::collections::BTreeSet;
use std::time::Duration;

use bittorrent_profile::Dht;
use bittorrent_profile::item::{Item, RawValue, Salt, SecretKey};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use transport_mem::{LinkModel, MemNetwork};

use super::{describe, spawn};

const WRITERS: u32 = 5;
const READERS: u32 = 3;

fn owner() -> SecretKey {
    SecretKey::from_seed(&[9; 32])
}

/// The value is a list of names, separated by commas.
fn names(value: Option<&RawValue>) -> Vec<String> {
    let text = String::from_utf8(value.and_then(RawValue::as_string).unwrap_or_default().to_vec()).unwrap();
    text.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Adds a name, unless it is there.
async fn add(dht: &Dht, name: &str) -> (i64, u32) {
    let change = |old: Option<&RawValue>| {
        let mut names = names(old);
        if names.iter().any(|known| known == name) {
            return None;
        }
        names.push(name.to_owned());
        Some(RawValue::string(names.join(",")).unwrap())
    };
    let updated = dht.update(&owner(), Salt::default(), change).await.unwrap();
    assert!(names(Some(&updated.item.value)).iter().any(|known| known == name));
    (updated.item.seq, updated.attempts)
}

/// Reads again and again; gives back how often. Panics if the number falls.
async fn watch(dht: Dht, stop: tokio::sync::watch::Receiver<bool>) -> usize {
    let (mut last, mut reads) = (None, 0);
    while !*stop.borrow() {
        let found = dht.get_mutable(owner().public(), Salt::default()).finish().await.found;
        let seq = found.as_ref().and_then(Item::seq);
        assert!(seq >= last, "{last:?}, then {seq:?}");
        (last, reads) = (seq, reads + 1);
    }
    reads
}

/// One contest of `rounds` changes for each writer; a line of figures.
async fn contest(seed: u64, servers: u32, rounds: u32) -> String {
    let network = MemNetwork::new(LinkModel::internet(), seed);
    let mut nodes = Vec::new();
    for n in 0..servers {
        nodes.push(spawn(&network, n, describe(seed, n).server(true)));
    }
    sleep(Duration::from_secs(30 * 60)).await;
    network.with_links(|links| links.model_mut().loss = 0.1);
    let client = |n: u32| spawn(&network, servers + n, describe(seed, servers + n));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut readers = JoinSet::new();
    for n in 0..READERS {
        readers.spawn(watch(client(WRITERS + n), stopped.clone()));
    }
    let (mut writers, started) = (JoinSet::new(), Instant::now());
    for n in 0..WRITERS {
        let dht = client(n);
        writers.spawn(async move {
            let mut attempts = Vec::new();
            for round in 0..rounds {
                attempts.push(add(&dht, &format!("{n}/{round}")).await);
            }
            attempts
        });
    }
    let outcomes: Vec<_> = writers.join_all().await.into_iter().flatten().collect();
    let took = started.elapsed();
    stop.send_replace(true);
    let reads: usize = readers.join_all().await.into_iter().sum();
    let found = client(WRITERS + READERS)
        .get_mutable(owner().public(), Salt::default())
        .finish()
        .await
        .found
        .unwrap();
    let (kept, seq) = (names(Some(found.value())), found.seq().unwrap());
    let different: BTreeSet<_> = kept.iter().collect();
    assert_eq!(different.len(), kept.len(), "nothing twice: {kept:?}");
    for writer in 0..WRITERS {
        for round in 0..rounds {
            let name = format!("{writer}/{round}");
            assert!(different.contains(&name), "seed {seed}: the update {name} is lost: {kept:?}");
        }
    }
    let mut attempts: Vec<_> = outcomes.iter().map(|(_, attempts)| *attempts).collect();
    attempts.sort_unstable();
    let (median, most) = (attempts[attempts.len() / 2], attempts[attempts.len() - 1]);
    format!(
        "{servers} servers, seed {seed}: {} updates in {took:?}, attempts median {median}, most {most}; \
        version {seq} in the end, {reads} reads",
        attempts.len(),
    )
}

#[tokio::test(start_paused = true)]
async fn bep44_44_7_five_writers_with_cas_lose_no_update() {
    println!("{}", contest(1, 30, 3).await);
}

#[tokio::test(start_paused = true)]
#[ignore = "full size: .ci/run runs it in release"]
async fn bep44_44_7_five_writers_with_cas_lose_no_update_in_many_networks() {
    for seed in 2..12 {
        println!("{}", contest(seed, 100, 4).await);
    }
}
