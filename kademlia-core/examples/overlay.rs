//! A complete overlay in about a hundred lines: a notice board. Whoever knows a 16-bit number can read the notice
//! that hangs under it, at the nodes whose keys are closest to the number.
//!
//! `cargo run -p kademlia-core --example overlay`

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kademlia_core::{
    Body, Codec, Config, Contact, Event, Instant, Key, LookupOptions, Malformed, Message, Node, Protocol, Reply,
    ServeContext, Service, TransactionId,
};

// What the overlay says: two RPCs besides ping, over 16-bit keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Board;

#[derive(Clone, Debug, PartialEq)]
enum Request {
    Ping,
    Read(Key<2>), // answered with contacts, and with the notice if there is one
    Hang(Key<2>, String),
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Response {
    notice: Option<String>,
    contacts: Vec<Contact<Key<2>>>,
}

impl Protocol for Board {
    type Key = Key<2>;
    type Request = Request;
    type Response = Response;
    type Codec = Text;

    fn ping() -> Request {
        Request::Ping
    }
    fn find_node(target: Key<2>) -> Request {
        Request::Read(target)
    }
    fn contacts(response: &Response) -> &[Contact<Key<2>>] {
        &response.contacts
    }
}

// Its bytes: words, with the free text last.
struct Text;

impl Codec<Board> for Text {
    fn encode(message: &Message<Board>, out: &mut Vec<u8>) {
        let id = message.transaction.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = match &message.body {
            Body::Request { sender, request: Request::Ping, .. } => format!("ping {id} {sender}"),
            Body::Request { sender, request: Request::Read(key), .. } => format!("read {id} {sender} {key}"),
            Body::Request { sender, request: Request::Hang(key, text), .. } => format!("hang {id} {sender} {key} {text}"),
            Body::Response { sender, response } => {
                let contacts: Vec<_> = response.contacts.iter().map(|c| format!("{}@{}", c.key, c.addr)).collect();
                let notice = response.notice.iter().map(|text| format!(" {text}")).collect::<String>();
                format!("answer {id} {sender} {}{notice}", contacts.join(","))
            }
            Body::Error { code, text } => format!("error {id} {code} {text}"),
        };
        out.extend_from_slice(line.as_bytes());
    }

    fn decode(datagram: &[u8]) -> Result<Message<Board>, Malformed> {
        parse(datagram).ok_or(Malformed::Garbage("not a notice-board message"))
    }
}

fn parse(datagram: &[u8]) -> Option<Message<Board>> {
    let mut words = std::str::from_utf8(datagram).ok()?.splitn(5, ' ');
    let (verb, id, sender) = (words.next()?, words.next()?, words.next()?.parse().ok());
    let transaction = TransactionId::from(u32::from_str_radix(id, 16).ok()?);
    let request = |request| Some(Body::Request { sender: sender?, read_only: false, request });
    let body = match verb {
        "ping" => request(Request::Ping)?,
        "read" => request(Request::Read(words.next()?.parse().ok()?))?,
        "hang" => request(Request::Hang(words.next()?.parse().ok()?, words.next()?.to_owned()))?,
        "answer" => {
            let contact = |word: &str| {
                let (key, addr) = word.split_once('@')?;
                Some(Contact::new(key.parse().ok()?, addr.parse().ok()?))
            };
            let contacts = words.next()?.split(',').filter_map(contact).take(16).collect();
            Body::Response { sender: sender?, response: Response { notice: words.next().map(str::to_owned), contacts } }
        }
        _ => return None,
    };
    Some(Message { transaction, observed: None, body })
}

// What a node does: keeps notices and names its neighbours.
#[derive(Default)]
struct Notices(BTreeMap<Key<2>, String>);

impl Service<Board> for Notices {
    fn serve(&mut self, request: Request, cx: &ServeContext<'_, Board>) -> Reply<Board> {
        let mut response = Response::default();
        match request {
            Request::Hang(key, text) if self.0.len() < 1_000 => drop(self.0.insert(key, text)),
            Request::Read(key) => {
                response.notice = self.0.get(&key).cloned();
                cx.closest(&key, cx.family(), 8, &mut response.contacts);
            }
            _ => {}
        }
        Reply::Response(response)
    }
}

// Twenty nodes in one process: a datagram is a call.
fn main() {
    let mut nodes: BTreeMap<SocketAddr, Node<Board, Notices>> = BTreeMap::new();
    let now = Instant::ZERO;
    for n in 1..=20_u8 {
        let key = Key::new([n.wrapping_mul(97), n]);
        let node = Node::new(Notices::default(), key, Config::default().private_network(), [n; 32], now);
        nodes.insert(SocketAddr::from(([10, 0, 0, n], 1)), node);
    }
    let (first, last) = (SocketAddr::from(([10, 0, 0, 1], 1)), SocketAddr::from(([10, 0, 0, 20], 1)));
    for node in nodes.values_mut().skip(1) {
        node.bootstrap(now, &[first]);
    }
    deliver(&mut nodes, now);

    let (key, text) = (Key::new([0xca, 0xfe]), "fresh coffee on the second floor");
    let hang = Box::new(move |_: &Contact<_>, _: &Response| Some(Request::Hang(key, text.to_owned())));
    let options = LookupOptions { answers: true, ..LookupOptions::default() };
    nodes.get_mut(&last).map(|node| node.publish(now, key, Request::Read(key), hang, options));
    deliver(&mut nodes, now);
    nodes.get_mut(&first).map(|node| node.lookup(now, key, Request::Read(key), options));
    let notices = deliver(&mut nodes, now);
    println!("{} of the closest nodes say: {:?}", notices.len(), notices.first());
    assert!(notices.len() >= 8 && notices.iter().all(|notice| notice == text));
}

/// Carries datagrams until nobody sends any; gives back the notices that lookups met.
fn deliver(nodes: &mut BTreeMap<SocketAddr, Node<Board, Notices>>, now: Instant) -> Vec<String> {
    let mut notices = Vec::new();
    loop {
        let mut flying = Vec::new();
        for (from, node) in nodes.iter_mut() {
            let mut datagram = Vec::new();
            while let Some(to) = node.poll_transmit(&mut datagram) {
                flying.push((*from, to, std::mem::take(&mut datagram)));
            }
            while let Some(event) = node.poll_event() {
                if let Event::Answer { response: Response { notice: Some(notice), .. }, .. } = event {
                    notices.push(notice);
                }
            }
        }
        if flying.is_empty() {
            return notices;
        }
        for (from, to, datagram) in flying {
            if let Some(node) = nodes.get_mut(&to) {
                node.handle_datagram(now, from, &datagram);
            }
        }
    }
}
