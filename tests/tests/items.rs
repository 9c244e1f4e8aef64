//! Items (BEP 44, 46) through the front door, over the in-memory network, in virtual time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests may fail loudly")]

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use bittorrent_profile::dht::{Builder, PutError, ResolveError, UpdateError};
use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{Krpc, Request};
use bittorrent_profile::link::TorrentLink;
use bittorrent_profile::{Dht, InfoHash};
use kademlia_core::runtime::{Inbox, Outbox, Transport};
use kademlia_core::{Body, Codec, Contact, Key, Message};
use tests::live::describe;
use tokio::time::sleep;
use transport_mem::{LinkModel, MemNetwork, MemTransport, address_v4, address_v6};

const HOUR: Duration = Duration::from_secs(3_600);

fn owner() -> SecretKey {
    SecretKey::from_seed(&[3; 32])
}

fn text(text: &str) -> RawValue {
    RawValue::string(text).unwrap()
}

fn version(seq: i64, of: &str) -> MutableItem {
    MutableItem::sign(&owner(), Salt::default(), seq, text(of))
}

struct World {
    network: MemNetwork,
    servers: Vec<Dht>,
}

impl World {
    /// So many servers that have settled.
    async fn new(count: u32) -> Self {
        let network = MemNetwork::new(LinkModel::internet(), 5);
        let mut world = World { network, servers: Vec::new() };
        for n in 0..count {
            let server = world.spawn(n, describe(n).server(true));
            if n > 0 {
                server.bootstrapped().await.unwrap();
            }
            world.servers.push(server);
        }
        sleep(Duration::from_secs(40 * 60)).await;
        world
    }

    fn spawn(&self, n: u32, describe: Builder) -> Dht {
        let describe = if n == 0 { describe } else { describe.bootstrap([address_v4(0).to_string()]) };
        describe.spawn(self.network.bind(address_v4(n)).unwrap()).unwrap()
    }

    async fn client(&self, n: u32) -> Dht {
        let client = self.spawn(n, describe(n));
        client.bootstrapped().await.unwrap();
        client
    }

    /// How many servers hold something under a target.
    async fn copies(&self, target: Key<20>) -> usize {
        let mut copies = 0;
        for server in &self.servers {
            let held = server.handle().with(move |shell, now| {
                use kademlia_core::{Rng, Storage};
                let mut found = Vec::new();
                for (_, node) in shell.stack.nodes() {
                    node.service().items().read(now, &target, 1, &mut Rng::from_number(1), &mut found);
                }
                found.len()
            });
            copies += held.await.unwrap();
        }
        copies
    }
}

/// A transport through which no `put` goes before the rival has put a newer version.
struct Late {
    transport: MemTransport,
    rival: Dht,
    seq: i64,
}

#[async_trait::async_trait]
impl Transport for Late {
    async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        self.transport.recv(inbox).await
    }

    async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        if outbox.iter().any(|(_, datagram)| is_put(datagram)) {
            self.seq += 2;
            self.rival.put(version(self.seq, "rival")).await.unwrap();
        }
        self.transport.send(outbox).await
    }

    fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.transport.local_addrs()
    }
}

fn is_put(datagram: &[u8]) -> bool {
    let message = Krpc::decode(datagram);
    matches!(message, Ok(Message { body: Body::Request { request: Request::Put { .. }, .. }, .. }))
}

async fn newest(dht: &Dht) -> Option<(i64, RawValue)> {
    let found = dht.get_mutable(owner().public(), Salt::default()).finish().await.found?;
    Some((found.seq().unwrap(), found.value().clone()))
}

#[tokio::test(start_paused = true)]
async fn bep44_44_1_an_immutable_item_is_put_and_found() {
    let world = World::new(30).await;
    let (writer, reader) = (world.client(100).await, world.client(101).await);
    let item = Item::from(text("Hello World!"));
    let stored = writer.put(item.clone()).await.unwrap();
    assert!(stored.accepted.len() >= 8 && stored.refused.is_empty(), "{stored:?}");
    assert_eq!(stored.accepted.len(), world.copies(item.target()).await);

    let mut search = reader.get("e5f96f6f38320f0f33959cb4d3d656452117aadb".parse().unwrap());
    assert_eq!(search.next().await, Some(item.clone()));
    assert_eq!(search.next().await, None, "nothing is better than the only one");
    let summary = search.finish().await;
    assert_eq!((summary.found.as_ref(), summary.invalid), (Some(&item), 0));
    // The reader has just come and knows few: he asks around the target only.
    assert!((6..=stored.accepted.len()).contains(&summary.holders), "{summary:?}");
    assert!(summary.asked >= summary.answered && summary.answered >= summary.holders && summary.hops > 0);
    let nothing = reader.get(Key::new([1; 20])).finish().await;
    assert_eq!((nothing.found, nothing.holders), (None, 0));
    assert!(nothing.answered >= 8);
}

