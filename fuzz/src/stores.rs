//! The stores behind the service against a list with the rules of BEP 33 and 44.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use bittorrent_profile::item::{Item, MutableItem, RawValue, Salt, SecretKey, Signature};
use bittorrent_profile::krpc::{Families, Request, Response};
use bittorrent_profile::scrape::Scrape;
use bittorrent_profile::{InfoHash, Mainline, MainlineService, ServiceConfig};
use kademlia_core::{Body, Config, Instant, Key, Message, Node, TransactionId};

use crate::tape::Tape;

/// Items to put: two owners, two salts, four versions of two values each, all signed; and some immutable ones.
static ITEMS: LazyLock<Vec<Item>> = LazyLock::new(|| {
    let mut items: Vec<_> = (0..4).map(|n| Item::Immutable(value(n))).collect();
    for owner in [1, 2].map(|seed| SecretKey::from_seed(&[seed; 32])) {
        for salt in [&b""[..], b"salt"] {
            for (seq, n) in (0..4).flat_map(|seq| [(seq, 0), (seq, 1)]) {
                let salt = Salt::new(salt).expect("short");
                items.push(Item::Mutable(Arc::new(MutableItem::sign(&owner, salt, seq, value(n)))));
            }
        }
    }
    items
});

fn value(n: u8) -> RawValue {
    RawValue::new(format!("i{n}e").as_bytes()).expect("a number")
}

struct Model {
    config: ServiceConfig,
    items: BTreeMap<Key<20>, (Item, Instant)>,
    /// Ports, whether seeds, and until when, by torrent and address.
    peers: BTreeMap<(u8, IpAddr), (u16, bool, Instant)>,
}

impl Model {
    /// The code that a `put` ought to meet, 0 if none; then it is done.
    fn put(&mut self, now: Instant, item: &Item, is_signed: bool, cas: Option<i64>) -> i64 {
        let target = item.target();
        let held = self.items.get(&target).filter(|(_, expires)| *expires > now);
        if let (Some((Item::Mutable(old), _)), Item::Mutable(new)) = (held, item) {
            if cas.is_some_and(|cas| cas != old.seq) {
                return 301;
            }
            if new.seq < old.seq || (new.seq == old.seq && new.value != old.value) {
                return 302;
            }
        }
        if !is_signed {
            return 206;
        }
        self.items.insert(target, (item.clone(), now + self.config.item_ttl));
        0
    }

    fn live(&self, now: Instant, torrent: u8) -> impl Iterator<Item = (IpAddr, u16, bool)> {
        let of = move |(at, _): &(&(u8, IpAddr), _)| at.0 == torrent;
        let live = self.peers.iter().filter(of).filter(move |(_, peer)| peer.2 > now);
        live.map(|(at, peer)| (at.1, peer.0, peer.1))
    }
}

/// A service in a node that counts nobody, and asks nobody.
struct Subject {
    node: Node<Mainline, MainlineService>,
    now: Instant,
}

impl Subject {
    fn ask(&mut self, from: SocketAddr, request: Request) -> Result<Response, i64> {
        let body = Body::Request { sender: Key::new([9; 20]), read_only: true, request };
        let transaction = TransactionId::new(b"aa").expect("short");
        self.node.handle_message(self.now, from, Message { transaction, observed: None, body });
        let mut answers = std::iter::from_fn(|| self.node.poll_message()).filter(|(to, _)| *to == from);
        match answers.next().map(|(_, message)| message.body) {
            Some(Body::Response { response, .. }) => Ok(response),
            Some(Body::Error { code, .. }) => Err(code),
            other => panic!("{other:?}"),
        }
    }
}

/// Reads the input as puts, announcements, questions and pauses; service and model never differ.
pub fn stores(input: &[u8]) {
    let config = ServiceConfig { peers_per_reply: 20, ..ServiceConfig::default().private_network() };
    let config = ServiceConfig { one_peer_per_ip: true, ..config };
    let now = Instant::from_secs(1_000);
    let service = MainlineService::new(config, [1; 32]);
    let node = Node::new(service, Key::new([0x55; 20]), Config::default().private_network(), [2; 32], now);
    let (mut subject, mut tape) = (Subject { node, now }, Tape::new(input));
    let mut model = Model { config, items: BTreeMap::new(), peers: BTreeMap::new() };
    while !tape.is_empty() {
        let from = SocketAddr::from(([10, 0, 0, tape.byte() % 8], 1));
        match tape.below(5) {
            0 => put(&mut subject, &mut model, from, &mut tape),
            1 => announce(&mut subject, &mut model, from, &mut tape),
            2 => get(&mut subject, &model, from, &mut tape),
            3 => get_peers(&mut subject, &model, from, &mut tape),
            _ => {
                subject.now = subject.now + Duration::from_secs(1 << tape.below(14));
                subject.node.handle_timeout(subject.now);
            }
        }
    }
}

