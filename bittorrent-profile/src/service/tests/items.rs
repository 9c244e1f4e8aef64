//! BEP 44 on the answering side.

use std::sync::Arc;

use kademlia_core::Record;

use super::*;
use crate::item::{Item, ItemParts, MutableItem, RawValue, Salt, SecretKey};

const TWO_HOURS: u64 = 2 * 60 * 60;

fn owner() -> SecretKey {
    SecretKey::from_seed(&[3; 32])
}

fn text(text: &str) -> RawValue {
    RawValue::string(text).unwrap()
}

fn version(seq: i64, value: &str) -> MutableItem {
    MutableItem::sign(&owner(), Salt::default(), seq, text(value))
}

fn mutable(seq: i64, value: &str) -> Item {
    Item::Mutable(version(seq, value).into())
}

fn get(target: Key<20>, seq: Option<i64>) -> Request {
    Request::Get { seq, target, want: Families::NONE }
}

impl Asker {
    fn get(&self, node: &mut Node<Mainline, MainlineService>, now: Instant, item: &Item) -> Response {
        self.ask_at(node, now, get(item.target(), None))
    }

    /// Puts the item with a token got for it; the error's code, or 0.
    fn put(
        &self,
        node: &mut Node<Mainline, MainlineService>,
        now: Instant,
        item: &Item,
        cas: Option<i64>,
    ) -> i64 {
        let token = self.get(node, now, item).token.unwrap();
        let put = Request::put(item, cas, token);
        match self.send(node, now, &self.bytes(put)).map(|message| message.body) {
            Some(Body::Response { .. }) => 0,
            Some(Body::Error { code, .. }) => code,
            other => panic!("{other:?}"),
        }
    }
}

fn parts(response: Response) -> ItemParts {
    *response.item.expect("an item")
}

#[test]
fn bep44_44_1_an_answer_to_get_has_nodes_and_a_token_whether_the_item_is_there_or_not() {
    let mut node = node(ServiceConfig::default());
    strangers(10, Family::V4).iter().for_each(|contact| introduce(&mut node, *contact));
    let (asker, item) = (Asker::at("8.8.8.8:1"), Item::Immutable(text("hello")));
    let before = asker.get(&mut node, START, &item);
    assert_eq!((before.nodes.contacts().len(), before.item), (8, None));
    assert_eq!(asker.put(&mut node, START, &item, None), 0);
    let after = asker.get(&mut node, START, &item);
    assert_eq!(after.nodes.contacts().len(), 8);
    assert!(before.token.is_some() && after.token.is_some());
    assert_eq!(parts(after).immutable(&item.target()), Some(text("hello")));
}

#[test]
fn bep44_44_2_44_3_any_bencode_is_kept_as_it_came_under_its_own_hash() {
    let mut node = node(ServiceConfig::default());
    for (n, raw) in ["i-7e", "0:", "le", "de", "d1:ali1e2:xyed0:0:ee", "3:abc"].into_iter().enumerate() {
        let Ok(value) = RawValue::new(raw.as_bytes()) else { continue };
        let (asker, item) = (Asker::at(&format!("8.8.{n}.8:1")), Item::Immutable(value));
        assert_eq!(asker.put(&mut node, START, &item, None), 0);
        let found = parts(asker.get(&mut node, START, &item));
        assert_eq!(found.value.unwrap().as_bytes(), raw.as_bytes());
        assert_eq!((found.key, found.seq, found.signature), (None, None, None));
    }
    assert_eq!(node.service().items().len(), 5, "all but the one with its keys out of order");
}

#[test]
fn bep44_44_3_44_8_a_mutable_item_comes_back_whole_without_its_salt_or_by_its_number_alone() {
    let mut node = node(ServiceConfig::default());
    let salt = Salt::new(b"blog").unwrap();
    let item = MutableItem::sign(&owner(), salt, 4, text("hello"));
    let (asker, item) = (Asker::at("8.8.8.8:1"), Item::Mutable(item.into()));
    assert_eq!(asker.put(&mut node, START, &item, None), 0);
    let found = parts(asker.get(&mut node, START, &item));
    assert_eq!(found.mutable(&owner().public(), &salt).map(Arc::new).map(Item::Mutable), Some(item.clone()));
    for (known, whole) in [(3, true), (4, false), (5, false)] {
        let found = parts(asker.ask(&mut node, get(item.target(), Some(known))));
        assert_eq!((found.seq, found.value.is_some()), (Some(4), whole), "the asker has {known}");
        assert_eq!((found.key.is_some(), found.signature.is_some()), (whole, whole));
    }
}