#[tokio::test(start_paused = true)]
async fn bep44_44_6_the_newest_version_replaces_the_older_ones_and_never_the_reverse() {
    let world = World::new(30).await;
    let (writer, reader) = (world.client(100).await, world.client(101).await);
    writer.put(version(1, "one")).await.unwrap();
    writer.put(version(2, "two")).await.unwrap();
    assert_eq!(newest(&reader).await, Some((2, text("two"))));
    let late = writer.put(version(1, "one")).await.unwrap();
    assert_eq!((late.accepted.len(), late.conflicts()), (0, late.chosen()));
    assert!(late.refused.iter().all(|(_, code, _)| *code == 302), "{late:?}");
    assert_eq!(newest(&reader).await, Some((2, text("two"))));
    let again = writer.put(version(2, "two")).await.unwrap();
    assert_eq!(again.conflicts(), 0, "the same again is welcome");
}

#[tokio::test(start_paused = true)]
async fn bep44_44_7_cas_is_compared_and_left_out_where_there_is_nothing() {
    let world = World::new(30).await;
    let writer = world.client(100).await;
    let first = writer.put_cas(version(3, "first"), 77).await.unwrap();
    assert!(first.accepted.len() >= 8 && first.conflicts() == 0, "nothing is stored yet: {first:?}");
    let had_it = |node: &Contact<Key<20>>| first.accepted.contains(node);
    let wrong = writer.put_cas(version(4, "wrong"), 2).await.unwrap();
    assert!(wrong.refused.iter().all(|(node, code, _)| had_it(node) && *code == 301), "{wrong:?}");
    assert!(wrong.conflicts() >= 8 && !wrong.accepted.iter().any(had_it), "{wrong:?}");
    let right = writer.put_cas(version(5, "right"), 3).await.unwrap();
    assert!(first.accepted.iter().all(|node| right.accepted.contains(node)), "{right:?}");
}

#[tokio::test(start_paused = true)]
async fn bep44_44_5_what_every_node_would_refuse_is_not_sent() {
    let world = World::new(2).await;
    let forged = MutableItem { seq: 9, ..version(1, "x") };
    assert_eq!(world.servers[1].put(forged.clone()).await, Err(PutError::Unsigned));
    assert_eq!(world.servers[1].keep(forged).err(), Some(PutError::Unsigned));
}

#[tokio::test(start_paused = true)]
async fn bep44_44_7_an_update_reads_and_writes_the_next_version() {
    let world = World::new(30).await;
    let (writer, reader) = (world.client(100).await, world.client(101).await);
    let update = async |dht: &Dht, add: &'static str| {
        let change = |old: Option<&RawValue>| {
            let old = old.and_then(RawValue::as_string).unwrap_or_default();
            Some(RawValue::string([old, add.as_bytes()].concat()).unwrap())
        };
        dht.update(&owner(), Salt::default(), change).await.unwrap()
    };
    let first = update(&writer, "a").await;
    assert_eq!((first.item.seq, first.previous, first.attempts), (1, None, 1));
    let second = update(&reader, "b").await;
    assert_eq!((second.item.seq, second.previous, second.attempts), (2, Some(1), 1));
    assert_eq!(newest(&writer).await, Some((2, text("ab"))));
    let same = writer.update(&owner(), Salt::default(), |_| None).await.unwrap();
    assert_eq!((same.item.seq, same.stored), (2, None));
    let other = Salt::new(b"other").unwrap();
    assert_eq!(writer.update(&owner(), other, |_| None).await, Err(UpdateError::Nothing));
    writer.put(version(i64::MAX, "last")).await.unwrap();
    assert_eq!(
        writer.update(&owner(), Salt::default(), |_| Some(text("x"))).await,
        Err(UpdateError::Exhausted)
    );
}

/// Somebody else is always faster: the writer gives up, and says what counts.
#[tokio::test(start_paused = true)]
async fn bep44_44_7_an_update_that_is_always_too_late_says_so() {
    let world = World::new(10).await;
    let rival = world.client(101).await;
    rival.put(version(1, "rival")).await.unwrap();
    let late = Late { transport: world.network.bind(address_v4(100)).unwrap(), rival, seq: 1 };
    let writer = describe(100).bootstrap([address_v4(0).to_string()]).spawn(late).unwrap();
    writer.bootstrapped().await.unwrap();
    let failed = writer.update(&owner(), Salt::default(), |_| Some(text("mine"))).await;
    let Err(UpdateError::Contested { attempts, newest: Some(newest) }) = failed else {
        panic!("{failed:?}");
    };
    assert_eq!((attempts, &newest.value), (24, &text("rival")));
}

