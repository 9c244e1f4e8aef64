//! The stores at full size: T7, P41.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey};
use bittorrent_profile::krpc::{Families, Request, Response, Token};
use bittorrent_profile::{InfoHash, Mainline, MainlineService, ServiceConfig};
use kademlia_core::{Body, Config, Instant, Key, Keyspace, Message, Node, Rng, Storage, TransactionId};
use tests::engine::LOCAL;

/// What both stores may take together.
const BUDGET: usize = 64 << 20;

/// A node that counts nobody's requests: what its service lets in is the question here.
struct Keeper {
    node: Node<Mainline, MainlineService>,
    now: Instant,
}

impl Keeper {
    fn new() -> Self {
        let mut config = Config::default();
        config.inbound.per_ip = 0;
        let now = Instant::from_secs(1_000);
        let service = MainlineService::new(ServiceConfig::default(), [1; 32]);
        Keeper { node: Node::new(service, LOCAL, config, [2; 32], now), now }
    }

    fn ask(&mut self, from: SocketAddr, request: Request) -> Option<Response> {
        let body = Body::Request { sender: Key::ZERO, read_only: true, request };
        let message = Message { transaction: TransactionId::from(7), observed: None, body };
        self.node.handle_message(self.now, from, message);
        match self.node.poll_message()?.1.body {
            Body::Response { response, .. } => Some(response),
            _ => None,
        }
    }

    fn token(&mut self, from: SocketAddr, info_hash: InfoHash) -> Option<Token> {
        self.ask(from, Request::get_peers(info_hash, Families::NONE))?.token
    }

    fn announce(&mut self, from: SocketAddr, info_hash: InfoHash, token: Token) -> bool {
        let request = Request::AnnouncePeer { implied_port: true, info_hash, port: None, seed: false, token };
        self.ask(from, request).is_some()
    }

    fn share(&mut self, from: SocketAddr, info_hash: InfoHash) -> bool {
        self.token(from, info_hash).is_some_and(|token| self.announce(from, info_hash, token))
    }

    fn put(&mut self, from: SocketAddr, item: &Item) -> bool {
        let get = Request::Get { seq: None, target: item.target(), want: Families::NONE };
        let token = self.ask(from, get).and_then(|response| response.token);
        token.is_some_and(|token| self.ask(from, Request::put(item, None, token)).is_some())
    }

    fn bytes(&self) -> usize {
        self.node.service().peers().bytes() + self.node.service().items().bytes()
    }

    /// Who shares it, by what is stored.
    fn sharing(&self, info_hash: InfoHash) -> BTreeSet<SocketAddr> {
        let (mut found, mut rng) = (Vec::new(), Rng::from_number(1));
        let peers = self.node.service().peers();
        peers.read(self.now, &info_hash.into(), usize::MAX, &mut rng, &mut found);
        found.iter().map(bittorrent_profile::Peer::addr).collect()
    }
}

/// The `n`th of many hosts, each in a /24 of its own for the first 65,536 times 200.
fn host(n: u32) -> SocketAddr {
    let [_, a, b, c] = n.to_be_bytes();
    SocketAddr::new(IpAddr::from([20 + a, b, c, 1]), 6881)
}

fn hash(n: u32) -> InfoHash {
    InfoHash::from(Key::random(&mut Rng::from_number(n.into())))
}

fn item(n: u32) -> Item {
    let mut bytes = [b'.'; 996];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    let value = RawValue::string(bytes).unwrap();
    if n.is_multiple_of(10) {
        let owner = SecretKey::from_seed(&Key::<32>::random(&mut Rng::from_number(n.into())).to_bytes());
        return Item::Mutable(MutableItem::sign(&owner, Salt::default(), 1, value).into());
    }
    Item::Immutable(value)
}

/// A number of the kernel's about this process, in bytes.
fn of_process(name: &str) -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<usize>().ok().map(|kilobytes| kilobytes << 10)
}

/// Runs one test alone in a process of its own, so that what the process takes is what the test takes. True in there.
fn is_alone(name: &str) -> bool {
    if std::env::var_os("RESILIENCE_ALONE").is_some() {
        return true;
    }
    let mut alone = Command::new(std::env::current_exe().unwrap());
    alone.args(["--exact", name, "--ignored", "--nocapture"]).env("RESILIENCE_ALONE", "1");
    assert!(alone.status().unwrap().success(), "{name} alone");
    false
}