#[test]
fn bep44_44_5_206_for_a_signature_that_is_not_the_key_s() {
    let mut node = node(ServiceConfig::default());
    let forged = MutableItem { value: text("forged"), ..version(1, "hello") };
    let (asker, forged) = (Asker::at("8.8.8.8:1"), Item::Mutable(forged.into()));
    assert_eq!(asker.put(&mut node, START, &forged, None), 206);
    assert_eq!(node.service().items().len(), 0);
    assert_eq!(asker.put(&mut node, START, &mutable(1, "hello"), None), 0);
    let other = MutableItem { signature: version(2, "other").signature, ..version(2, "hello") };
    assert_eq!(asker.put(&mut node, START, &Item::Mutable(other.into()), None), 206);
    assert_eq!(parts(asker.get(&mut node, START, &forged)).seq, Some(1), "nothing changed");
}

#[test]
fn bep44_44_6_p44_a_version_never_gives_way_to_an_older_one_or_to_its_double() {
    let mut node = node(ServiceConfig::default());
    let asker = Asker::at("8.8.8.8:1");
    let mut put = |item: &Item| asker.put(&mut node, START, item, None);
    assert_eq!(put(&mutable(5, "five")), 0);
    assert_eq!(put(&mutable(4, "four")), 302);
    assert_eq!(put(&mutable(5, "another five")), 302);
    assert_eq!(put(&mutable(5, "five")), 0, "once more");
    assert_eq!(put(&mutable(6, "six")), 0);
    assert_eq!(put(&mutable(i64::MAX, "last")), 0);
    assert_eq!(put(&mutable(6, "six")), 302);
}

#[test]
fn bep44_44_6_the_same_value_again_lives_two_hours_more() {
    let mut node = node(ServiceConfig::default());
    let (asker, item) = (Asker::at("8.8.8.8:1"), mutable(5, "five"));
    assert_eq!(asker.put(&mut node, START, &item, None), 0);
    assert_eq!(asker.put(&mut node, after(TWO_HOURS - 1), &item, None), 0);
    assert!(asker.get(&mut node, after(2 * TWO_HOURS - 2), &item).item.is_some());
    assert!(asker.get(&mut node, after(2 * TWO_HOURS), &item).item.is_none(), "44.9: then it is gone");
}

#[test]
fn bep44_44_7_p44_cas_is_the_version_here_or_nothing_happens() {
    let mut node = node(ServiceConfig::default());
    let asker = Asker::at("8.8.8.8:1");
    let mut put = |item: &Item, cas| asker.put(&mut node, START, item, cas);
    assert_eq!(put(&mutable(5, "five"), Some(77)), 0, "ignored where nothing is stored");
    assert_eq!(put(&mutable(6, "six"), Some(4)), 301);
    assert_eq!(put(&mutable(7, "seven"), Some(6)), 301);
    assert_eq!(put(&mutable(6, "six"), Some(5)), 0);
    assert_eq!(parts(asker.get(&mut node, START, &mutable(6, "six"))).seq, Some(6));
}

#[test]
fn bep44_44_9_c4_a_token_is_for_one_target_and_one_address() {
    let mut node = node(ServiceConfig::default());
    let (asker, other) = (Asker::at("8.8.8.8:1"), Asker::at("8.8.8.9:1"));
    let [one, two] = ["one", "two"].map(|value| Item::Immutable(text(value)));
    let token = asker.get(&mut node, START, &one).token.unwrap();
    assert_eq!(asker.refusal(&mut node, START, Request::put(&two, None, token)), 203, "another target");
    assert_eq!(other.refusal(&mut node, START, Request::put(&one, None, token)), 203, "another address");
    assert_eq!(asker.refusal(&mut node, after(601), Request::put(&one, None, token)), 203, "too old");
    assert_eq!(node.service().items().len(), 0);
}

