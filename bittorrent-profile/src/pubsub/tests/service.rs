//! What a topic's node answers: 50.2, 50.3 and BEP 44.

use super::*;
use crate::krpc::Token;

const ASKER: Key<20> = Key::new([0xaa; 20]);

/// One node, and somebody who asks it.
struct Pair {
    node: TopicNode,
    asker: SocketAddr,
}

impl Pair {
    fn new() -> Self {
        Pair { node: subscriber(&[addr(1)], Instant::ZERO, &mut Rng::from_number(1)), asker: addr(2) }
    }

    fn send(&mut self, request: Request, topic: Option<Key<20>>) -> Option<Body<Mainline>> {
        let body = Body::Request { sender: ASKER, read_only: true, request };
        let message = Message { transaction: TransactionId::from(7), observed: None, body };
        let mut bytes = Vec::new();
        match topic {
            Some(topic) => encode_in_topic(&message, &topic, &mut bytes),
            None => Krpc::encode(&message, &mut bytes),
        }
        self.node.handle_datagram(Instant::from_secs(1), self.asker, &bytes);
        let mut out = Vec::new();
        let to = self.node.poll_transmit(&mut out)?;
        assert_eq!((to, topic_of(&out)), (self.asker, topic));
        let reply = Krpc::decode(&out).unwrap();
        assert_eq!(reply.transaction, message.transaction);
        assert!(self.node.poll_transmit(&mut Vec::new()).is_none(), "one reply");
        Some(reply.body)
    }

    fn ask(&mut self, request: Request) -> Result<Response, i64> {
        match self.send(request, Some(topic().target())).unwrap() {
            Body::Response { response, .. } => Ok(response),
            Body::Error { code, .. } => Err(code),
            Body::Request { .. } => panic!("a question in return"),
        }
    }

    fn get(&mut self, seq: Option<i64>) -> Response {
        self.ask(Request::Get { seq, target: topic().target(), want: Families::NONE }).unwrap()
    }

    fn token(&mut self) -> Token {
        self.get(Some(i64::MAX)).token.unwrap()
    }

    fn put(&mut self, item: &Arc<MutableItem>, cas: Option<i64>) -> Result<Response, i64> {
        let token = self.token();
        self.ask(Request::put(&Item::Mutable(Arc::clone(item)), cas, token))
    }

    fn latest(&self) -> Option<i64> {
        self.node.latest().map(|latest| latest.seq)
    }
}

#[test]
fn bep50_50_2_only_this_item_s_get_and_put_ping_and_find_node_are_served() {
    let mut pair = Pair::new();
    assert!(pair.ask(Request::Ping).is_ok());
    let find = |target| Request::FindNode { target, want: Families::NONE };
    assert!(pair.ask(find(Key::new([5; 20]))).is_ok());
    let info_hash = topic().target().into();
    assert_eq!(pair.ask(Request::get_peers(info_hash, Families::NONE)), Err(204));
    let token = pair.token();
    let announce = Request::AnnouncePeer { implied_port: true, info_hash, port: None, seed: false, token };
    assert_eq!(pair.ask(announce), Err(204));
    let sample = Request::SampleInfohashes { target: topic().target(), want: Families::NONE };
    assert_eq!(pair.ask(sample), Err(204));
    let get = |target| Request::Get { seq: None, target, want: Families::NONE };
    assert_eq!(pair.ask(get(Key::new([5; 20]))), Err(203), "another item");
    let immutable = Item::Immutable(RawValue::string("x").unwrap());
    assert_eq!(pair.ask(Request::put(&immutable, None, token)), Err(203));
    let salted = MutableItem::sign(&owner(), Salt::default(), 1, RawValue::string("x").unwrap());
    assert_eq!(pair.put(&Arc::new(salted), None), Err(203), "another item of the same owner's");
    assert_eq!(pair.latest(), None);
}

#[test]
fn bep50_50_2_messages_of_other_topics_and_of_mainline_meet_silence() {
    let mut pair = Pair::new();
    assert_eq!(pair.send(Request::Ping, None), None);
    assert_eq!(pair.send(Request::Ping, Some(Key::new([5; 20]))), None);
    assert!(pair.send(Request::Ping, Some(topic().target())).is_some());
}

