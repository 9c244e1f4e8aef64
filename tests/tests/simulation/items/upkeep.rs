//! Items in a network whose nodes come and go, kept alive and not (issue 4: with the manager on, found in 99.9 % of all
//! cases over 24 hours).

use std::fmt;
use std::time::Duration;

use bittorrent_profile::Dht;
use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use kademlia_core::Rng;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep, sleep_until};
use transport_mem::{Churn, LinkModel, MemNetwork, address_v4};

use super::{describe, spawn};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
/// Nodes that stay: those that others join through, who store nothing, and clients that write and read.
const ROUTERS: u32 = 4;
const KEEPERS: u32 = 4;
const READERS: u32 = 3;

#[derive(Clone, Copy)]
struct Scene {
    seed: u64,
    /// Nodes that come and go; half of them are up at any time.
    hosts: u32,
    hours: u32,
    items: u32,
    kept: bool,
}

#[derive(Default)]
struct Figures {
    found: usize,
    read: usize,
    /// In the first two hours, in which nodes keep what was put once.
    found_early: usize,
    read_early: usize,
    messages: usize,
    rounds: usize,
    rests: usize,
}

impl Figures {
    fn share(&self) -> f64 {
        self.found as f64 / self.read as f64
    }

    fn and(mut self, other: &Figures) -> Self {
        self.found += other.found;
        self.read += other.read;
        self.found_early += other.found_early;
        self.read_early += other.read_early;
        self.messages += other.messages;
        self.rounds += other.rounds;
        self.rests += other.rests;
        self
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Scene { hosts, hours, items, .. } = self;
        let kept = if self.kept { "kept alive" } else { "put once" };
        write!(f, "{items} items {kept}, {} of {hosts} nodes up, {hours} h", hosts / 2)
    }
}

fn item(n: u32) -> Item {
    let value = RawValue::string(format!("value {n}")).unwrap();
    if n.is_multiple_of(2) {
        return Item::Immutable(value);
    }
    let salt = Salt::new(&n.to_be_bytes()).unwrap();
    MutableItem::sign(&SecretKey::from_seed(&[5; 32]), salt, 1, value).into()
}

/// A node that comes and goes, with sessions of half an hour at the median (Weibull); half of them remember.
async fn come_and_go(scene: Scene, network: MemNetwork, n: u32) {
    let churn = Churn::with_half_life(30 * MINUTE);
    let mut rng = Rng::from_number(scene.seed << 32 | u64::from(n));
    let (mut up, mut births, mut remembered) = (n.is_multiple_of(2), 0, Vec::new());
    loop {
        if up {
            births += 1;
            let describe =
                describe(scene.seed + births, n).server(true).remember(std::mem::take(&mut remembered));
            let dht = spawn(&network, n, describe);
            sleep(churn.session.draw(&mut rng)).await;
            if rng.chance(churn.keep_state) {
                remembered = dht.snapshots().await.unwrap();
            }
            dht.shutdown().await;
            drop(dht);
            // Its address is free once its transport is dropped.
            while network.bind(address_v4(n)).is_err() {
                yield_now().await;
            }
        } else {
            sleep(churn.pause.draw(&mut rng)).await;
        }
        up = !up;
    }
}

/// Puts items or keeps them; counts what keeping takes.
async fn write(scene: Scene, dht: Dht, items: Vec<Item>, end: Instant) -> Figures {
    let mut figures = Figures::default();
    if !scene.kept {
        for item in items {
            dht.put(item).await.unwrap();
        }
        return figures;
    }
    let mut rounds = JoinSet::new();
    for item in items {
        let mut keeping = dht.keep(item).unwrap();
        rounds.spawn(async move {
            let mut figures = Figures::default();
            loop {
                tokio::select! {
                    Some(Ok(round)) = keeping.round() => {
                        figures.messages += round.messages;
                        figures.rounds += 1;
                        figures.rests += usize::from(round.stored.is_none());
                    }
                    () = sleep_until(end) => return figures,
                }
            }
        });
    }
    for one in rounds.join_all().await {
        figures = figures.and(&one);
    }
    figures
}

