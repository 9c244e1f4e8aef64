//! The rules for each field of the envelope, of queries and of replies.

use core::net::SocketAddr;

use kademlia_core::{Contact, Family, TransactionId};
use proptest::prelude::{ProptestConfig, prop_assert_eq, prop_assert_ne, proptest};

use super::strategies::{a_response, an_addr, contacts};
use super::*;
use crate::krpc::compact::{CompactAddr, Unencodable};
use crate::krpc::fit;
use crate::krpc::{
    ErrorCode, Families, MAX_DATAGRAM, MAX_POLITE_DATAGRAM, MAX_VALUES, Nodes, Token, VERSION, Version,
    bytes_left,
};

const ID: &str = "2:id20:abcdefghij0123456789";

fn message(body: Body<Mainline>) -> Message<Mainline> {
    Message { transaction: TransactionId::new(b"aa").unwrap(), observed: None, body }
}

fn reply(response: Response) -> Message<Mainline> {
    message(Body::Response { sender: key(b"abcdefghij0123456789"), response })
}

fn ping(envelope: &str) -> Vec<u8> {
    format!("d1:ad{ID}e1:q4:ping{envelope}1:y1:qe").into_bytes()
}

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

#[test]
fn bep5_5_1_what_is_no_message_is_garbage() {
    for garbage in [
        "",
        "i1e",
        "le",
        "de",
        "d1:t2:aae",
        "d1:t2:aa1:y1:xe",
        "d1:t2:aa1:yi1ee",
        "d1:q4:ping1:y1:qe",
        "d1:ade1:t2:aa1:y1:qe",
        "d1:ade1:qi1e1:t2:aa1:y1:qe",
        "d1:t2:aa1:y1:re",
        "d1:rde1:t2:aa1:y1:re",
        "d1:rd2:id19:abcdefghij012345678e1:t2:aa1:y1:re",
        "d1:r0:1:t2:aa1:y1:re",
        "d1:t2:aa1:y1:ee",
        "d1:ele1:t2:aa1:y1:ee",
        "d1:e4:oops1:t2:aa1:y1:ee",
        "d1:el4:oopsi201ee1:t2:aa1:y1:ee",
        "d1:rd2:id20:abcdefghij0123456789e1:ti7e1:y1:re",
    ] {
        assert!(is_garbage(garbage.as_bytes()), "{garbage}");
    }
}

#[test]
fn bep5_5_2_t12_transaction_ids_up_to_32_bytes_are_taken() {
    let id = |n: usize| format!("1:t{n}:{}", "x".repeat(n));
    for n in 0..=32 {
        assert_eq!(decode(&ping(&id(n))).unwrap().transaction.as_bytes().len(), n);
    }
    assert!(is_garbage(&ping(&id(33))));
}

#[test]
fn bep5_5_2_fs_b4_v_comes_back_with_responses_and_goes_out_with_everything_of_ours() {
    let with = |version: &str| format!("d1:rd{ID}e1:t2:aa1:v{version}1:y1:re").into_bytes();
    assert_eq!(response(&with("4:LT\x01\x02")).version, Version::new(b"LT\x01\x02"));
    assert_eq!(response(&with("16:0123456789abcdef")).version, Version::new(b"0123456789abcdef"));
    assert_eq!(response(&with("17:0123456789abcdefg")).version, None, "longer than is kept (T12)");
    assert_eq!(response(&with("i1e")).version, None, "of the wrong type (C.2)");
    assert_eq!(response(&with("4:LT\x01\x02")), response(&encode(&decode(&with("4:LT\x01\x02")).unwrap())));
    for body in [
        Body::Request { sender: Key::new([0; 20]), read_only: false, request: Request::Ping },
        Body::Error { code: 201, text: String::new() },
    ] {
        let bytes = encode(&message(body));
        let v = [b"1:v4:", &VERSION[..]].concat();
        assert!(bytes.windows(v.len()).any(|window| window == v));
    }
}

