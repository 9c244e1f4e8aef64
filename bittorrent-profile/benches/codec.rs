//! The codec's speed: the messages that a serving node reads and writes all day.
#![allow(missing_docs)]

use std::hint::black_box;
use std::net::SocketAddr;

use bittorrent_profile::krpc::{Families, Krpc, Nodes, Request, Response, Token, VERSION, Version};
use bittorrent_profile::{InfoHash, Mainline};
use criterion::{Criterion, criterion_group, criterion_main};
use kademlia_core::{Body, Codec, Contact, Key, Message, TransactionId};

fn addr(n: u8) -> SocketAddr {
    ([192, 0, 2, n], 6881).into()
}

fn query(request: Request) -> Message<Mainline> {
    let body = Body::Request { sender: Key::new([1; 20]), read_only: false, request };
    Message { transaction: TransactionId::from(0x6162_6364), observed: None, body }
}

fn reply(response: Response) -> Message<Mainline> {
    let response = Response { version: Some(Version::from_array(VERSION)), ..response };
    let body = Body::Response { sender: Key::new([2; 20]), response };
    Message { transaction: TransactionId::from(0x6162_6364), observed: Some(addr(9)), body }
}

fn messages() -> [(&'static str, Message<Mainline>); 6] {
    let nodes: Nodes = (1..=8).map(|n| Contact::new(Key::new([n; 20]), addr(n))).collect();
    let (target, info_hash, want) = (Key::new([7; 20]), InfoHash::new([7; 20]), Families::NONE);
    let peers = Response {
        nodes: nodes.clone(),
        token: Some(Token::from_array([5; 8])),
        values: (1..=50).map(addr).collect(),
        ..Response::default()
    };
    [
        ("ping", query(Request::Ping)),
        ("ping reply", reply(Response::default())),
        ("find_node", query(Request::FindNode { target, want })),
        ("find_node reply", reply(Response { nodes, ..Response::default() })),
        ("get_peers", query(Request::get_peers(info_hash, want))),
        ("get_peers reply, 50 peers", reply(peers)),
    ]
}

fn encode(message: &Message<Mainline>, out: &mut Vec<u8>) {
    out.clear();
    Krpc::encode(message, out);
}

fn codec(criterion: &mut Criterion) {
    let mut buffer = Vec::with_capacity(2_048);
    for (name, message) in messages() {
        let mut datagram = Vec::new();
        Krpc::encode(&message, &mut datagram);
        criterion.bench_function(&format!("decode {name}"), |bench| {
            bench.iter(|| Krpc::decode(black_box(&datagram)));
        });
        criterion.bench_function(&format!("encode {name}"), |bench| {
            bench.iter(|| encode(black_box(&message), &mut buffer));
        });
    }
    // What answering one find_node costs the codec: read the query, write the reply.
    let [.., (_, asked), (_, answered), _, _] = messages();
    let mut datagram = Vec::new();
    Krpc::encode(&asked, &mut datagram);
    criterion.bench_function("find_node exchange", |bench| {
        bench.iter(|| {
            let read = Krpc::decode(black_box(&datagram));
            encode(black_box(&answered), &mut buffer);
            read
        });
    });
}

criterion_group!(benches, codec);
criterion_main!(benches);
