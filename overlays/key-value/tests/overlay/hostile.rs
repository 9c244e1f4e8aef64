//! Bad input: every kind has an error of its own or meets silence, and nothing of it is stored.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use kademlia_core::{
    Body, Codec, Contact, Instant, Key, Keyspace, Message, Node, Rng, Storage, Tokens, TransactionId,
};
use key_value::{
    Compact, ErrorCode, Id, KeyValue, KvConfig, KvService, LONGEST, MAX_VALUE, Request, Response, Token,
    Value, Versioned, Wall, key_of,
};

/// One node, and the time.
struct Lone {
    node: Node<KeyValue, KvService>,
    now: Instant,
}

const ASKER: ([u8; 4], u16) = ([8, 8, 8, 8], 1);
const TODAY: u64 = 1_700_000_000_000;

fn asker() -> SocketAddr {
    ASKER.into()
}

impl Lone {
    fn new() -> Self {
        Self::with(KvConfig::default())
    }

    fn with(config: KvConfig) -> Self {
        let (local, now) = (Key::new([0; 32]), Instant::from_secs(10_000));
        let config = KvConfig { wall: Wall::now_is(TODAY, now), ..config };
        let service = KvService::in_memory(local, config, [1; 32], now);
        Lone { node: Node::new(service, local, KeyValue::config(), [2; 32], now), now }
    }

