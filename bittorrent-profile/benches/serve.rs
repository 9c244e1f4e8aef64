//! What one query costs a node with a full routing table: the datagram in, the reply out.
#![allow(missing_docs)]

#[path = "../tests/full_node/mod.rs"]
mod full_node;

use std::hint::black_box;
use std::net::SocketAddr;

use bittorrent_profile::krpc::{Families, Request};
use criterion::{Criterion, criterion_group, criterion_main};
use full_node::{MainlineNode, POPULAR, QUERIES, announce_peers, full_node, query, serve};
use kademlia_core::{Config, Instant, Key, Keyspace, Rng};

const NOW: Instant = Instant::from_secs(1_000);

/// Random targets, so that no answer is learnt by heart.
const TARGETS: usize = 1_024;

fn serving(criterion: &mut Criterion) {
    let mut config = Config::default();
    config.inbound.per_ip = 0;
    config.strangers.per_ip = 0;
    let mut node = full_node(config, NOW);
    let mut rng = Rng::from_number(2);
    let targets: Vec<Key<20>> = (0..TARGETS).map(|_| Key::random(&mut rng)).collect();
    for (name, make) in QUERIES {
        let datagrams: Vec<_> = targets.iter().map(|target| query(make(target.to_bytes()))).collect();
        bench(criterion, name, &mut node, &datagrams);
    }
    announce_peers(&mut node, NOW, 64);
    let popular = query(Request::get_peers(POPULAR, Families::NONE));
    bench(criterion, "get_peers, 50 peers", &mut node, &[popular]);
}

fn bench(criterion: &mut Criterion, name: &str, node: &mut MainlineNode, datagrams: &[Vec<u8>]) {
    let from = SocketAddr::from(([8, 8, 8, 8], 6881));
    let mut reply = Vec::with_capacity(2_048);
    let mut datagrams = datagrams.iter().cycle();
    criterion.bench_function(&format!("serve {name}"), |bench| {
        bench.iter(|| {
            reply.clear();
            datagrams.next().is_some_and(|datagram| serve(node, NOW, from, black_box(datagram), &mut reply))
        });
    });
}

criterion_group!(benches, serving);
criterion_main!(benches);
