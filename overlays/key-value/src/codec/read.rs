//! From bytes to messages: strict, in one pass, and never more memory than the bytes ask for.

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use kademlia_core::{Body, Contact, Key, MAX_TRANSACTION_ID, Malformed, Message, TransactionId};

use super::{
    ERROR, FIND_NODE, FIND_VALUE, FOUND, NODES, PING, PONG, QUESTION, READ_ONLY, REMOVED, STORE, STORED,
    TEXT, VERSION,
};
use crate::pair::Value;
use crate::protocol::{ErrorCode, Id, K, KeyValue, Request, Response, Versioned};
use crate::token::Token;

const GARBAGE: Malformed = Malformed::Garbage("not a key-value message");

/// Set in the kind of everything that answers.
const ANSWERS: u8 = 0x80;

pub(super) fn message(datagram: &[u8]) -> Result<Message<KeyValue>, Malformed> {
    let mut bytes = Bytes(datagram);
    if bytes.byte().ok_or(GARBAGE)? != VERSION {
        return Err(GARBAGE);
    }
    let kind = bytes.byte().ok_or(GARBAGE)?;
    let transaction = bytes.transaction().ok_or(GARBAGE)?;
    if kind & ANSWERS == 0 {
        let sender = bytes.key().ok_or(GARBAGE)?;
        let read_only = kind & READ_ONLY != 0;
        let refusal = |code: ErrorCode, text| Malformed::Request { transaction, code: code.into(), text };
        let request = match request(kind & !READ_ONLY, &mut bytes, datagram.len()).ok_or(GARBAGE)? {
            Question::Asked(request) => request,
            Question::Unknown => return Err(refusal(ErrorCode::UnknownRequest, "unknown request")),
            Question::TooLong => return Err(refusal(ErrorCode::TooLong, "value too long")),
        };
        return Ok(Message {
            transaction,
            observed: None,
            body: Body::Request { sender, read_only, request },
        });
    }
    answer(kind, transaction, &mut bytes).ok_or(GARBAGE)
}

fn answer(kind: u8, transaction: TransactionId, bytes: &mut Bytes<'_>) -> Option<Message<KeyValue>> {
    let sender = if kind == ERROR { None } else { Some(bytes.key()?) };
    let observed = bytes.observed()?;
    let body = match sender {
        Some(sender) => Body::Response { sender, response: response(kind, bytes)? },
        None => {
            let code = i64::from_be_bytes(*bytes.take()?);
            let text = str::from_utf8(bytes.rest()).ok().filter(|text| text.len() <= TEXT)?;
            Body::Error { code, text: text.to_owned() }
        }
    };
    bytes.is_empty().then_some(Message { transaction, observed, body })
}

/// What can be said of a request whose frame is in order.
enum Question {
    Asked(Request),
    Unknown,
    TooLong,
}

fn request(kind: u8, bytes: &mut Bytes<'_>, length: usize) -> Option<Question> {
    let request = match kind {
        PING => Request::Ping,
        STORE => {
            let (key, token) = (bytes.key()?, Token::new(*bytes.take()?));
            match bytes.item()? {
                Some(item) => Request::Store { key, token, item },
                None => return Some(Question::TooLong),
            }
        }
        FIND_NODE | FIND_VALUE => {
            let key = bytes.key()?;
            let padded = length == QUESTION && bytes.rest().iter().all(|byte| *byte == 0);
            if !padded {
                return None;
            }
            if kind == FIND_NODE { Request::FindNode { target: key } } else { Request::FindValue { key } }
        }
        _ => return Some(Question::Unknown),
    };
    bytes.is_empty().then_some(Question::Asked(request))
}

fn response(kind: u8, bytes: &mut Bytes<'_>) -> Option<Response> {
    match kind {
        PONG => Some(Response::Pong),
        STORED => Some(Response::Stored),
        NODES => Some(Response::Nodes { token: Token::new(*bytes.take()?), contacts: bytes.contacts()? }),
        FOUND => {
            let token = Token::new(*bytes.take()?);
            Some(Response::Found { token, item: bytes.item()??, contacts: bytes.contacts()? })
        }
        _ => None,
    }
}

/// What has not been read yet.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take<const N: usize>(&mut self) -> Option<&'a [u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(taken)
    }

    fn slice(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn byte(&mut self) -> Option<u8> {
        self.take().map(|[byte]| *byte)
    }

    fn key(&mut self) -> Option<Id> {
        self.take().map(|key| Key::new(*key))
    }

    fn transaction(&mut self) -> Option<TransactionId> {
        let length = usize::from(self.byte()?);
        let id = self.slice(length).filter(|_| length <= MAX_TRANSACTION_ID)?;
        TransactionId::new(id)
    }

    fn observed(&mut self) -> Option<Option<SocketAddr>> {
        match self.byte()? {
            0 => Some(None),
            4 => self.addr_v4().map(Some),
            6 => self.addr_v6().map(Some),
            _ => None,
        }
    }

    fn addr_v4(&mut self) -> Option<SocketAddr> {
        let ip = Ipv4Addr::from(*self.take()?);
        Some(SocketAddr::new(ip.into(), self.port()?))
    }

    fn addr_v6(&mut self) -> Option<SocketAddr> {
        let ip = Ipv6Addr::from(*self.take::<16>()?);
        Some(SocketAddr::new(ip.into(), self.port()?))
    }

    fn port(&mut self) -> Option<u16> {
        self.take().map(|port| u16::from_be_bytes(*port))
    }

    /// `Some(None)` if all is in order but the value's length.
    fn item(&mut self) -> Option<Option<Versioned>> {
        let version = u64::from_be_bytes(*self.take()?);
        let life = u32::from_be_bytes(*self.take()?);
        let value = match u16::from_be_bytes(*self.take()?) {
            REMOVED => None,
            length => {
                let Ok(value) = Value::new(self.slice(length.into())?) else { return Some(None) };
                Some(value)
            }
        };
        Some(Some(Versioned { version, value, life }))
    }

    fn contacts(&mut self) -> Option<Vec<Contact<Id>>> {
        let (v4, v6) = (usize::from(self.byte()?), usize::from(self.byte()?));
        if v4 + v6 > K {
            return None;
        }
        let mut contacts = Vec::with_capacity(v4 + v6);
        for _ in 0..v4 {
            contacts.push(Contact::new(self.key()?, self.addr_v4()?));
        }
        for _ in 0..v6 {
            contacts.push(Contact::new(self.key()?, self.addr_v6()?));
        }
        Some(contacts)
    }
}
