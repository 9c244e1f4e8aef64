//! BEP 45: one host at several addresses, over the in-memory network.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail loudly")]

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bittorrent_profile::dht::{Builder, MultiDht};
use bittorrent_profile::item::{Item, RawValue};
use bittorrent_profile::krpc::{Families, Krpc, Request, Response, Token};
use bittorrent_profile::{Dht, Mainline, MainlineService, ServiceConfig, node_id};
use kademlia_core::runtime::{Inbox, Outbox, Transport};
use kademlia_core::{
    Body, Codec, Config, Contact, Event, Instant as Moment, Key, Keyspace, Message, Node, Protocol,
    TransactionId,
};
use tests::live::{PORT, hash};
use tokio::time::{Instant, timeout};
use transport_mem::{LinkModel, MemNetwork, MemTransport, address_v4};

/// Where the host with several addresses begins.
const HOST: u32 = 500;

/// A transport that notes what it sends.
struct Tap {
    transport: MemTransport,
    sent: Arc<Mutex<Vec<(Instant, SocketAddr, Request)>>>,
}

#[async_trait::async_trait]
impl Transport for Tap {
    async fn recv(&mut self, inbox: &mut Inbox) -> io::Result<()> {
        self.transport.recv(inbox).await
    }

    async fn send(&mut self, outbox: &mut Outbox) -> io::Result<()> {
        let local = self.transport.local_addrs()?[0];
        for (_, datagram) in outbox.iter() {
            if let Ok(Message { body: Body::Request { request, .. }, .. }) = Krpc::decode(datagram) {
                self.sent.lock().unwrap().push((Instant::now(), local, request));
            }
        }
        self.transport.send(outbox).await
    }

    fn local_addrs(&self) -> io::Result<Vec<SocketAddr>> {
        self.transport.local_addrs()
    }
}

struct Scene {
    network: MemNetwork,
    servers: Vec<Dht>,
    host: MultiDht,
    sent: Arc<Mutex<Vec<(Instant, SocketAddr, Request)>>>,
}

fn describe(n: u32) -> Builder {
    let mut seed = [0x45; 32];
    seed[..4].copy_from_slice(&n.to_be_bytes());
    Dht::builder().seed(seed).server(true)
}

/// A DHT of `count` servers, and a host with four addresses, described by `host`.
async fn scene(count: u32, host: impl Fn(Builder) -> Builder) -> Scene {
    let network = MemNetwork::new(LinkModel::internet(), 1);
    let router = address_v4(0).to_string();
    let mut servers = Vec::new();
    for n in 0..count {
        let server = if n == 0 { describe(n) } else { describe(n).bootstrap([router.clone()]) };
        servers.push(server.spawn(network.bind(address_v4(n)).unwrap()).unwrap());
    }
    let sent = Arc::default();
    let transports = (HOST..HOST + 4)
        .map(|n| Tap { transport: network.bind(address_v4(n)).unwrap(), sent: Arc::clone(&sent) });
    let host = host(describe(HOST)).spawn_many(transports).unwrap();
    tokio::time::sleep(Duration::from_secs(20 * 60)).await;
    Scene { network, servers, host, sent }
}

async fn joined(count: u32) -> Scene {
    scene(count, |host| host.bootstrap([address_v4(0).to_string()])).await
}

impl Scene {
    /// When and from which sockets this was asked, since the last look.
    fn asked(&self, wanted: impl Fn(&Request) -> bool) -> BTreeMap<SocketAddr, Vec<Instant>> {
        let mut asked = BTreeMap::<_, Vec<_>>::new();
        for (at, from, _) in self.sent.lock().unwrap().drain(..).filter(|(_, _, request)| wanted(request)) {
            asked.entry(from).or_default().push(at);
        }
        asked
    }
}

fn is_for(n: u8) -> impl Fn(&Request) -> bool {
    move |request| matches!(request, Request::GetPeers { info_hash, .. } if *info_hash == hash(n))
}

/// A host that speaks for itself.
struct Stranger(MemTransport);

impl Stranger {
    async fn ask(&mut self, to: SocketAddr, request: Request) -> (SocketAddr, Body<Mainline>) {
        let body = Body::Request { sender: Key::new([9; 20]), read_only: true, request };
        let message = Message::<Mainline> { transaction: TransactionId::from(1), observed: None, body };
        let (mut outbox, mut inbox, mut bytes) = (Outbox::default(), Inbox::default(), Vec::new());
        Krpc::encode(&message, &mut bytes);
        outbox.push(to, &bytes);
        self.0.send(&mut outbox).await.unwrap();
        timeout(Duration::from_secs(5), self.0.recv(&mut inbox)).await.expect("an answer").unwrap();
        let (from, datagram) = inbox.iter().next().unwrap();
        (from, Krpc::decode(datagram).unwrap().body)
    }
}

