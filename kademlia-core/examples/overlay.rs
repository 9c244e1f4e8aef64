//! A complete overlay in about a hundred lines: a notice board. A notice hangs under a 16-bit number, at the nodes
//! whose keys are closest to it. Run it with `cargo run -p kademlia-core --example overlay`.

#![allow(clippy::print_stdout, reason = "an example speaks")]

// The overlay begins here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use kademlia_core::{
    Body, Codec, Contact, Key, Keyspace, Malformed, Message, Protocol, Reply, ServeContext, Service,
    TransactionId,
};

/// What the overlay says. There is one request: "what hangs here, and who is close?", perhaps with a notice to hang.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Board;

#[derive(Clone, Debug, PartialEq)]
struct Request(Key<2>, Option<String>);

#[derive(Clone, Debug, Default, PartialEq)]
struct Response(Option<String>, Vec<Contact<Key<2>>>);

impl Protocol for Board {
    type Key = Key<2>;
    type Request = Request;
    type Response = Response;
    type Codec = Bytes;

    fn ping() -> Request {
        Request(Key::ZERO, None)
    }
    fn find_node(target: Key<2>) -> Request {
        Request(target, None)
    }
    fn contacts(response: &Response) -> &[Contact<Key<2>>] {
        &response.1
    }
}

/// Its bytes: kind, transaction, sender; then the key, or the number of contacts and the contacts; then the notice.
struct Bytes;

impl Codec<Board> for Bytes {
    fn encode(message: &Message<Board>, out: &mut Vec<u8>) {
        let (kind, sender, notice) = match &message.body {
            Body::Request { sender, request, .. } => (b'?', sender, &request.1),
            Body::Response { sender, response } => (b'!', sender, &response.0),
            Body::Error { .. } => return, // this overlay has none
        };
        out.push(kind);
        out.extend_from_slice(message.transaction.as_bytes());
        out.extend_from_slice(sender.as_bytes());
        match &message.body {
            Body::Request { request, .. } => out.extend_from_slice(request.0.as_bytes()),
            Body::Response { response: Response(_, contacts), .. } => {
                let v4 = |contact: &Contact<Key<2>>| match contact.addr {
                    SocketAddr::V4(addr) => Some((contact.key, addr)),
                    SocketAddr::V6(_) => None,
                };
                let contacts: Vec<_> = contacts.iter().filter_map(v4).take(16).collect();
                out.extend(u8::try_from(contacts.len()));
                for (key, addr) in contacts {
                    out.extend_from_slice(key.as_bytes());
                    out.extend_from_slice(&addr.ip().octets());
                    out.extend_from_slice(&addr.port().to_be_bytes());
                }
            }
            Body::Error { .. } => {}
        }
        out.extend(notice.iter().flat_map(|notice| notice.bytes()));
    }

    fn decode(datagram: &[u8]) -> Result<Message<Board>, Malformed> {
        read(datagram).ok_or(Malformed::Garbage("not a notice-board message"))
    }
}

fn read(datagram: &[u8]) -> Option<Message<Board>> {
    let ([kind, transaction @ .., s0, s1], rest) = datagram.split_first_chunk::<7>()?;
    let sender = Key::new([*s0, *s1]);
    let notice = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().filter(|notice| !notice.is_empty());
    let body = if *kind == b'?' {
        let (key, rest) = rest.split_first_chunk()?;
        Body::Request { sender, read_only: false, request: Request(Key::new(*key), notice(rest)) }
    } else {
        let (count, rest) = rest.split_first()?;
        let (contacts, rest) = rest.split_at_checked(usize::from(*count) * 8)?;
        let contact = |b: &[u8; 8]| {
            let addr =
                SocketAddrV4::new(Ipv4Addr::new(b[2], b[3], b[4], b[5]), u16::from_be_bytes([b[6], b[7]]));
            Contact::new(Key::new([b[0], b[1]]), addr.into())
        };
        let contacts = contacts.as_chunks().0.iter().map(contact).collect();
        Body::Response { sender, response: Response(notice(rest), contacts) }
    };
    Some(Message { transaction: TransactionId::new(transaction)?, observed: None, body })
}

/// What a node does: it keeps up to a thousand notices and names its neighbours.
#[derive(Default)]
struct Notices(BTreeMap<Key<2>, String>);

impl Service<Board> for Notices {
    fn serve(&mut self, Request(key, notice): Request, cx: &ServeContext<'_, Board>) -> Reply<Board> {
        if let Some(notice) = notice.filter(|_| self.0.len() < 1_000) {
            self.0.insert(key, notice);
        }
        let mut contacts = Vec::new();
        cx.closest(&key, cx.family(), 8, &mut contacts);
        Reply::Response(Response(self.0.get(&key).cloned(), contacts))
    }
}

// The overlay ends here. Below: twenty nodes of it in one process, where sending a datagram is a call.

use kademlia_core::{Config, Event, Instant, LookupOptions, Node};

type Network = BTreeMap<SocketAddr, Node<Board, Notices>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let addr = |n: u8| SocketAddr::from(([10, 0, 0, n], 1));
    let mut network = Network::new();
    for n in 1..=20_u8 {
        let key = Key::new([n.wrapping_mul(97), n]);
        let config = Config::default().private_network();
        let mut node = Node::new(Notices::default(), key, config, [n; 32], Instant::ZERO);
        if n > 1 {
            node.bootstrap(Instant::ZERO, &[addr(1)]);
        }
        network.insert(addr(n), node);
    }
    deliver(&mut network);

    let (key, options) =
        (Key::new([0xca, 0xfe]), LookupOptions { answers: true, ..LookupOptions::default() });
    let hang =
        move |_: &Contact<_>, _: &Response| Some(Request(key, Some("fresh coffee, second floor".to_owned())));
    let writer = network.get_mut(&addr(20)).ok_or("no such node")?;
    writer.publish(Instant::ZERO, key, Board::find_node(key), Box::new(hang), options)?;
    deliver(&mut network);

    let reader = network.get_mut(&addr(2)).ok_or("no such node")?;
    reader.lookup(Instant::ZERO, key, Board::find_node(key), options)?;
    let notices = deliver(&mut network);
    println!("{} nodes say: {}", notices.len(), notices.first().map_or("nothing", String::as_str));
    assert!(notices.len() >= 7, "the eight closest hold it, and the reader may be one of them");
    Ok(())
}

/// Carries datagrams until nobody sends any; gives back the notices that lookups met.
fn deliver(network: &mut Network) -> Vec<String> {
    let mut notices = Vec::new();
    loop {
        let mut flying = Vec::new();
        for (from, node) in network.iter_mut() {
            let mut datagram = Vec::new();
            while let Some(to) = node.poll_transmit(&mut datagram) {
                flying.push((*from, to, std::mem::take(&mut datagram)));
            }
            while let Some(event) = node.poll_event() {
                if let Event::Answer { response: Response(Some(notice), _), .. } = event {
                    notices.push(notice);
                }
            }
        }
        if flying.is_empty() {
            return notices;
        }
        for (from, to, datagram) in flying {
            if let Some(node) = network.get_mut(&to) {
                node.handle_datagram(Instant::ZERO, from, &datagram);
            }
        }
    }
}
