//! What foreign nodes put on the wire, and what they make of ours.

use std::net::SocketAddr;

use bittorrent_profile::Mainline;
use bittorrent_profile::krpc::{Families, Krpc, Request, Response};
use kademlia_core::{Body, Codec, Key, Message, TransactionId};
use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::client::{Client, Kind};
use crate::{DEADLINE, V4, acquainted, hash, reader, server};

/// One query from a bare socket, and its reply.
pub(crate) async fn ask(
    socket: &UdpSocket,
    to: SocketAddr,
    transaction: &[u8],
    request: Request,
) -> Message<Mainline> {
    let transaction = TransactionId::new(transaction).unwrap();
    let body = Body::Request { sender: Key::new([0x5a; 20]), read_only: true, request };
    let mut bytes = Vec::new();
    Krpc::encode(&Message { transaction, observed: None, body }, &mut bytes);
    socket.send_to(&bytes, to).await.unwrap();
    let mut reply = [0; 2_048];
    let answered = timeout(DEADLINE, socket.recv_from(&mut reply)).await.expect("a reply");
    let (length, from) = answered.unwrap();
    assert_eq!(from, to);
    let reply = Krpc::decode(&reply[..length]).unwrap();
    assert_eq!(reply.transaction, transaction, "5.2: echoed");
    reply
}

pub(crate) fn response(message: Message<Mainline>) -> (Key<20>, Response) {
    match message.body {
        Body::Response { sender, response } => (sender, response),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn pings_of_ours_are_answered() {
    let (ours, router) = server(V4).await;
    for (kind, version) in [(Kind::Libtorrent, Some(&b"LT"[..])), (Kind::BittorrentDht, None)] {
        let foreign = Client::start(kind, router).await;
        // The ping is repeated until the node has opened its socket.
        let pong = timeout(DEADLINE, ours.ping(foreign.addr)).await.expect("pings end").unwrap();
        assert_eq!(Key::from(pong.id), foreign.id);
        let said = pong.version.as_ref().and_then(|version| version.as_bytes().get(..2));
        if version.is_some() {
            assert_eq!(said, version, "{kind:?}");
        }
        acquainted(&ours, &[&foreign]).await;
    }
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn libtorrent_s_replies_carry_ip_nodes_and_tokens_that_ours_reads() {
    let (ours, router) = server(V4).await;
    let foreign = Client::start(Kind::Libtorrent, router).await;
    acquainted(&ours, &[&foreign]).await;
    let socket = UdpSocket::bind((V4, 0)).await.unwrap();
    let own = socket.local_addr().unwrap();

    let target = Key::new([0x77; 20]);
    for transaction in [&b"aa"[..], b"\xff\0\x80a", b"eightlng"] {
        let request = Request::FindNode { target, want: Families::NONE };
        let reply = ask(&socket, foreign.addr, transaction, request).await;
        assert_eq!(reply.observed, Some(own), "42.4: `ip`");
        let (id, response) = response(reply);
        assert_eq!(id, foreign.id);
        assert!(response.nodes.lists().contains(kademlia_core::Family::V4), "5.7: `nodes`, if empty");
    }
    let request = Request::get_peers(hash(6), Families::NONE);
    let reply = ask(&socket, foreign.addr, b"gp", request).await;
    assert_eq!(reply.observed, Some(own), "42.4: `ip`");
    let token = response(reply).1.token.expect("5.8: a token");
    assert_eq!(token.as_bytes().len(), 4, "libtorrent's are 4 bytes");
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn tokens_of_every_length_come_back_and_are_accepted() {
    for (kind, length) in [(Kind::Libtorrent, 4), (Kind::BittorrentDht, 20)] {
        let (ours, router) = server(V4).await;
        let foreign = Client::start(kind, router).await;
        acquainted(&ours, &[&foreign]).await;
        let socket = UdpSocket::bind((V4, 0)).await.unwrap();
        for (to, length) in [(foreign.addr, length), (router, 8)] {
            let request = Request::get_peers(hash(7), Families::NONE);
            let token = response(ask(&socket, to, b"gp", request).await).1.token.expect("a token");
            assert_eq!(token.as_bytes().len(), length, "{kind:?}");
            let port = std::num::NonZeroU16::new(7007);
            let announce =
                Request::AnnouncePeer { implied_port: false, info_hash: hash(7), port, seed: false, token };
            response(ask(&socket, to, b"an", announce).await);
        }
    }
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn bep42_42_4_a_foreign_node_learns_its_address_from_ours() {
    let (_ours, router) = server(V4).await;
    let socket = UdpSocket::bind((V4, 0)).await.unwrap();
    let reply = ask(&socket, router, b"pg", Request::Ping).await;
    assert_eq!(reply.observed, Some(socket.local_addr().unwrap()));
}

#[tokio::test]
#[ignore = "needs the programs of tests/interop: .ci/run installs them and runs this by name"]
async fn our_client_finds_every_node_of_a_mixed_network() {
    let (ours, router) = server(V4).await;
    let mut foreign = Vec::new();
    for kind in [Kind::Libtorrent, Kind::BittorrentDht, Kind::Libtorrent, Kind::BittorrentDht] {
        foreign.push(Client::start(kind, router).await);
    }
    acquainted(&ours, &foreign.iter().collect::<Vec<_>>()).await;
    let client = reader(router).await;
    let target = Key::new([0x33; 20]);
    let reports = timeout(DEADLINE, client.find_node(target.into())).await.expect("lookups end").unwrap();
    let mut closest: Vec<_> = reports[0].closest.iter().map(|contact| contact.addr).collect();
    closest.sort();
    let mut everybody: Vec<_> = foreign.iter().map(|client| client.addr).chain([router]).collect();
    everybody.sort();
    assert_eq!(closest, everybody);
}
