//! T18: what one datagram may cost, counted instead of timed.

use std::sync::Arc;

use super::*;
use crate::bencode::tests::STEPS;
use crate::bencode::{MAX_INPUT, MAX_UNSORTED_KEYS};
use crate::item::tests::VERIFIED;
use crate::item::{Item, MutableItem, RawValue, Salt, SecretKey, Signature};

/// Bytes looked at, and signatures verified, for one datagram.
fn cost(node: &mut Node<Mainline, MainlineService>, now: Instant, datagram: &[u8]) -> (usize, usize) {
    STEPS.set(0);
    VERIFIED.set(0);
    node.handle_datagram(now, addr("8.8.8.8:1"), datagram);
    while node.poll_message().is_some() {}
    (STEPS.get(), VERIFIED.get())
}

fn wanting(times: usize) -> Vec<u8> {
    let want = "2:n4".repeat(times);
    let head = b"d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz1234564:wantl";
    [head.as_slice(), want.as_bytes(), b"ee1:q9:find_node1:t2:aa1:y1:qe"].concat()
}

/// A dictionary of the most keys that may be out of order, each compared with all before it.
fn disorder() -> Vec<u8> {
    let keys = (0..MAX_UNSORTED_KEYS).rev().map(|n| format!("50:{}{n:02}0:", "k".repeat(48)));
    ["d", &keys.collect::<String>(), "e"].concat().into_bytes()
}

#[test]
fn t18_the_dearest_datagrams_are_read_once_and_verified_once_at_most() {
    let mut node = node(ServiceConfig::default());
    let owner = SecretKey::from_seed(&[1; 32]);
    let item = |seq| MutableItem::sign(&owner, Salt::default(), seq, RawValue::string([b'v'; 900]).unwrap());
    let asker = Asker::at("8.8.8.8:1");
    let target = Item::Mutable(Arc::new(item(1))).target();
    let get = Request::Get { seq: None, target, want: Families::NONE };
    let token = asker.ask(&mut node, get).token.unwrap();
    let put = |item: MutableItem, token| asker.bytes(Request::put(&Item::Mutable(item.into()), None, token));
    let forged = MutableItem { signature: Signature::new([1; 64]), ..item(3) };
    let once = MAX_INPUT + 1;
    for (name, datagram, steps, verified) in [
        ("`want` 470 times", wanting(470), 2 * once, 0),
        ("`want` 500 times: more than is read", wanting(500), once, 0),
        ("lists in one another", vec![b'l'; 2_048], once, 0),
        ("short strings", b"1:a0:".repeat(400), once, 0),
        ("keys out of order", disorder(), (MAX_UNSORTED_KEYS + 2) * once, 0),
        ("a put without a token of ours", put(item(2), Token::from_array([0; 8])), 2 * once, 0),
        ("a forged put", put(forged, token), 2 * once, 1),
        ("a put", put(item(2), token), 2 * once, 1),
        ("the same again", put(item(2), token), 2 * once, 0),
        ("an older one", put(item(1), token), 2 * once, 0),
    ] {
        let cost = cost(&mut node, after(1), &datagram);
        assert!(cost.0 <= steps, "{name}: {} steps for {} bytes", cost.0, datagram.len());
        assert_eq!(cost.1, verified, "{name}");
    }
}

#[test]
fn t18_whatever_is_changed_in_a_put_costs_one_verification_at_most() {
    let mut node = node(ServiceConfig::default());
    let owner = SecretKey::from_seed(&[1; 32]);
    let asker = Asker::at("8.8.8.8:1");
    let mut rng = Rng::from_number(18);
    let mut verified = 0;
    for n in 0..5_000_u32 {
        let value = RawValue::string([b'v'; 100]).unwrap();
        let item = Item::Mutable(MutableItem::sign(&owner, Salt::default(), n.into(), value).into());
        let now = after(u64::from(n) / 20);
        let get = Request::Get { seq: None, target: item.target(), want: Families::NONE };
        let token = asker.ask_at(&mut node, now, get).token.unwrap();
        let mut datagram = asker.bytes(Request::put(&item, None, token));
        for _ in 0..rng.below(3) {
            let at = rng.below(datagram.len());
            datagram[at] ^= 1 << rng.below(8);
        }
        let (steps, signatures) = cost(&mut node, now, &datagram);
        assert!(steps <= (MAX_UNSORTED_KEYS + 2) * (datagram.len() + 1), "{}", datagram.escape_ascii());
        assert!(signatures <= 1, "{}", datagram.escape_ascii());
        verified += signatures;
    }
    assert!(verified > 1_000, "{verified}");
}
