//! From a message to its bytes, of which there are never more than [`MAX_DATAGRAM`].

use core::convert::Infallible;
use core::net::SocketAddr;

use kademlia_core::{Body, Contact, Family, Key, Message};
use minicbor::Encoder;
use minicbor::encode::Error;

use super::read::cut;
use super::{Field, MAX_CONTACTS, MAX_DATAGRAM, MAX_RECORDS, QUESTION, address, what};
use crate::message::{Request, Response};
use crate::protocol::SignedRecords;
use crate::record::SignedRecord;

/// Appends the message.
pub(super) fn message(message: &Message<SignedRecords>, out: &mut Vec<u8>) {
    let mut map = Map::new(out);
    let number = match &message.body {
        Body::Request { request, .. } => number_of(request),
        Body::Response { .. } => what::RESPONSE,
        Body::Error { .. } => what::ERROR,
    };
    map.field(Field::What, |out| out.u8(number)?.ok());
    map.bytes(Field::Transaction, message.transaction.as_bytes());
    if let Body::Request { sender, .. } | Body::Response { sender, .. } = &message.body {
        map.bytes(Field::Sender, sender.as_ref());
    }
    match &message.body {
        Body::Request { read_only, request: asked, .. } => {
            map.flag(Field::ReadOnly, *read_only);
            request(asked, &mut map);
        }
        Body::Response { response: said, .. } => {
            map.addr(Field::Observed, message.observed);
            response(said, &mut map);
        }
        Body::Error { code, text } => {
            map.addr(Field::Observed, message.observed);
            map.field(Field::Code, |out| out.i64(*code)?.ok());
            map.field(Field::Text, |out| out.str(cut(text))?.ok());
        }
    }
    map.finish();
}

fn number_of(request: &Request) -> u8 {
    match request {
        Request::Ping => what::PING,
        Request::Identify { .. } => what::IDENTIFY,
        Request::FindNode { .. } => what::FIND_NODE,
        Request::Find { .. } => what::FIND,
        Request::Store { .. } => what::STORE,
        Request::Probe { .. } => what::PROBE,
        Request::Echo { .. } => what::ECHO,
    }
}

fn request(request: &Request, map: &mut Map<'_>) {
    match request {
        Request::Ping => {}
        Request::Identify { nonce } | Request::Echo { nonce } => map.bytes(Field::Nonce, nonce),
        Request::FindNode { target } => {
            map.bytes(Field::Target, target.as_ref());
            map.pad();
        }
        Request::Find { target, kind, after } => {
            map.bytes(Field::Target, target.as_ref());
            if let Some(kind) = kind {
                map.field(Field::Kind, |out| out.u8(kind.number())?.ok());
            }
            if let Some(after) = after {
                map.bytes(Field::After, &after.to_bytes());
            }
            map.pad();
        }
        Request::Store { key, record, token } => {
            map.bytes(Field::Target, key.as_ref());
            map.bytes(Field::Token, token.as_bytes());
            map.records(core::slice::from_ref(record));
        }
        Request::Probe { addr, nonce, token } => {
            map.bytes(Field::Nonce, nonce);
            map.addr(Field::Addr, Some(*addr));
            map.bytes(Field::Token, token.as_bytes());
        }
    }
}

fn response(response: &Response, map: &mut Map<'_>) {
    let Response { contacts, records, more, token, signature } = response;
    if let Some(token) = token {
        map.bytes(Field::Token, token.as_bytes());
    }
    if let Some(signature) = signature {
        map.bytes(Field::Signature, signature.as_bytes());
    }
    // With records there is room for the eight nearest only.
    let most = if records.is_empty() { MAX_CONTACTS } else { MAX_CONTACTS.min(8) };
    let contacts = contacts.get(..most).unwrap_or(contacts);
    map.contacts(Field::ContactsV4, Family::V4, contacts);
    map.contacts(Field::ContactsV6, Family::V6, contacts);
    let all = map.records(records);
    map.flag(Field::More, *more || !all);
}

/// A map being written. Its header is one byte, as long as there are no more than 23 entries.
struct Map<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    count: u8,
}

/// The header of a map, without its length.
const MAP: u8 = 0xa0;
/// The header of an array, without its length.
const ARRAY: u8 = 0x80;
/// What [`Field::More`] takes.
const MORE: usize = 2;
/// What [`Field::Padding`] takes beside its zeros, if there are no more than 255; otherwise one more.
const PADDING: usize = 3;

impl<'o> Map<'o> {
    fn new(out: &'o mut Vec<u8>) -> Self {
        let start = out.len();
        out.push(MAP);
        Map { out, start, count: 0 }
    }

    fn finish(self) {
        if let Some(header) = self.out.get_mut(self.start) {
            *header |= self.count;
        }
    }

    /// Writing into memory cannot fail.
    fn field(
        &mut self,
        field: Field,
        write: impl FnOnce(&mut Encoder<&mut Vec<u8>>) -> Result<(), Error<Infallible>>,
    ) {
        let mut encoder = Encoder::new(&mut *self.out);
        let _ = encoder.u8(field as u8).map(|_| ()).and_then(|()| write(&mut encoder));
        self.count += 1;
    }

    fn bytes(&mut self, field: Field, bytes: &[u8]) {
        self.field(field, |out| out.bytes(bytes)?.ok());
    }

    /// Zeros up to [`QUESTION`] bytes or one more, as the last field.
    fn pad(&mut self) {
        let zeros = (self.start + QUESTION).saturating_sub(self.out.len() + PADDING);
        self.bytes(Field::Padding, [0; QUESTION].get(..zeros).unwrap_or_default());
    }

    fn flag(&mut self, field: Field, set: bool) {
        if set {
            self.field(field, |out| out.bool(true)?.ok());
        }
    }

    fn addr(&mut self, field: Field, addr: Option<SocketAddr>) {
        if let Some(addr) = addr {
            let mut bytes = Vec::with_capacity(18);
            address::write(addr, &mut bytes);
            self.bytes(field, &bytes);
        }
    }

    fn contacts(&mut self, field: Field, family: Family, contacts: &[Contact<Key<32>>]) {
        let mut bytes = Vec::new();
        for contact in contacts.iter().filter(|contact| Family::of(&contact.addr) == family) {
            bytes.extend_from_slice(contact.key.as_ref());
            address::write(contact.addr, &mut bytes);
        }
        if !bytes.is_empty() {
            self.bytes(field, &bytes);
        }
    }

    /// As many records as fit, from the first on; gives back whether that was all of them.
    fn records(&mut self, records: &[SignedRecord]) -> bool {
        if records.is_empty() {
            return true;
        }
        self.field(Field::Records, |_| Ok(()));
        let header = self.out.len();
        self.out.push(ARRAY);
        let mut count = 0_u8;
        for record in records.iter().take(MAX_RECORDS) {
            let before = self.out.len();
            record.write_cbor(self.out);
            if self.out.len() - self.start + MORE > MAX_DATAGRAM {
                self.out.truncate(before);
                break;
            }
            count += 1;
        }
        if let Some(header) = self.out.get_mut(header) {
            *header |= count;
        }
        usize::from(count) == records.len()
    }
}