#[test]
fn bep42_42_4_fs_b4_ip_is_read_and_written_in_responses_and_errors() {
    for seen in ["1.2.3.4:5", "[2001:db8::1]:6881"] {
        let observed = Some(addr(seen));
        for body in [
            Body::Response { sender: Key::new([1; 20]), response: Response::default() },
            Body::Error { code: 203, text: "bad token".to_owned() },
        ] {
            let sent = Message { observed, ..message(body) };
            assert_eq!(decode(&encode(&sent)), Ok(sent));
        }
    }
    let with = |ip: &[u8]| {
        let ip = [format!("d2:ip{}:", ip.len()).as_bytes(), ip].concat();
        decode(&[ip, format!("1:rd{ID}e1:t2:aa1:y1:re").into_bytes()].concat()).unwrap().observed
    };
    assert_eq!(with(&[1, 2, 3, 4, 0, 5]), Some(addr("1.2.3.4:5")));
    assert_eq!(with(&[1, 2, 3, 4]), None, "an address without a port");
    assert_eq!(with(&[1, 2, 3, 4, 0, 0]), None, "port 0");
}

#[test]
fn bep43_43_1_fs_b4_ro_is_read_and_written_in_queries_only() {
    let query =
        |read_only| message(Body::Request { sender: Key::new([1; 20]), read_only, request: Request::Ping });
    let bytes = encode(&query(true));
    assert!(bytes.windows(8).any(|window| window == b"2:roi1e1"), "{}", bytes.escape_ascii());
    for read_only in [false, true] {
        assert_eq!(decode(&encode(&query(read_only))), Ok(query(read_only)));
    }
    let read_only = |envelope: &str| match decode(&ping(envelope)).unwrap().body {
        Body::Request { read_only, .. } => read_only,
        other => panic!("{other:?}"),
    };
    assert!(read_only("2:roi1e1:t2:aa"));
    assert!(!read_only("2:roi0e1:t2:aa"));
    assert!(!read_only("2:ro1:11:t2:aa"));
    assert!(!encode(&reply(Response::default())).windows(4).any(|window| window == b"2:ro"));
}

#[test]
fn bep5_5_5_fs_b9_unknown_methods_get_204_and_bad_arguments_203() {
    assert!(is_refused(format!("d1:ad{ID}e1:q5:bogus1:t2:aa1:y1:qe").as_bytes(), 204));
    assert!(is_refused(b"d1:ade1:q4:ping1:t2:aa1:y1:qe", 203));
    assert!(is_refused(b"d1:q4:ping1:t2:aa1:y1:qe", 203));
    assert!(is_refused(b"d1:ale1:q4:ping1:t2:aa1:y1:qe", 203));
    let codes = [ErrorCode::Generic, ErrorCode::Server, ErrorCode::Protocol, ErrorCode::MethodUnknown];
    assert_eq!(codes.map(i64::from), [201, 202, 203, 204]);
    let bep44 = [ErrorCode::ValueTooLong, ErrorCode::InvalidSignature, ErrorCode::SaltTooLong];
    assert_eq!(bep44.map(i64::from), [205, 206, 207]);
    assert_eq!([ErrorCode::CasMismatch, ErrorCode::SeqTooLow].map(i64::from), [301, 302]);
}

#[test]
fn c1_an_unknown_method_with_a_target_reads_as_find_node() {
    let target = key(b"mnopqrstuvwxyz123456");
    for (name, want) in [("target", ""), ("info_hash", ""), ("target", "4:wantl2:n6e")] {
        let named = format!("{}:{name}20:mnopqrstuvwxyz123456{want}", name.len());
        let query = format!("d1:ad{ID}{named}e1:q5:novel1:t2:aa1:y1:qe");
        let want = if want.is_empty() { Families::NONE } else { Family::V6.into() };
        assert_eq!(request(query.as_bytes()), Request::FindNode { target, want });
    }
    let short = format!("d1:ad{ID}6:target3:abce1:q5:novel1:t2:aa1:y1:qe");
    assert!(is_refused(short.as_bytes(), 204));
    let anonymous = "d1:ad6:target20:mnopqrstuvwxyz123456e1:q5:novel1:t2:aa1:y1:qe";
    assert!(is_refused(anonymous.as_bytes(), 203));
}

