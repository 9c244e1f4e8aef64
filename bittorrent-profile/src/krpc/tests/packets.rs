//! Every packet that BEP 5 prints, byte for byte.

use core::num::NonZeroU16;

use kademlia_core::TransactionId;

use super::*;
use crate::krpc::{Families, Token};

/// Our `v`, which the BEP's packets leave out.
const V: &[u8] = b"1:v4:KD\x00\x01";

/// The packet reads as `body` with transaction `aa`, and `body` is written as the packet, but for our `v` in queries and errors.
fn both_ways(packet: &str, body: Body<Mainline>) {
    let has_own_version = !matches!(body, Body::Response { .. });
    let message = Message { transaction: TransactionId::new(b"aa").unwrap(), observed: None, body };
    assert_eq!(decode(packet.as_bytes()), Ok(message.clone()), "{packet}");
    let mut expected = packet.as_bytes().to_vec();
    if has_own_version {
        let at = packet.rfind("1:y1:").unwrap();
        expected.splice(at..at, V.iter().copied());
    }
    let written = encode(&message);
    assert_eq!(written.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

fn query(sender: &[u8; 20], request: Request) -> Body<Mainline> {
    Body::Request { sender: key(sender), read_only: false, request }
}

fn reply(sender: &[u8; 20], response: Response) -> Body<Mainline> {
    Body::Response { sender: key(sender), response }
}

#[test]
fn bep5_5_6_ping() {
    both_ways(
        "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:t2:aa1:y1:qe",
        query(b"abcdefghij0123456789", Request::Ping),
    );
    both_ways(
        "d1:rd2:id20:mnopqrstuvwxyz123456e1:t2:aa1:y1:re",
        reply(b"mnopqrstuvwxyz123456", Response::default()),
    );
}

#[test]
fn bep5_5_7_find_node() {
    both_ways(
        "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q9:find_node1:t2:aa1:y1:qe",
        query(
            b"abcdefghij0123456789",
            Request::FindNode { target: key(b"mnopqrstuvwxyz123456"), want: Families::NONE },
        ),
    );
}

/// The BEP's `nodes` are nine bytes for the eye: KRPC, but no compact nodes, so the field alone is ignored.
#[test]
fn bep5_5_4_illustrative_nodes_are_krpc_but_not_compact() {
    let packet = b"d1:rd2:id20:0123456789abcdefghij5:nodes9:def456...e1:t2:aa1:y1:re";
    assert_eq!(response(packet), Response::default());
    let packet = b"d1:rd2:id20:abcdefghij01234567895:nodes9:def456...5:token8:aoeusnthe1:t2:aa1:y1:re";
    assert_eq!(response(packet), Response { token: Token::new(b"aoeusnth"), ..Response::default() });
}

#[test]
fn bep5_5_8_get_peers() {
    both_ways(
        "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q9:get_peers1:t2:aa1:y1:qe",
        query(
            b"abcdefghij0123456789",
            Request::get_peers(key(b"mnopqrstuvwxyz123456").into(), Families::NONE),
        ),
    );
    let values = ["97.120.106.101:11893", "105.100.104.116:28269"].map(|peer| peer.parse().unwrap());
    both_ways(
        "d1:rd2:id20:abcdefghij01234567895:token8:aoeusnth6:valuesl6:axje.u6:idhtnmee1:t2:aa1:y1:re",
        reply(
            b"abcdefghij0123456789",
            Response { token: Token::new(b"aoeusnth"), values: values.to_vec(), ..Response::default() },
        ),
    );
}

#[test]
fn bep5_5_9_announce_peer() {
    both_ways(
        "d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz1234564:porti6881e\
         5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe",
        query(
            b"abcdefghij0123456789",
            Request::AnnouncePeer {
                implied_port: true,
                info_hash: key(b"mnopqrstuvwxyz123456").into(),
                port: NonZeroU16::new(6881),
                seed: false,
                token: Token::new(b"aoeusnth").unwrap(),
            },
        ),
    );
}

#[test]
fn bep5_5_5_error() {
    both_ways(
        "d1:eli201e23:A Generic Error Ocurrede1:t2:aa1:y1:ee",
        Body::Error { code: 201, text: "A Generic Error Ocurred".to_owned() },
    );
}