#[test]
fn bep50_50_3_a_put_follows_the_rules_of_bep_44() {
    let mut pair = Pair::new();
    let bad = Token::new(b"12345678").unwrap();
    assert_eq!(pair.ask(Request::put(&Item::Mutable(version(1)), None, bad)), Err(203));
    assert_eq!(pair.put(&forged(5), None), Err(206));
    assert_eq!(pair.latest(), None);
    assert!(pair.put(&version(5), None).is_ok());
    assert!(pair.put(&version(5), None).is_ok(), "the same again refreshes");
    assert_eq!(pair.put(&version(4), None), Err(302));
    let other = MutableItem::sign(&owner(), topic().salt(), 5, RawValue::string("fork").unwrap());
    assert_eq!(pair.put(&Arc::new(other), None), Err(302), "another value under the same number");
    assert_eq!(pair.put(&version(6), Some(4)), Err(301));
    assert_eq!(pair.put(&forged(6), None), Err(206));
    assert_eq!(pair.latest(), Some(5));
    assert!(pair.put(&version(6), Some(5)).is_ok());
    assert_eq!(pair.latest(), Some(6));
    let versions: Vec<_> = std::iter::from_fn(|| pair.node.poll_event()).collect();
    assert_eq!(versions, [TopicEvent::Version(version(5)), TopicEvent::Version(version(6))], "each once");
}

#[test]
fn bep50_50_3_get_gives_the_version_only_to_whom_has_an_older_one() {
    let mut pair = Pair::new();
    assert_eq!(pair.get(None).item, None);
    pair.put(&version(5), None).unwrap();
    for (known, given) in [(None, true), (Some(4), true), (Some(5), false), (Some(6), false)] {
        let response = pair.get(known);
        let parts = response.item.unwrap();
        assert_eq!(parts.seq, Some(5));
        let all = (parts.value.is_some(), parts.key.is_some(), parts.signature.is_some());
        assert_eq!(all, (given, given, given), "{known:?}");
        assert!(response.token.is_some());
        let item = parts.mutable(&topic().key(), &topic().salt());
        assert_eq!(item, given.then(|| (*version(5)).clone()));
    }
}

#[test]
fn bep50_50_4_the_latest_version_is_kept_for_ever() {
    let mut pair = Pair::new();
    pair.put(&version(5), None).unwrap();
    pair.node.handle_timeout(Instant::from_secs(30 * 24 * 3600));
    assert_eq!(pair.latest(), Some(5));
}

#[test]
fn publishing_takes_the_owner_s_newer_versions_only() {
    let mut pair = Pair::new();
    let now = Instant::from_secs(1);
    let salted = MutableItem::sign(&owner(), Salt::default(), 9, RawValue::string("x").unwrap());
    assert!(!pair.node.publish(now, Arc::new(salted)));
    assert!(!pair.node.publish(now, forged(9)));
    assert!(pair.node.publish(now, version(9)));
    assert!(!pair.node.publish(now, version(9)));
    assert!(!pair.node.publish(now, version(8)));
    assert_eq!(pair.latest(), Some(9));
}

#[test]
fn t9_bep50_a_flood_in_a_victim_s_name_brings_it_little_from_a_topic_too() {
    let mut pair = Pair::new();
    let long = RawValue::string([b'v'; 900]).unwrap();
    let item = MutableItem::sign(&owner(), topic().salt(), 1, long);
    pair.put(&Arc::new(item), None).unwrap();
    let target = topic().target();
    let body = Body::Request {
        sender: ASKER,
        read_only: true,
        request: Request::Get { seq: None, target, want: Families::NONE },
    };
    let query = Message { transaction: TransactionId::from(7), observed: None, body };
    let (mut datagram, mut out, mut bytes) = (Vec::new(), Vec::new(), 0);
    encode_in_topic(&query, &target, &mut datagram);
    let seconds = 20;
    for millisecond in 0..1_000 * seconds {
        let now = Instant::from_secs(60) + Duration::from_millis(millisecond);
        pair.node.handle_datagram(now, pair.asker, &datagram);
        while pair.node.poll_transmit(&mut out).is_some() {
            bytes += 28 + out.len() as u64;
            out.clear();
        }
    }
    assert!(bytes <= (8 * seconds + 32) << 10, "{bytes} bytes in {seconds} s");
}