#[test]
fn c2_what_deployed_nodes_add_is_tolerated() {
    let ours = response(format!("d1:rd{ID}e1:t2:aa1:y1:re").as_bytes());
    assert_eq!(response(format!("d1:rd{ID}1:pi6881ee1:t2:aa1:y1:re").as_bytes()), ours, "r.p of libtorrent");
    assert_eq!(response(format!("d1:y1:r1:t2:aa1:rd1:pi1e{ID}ee").as_bytes()), ours, "unsorted keys");
    let both = format!("d1:eli203e3:bade1:rd{ID}e1:t2:aa1:y1:ee");
    let error = Body::Error { code: 203, text: "bad".to_owned() };
    assert_eq!(decode(both.as_bytes()).unwrap().body, error, "r beside e");
}

#[test]
fn p34_keys_inside_strings_are_not_keys() {
    let decoy = "1:y1:r2:id20:XXXXXXXXXXXXXXXXXXXX";
    let query = format!("d1:ad{ID}5:other{}:{decoy}e1:q4:ping1:t2:aa1:y1:qe", decoy.len());
    let sender = key(b"abcdefghij0123456789");
    let expected = Body::Request { sender, read_only: false, request: Request::Ping };
    assert_eq!(decode(query.as_bytes()).unwrap().body, expected);
}

fn find_node(want: &str) -> Vec<u8> {
    format!("d1:ad{ID}6:target20:mnopqrstuvwxyz1234564:want{want}e1:q9:find_node1:t2:aa1:y1:qe").into_bytes()
}

#[test]
fn bep32_32_3_want_takes_what_it_knows_and_ignores_the_rest() {
    let want = |list: &str| match request(&find_node(list)) {
        Request::FindNode { want, .. } => want,
        other => panic!("{other:?}"),
    };
    assert_eq!(want("le"), Families::NONE);
    assert_eq!(want("l2:n4e"), Family::V4.into());
    assert_eq!(want("l2:n6e"), Family::V6.into());
    assert_eq!(want("l2:n62:n4e"), Families::BOTH);
    assert_eq!(want("l2:n52:N43:n44i4el2:n4e2:n6e"), Family::V6.into());
    assert_eq!(
        want(&format!("l{}e", "2:n4".repeat(480))),
        Family::V4.into(),
        "T9: taken once (T18: cheaply)"
    );
    assert!(is_refused(&find_node("2:n4"), 203));
}

#[test]
fn bep32_32_2_32_4_mixed_replies_are_read() {
    let nodes6 = format!("{}{}", "k".repeat(20), "\u{1}".repeat(18));
    let reply = format!(
        "d1:rd{ID}5:nodes26:{}6:nodes638:{nodes6}5:token2:xy6:valuesl6:axje.u18:0123456789abcdef\u{1}\u{2}3:odd\
         6:\0\0\0\0\0\0i7eee1:t2:aa1:y1:re",
        format_args!("{}{}", "i".repeat(20), "axje.u")
    );
    let response = response(reply.as_bytes());
    assert_eq!(response.nodes.lists(), Families::BOTH);
    let v4 = Contact::new(key(&[b'i'; 20]), addr("97.120.106.101:11893"));
    let v6 = Contact::new(key(&[b'k'; 20]), addr("[101:101:101:101:101:101:101:101]:257"));
    assert_eq!(response.nodes.contacts(), [v4, v6]);
    assert_eq!(response.token, Token::new(b"xy"));
    let values = ["97.120.106.101:11893", "[3031:3233:3435:3637:3839:6162:6364:6566]:258"].map(addr);
    assert_eq!(response.values, values);
}

