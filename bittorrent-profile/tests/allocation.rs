//! What the codec takes from the heap: nothing for bytes that it refuses, nothing for the common messages.

use allocation_counter::measure;
use bittorrent_profile::krpc::{Families, Krpc, Nodes, Request, Response, Token};
use bittorrent_profile::{InfoHash, Mainline};
use kademlia_core::{Body, Codec, Contact, Key, Message, TransactionId};

fn bytes(body: Body<Mainline>) -> Vec<u8> {
    let mut out = Vec::new();
    Krpc::encode(&Message { transaction: TransactionId::from(1), observed: None, body }, &mut out);
    out
}

fn nodes() -> Nodes {
    (1..=8).map(|n| Contact::new(Key::new([n; 20]), ([192, 0, 2, n], 6881).into())).collect()
}

#[test]
fn t11_p31_bombs_take_no_heap() {
    let bombs = [
        vec![b'l'; 2_000],
        vec![b'd'; 1_000],
        b"99999999999:".to_vec(),
        b"i-0e".to_vec(),
        [b"i".to_vec(), vec![b'1'; 1_000], b"e".to_vec()].concat(),
        format!("l{}e", "0:".repeat(1_000)).into_bytes(),
        vec![0xff; 65_507],
    ];
    for bomb in bombs {
        let info = measure(|| assert!(Krpc::decode(&bomb).is_err()));
        assert_eq!(info.count_total, 0, "{}", bomb[..10.min(bomb.len())].escape_ascii());
    }
}

#[test]
fn p31_common_messages_are_read_and_written_without_heap() {
    let (sender, target) = (Key::new([1; 20]), Key::new([2; 20]));
    let want = Families::BOTH;
    let request = |request| Body::Request { sender, read_only: false, request };
    let response = |response| Body::Response { sender, response };
    let token = Some(Token::from_array([3; 8]));
    for body in [
        request(Request::Ping),
        request(Request::FindNode { target, want }),
        request(Request::GetPeers { info_hash: InfoHash::new([4; 20]), want }),
        response(Response::default()),
        response(Response { nodes: nodes(), token, ..Response::default() }),
    ] {
        let datagram = bytes(body);
        let mut out = Vec::with_capacity(2_048);
        let info = measure(|| {
            let message = Krpc::decode(&datagram).expect("ours can be read");
            Krpc::encode(&message, &mut out);
        });
        assert_eq!((info.count_total, &out), (0, &datagram));
    }
}

#[test]
fn p31_t14_the_heap_that_a_reply_takes_is_bounded_by_its_length() {
    let values = vec![([192, 0, 2, 1], 6881).into(); 100];
    let datagram = bytes(Body::Response {
        sender: Key::new([1; 20]),
        response: Response { values, ..Response::default() },
    });
    let info = measure(|| drop(Krpc::decode(&datagram)));
    assert!(info.bytes_max <= 8 * datagram.len() as u64, "{info:?} for {} bytes", datagram.len());
}