#[tokio::test(start_paused = true)]
async fn bep45_45_1_every_address_is_a_node_with_an_id_far_from_the_others() {
    let scene = joined(20).await;
    let ids: Vec<_> = scene.host.states().await.iter().map(|state| Key::from(state.families[0].id)).collect();
    assert_eq!(ids.len(), 4);
    for (at, id) in ids.iter().enumerate() {
        assert!(node_id::verify(scene.host.local_addrs()[at].ip(), id), "BEP 42");
        assert!(ids[..at].iter().all(|other| id.common_prefix(other) < 8), "{ids:?}");
    }
    // A reply leaves from the socket that was asked, under its id.
    let mut stranger = Stranger(scene.network.bind(address_v4(900)).unwrap());
    for (addr, id) in scene.host.local_addrs().into_iter().zip(&ids) {
        let (from, body) = stranger.ask(addr, Request::Ping).await;
        assert_eq!(from, addr);
        assert!(matches!(body, Body::Response { sender, .. } if sender == *id));
    }
    // The same ids in the next run.
    let snapshots = scene.host.snapshots().await.unwrap();
    scene.host.shutdown().await;
    let transports = (HOST..HOST + 4).map(|n| scene.network.bind(address_v4(n)).unwrap());
    let again = Dht::builder().remember(snapshots).spawn_many(transports).unwrap();
    again.bootstrapped().await.unwrap();
    let kept: Vec<_> = again.states().await.iter().map(|state| Key::from(state.families[0].id)).collect();
    assert_eq!(kept, ids);
}

