//! The peer store under load (T7, P41). The store's own rules are tested where it is defined.

use core::net::Ipv4Addr;
use core::time::Duration;

use kademlia_core::{Instant, Keyspace, NoRoom, Placed, Rng, Storage, StorageLimits};

use super::*;

const NOW: Instant = Instant::ZERO;

fn v4(bits: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(bits), 6881))
}

#[test]
fn bep33_33_5_fs_a10_a_peer_is_its_ip_and_its_port_may_change() {
    let (mut store, key) = (PeerStore::default(), Key::new([1; 20]));
    for (port, placed) in [(1, Placed::New), (2, Placed::Renewed), (3, Placed::Renewed)] {
        let peer = Peer::sole(SocketAddr::from(([1, 2, 3, 4], port)));
        assert_eq!(store.insert(NOW, key, peer, Instant::NEVER), Ok(placed));
    }
    let mut read = Vec::new();
    store.read(NOW, &key, 9, &mut Rng::from_number(0), &mut read);
    assert_eq!(read.iter().map(Peer::addr).collect::<Vec<_>>(), [SocketAddr::from(([1, 2, 3, 4], 3))]);
}

#[test]
fn t7_p41_an_announce_flood_from_everywhere_stays_within_the_budget() {
    let limits = StorageLimits { bytes: 4 << 20, ..StorageLimits::default() };
    let (mut store, mut rng) = (PeerStore::new(limits), Rng::from_number(1));
    store.recenter(Key::random(&mut rng));
    let keys: Vec<Key<20>> = (0..10_000).map(|_| Key::random(&mut rng)).collect();
    let mut taken = 0;
    for n in 0..100_000_u64 {
        let now = NOW + Duration::from_millis(n);
        let (key, from) = (keys[rng.below(keys.len())], v4(rng.next_u32()));
        taken +=
            u32::from(store.insert(now, key, Peer::sole(from), now + Duration::from_secs(1_800)).is_ok());
        assert!(store.bytes() <= limits.bytes);
    }
    assert!(store.bytes() > limits.bytes * 9 / 10, "and uses it");
    assert!(taken > 20_000);
}

#[test]
fn t7_one_source_and_one_subnet_fill_no_more_than_their_share_and_evict_nobody() {
    let (mut store, mut rng) = (PeerStore::default(), Rng::from_number(2));
    for n in 0..1_000 {
        let honest = Peer::sole(v4(0x4000_0000 + (n << 8)));
        store.insert(NOW, Key::random(&mut rng), honest, Instant::NEVER).unwrap();
    }
    let honest = store.len();
    let mut flood = |from: &dyn Fn(u32) -> SocketAddr| {
        let mut refused = [0, 0];
        for n in 0..50_000 {
            match store.insert(NOW, Key::random(&mut rng), Peer::sole(from(n)), Instant::NEVER) {
                Err(NoRoom::Source) => refused[0] += 1,
                Err(NoRoom::Subnet) => refused[1] += 1,
                other => assert_eq!(other, Ok(Placed::New)),
            }
        }
        refused
    };
    let [from_one_ip, _] = flood(&|_| v4(0x0101_0101));
    assert_eq!(50_000 - from_one_ip, 64);
    let refused = flood(&|n| v4(0x0202_0200 + n % 256));
    assert_eq!(50_000 - refused.iter().sum::<u32>(), 1_024);
    let refused =
        flood(&|n| SocketAddr::from(([0x2a00, 1, 2, 3, 0, 0, (n >> 16) as u16, (n & 0xffff) as u16], 1)));
    assert_eq!(50_000 - refused[0], 64, "an IPv6 /64 is one source");
    let before = store.bytes() / store.len() * honest;
    assert_eq!(store.len(), honest + 64 + 1_024 + 64);
    assert!(store.bytes() - before <= store.limits().bytes / 100, "at most a hundredth of the budget");
}

#[test]
fn fs_b10_a_torrent_has_at_most_a_thousand_peers() {
    let mut store = PeerStore::default();
    for n in 0..1_000 {
        store.insert(NOW, Key::new([1; 20]), Peer::sole(v4(n << 8)), Instant::NEVER).unwrap();
    }
    let late = Peer::sole(v4(0xffff_ff00));
    assert_eq!(store.admits(&Key::new([1; 20]), &late), Err(NoRoom::Key));
    assert_eq!(store.admits(&Key::new([2; 20]), &late), Ok(()));
}

#[test]
fn a_peer_is_small() {
    assert_eq!(size_of::<Peer>(), 26);
}