/// So many announcements under a tenth as many info hashes, each from a host of its own, and a tenth as many items.
fn flood(announces: u32) {
    let mut keeper = Keeper::new();
    let (mut most, mut taken, mut kept) = (0, 0, 0);
    for n in 0..announces {
        taken += u32::from(keeper.share(host(n), hash(n % (announces / 10))));
        if n.is_multiple_of(10) {
            kept += u32::from(keeper.put(host(n), &item(n)));
        }
        if n.is_multiple_of(64) {
            most = most.max(keeper.bytes());
        }
    }
    most = most.max(keeper.bytes());
    let (peers, items) = (keeper.node.service().peers(), keeper.node.service().items());
    println!(
        "{announces} announces, {taken} taken, and {} puts, {kept} taken: {most} bytes at most; in the end {} peers of {} \
         torrents, {} items",
        announces / 10,
        peers.len(),
        peers.keys(),
        items.len(),
    );
    assert!(most <= BUDGET, "{most} bytes accounted");
    assert!(taken > announces / 20 && items.len() > 0 && peers.len() > 0);
}

#[test]
fn t7_p41_a_flood_of_announces_and_puts_stays_in_the_budget() {
    flood(20_000);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t7_a_million_announces_and_a_hundred_thousand_puts_take_64_mib_and_the_process_160() {
    if !is_alone("stores::t7_a_million_announces_and_a_hundred_thousand_puts_take_64_mib_and_the_process_160")
    {
        return;
    }
    flood(1_000_000);
    if let Some(peak) = of_process("VmHWM:") {
        println!("the process took {} MiB at most", peak >> 20);
        assert!(peak <= 160 << 20, "{peak} bytes of memory");
    }
}

/// Many honest hosts, and then one network that stores all it can under hashes nearer to the node than theirs: it gets a
/// hundredth of the budget at most, and nobody honest gives way.
fn hog(announces: u32, honest: u32, source: impl Fn(u32) -> SocketAddr) {
    let mut keeper = Keeper::new();
    for n in 0..honest {
        assert!(keeper.share(host(n), hash(n % (honest / 10))));
        if n.is_multiple_of(100) {
            assert!(keeper.put(host(n), &item(n)));
        }
    }
    let (before, expires) = (keeper.bytes(), keeper.node.service().peers().next_expiry());
    let mut rng = Rng::from_number(7);
    let (mut taken, mut held) = (0, Vec::new());
    // Tokens are got while there is room, and used when there is none any more.
    for first in (0..announces).step_by(10_000) {
        for n in first..(first + 10_000).min(announces) {
            let info_hash = InfoHash::from(LOCAL.random_within(8, &mut rng));
            held.extend(keeper.token(source(n), info_hash).map(|token| (n, info_hash, token)));
        }
        for (n, info_hash, token) in held.drain(..) {
            taken += u32::from(keeper.announce(source(n), info_hash, token));
        }
        if first == 0 {
            for n in 0..2_000 {
                keeper.put(source(n), &item(honest * 100 + n));
            }
        }
    }
    let gained = keeper.bytes() - before;
    println!("{announces} announces from one network: {taken} taken, {gained} bytes");
    assert!(taken > 0 && gained <= BUDGET / 100, "{gained} bytes, {taken} announces");
    assert_eq!(keeper.node.service().peers().next_expiry(), expires);
    for n in 0..honest / 10 {
        let due: BTreeSet<_> = (0..10).map(|round| host(n + round * (honest / 10))).collect();
        assert_eq!(keeper.sharing(hash(n)), due, "P41: by name");
    }
    for n in (0..honest).step_by(100) {
        assert!(keeper.node.service().items().has(keeper.now, &item(n).target()), "item {n}");
    }
}

fn one_ip(n: u32) -> SocketAddr {
    SocketAddr::from(([200, 1, 1, 1], 1_024 + u16::try_from(n % 60_000).unwrap()))
}

fn one_subnet(n: u32) -> SocketAddr {
    let [.., host] = n.to_be_bytes();
    SocketAddr::new([200, 1, 1, host].into(), one_ip(n).port())
}

#[test]
fn t7_p41_one_host_or_network_gets_a_hundredth_and_displaces_nobody() {
    hog(20_000, 1_000, one_ip);
    hog(20_000, 1_000, one_subnet);
}

#[test]
#[ignore = "full size: .ci/run runs it in release"]
fn t7_p41_a_million_announces_from_one_host_or_network_get_a_hundredth_and_displace_nobody() {
    hog(1_000_000, 100_000, one_ip);
    hog(1_000_000, 100_000, one_subnet);
}