#[test]
fn p37_a_field_of_the_wrong_kind_is_ignored_and_the_rest_stands() {
    let with = |parts: &str| response(format!("d1:rd{ID}{parts}5:token2:xye1:t2:aa1:y1:re").as_bytes());
    let bare = Response { token: Token::new(b"xy"), ..Response::default() };
    assert_eq!(with("5:nodes25:0123456789012345678901234"), bare);
    assert_eq!(with("5:nodesi26e"), bare);
    assert_eq!(with("6:nodes626:01234567890123456789axje.u"), bare);
    assert_eq!(with("6:values6:axje.u"), bare);
    let long = format!("d1:rd{ID}5:token65:{}e1:t2:aa1:y1:re", "x".repeat(65));
    assert_eq!(response(long.as_bytes()).token, None, "T12");
}

#[test]
fn bep5_5_7_an_empty_list_is_not_an_absent_one() {
    let mut nodes = Nodes::default();
    nodes.open(Family::V4);
    let bytes = encode(&reply(Response { nodes: nodes.clone(), ..Response::default() }));
    assert_eq!(bytes, b"d1:rd2:id20:abcdefghij01234567895:nodes0:e1:t2:aa1:y1:re");
    assert_eq!(response(&bytes).nodes, nodes);
    assert_ne!(response(&encode(&reply(Response::default()))).nodes, nodes);
}

#[test]
fn t14_at_most_a_hundred_values_are_taken_from_a_reply() {
    let values: String = (0..120).map(|n| format!("6:abcd{}{}", char::from(n), "e")).collect();
    let reply = format!("d1:rd{ID}6:valuesl{values}ee1:t2:aa1:y1:re");
    assert_eq!(response(reply.as_bytes()).values.len(), MAX_VALUES);
}

#[test]
fn more_nodes_than_k_are_taken_where_there_is_room() {
    let v4 = |n: usize| "01234567890123456789axje.u".repeat(n);
    let one = response(format!("d1:rd{ID}5:nodes520:{}e1:t2:aa1:y1:re", v4(20)).as_bytes());
    assert_eq!(one.nodes.of(Family::V4).count(), 16);
    let v6 = "01234567890123456789abcdefghijklmnopqr".repeat(8);
    let two = format!("d1:rd{ID}5:nodes520:{}6:nodes6304:{v6}e1:t2:aa1:y1:re", v4(20));
    let two = response(two.as_bytes());
    assert_eq!((two.nodes.of(Family::V4).count(), two.nodes.of(Family::V6).count()), (8, 8));
}

#[test]
fn fs_a4_an_address_is_6_or_18_bytes_and_nothing_becomes_0_0_0_0() {
    let compact = |text: &str| CompactAddr::try_from(addr(text)).map(|compact| compact.as_bytes().to_vec());
    assert_eq!(compact("1.2.3.4:258"), Ok(vec![1, 2, 3, 4, 1, 2]));
    assert_eq!(compact("[102:304::f]:258"), Ok(vec![1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 15, 1, 2]));
    for nowhere in ["1.2.3.4:0", "0.0.0.0:1", "0.0.0.0:0", "[::]:1", "[2001:db8::1]:0"] {
        assert_eq!(compact(nowhere), Err(Unencodable(addr(nowhere))));
    }
    let nowhere = Contact::new(Key::new([1; 20]), addr("0.0.0.0:0"));
    let response = Response {
        nodes: [nowhere].into_iter().collect(),
        values: vec![nowhere.addr],
        ..Response::default()
    };
    let bytes = encode(&Message { observed: Some(nowhere.addr), ..reply(response) });
    assert_eq!(bytes, b"d1:rd2:id20:abcdefghij01234567895:nodes0:e1:t2:aa1:y1:re");
}

#[test]
fn fs_a3_integers_are_bencoded_integers_to_the_last_bit() {
    let announce = |port: &str| {
        let arguments = format!("{ID}9:info_hash20:mnopqrstuvwxyz1234564:port{port}5:token2:xy");
        format!("d1:ad{arguments}e1:q13:announce_peer1:t2:aa1:y1:qe").into_bytes()
    };
    let port = |text| match request(&announce(text)) {
        Request::AnnouncePeer { port, .. } => port.map(u16::from),
        other => panic!("{other:?}"),
    };
    assert_eq!((port("i1e"), port("i65535e")), (Some(1), Some(65_535)));
    for bad in ["4:6881", "i0e", "i-1e", "i65536e"] {
        assert!(is_refused(&announce(bad), 203), "{bad}");
    }
    for code in [i64::MIN, -1, 0, i64::MAX] {
        let error = message(Body::Error { code, text: String::new() });
        assert_eq!(decode(&encode(&error)), Ok(error));
    }
}

