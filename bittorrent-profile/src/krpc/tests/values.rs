//! BEP 33, 44 and 51 on the wire.

use core::net::SocketAddr;

use kademlia_core::{Contact, Family, Malformed, TransactionId};

use super::*;
use crate::item::{Item, ItemParts, MutableItem, RawValue, Salt, SecretKey};
use crate::krpc::{MAX_DATAGRAM, MAX_POLITE_DATAGRAM, Samples, Token, VERSION, Version};
use crate::scrape::{BloomFilter, Scrape};

const ID: &str = "2:id20:abcdefghij0123456789";

fn reply(response: Response) -> Message<Mainline> {
    let body = Body::Response { sender: key(b"abcdefghij0123456789"), response };
    Message { transaction: TransactionId::new(b"aa").unwrap(), observed: None, body }
}

fn owner() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

/// P18 by construction: an item at its largest leaves room for little else, and no datagram grows past the limit.
#[test]
fn p18_t9_bep44_44_2_the_largest_item_fits_and_nodes_give_way() {
    let v4 = |n: u8| SocketAddr::from(([65, n, 1, 1], 1));
    let item = MutableItem::sign(&owner(), Salt::default(), i64::MAX, RawValue::longest());
    let parts = ItemParts::of(&Item::Mutable(item.into()), None);
    for (id, token) in [(1, true), (4, true), (32, false)] {
        let response = Response {
            nodes: (1..=8).map(|n| Contact::new(Key::new([n; 20]), v4(n))).collect(),
            token: Some(Token::from_array([7; 8])),
            version: Some(Version::from_array(VERSION)),
            item: Some(Box::new(parts.clone())),
            ..Response::default()
        };
        let body = Body::Response { sender: Key::new([0xff; 20]), response };
        let transaction = TransactionId::new(&[0; 32][..id]).unwrap();
        let bytes = encode(&Message { transaction, observed: Some(v4(1)), body });
        assert!(bytes.len() <= MAX_DATAGRAM, "{}", bytes.len());
        let read = decode(&bytes).unwrap();
        let Body::Response { response, .. } = read.body else { panic!("no response") };
        assert_eq!(response.item, Some(Box::new(parts.clone())), "whole");
        assert_eq!(response.token.is_some(), token);
        assert_eq!(response.nodes.contacts(), [], "no room for one");
        if !token {
            assert_eq!((response.version, read.observed), (None, None), "left out first");
        }
    }
}

/// Both filters, both lists of nodes: the filters stay whole.
#[test]
fn bep33_33_2_bep32_32_6_filters_and_nodes_share_a_datagram() {
    let contacts = (1..=8_u8).flat_map(|n| {
        let v4 = SocketAddr::from(([65, n, 1, 1], 1));
        let v6 = SocketAddr::from(([0x2a01, u16::from(n), 0, 0, 0, 0, 0, 1], 1));
        [v4, v6].map(|addr| Contact::new(Key::new([n; 20]), addr))
    });
    let scrape = Scrape { seeds: BloomFilter::from_bytes([0x55; 256]), ..Scrape::default() };
    let response = Response {
        nodes: contacts.collect(),
        token: Some(Token::from_array([7; 8])),
        scrape: Some(Box::new(scrape.clone())),
        ..Response::default()
    };
    let bytes = encode(&reply(response));
    assert!(bytes.len() <= MAX_POLITE_DATAGRAM);
    let Body::Response { response, .. } = decode(&bytes).unwrap().body else { panic!("no response") };
    assert_eq!(response.scrape, Some(Box::new(scrape)));
    assert_eq!(response.nodes.of(Family::V4).count(), 8);
    assert!(response.nodes.of(Family::V6).count() >= 3);
}

#[test]
fn bep33_33_2_one_filter_alone_is_none() {
    let one = [b"d1:rd4:BFpe256:".as_slice(), &[0; 256], ID.as_bytes(), b"e1:t2:aa1:y1:re"].concat();
    let Body::Response { response, .. } = decode(&one).unwrap().body else { panic!("no response") };
    assert_eq!(response.scrape, None);
}

#[test]
fn bep51_51_1_samples_are_whole_hashes_and_the_interval_stays_in_bounds() {
    let read = |parts: &str| {
        let bytes = format!("d1:rd{ID}{parts}e1:t2:aa1:y1:re").into_bytes();
        let Body::Response { response, .. } = decode(&bytes).unwrap().body else { panic!("no response") };
        response.samples
    };
    let hash = "a".repeat(20);
    let samples = read(&format!("8:intervali99999999e3:numi1e7:samples40:{hash}{hash}")).unwrap();
    assert_eq!((samples.interval, samples.num), (Samples::MAX_INTERVAL, 2));
    assert_eq!(read("8:intervali-1e7:samples0:").unwrap(), Box::default(), "empty is an answer too");
    assert_eq!(read(&format!("7:samples21:{hash}b")), None);
    assert_eq!(read("8:intervali1e3:numi1e"), None);
}

fn put(extra: &str) -> Result<Message<Mainline>, Malformed> {
    decode(format!("d1:ad{ID}{extra}e1:q3:put1:t2:aa1:y1:qe").as_bytes())
}

fn code(read: Result<Message<Mainline>, Malformed>) -> i64 {
    match read {
        Err(Malformed::Request { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn bep44_44_2_44_5_p36_each_fault_of_a_put_has_its_code() {
    assert!(put("5:token1:x1:vi1e").is_ok());
    assert_eq!(code(put("5:token1:x")), 203, "no value");
    assert_eq!(code(put("1:vi1e")), 203, "no token");
    assert_eq!(code(put("5:token1:x1:vd1:bi1e1:ai1ee")), 203, "keys out of order");
    assert_eq!(code(put(&format!("5:token1:x1:v998:{}", "a".repeat(998)))), 205);
    assert!(put(&format!("5:token1:x1:v996:{}", "a".repeat(996))).is_ok());
    let key = format!("1:k32:{}", "k".repeat(32));
    let signature = format!("3:sig64:{}", "s".repeat(64));
    let mutable =
        |salt: &str, seq: &str, signature: &str| put(&format!("{key}{salt}{seq}{signature}5:token1:x1:vi1e"));
    assert!(mutable("", "3:seqi0e", &signature).is_ok());
    assert!(mutable(&format!("4:salt64:{}", "s".repeat(64)), "3:seqi0e", &signature).is_ok());
    assert_eq!(code(mutable(&format!("4:salt65:{}", "s".repeat(65)), "3:seqi0e", &signature)), 207);
    assert_eq!(code(mutable("4:salti1e", "3:seqi0e", &signature)), 203);
    assert_eq!(code(mutable("", "", &signature)), 203, "no seq");
    assert_eq!(code(mutable("", "3:seqi0e", "")), 203, "no signature");
    assert_eq!(code(mutable("", "3:seqi-1e", &signature)), 203, "44.6: never negative");
    let beyond = mutable("", "3:seqi9223372036854775808e", &signature);
    assert!(matches!(beyond, Err(Malformed::Garbage(_))), "no number that anybody can keep");
}