#[test]
fn t7_p41_peers_and_items_share_one_budget_and_neither_starves_the_other() {
    let storage = StorageLimits { bytes: 400_000, per_source: 0, per_subnet: 0, per_key: 0 };
    let mut service = MainlineService::new(ServiceConfig { storage, ..ServiceConfig::default() }, [1; 32]);
    let stores = &mut service.stores;
    let mut rng = Rng::from_number(7);
    let never = Instant::NEVER;
    let source = |rng: &mut Rng| {
        let [a, b, c, d, ..] = rng.next_u64().to_be_bytes();
        core::net::IpAddr::from([a, b, c, d])
    };
    let item = |rng: &mut Rng| {
        let value = RawValue::string(rng.next_u64().to_be_bytes().repeat(60)).unwrap();
        StoredItem::new(Item::Immutable(value), source(rng))
    };
    let mut fill = |peers: usize, items: usize| {
        for n in 0..peers.max(items) {
            if n < peers {
                let peer = Peer::sole(SocketAddr::new(source(&mut rng), 1));
                let _ = stores.insert_peer(START, Key::new(LOCAL), Key::random(&mut rng), peer, never);
            }
            if n < items {
                let _ = stores.insert_item(START, Key::new(LOCAL), item(&mut rng), never);
            }
            let (peers, items) = (stores.peers().bytes(), stores.items().bytes());
            assert!(peers + items <= 400_000, "{peers} + {items}");
        }
        (stores.peers().bytes(), stores.items().bytes())
    };
    let (_, items) = fill(0, 3_000);
    assert!(items > 390_000, "alone they may have it all: {items}");
    let (peers, items) = fill(20_000, 0);
    assert!(peers > 290_000 && items > 90_000, "peers take their part, and no more: {peers} {items}");
    let (peers, items) = fill(0, 3_000);
    assert!(peers > 290_000 && items > 90_000, "and so it stays: {peers} {items}");
}

#[test]
fn t9_a_stranger_is_given_few_large_values_and_a_neighbour_all_he_asks_for() {
    let mut node = node(ServiceConfig::default());
    let item = Item::Immutable(RawValue::longest());
    assert_eq!(Asker::at("8.8.8.8:1").put(&mut node, START, &item, None), 0);
    let neighbour = strangers(1, Family::V4)[0];
    introduce(&mut node, neighbour);
    let neighbour = Asker { addr: neighbour.addr, id: neighbour.key, ..Asker::at("8.8.8.8:1") };
    let given = |node: &mut Node<Mainline, MainlineService>, asker: &Asker| {
        (0..20).filter(|_| asker.get(node, after(10), &item).item.is_some()).count()
    };
    assert_eq!(given(&mut node, &Asker::at("9.9.9.9:1")), 4);
    assert_eq!(given(&mut node, &neighbour), 20);
    assert!(Asker::at("9.9.9.9:1").get(&mut node, after(11), &item).item.is_some(), "a second later");
}

#[test]
fn bep44_44_7_44_8_t9_who_is_given_no_value_still_learns_the_version_of_a_mutable_item() {
    let mut node = node(ServiceConfig::default());
    let (asker, item) = (Asker::at("8.8.8.8:1"), mutable(5, "five"));
    assert_eq!(asker.put(&mut node, START, &item, None), 0);
    let answers: Vec<_> = (0..8).map(|_| parts(asker.get(&mut node, after(10), &item))).collect();
    assert!(answers.iter().all(|parts| parts.seq == Some(5)), "so a writer can name it in `cas`");
    assert_eq!(answers.iter().filter(|parts| parts.value.is_some()).count(), 4);
    assert_eq!(answers[7], ItemParts { seq: Some(5), ..ItemParts::default() });
    assert_eq!(asker.put(&mut node, after(10), &mutable(6, "six"), answers[7].seq), 0);
}

#[test]
fn p41_what_an_item_takes_is_counted() {
    let ip = [8, 8, 8, 8].into();
    let immutable = StoredItem::new(Item::Immutable(RawValue::longest()), ip).heap_bytes();
    assert!(immutable >= 1_000);
    let signed = MutableItem::sign(&owner(), Salt::default(), 1, RawValue::longest());
    let mutable = StoredItem::new(Item::Mutable(signed.into()), ip).heap_bytes();
    assert!(mutable >= immutable + 32 + 64 + 64 + 8);
}