#[test]
fn t12_an_error_text_is_cut_between_characters() {
    let text = "é".repeat(200);
    let read = decode(&encode(&message(Body::Error { code: 201, text }))).unwrap();
    assert_eq!(read.body, Body::Error { code: 201, text: "é".repeat(128) });
    let raw = [b"d1:eli201e2:\xff\xfee1:t2:aa1:y1:ee".to_vec()].concat();
    assert_eq!(decode(&raw).unwrap().body, Body::Error { code: 201, text: "\u{fffd}\u{fffd}".to_owned() });
}

/// P18 by construction: the largest of everything at once.
#[test]
fn p18_t9_the_largest_reply_fits() {
    let v6 = |n: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 1));
    let nodes: Nodes = (1..=16).map(|n| Contact::new(Key::new([0xff; 20]), v6(n))).collect();
    let response = Response {
        nodes,
        token: Some(Token::from_array([0xff; 64])),
        values: (1..=100).map(v6).collect(),
        version: Some(Version::from_array([0xff; 16])),
        ..Response::default()
    };
    let transaction = TransactionId::new(&[0xff; 32]).unwrap();
    let observed = Some(v6(1));
    let body = Body::Response { sender: Key::new([0xff; 20]), response };
    let mut bytes = vec![0; 100];
    Krpc::encode(&Message { transaction, observed, body }, &mut bytes);
    assert!(bytes.len() - 100 <= MAX_POLITE_DATAGRAM && MAX_POLITE_DATAGRAM <= MAX_DATAGRAM);
    let Ok(Body::Response { response, .. }) = decode(&bytes[100..]).map(|message| message.body) else {
        panic!("unreadable");
    };
    assert_eq!((response.nodes.contacts().len(), response.values.len()), (16, 9), "values give way");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// C.3, 32.6: what is said to fit does, and not one more.
    #[test]
    fn c3_as_many_values_fit_as_are_said_to(
        response in a_response(0), v4 in an_addr(Family::V4), v6 in an_addr(Family::V6), id in 0..=32_usize,
    ) {
        for (peer, size) in [(v4, 8), (v6, 21)] {
            let left = bytes_left(&response, Family::of(&peer), id, fit::limit(&response));
            let fit = left.saturating_sub("6:valuesle".len()) / size;
            let written = |values: usize| {
                let transaction = TransactionId::new(&[0; 32][..id]).unwrap();
                let body = Body::Response {
                    sender: Key::new([0; 20]),
                    response: Response { values: vec![peer; values], ..response.clone() },
                };
                encode(&Message { transaction, observed: Some(peer), body })
            };
            let length = written(fit).len();
            prop_assert_eq!(length, written(0).len() + fit * size + if fit > 0 { "6:valuesle".len() } else { 0 });
            prop_assert_eq!(written(fit + 1).len(), length);
        }
    }

    #[test]
    fn nodes_keep_each_family_s_order_however_they_come(
        v4 in contacts(Family::V4, 8), v6 in contacts(Family::V6, 8), v6_first: bool,
    ) {
        let mut nodes = Nodes::default();
        if v6_first {
            nodes.extend(v6.iter().chain(&v4).copied());
        } else {
            nodes.extend(v4.iter().chain(&v6).copied());
        }
        let all: Vec<_> = v4.iter().chain(&v6).copied().collect();
        prop_assert_eq!(nodes.contacts(), &all);
        for (family, contacts) in [(Family::V4, v4), (Family::V6, v6)] {
            prop_assert_eq!(nodes.lists().contains(family), !contacts.is_empty());
            prop_assert_eq!(nodes.of(family).copied().collect::<Vec<_>>(), contacts);
        }
        prop_assert_ne!(nodes.lists().is_empty(), !all.is_empty());
    }
}
