//! What a full routing table costs per packet: the closest contacts to a target, and a known contact's answer.

use core::hint::black_box;
use core::net::SocketAddr;

use criterion::{Criterion, criterion_group, criterion_main};
use kademlia_core::{Config, Contact, Contacts, Instant, Key, Keyspace, Rng, Table};

type Id = Key<20>;

/// A table of `len` entries in buckets of `k`, each in a subnet of its own.
fn filled(k: usize, len: usize, rng: &mut Rng) -> Table<Id> {
    let local = Id::random(rng);
    let mut table = Table::new(local, k, Config::default().table);
    let mut host = 0_u32;
    while table.len() < len {
        // Half of all keys fall into bucket 0; near ones are drawn on purpose to fill the deep buckets, too.
        let key = local.random_within(rng.below(16), rng);
        host += 1;
        let addr = SocketAddr::from(((0x0100_0000 + (host << 8)).to_be_bytes(), 6881));
        table.answered(Instant::ZERO, Contact::new(key, addr), None);
    }
    table
}

fn closest(criterion: &mut Criterion) {
    let mut rng = Rng::from_number(1);
    let targets: Vec<Id> = (0..1024).map(|_| Id::random(&mut rng)).collect();
    for (name, k, len) in
        [("closest_good 8 of 130, k 8", 8, 130), ("closest_good 8 of 2000, k 160", 160, 2_000)]
    {
        let table = filled(k, len, &mut rng);
        let mut targets = targets.iter().cycle();
        criterion.bench_function(name, |bench| {
            bench.iter(|| {
                let mut contacts: Contacts<Id> = Contacts::new();
                if let Some(target) = targets.next() {
                    table.closest_good(Instant::ZERO, black_box(target), 8, None, &mut contacts);
                }
                contacts
            });
        });
    }
}

fn updates(criterion: &mut Criterion) {
    let mut rng = Rng::from_number(2);
    let mut table = filled(160, 2_000, &mut rng);
    let known: Vec<Contact<Id>> = table.iter().map(|entry| entry.contact()).collect();
    let mut contacts = known.iter().cycle();
    criterion.bench_function("answered, known, of 2000", |bench| {
        bench.iter(|| contacts.next().map(|contact| table.answered(Instant::ZERO, *contact, None)));
    });
    // Strangers that the own bucket has a place for: everything else is turned away sooner.
    let local = table.local();
    let strangers: Vec<Contact<Id>> = (0..1024_u32)
        .map(|n| {
            let addr = SocketAddr::from(((0x7f00_0000 + (n << 8)).to_be_bytes(), 6881));
            Contact::new(local.random_within(table.depth(), &mut rng), addr)
        })
        .collect();
    let mut contacts = strangers.iter().cycle();
    criterion.bench_function("wants, a stranger, of 2000", |bench| {
        bench.iter(|| contacts.next().map(|contact| table.wants(Instant::ZERO, contact)));
    });
}

criterion_group!(benches, closest, updates);
criterion_main!(benches);
