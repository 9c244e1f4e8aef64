//! A small overlay with keys of any width, for the tests and examples of this crate.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part")]

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use kademlia_core::{
    Body, Codec, Config, Contact, Contacts, Key, Keyspace, Malformed, Message, Node, Protocol, Reply,
    ServeContext, Service, TransactionId,
};
use transport_mem::Birth;

/// The vocabulary: ping and find_node over keys of `N` bytes. Also its codec, and its service: who needs no state
/// can be all three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiny<const N: usize>;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Request<K> {
    Ping,
    FindNode(K),
}

impl<const N: usize> Protocol for Tiny<N> {
    type Key = Key<N>;
    type Request = Request<Key<N>>;
    type Response = Contacts<Key<N>>;
    type Codec = Self;

    fn ping() -> Self::Request {
        Request::Ping
    }

    fn find_node(target: Key<N>) -> Self::Request {
        Request::FindNode(target)
    }

    fn contacts(response: &Self::Response) -> &[Contact<Key<N>>] {
        response
    }
}

impl<const N: usize> Service<Tiny<N>> for Tiny<N> {
    fn serve(&mut self, request: Request<Key<N>>, cx: &ServeContext<'_, Tiny<N>>) -> Reply<Tiny<N>> {
        let mut closest = Contacts::new();
        if let Request::FindNode(target) = request {
            cx.closest(&target, cx.family(), 8, &mut closest);
        }
        Reply::Response(closest)
    }
}

/// A node of this overlay.
pub fn node<const N: usize>(birth: Birth<Key<N>>, config: &Arc<Config>) -> Node<Tiny<N>, Tiny<N>> {
    Node::new(Tiny, birth.key, Arc::clone(config), birth.seed, birth.now)
}

// One byte for the kind of message, the transaction id after its length, the sender, and then:
const PING: u8 = 0; // nothing
const FIND_NODE: u8 = 1; // the target
const CONTACTS: u8 = 2; // the observed address, then contacts: key and address each
const ERROR: u8 = 3; // the code, then the text; without a sender
const READ_ONLY: u8 = 0x80; // added to the kind of a request

impl<const N: usize> Codec<Tiny<N>> for Tiny<N> {
    fn decode(datagram: &[u8]) -> Result<Message<Tiny<N>>, Malformed> {
        read(datagram).ok_or(Malformed::Garbage("not of this overlay"))
    }

    fn encode(message: &Message<Tiny<N>>, out: &mut Vec<u8>) {
        let kind = match &message.body {
            Body::Request { read_only, request, .. } => {
                u8::from(*read_only) * READ_ONLY + if *request == Request::Ping { PING } else { FIND_NODE }
            }
            Body::Response { .. } => CONTACTS,
            Body::Error { .. } => ERROR,
        };
        let transaction = message.transaction.as_bytes();
        out.push(kind);
        out.push(transaction.len().to_le_bytes()[0]);
        out.extend_from_slice(transaction);
        match &message.body {
            Body::Request { sender, request, .. } => {
                out.extend_from_slice(sender.as_bytes());
                if let Request::FindNode(target) = request {
                    out.extend_from_slice(target.as_bytes());
                }
            }
            Body::Response { sender, response } => {
                out.extend_from_slice(sender.as_bytes());
                write_addr(message.observed.unwrap_or(SocketAddr::from(([0; 4], 0))), out);
                for contact in response.iter() {
                    out.extend_from_slice(contact.key.as_bytes());
                    write_addr(contact.addr, out);
                }
            }
            Body::Error { code, text } => {
                out.extend_from_slice(&code.to_be_bytes());
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

fn read<const N: usize>(mut bytes: &[u8]) -> Option<Message<Tiny<N>>> {
    let bytes = &mut bytes;
    let [kind, len] = *take(bytes, 2)? else {
        return None;
    };
    let transaction = TransactionId::new(take(bytes, len.into())?)?;
    if kind == ERROR {
        let code = i64::from_be_bytes(take(bytes, 8)?.try_into().ok()?);
        let text = String::from_utf8(bytes.to_vec()).ok()?;
        return Some(Message { transaction, observed: None, body: Body::Error { code, text } });
    }
    let sender = Key::from_slice(take(bytes, N)?)?;
    if kind == CONTACTS {
        let observed = Some(read_addr(bytes)?).filter(|addr| addr.port() != 0);
        let mut response = Contacts::new();
        while !bytes.is_empty() {
            let key = Key::from_slice(take(bytes, N)?)?;
            response.push(Contact::new(key, read_addr(bytes)?)).ok()?;
        }
        return Some(Message { transaction, observed, body: Body::Response { sender, response } });
    }
    let request = match kind & !READ_ONLY {
        PING => Request::Ping,
        FIND_NODE => Request::FindNode(Key::from_slice(take(bytes, N)?)?),
        _ => return None,
    };
    let body = Body::Request { sender, read_only: kind & READ_ONLY != 0, request };
    bytes.is_empty().then_some(Message { transaction, observed: None, body })
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

fn write_addr(addr: SocketAddr, out: &mut Vec<u8>) {
    match addr.ip() {
        IpAddr::V4(ip) => {
            out.push(4);
            out.extend_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            out.push(16);
            out.extend_from_slice(&ip.octets());
        }
    }
    out.extend_from_slice(&addr.port().to_be_bytes());
}

fn read_addr(bytes: &mut &[u8]) -> Option<SocketAddr> {
    let len = *take(bytes, 1)?.first()?;
    let ip = match len {
        4 => IpAddr::from(<[u8; 4]>::try_from(take(bytes, 4)?).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(take(bytes, 16)?).ok()?),
        _ => return None,
    };
    let port = u16::from_be_bytes(take(bytes, 2)?.try_into().ok()?);
    Some(SocketAddr::new(ip, port))
}