#[tokio::test(start_paused = true)]
async fn bep45_45_1_a_write_token_is_good_at_the_socket_that_gave_it_and_no_other() {
    let scene = joined(12).await;
    let mut stranger = Stranger(scene.network.bind(address_v4(900)).unwrap());
    let addrs = scene.host.local_addrs();
    let mut tokens: Vec<Token> = Vec::new();
    for addr in &addrs {
        let (_, body) = stranger.ask(*addr, Request::get_peers(hash(1), Families::NONE)).await;
        let Body::Response { response: Response { token, .. }, .. } = body else { panic!("refused") };
        tokens.push(token.unwrap());
    }
    for (given, token) in tokens.iter().enumerate() {
        for (used, addr) in addrs.iter().enumerate() {
            let announce = Request::AnnouncePeer {
                implied_port: true,
                info_hash: hash(1),
                port: None,
                seed: false,
                token: *token,
            };
            let (_, body) = stranger.ask(*addr, announce).await;
            assert_eq!(matches!(body, Body::Response { .. }), given == used, "{given} at {used}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn bep45_45_1_no_target_is_asked_for_from_several_sockets_at_once() {
    let scene = joined(40).await;
    scene.asked(|_| true);
    let mut searches = Vec::new();
    for _ in 0..20 {
        searches.push(scene.host.get_peers(hash(2)).await.unwrap());
    }
    for search in searches {
        search.finish().await;
    }
    assert_eq!(scene.asked(is_for(2)).len(), 1, "one node, and always the same");
    let mut used = BTreeSet::new();
    for n in (10..40_u8).map(|n| n.wrapping_mul(53)) {
        scene.host.get_peers(hash(n)).await.unwrap().finish().await;
        used.extend(scene.asked(is_for(n)).into_keys());
    }
    assert_eq!(used.len(), 4, "others look for other targets");
    // A put goes once, and not always by the same socket.
    let mut used = BTreeSet::new();
    for n in 0..20 {
        let item = Item::Immutable(RawValue::string([n]).unwrap());
        assert!(!scene.host.put(item).await.unwrap().unwrap().accepted.is_empty());
        let asked = scene.asked(|request| matches!(request, Request::Put { .. }));
        assert_eq!(asked.len(), 1);
        used.extend(asked.into_keys());
    }
    assert!(used.len() > 1);
}

#[tokio::test(start_paused = true)]
async fn bep45_45_3_announcing_takes_a_lookup_for_each_address_one_after_the_other() {
    let scene = joined(120).await;
    scene.asked(|_| true);
    let rounds = scene.host.announce_once(hash(3), PORT).await;
    assert_eq!(rounds.len(), 4);
    for round in rounds.values() {
        let round = round.as_ref().unwrap();
        println!("asked {}, accepted by {}, {} messages", round.asked, round.accepted.len(), round.messages);
        assert!(round.accepted.len() >= 8);
    }
    let times: Vec<_> = scene.asked(is_for(3)).into_values().collect();
    let mut spans: Vec<_> = times.iter().map(|times| (times[0], times[times.len() - 1])).collect();
    spans.sort();
    for pair in spans.windows(2) {
        let pause = pair[1].0.saturating_duration_since(pair[0].1);
        assert!(pause >= Duration::from_secs(4), "spaced: {pause:?}");
    }
    // All four addresses are peers now.
    let mut found = BTreeSet::new();
    let mut peers = scene.servers[9].get_peers(hash(3));
    while let Some(peer) = peers.next().await {
        found.insert(peer.peer);
    }
    let expected = scene.host.local_addrs().into_iter().map(|addr| SocketAddr::new(addr.ip(), 51_413));
    assert_eq!(found, expected.collect());
    // And stay so, if it is kept up.
    let kept = scene.host.announce(hash(4), PORT);
    tokio::time::sleep(Duration::from_secs(2 * 3600)).await;
    assert_eq!(kept.begun(), 4);
    assert_eq!(scene.servers[9].get_peers(hash(4)).finish().await.peers, 4);
    drop(kept);
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(scene.servers[9].get_peers(hash(4)).finish().await.peers, 0);
}

#[tokio::test(start_paused = true)]
async fn bep45_45_3_a_dead_link_costs_nobody_his_good_name_and_the_others_take_over() {
    let scene = joined(40).await;
    let down = scene.host.local_addrs()[2];
    let before = scene.host.states().await[2].families[0].table;
    scene.network.with_links(|links| links.partition([(down, 1)]));
    tokio::time::sleep(Duration::from_secs(30 * 60)).await;
    let states = scene.host.states().await;
    let table = states[2].families[0].table;
    assert_eq!(table.bad, 0, "{before:?}, {table:?}");
    assert!(table.alive() + 1 >= before.alive(), "{before:?}, {table:?}");
    assert!([0, 1, 3].iter().all(|other| states[*other].families[0].table.good > 8));
    scene.asked(|_| true);
    for n in 10..40 {
        let found = scene.host.get_peers(hash(n * 5)).await.unwrap().finish().await;
        assert!(found.answered >= 8, "{found:?}");
    }
    let asked = scene.asked(|request| matches!(request, Request::GetPeers { .. }));
    assert!(!asked.contains_key(&down) && asked.len() == 3);
    scene.network.with_links(|links| links.heal());
    tokio::time::sleep(Duration::from_secs(5 * 60)).await;
    assert!(scene.host.states().await[2].families[0].table.good > 8);
}

#[tokio::test(start_paused = true)]
async fn bep45_45_3_a_node_that_knows_few_is_told_of_others_by_one_that_knows_many() {
    let scene = scene(20, |host| host).await;
    scene.host.nodes()[1].add_nodes(vec![address_v4(0)]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3 * 60)).await;
    for state in scene.host.states().await {
        assert!(state.families[0].bootstrapped && state.families[0].table.good >= 8, "{state:?}");
    }
}

/// C.5, P14 and 45.3: a reply under another id than the one asked changes nothing, for anybody can send one from a forged
/// address; but a request that asked for no id in particular, answered from the address of an entry, shows with its
/// transaction id that the entry is gone.
#[test]
fn bep45_45_3_a_verified_reply_under_another_id_evicts_the_entry_at_its_address() {
    let now = Moment::from_secs(1);
    let service = MainlineService::new(ServiceConfig::default(), [1; 32]);
    let mut node = Node::<Mainline, _>::new(service, Key::new([0x80; 20]), Config::default(), [2; 32], now);
    let at = address_v4(1);
    let (old, new) = (Key::new([1; 20]), Key::new([2; 20]));
    let exchange = |node: &mut Node<Mainline, MainlineService>, expected, sender| {
        node.request(now, at, expected, Mainline::ping());
        let mut transaction = None;
        while let Some((to, message)) = node.poll_message() {
            if to == at && matches!(message.body, Body::Request { request: Request::Ping, .. }) {
                transaction = Some(message.transaction);
            }
        }
        let body = Body::Response { sender, response: Response::default() };
        let transaction = transaction.unwrap();
        node.handle_message(now, at, Message { transaction, observed: None, body });
        let answered = |event| matches!(event, Event::Requested { result: Ok(_), .. });
        std::iter::from_fn(|| node.poll_event()).any(answered)
    };
    let knows = |node: &Node<Mainline, _>, key| node.table().contains(&Contact::new(key, at));
    assert!(exchange(&mut node, None, old) && knows(&node, old));
    assert!(!exchange(&mut node, Some(old), new), "C.5");
    assert!(knows(&node, old) && !knows(&node, new), "P14: it changes nothing");
    assert!(exchange(&mut node, None, new));
    assert!(!knows(&node, old) && knows(&node, new), "45.3");
}