/// Nobody answers: no attempts are wasted on it.
#[tokio::test(start_paused = true)]
async fn an_update_without_a_network_fails_at_once() {
    let network = MemNetwork::new(LinkModel::internet(), 5);
    let alone = describe(1).spawn(network.bind(address_v4(1)).unwrap()).unwrap();
    let failed = alone.update(&owner(), Salt::default(), |_| Some(text("x"))).await;
    assert!(matches!(failed, Err(UpdateError::NotStored(_))), "{failed:?}");
}

#[tokio::test(start_paused = true)]
async fn bep44_44_9_an_item_is_forgotten_after_two_hours_and_kept_until_withdrawn() {
    let world = World::new(30).await;
    let keeper = world.client(100).await;
    let (kept, left) = (Item::from(text("kept")), Item::from(text("left")));
    keeper.put(left.clone()).await.unwrap();
    let mut keeping = keeper.keep(kept.clone()).unwrap();
    let first = keeping.round().await.unwrap().unwrap();
    assert_eq!((first.copies, first.item.clone()), (0, kept.clone()));
    assert!(first.stored.unwrap().accepted.len() >= 8 && first.messages > 8);
    for hour in 0..24 {
        sleep(HOUR / 2).await;
        assert!(world.copies(kept.target()).await >= 8, "after {hour} half hours");
    }
    assert_eq!(world.copies(left.target()).await, 0);
    assert_eq!(keeper.kept(), std::slice::from_ref(&kept));
    keeping.withdraw();
    assert_eq!(keeper.kept(), []);
    sleep(2 * HOUR + HOUR / 10).await;
    assert_eq!(world.copies(kept.target()).await, 0);
}

/// Where all nodes stay, every second round finds copies enough, and no copy ever gets old enough to be forgotten.
#[tokio::test(start_paused = true)]
async fn bep44_44_9_a_round_rests_where_copies_suffice_but_never_twice_in_a_row() {
    let world = World::new(30).await;
    let keeper = world.client(100).await;
    let mut keeping = keeper.keep(version(1, "x")).unwrap();
    let mut puts = Vec::new();
    for _ in 0..12 {
        let round = keeping.round().await.unwrap().unwrap();
        puts.push(round.stored.is_some());
    }
    assert!(puts[0], "how old the copies are that were there before is not known");
    assert!(puts.windows(2).all(|pair| pair[0] != pair[1]), "{puts:?}");
}