/// Reads one item after the other, at random, one a minute.
async fn read(scene: Scene, dht: Dht, mut rng: Rng, end: Instant) -> Figures {
    let (begun, mut figures) = (Instant::now(), Figures::default());
    while Instant::now() < end {
        let n = u32::try_from(rng.below(scene.items as usize)).unwrap();
        let mut search = match item(n) {
            Item::Immutable(value) => dht.get(Item::Immutable(value).target()),
            Item::Mutable(item) => dht.get_mutable(item.key, item.salt),
        };
        let found = search.next().await.is_some();
        let early = begun.elapsed() < 2 * HOUR - 10 * MINUTE;
        figures.read += 1;
        figures.found += usize::from(found);
        figures.read_early += usize::from(early);
        figures.found_early += usize::from(early && found);
        drop(search);
        sleep(rng.jittered(MINUTE)).await;
    }
    figures
}

async fn play(scene: Scene) -> Figures {
    let network = MemNetwork::new(LinkModel::internet(), scene.seed);
    let mut all = JoinSet::new();
    let router = |n| {
        let describe = describe(scene.seed, n).server(true);
        spawn(&network, n, describe.configure_service(|config| config.storage.bytes = 0))
    };
    let _routers: Vec<_> = (0..ROUTERS).map(router).collect();
    let first_host = ROUTERS + KEEPERS + READERS;
    for n in first_host..first_host + scene.hosts {
        all.spawn(come_and_go(scene, network.clone(), n));
        sleep(Duration::from_millis(200)).await;
    }
    let client = |n| spawn(&network, n, describe(scene.seed, n));
    let keepers: Vec<_> = (ROUTERS..ROUTERS + KEEPERS).map(client).collect();
    let readers: Vec<_> = (ROUTERS + KEEPERS..first_host).map(client).collect();
    sleep(HOUR).await;

    let end = Instant::now() + scene.hours * HOUR;
    let mut writers = JoinSet::new();
    for (at, keeper) in (0..).zip(keepers.clone()) {
        let items = (0..scene.items).filter(|n| n % KEEPERS == at).map(item).collect();
        writers.spawn(write(scene, keeper, items, end));
    }
    // All are put within the budget's time.
    sleep(HOUR / 2).await;
    let mut reading = JoinSet::new();
    for (at, reader) in (0..).zip(readers) {
        reading.spawn(read(scene, reader, Rng::from_number(scene.seed + at), end));
    }
    let mut figures = Figures::default();
    for one in reading.join_all().await.into_iter().chain(writers.join_all().await) {
        figures = figures.and(&one);
    }
    all.shutdown().await;
    figures
}

/// Plays it and prints the figures.
async fn show(scene: Scene) -> Figures {
    let figures = play(scene).await;
    let Figures { found, read, found_early, read_early, messages, rounds, rests } = figures;
    let hourly = messages as f64 / f64::from(scene.items * scene.hours);
    println!(
        "{scene}: {found} of {read} reads found it ({:.2} %; in the first two hours {found_early} of {read_early}); \
        {hourly:.0} messages an item and hour, {rounds} rounds, {rests} of them without a put",
        100.0 * figures.share(),
    );
    figures
}

#[tokio::test(start_paused = true)]
async fn bep44_44_9_items_that_are_kept_outlive_their_holders() {
    let scene = Scene { seed: 1, hosts: 60, hours: 5, items: 8, kept: true };
    let figures = show(scene).await;
    assert_eq!(figures.found, figures.read);
    let once = show(Scene { kept: false, ..scene }).await;
    assert!(once.share() < 0.8, "two hours of five");
}

#[tokio::test(start_paused = true)]
#[ignore = "full size: .ci/run runs it in release"]
async fn bep44_44_9_kept_items_are_found_through_a_day_of_churn() {
    let scene = Scene { seed: 2, hosts: 240, hours: 24, items: 80, kept: true };
    let figures = show(scene).await;
    assert!(figures.read >= 3_000 && figures.share() >= 0.999, "{} of {}", figures.found, figures.read);
    show(Scene { kept: false, ..scene }).await;
}