fn put(subject: &mut Subject, model: &mut Model, from: SocketAddr, tape: &mut Tape<'_>) {
    let mut item = ITEMS[tape.below(ITEMS.len())].clone();
    let how = tape.byte();
    let is_signed = how & 7 != 0 || matches!(item, Item::Immutable(_));
    if let (Item::Mutable(signed), false) = (&item, is_signed) {
        let forged = MutableItem { signature: Signature::new([how; 64]), ..(**signed).clone() };
        item = Item::Mutable(Arc::new(forged));
    }
    let cas = (how & 8 != 0 && item.seq().is_some()).then(|| i64::from(how >> 4) % 5);
    let get = Request::Get { seq: None, target: item.target(), want: Families::NONE };
    let token = subject.ask(from, get).expect("an answer").token.expect("there is room");
    let expected = model.put(subject.now, &item, is_signed, cas);
    let code = subject.ask(from, Request::put(&item, cas, token)).err().unwrap_or(0);
    assert_eq!(code, expected, "{item:?}, cas {cas:?}");
}

fn announce(subject: &mut Subject, model: &mut Model, from: SocketAddr, tape: &mut Tape<'_>) {
    let (torrent, port, seed) = (tape.byte() % 4, u16::from(tape.byte()) + 1, tape.byte() & 1 == 1);
    let info_hash = InfoHash::new([torrent; 20]);
    let response = subject.ask(from, Request::get_peers(info_hash, Families::NONE)).expect("an answer");
    let token = response.token.expect("there is room");
    let port = core::num::NonZeroU16::new(port);
    let announce = Request::AnnouncePeer { implied_port: false, info_hash, port, seed, token };
    subject.ask(from, announce).expect("room");
    let expires = subject.now + model.config.peer_ttl;
    model.peers.insert((torrent, from.ip()), (port.map_or(0, u16::from), seed, expires));
}

fn get(subject: &mut Subject, model: &Model, from: SocketAddr, tape: &mut Tape<'_>) {
    let target = ITEMS[tape.below(ITEMS.len())].target();
    let seq = (tape.byte() & 1 == 1).then(|| i64::from(tape.byte() % 5));
    let found =
        subject.ask(from, Request::Get { seq, target, want: Families::NONE }).expect("an answer").item;
    let held = model.items.get(&target).filter(|(_, expires)| *expires > subject.now).map(|(item, _)| item);
    let expected = held.map(|item| match item {
        Item::Mutable(item) if seq.is_some_and(|seq| item.seq <= seq) => (Some(item.seq), None),
        item => (item.seq(), Some(item.value().clone())),
    });
    assert_eq!(found.map(|parts| (parts.seq, parts.value)), expected);
}

fn get_peers(subject: &mut Subject, model: &Model, from: SocketAddr, tape: &mut Tape<'_>) {
    let (torrent, noseed) = (tape.byte() % 4, tape.byte() & 1 == 1);
    let info_hash = InfoHash::new([torrent; 20]);
    let request = Request::GetPeers { info_hash, noseed, scrape: true, want: Families::NONE };
    let response = subject.ask(from, request).expect("an answer");
    let live: Vec<_> = model.live(subject.now, torrent).collect();
    let mut values = response.values;
    values.sort_unstable();
    let mut expected: Vec<_> = live.iter().map(|(ip, port, _)| SocketAddr::new(*ip, *port)).collect();
    expected.sort_unstable();
    assert_eq!(values, expected);
    let mut counted = Scrape::default();
    for (ip, _, is_seed) in &live {
        if *is_seed { counted.seeds.insert(*ip) } else { counted.peers.insert(*ip) }
    }
    assert_eq!(response.scrape.map(|scrape| *scrape), (!live.is_empty()).then_some(counted));
}