#[tokio::test(start_paused = true)]
async fn bep44_44_9_anybody_keeps_anything_and_newer_versions_take_its_place() {
    let world = World::new(30).await;
    let (owner_node, stranger) = (world.client(100).await, world.client(101).await);
    owner_node.put(version(1, "one")).await.unwrap();
    let found = stranger.get_mutable(owner().public(), Salt::default()).finish().await.found.unwrap();
    let mut keeping = stranger.keep(found).unwrap();
    keeping.round().await.unwrap().unwrap();
    owner_node.put(version(2, "two")).await.unwrap();
    // The owner is gone for good, and the item outlives every copy that he made.
    owner_node.shutdown().await;
    while keeping.round().await.unwrap().unwrap().item.seq() != Some(2) {}
    sleep(6 * HOUR).await;
    assert_eq!(newest(&world.client(102).await).await, Some((2, text("two"))));
    assert_eq!(stranger.kept(), [Item::from(version(2, "two"))]);
    // Somebody who missed the second version cannot bring the first one back.
    let outdated = world.client(103).await;
    let mut other = outdated.keep(version(1, "one")).unwrap();
    assert_eq!(other.round().await.unwrap().unwrap().item.seq(), Some(2));
    assert_eq!(other.item().seq(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn bep44_44_9_what_is_kept_outlives_its_keeper_in_a_file() {
    let world = World::new(20).await;
    let first = world.client(100).await;
    let _keeping = [first.keep(version(1, "x")).unwrap(), first.keep(text("y")).unwrap()];
    let file: Vec<Vec<u8>> = first.kept().iter().map(Item::to_bencode).collect();
    first.shutdown().await;
    sleep(3 * HOUR).await;
    let second = world.client(101).await;
    let items = file.iter().map(|bytes| Item::from_bencode(bytes).unwrap());
    let mut keeping: Vec<_> = items.map(|item| second.keep(item).unwrap()).collect();
    for kept in &mut keeping {
        assert!(kept.round().await.unwrap().unwrap().stored.is_some());
    }
    assert_eq!(newest(&world.client(102).await).await, Some((1, text("x"))));
}

#[tokio::test(start_paused = true)]
async fn bep46_46_1_a_link_is_published_resolved_and_kept_by_consumers() {
    let world = World::new(30).await;
    let (publisher, consumer) = (world.client(100).await, world.client(101).await);
    let salt = Salt::new(b"n").unwrap();
    let link = TorrentLink { key: owner().public(), salt };
    assert_eq!(consumer.resolve(&link).await, Err(ResolveError::NotFound));
    let hashes = [InfoHash::new([1; 20]), InfoHash::new([2; 20])];
    for (seq, hash) in (1..).zip(hashes) {
        let published = publisher.publish_torrent(&owner(), salt, hash).await.unwrap();
        assert_eq!(published.item.seq, seq);
        assert_eq!(consumer.resolve(&link).await.unwrap().info_hash, hash);
    }
    let again = publisher.publish_torrent(&owner(), salt, hashes[1]).await.unwrap();
    assert_eq!((again.item.seq, again.stored), (2, None), "it means that already");
    publisher.shutdown().await;
    let resolved = consumer.resolve(&link).await.unwrap();
    let _keeping = consumer.keep(resolved.item).unwrap();
    sleep(5 * HOUR).await;
    let late = world.client(102).await;
    assert_eq!(late.resolve(&link).await.unwrap().info_hash, hashes[1]);
    let other = TorrentLink { salt: Salt::default(), ..link };
    late.put(version(1, "no torrent")).await.unwrap();
    assert!(matches!(late.resolve(&other).await, Err(ResolveError::NotATorrent(_))));
}

#[tokio::test(start_paused = true)]
async fn bep44_values_of_any_type_are_put_and_read() {
    let world = World::new(20).await;
    let value = ("text".to_owned(), vec![1, 2, 3]);
    let (target, stored) = world.servers[1].put_value(&value).await.unwrap();
    assert!(stored.accepted.len() >= 8);
    assert_eq!(world.servers[2].get_value(target).await, Ok(Some(value)));
    assert_eq!(world.servers[2].get_value::<i64>(Key::new([9; 20])).await, Ok(None));
    assert!(world.servers[2].get_value::<i64>(target).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn bep32_32_1_items_are_put_and_found_in_both_networks() {
    let network = MemNetwork::new(LinkModel::internet(), 6);
    let dual = |n: u32, describe: Builder| {
        describe.spawn(network.bind_dual(address_v4(n), address_v6(n)).unwrap()).unwrap()
    };
    let mut nodes = vec![dual(0, describe(0).server(true))];
    for n in 1..16 {
        let routers = [address_v4(0).to_string(), address_v6(0).to_string()];
        nodes.push(dual(n, describe(n).server(true).bootstrap(routers)));
        nodes[n as usize].bootstrapped().await.unwrap();
    }
    sleep(Duration::from_secs(40 * 60)).await;
    let stored = nodes[3].put(text("x")).await.unwrap();
    let v6 = stored.accepted.iter().filter(|holder| holder.addr.is_ipv6()).count();
    assert!(v6 >= 8 && stored.accepted.len() >= v6 + 8, "{} of {}", v6, stored.accepted.len());
    // Nodes of one network alone find it there.
    let target = Item::from(text("x")).target();
    for (own, router) in [(address_v4(90), address_v4(0)), (address_v6(91), address_v6(0))] {
        let single = describe(90).bootstrap([router.to_string()]).spawn(network.bind(own).unwrap()).unwrap();
        assert!(single.get(target).next().await.is_some(), "{own}");
    }
    let summary = nodes[5].get(target).finish().await;
    // What the reader holds himself he is not asked for.
    assert!(summary.holders + 2 >= stored.accepted.len(), "{summary:?}");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_search_for_an_item_is_cancelled() {
    let world = World::new(10).await;
    let client = world.client(90).await;
    sleep(Duration::from_secs(60)).await;
    let outstanding = async || {
        let count = client
            .handle()
            .with(|shell, _| shell.stack.nodes().map(|(_, node)| node.outstanding()).sum::<usize>());
        count.await.unwrap()
    };
    let search = client.get(Key::new([7; 20]));
    while outstanding().await == 0 {
        tokio::task::yield_now().await;
    }
    drop(search);
    while outstanding().await > 0 {
        tokio::task::yield_now().await;
    }
}