    /// What it sends back.
    fn tell(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Message<KeyValue>> {
        self.node.handle_datagram(self.now, from, datagram);
        let (mut sent, mut bytes) = (Vec::new(), Vec::new());
        while let Some(to) = self.node.poll_transmit(&mut bytes) {
            assert!(bytes.len() <= LONGEST);
            let message = Compact::decode(&bytes).unwrap();
            // Nobody else is spoken to, and whoever wrote may be asked who he is.
            assert_eq!(to, from);
            if !matches!(message.body, Body::Request { .. }) {
                sent.push(message);
            }
            bytes.clear();
        }
        sent
    }

    fn ask(&mut self, from: SocketAddr, request: Request) -> Result<Response, i64> {
        let mut replies = self.tell(from, &asking(request));
        assert_eq!(replies.len(), 1);
        match replies.remove(0).body {
            Body::Response { response, .. } => Ok(response),
            Body::Error { code, .. } => Err(code),
            Body::Request { .. } => unreachable!(),
        }
    }

    fn token(&mut self, from: SocketAddr) -> Token {
        let answer = self.ask(from, Request::FindNode { target: Key::new([9; 32]) });
        answer.unwrap().token().unwrap()
    }

    fn store(&mut self, name: &str, item: Versioned) -> Result<Response, i64> {
        let token = self.token(asker());
        self.ask(asker(), Request::Store { key: key_of(name), token, item })
    }

    fn held(&self) -> usize {
        self.node.service().store().len()
    }

    /// The life that is left of what is held, in seconds.
    fn life(&self, key: &Id) -> Option<u32> {
        let pair = self.node.service().pair(self.now, key)?;
        Some(pair.versioned(self.node.service().calendar().millis(self.now)).life)
    }
}

fn asking(request: Request) -> Vec<u8> {
    let body = Body::Request { sender: Key::new([7; 32]), read_only: false, request };
    let mut bytes = Vec::new();
    Compact::encode(&Message { transaction: TransactionId::from(7), observed: None, body }, &mut bytes);
    bytes
}

fn item(version: u64, value: &[u8]) -> Versioned {
    Versioned { version, value: Some(Value::new(value).unwrap()), life: 3_600 }
}

fn refused(code: ErrorCode) -> Result<Response, i64> {
    Err(code.into())
}

#[test]
fn t6_forged_foreign_and_old_tokens_store_nothing() {
    let mut node = Lone::new();
    let other = SocketAddr::from(([9, 9, 9, 9], 1));
    let good = node.token(asker());
    let store = |token| Request::Store { key: key_of("greeting"), token, item: item(TODAY, b"hello") };
    let forged = Token::new(Tokens::new(&[0; 16]).issue(node.now, asker().ip(), &[]));
    for (from, token) in [(asker(), Token::new([0; 8])), (asker(), forged), (other, good)] {
        assert_eq!(node.ask(from, store(token)), refused(ErrorCode::BadToken), "{from}");
    }
    let foreign = node.token(other);
    assert_eq!(node.ask(asker(), store(foreign)), refused(ErrorCode::BadToken));
    node.now = node.now + Duration::from_secs(600);
    assert_eq!(node.ask(asker(), store(good)), refused(ErrorCode::BadToken), "ten minutes old");
    assert_eq!(node.held(), 0);
    // From another port, because NATs change them.
    let fresh = node.token(asker());
    assert_eq!(node.ask(SocketAddr::from((ASKER.0, 2)), store(fresh)), Ok(Response::Stored));
}

#[test]
fn each_bad_item_has_an_error_of_its_own_and_is_not_stored() {
    let mut node = Lone::new();
    let hour = 3_600_000;
    assert_eq!(node.store("a", item(TODAY + hour + 1, b"hello")), refused(ErrorCode::FromFuture));
    assert_eq!(node.store("a", item(u64::MAX, b"hello")), refused(ErrorCode::FromFuture));
    assert_eq!(node.store("a", Versioned { life: 0, ..item(1, b"hello") }), refused(ErrorCode::Expired));
    assert_eq!(node.held(), 0);

    let mut full = Lone::with(KvConfig {
        storage: kademlia_core::StorageLimits { bytes: 100, ..KvConfig::default().storage },
        ..KvConfig::default()
    });
    assert_eq!(full.store("a", item(1, b"hello")), refused(ErrorCode::NoRoom));
    assert_eq!(full.held(), 0);

    let token = node.token(asker());
    let mut long = asking(Request::Store { key: key_of("a"), token, item: item(1, &[7; MAX_VALUE]) });
    let length = long.len() - MAX_VALUE - 2;
    long[length + 1] += 1;
    long.push(7);
    let reply = node.tell(asker(), &long).remove(0);
    let Body::Error { code, .. } = reply.body else { panic!("{reply:?}") };
    assert_eq!((code, node.held()), (ErrorCode::TooLong.into(), 0));
}

#[test]
fn the_newest_version_stays_whatever_the_order() {
    let mut items = [
        item(TODAY, b"old"),
        item(TODAY + 1, b"a tie, and this one loses"),
        item(TODAY + 1, b"b tie, and this one wins"),
        Versioned { value: None, ..item(TODAY + 1, b"") },
    ];
    let mut rng = Rng::from_number(1);
    for _ in 0..50 {
        let mut node = Lone::new();
        let at = rng.below(items.len());
        items.rotate_left(at);
        items.swap(0, rng.below(4));
        for item in &items {
            let answer = node.store("greeting", item.clone());
            assert!(answer == Ok(Response::Stored) || answer == refused(ErrorCode::Outdated));
        }
        let kept = node.node.service().pair(node.now, &key_of("greeting")).unwrap();
        assert_eq!(kept.value.unwrap().as_bytes(), b"b tie, and this one wins");
        assert_eq!(node.store("greeting", item(TODAY, b"old")), refused(ErrorCode::Outdated));
        assert_eq!(node.held(), 1);
    }
}

#[test]
fn nobody_is_believed_more_than_a_day_and_what_is_renewed_keeps_its_source() {
    let (mut node, key) = (Lone::new(), key_of("greeting"));
    let claiming = |life| Versioned { life, ..item(1, b"hello") };
    node.store("greeting", claiming(u32::MAX)).unwrap();
    assert_eq!(node.life(&key), Some(86_400));
    node.now = node.now + Duration::from_secs(3_600);
    // A holder says what is left, which prolongs nothing.
    node.store("greeting", claiming(82_000)).unwrap();
    assert_eq!(node.life(&key), Some(82_800));
    let other = SocketAddr::from(([9, 9, 9, 9], 1));
    let token = node.token(other);
    node.ask(other, Request::Store { key, token, item: claiming(86_400) }).unwrap();
    assert_eq!(node.life(&key), Some(86_400));
    assert_eq!(node.node.service().pair(node.now, &key).unwrap().source, IpAddr::from(ASKER.0));
}

#[test]
fn fs_e3_a_copy_far_from_its_key_lives_the_shorter_the_farther_exponentially() {
    let mut node = Lone::new();
    let mut rng = Rng::from_number(1);
    // 20 neighbours within 2⁻⁸ of the space, and others all over it.
    let keys = (0..60).map(|n| Key::new([0; 32]).random_within(if n < 20 { 8 } else { 0 }, &mut rng));
    let contacts: Vec<_> =
        keys.zip(1..).map(|(key, n)| Contact::new(key, SocketAddr::from(([20, n, 0, 1], 1)))).collect();
    node.node.preload(node.now, &contacts);
    let mut life_at = |first: u8, second: u8| {
        let mut key = [0; 32];
        (key[0], key[1]) = (first, second);
        let (key, token) = (Key::new(key), node.token(asker()));
        let item = Versioned { life: 86_400, ..item(1, b"hello") };
        node.ask(asker(), Request::Store { key, token, item }).unwrap();
        node.life(&key).unwrap()
    };
    let lives: Vec<_> = [(0, 1), (0, 255), (2, 0), (4, 0), (8, 0), (16, 0)]
        .map(|(first, second)| life_at(first, second))
        .to_vec();
    println!("{lives:?}");
    assert_eq!(lives[..2], [86_400, 86_400], "among the neighbours");
    assert!(lives.is_sorted_by(|a, b| a >= b));
    for pair in lives[2..].windows(2) {
        assert!(pair[1] * 3 / 2 <= pair[0], "twice as far, at least a factor");
    }
    assert!(lives[5] < 86_400 / 64);
}

#[test]
fn p3_junk_and_answers_that_nobody_asked_for_meet_silence() {
    let (mut node, mut rng) = (Lone::new(), Rng::from_number(1));
    let valid = [
        asking(Request::Ping),
        asking(Request::FindValue { key: key_of("a") }),
        asking(Request::Store { key: key_of("a"), token: Token::new([0; 8]), item: item(1, b"hello") }),
    ];
    for round in 0..50_000 {
        let mut bytes = valid[round % 3].clone();
        for _ in 0..=rng.below(3) {
            let at = rng.below(bytes.len());
            bytes[at] = u8::try_from(rng.below(256)).unwrap();
        }
        bytes.truncate(rng.below(bytes.len()) + 1);
        // Some are still questions, and answered as such.
        node.tell(asker(), &bytes);
        node.now = node.now + Duration::from_millis(100);
    }
    let item = item(1, b"a lie");
    for response in [
        Response::Pong,
        Response::Stored,
        Response::Nodes {
            token: Token::new([1; 8]),
            contacts: vec![Contact::new(Key::new([1; 32]), asker())],
        },
        Response::Found { token: Token::new([1; 8]), item, contacts: Vec::new() },
    ] {
        let body = Body::Response { sender: Key::new([7; 32]), response };
        let mut bytes = Vec::new();
        Compact::encode(&Message { transaction: TransactionId::from(7), observed: None, body }, &mut bytes);
        assert_eq!(node.tell(asker(), &bytes), []);
    }
    assert_eq!((node.held(), node.node.table().len()), (0, 0));
}

/// Whoever asks in another's name: a third of what arrives there, and little in all.
#[test]
fn t9_a_victim_gets_little_of_what_is_asked_in_its_name() {
    let mut node = Lone::new();
    node.store("long", item(1, &[7; MAX_VALUE])).unwrap();
    node.now = node.now + Duration::from_secs(60);
    let victim = SocketAddr::from(([9, 9, 9, 9], 1));
    let question = asking(Request::FindValue { key: key_of("long") });
    let (mut sent, mut received) = (0, 0);
    for _ in 0..10_000 {
        sent += question.len() + 28;
        node.node.handle_datagram(node.now, victim, &question);
        let mut bytes = Vec::new();
        while node.node.poll_transmit(&mut bytes).is_some() {
            received += bytes.len() + 28;
            bytes.clear();
        }
        node.now = node.now + Duration::from_millis(1);
    }
    println!("{sent} bytes in ten seconds brought the victim {received}");
    assert!(received <= 11 * (8 << 10) + (32 << 10) && received * 10 <= sent);
}

#[test]
fn t7_a_flood_of_pairs_stays_within_the_bytes_and_drives_out_no_nearer_one() {
    let limits = kademlia_core::StorageLimits { bytes: 1 << 20, ..KvConfig::default().storage };
    let mut node = Lone::with(KvConfig { storage: limits, ..KvConfig::default() });
    let near = Key::new([0; 32]);
    let token = node.token(asker());
    node.ask(asker(), Request::Store { key: near, token, item: item(1, b"near") }).unwrap();
    let mut rng = Rng::from_number(1);
    for n in 0..20_000_u32 {
        let from = SocketAddr::from((n.wrapping_mul(2_654_435_761).to_be_bytes(), 1));
        let token = Request::FindNode { target: near };
        let Some(message) = node.tell(from, &asking(token)).pop() else { continue };
        let Body::Response { response, .. } = message.body else { continue };
        let store = Request::Store {
            key: Key::random(&mut rng),
            token: response.token().unwrap(),
            item: item(1, &[7; 500]),
        };
        node.tell(from, &asking(store));
        node.now = node.now + Duration::from_millis(20);
    }
    let store = node.node.service().store();
    println!("{} pairs in {} bytes", store.len(), store.bytes());
    assert!(store.bytes() <= 1 << 20 && store.len() > 500);
    assert!(node.node.service().pair(node.now, &near).is_some());
}
