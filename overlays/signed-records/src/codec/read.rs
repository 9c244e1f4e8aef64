//! From a datagram to a message, or to whose fault it is that there is none.

use kademlia_core::{Body, Key, Malformed, Message, TransactionId};

use super::address::read_contacts;
use super::fields::Fields;
use super::{Field, MAX_CONTACTS, MAX_DATAGRAM, MAX_ERROR_TEXT, MAX_RECORDS, QUESTION, what};
use crate::identity::{PublicKey, Signature};
use crate::message::{Request, Response, Token};
use crate::protocol::SignedRecords;
use crate::record::{Kind, SignedRecord};
use crate::refusal::Refusal;

type M = Message<SignedRecords>;

const GARBAGE: Malformed = Malformed::Garbage("not a message of this overlay");

/// Reads one datagram.
pub(super) fn message(datagram: &[u8]) -> Result<M, Malformed> {
    if datagram.len() > MAX_DATAGRAM {
        return Err(Malformed::Garbage("longer than any message"));
    }
    let fields = Fields::of(datagram).ok_or(GARBAGE)?;
    let garbage = |_: Refusal| GARBAGE;
    let what = fields.number(Field::What).map_err(garbage)?.ok_or(GARBAGE)?;
    let transaction = fields.bytes(Field::Transaction).map_err(garbage)?;
    let transaction = transaction.and_then(TransactionId::new).ok_or(GARBAGE)?;
    let refused = |refusal: Refusal| {
        let (code, text) = (refusal.code(), refusal.text());
        Malformed::Request { transaction, code, text }
    };
    match what {
        // Nobody answers a reply, whatever is wrong with it (T10).
        what::RESPONSE => response(&fields, transaction).map_err(garbage),
        what::ERROR => error(&fields, transaction).map_err(garbage),
        // Its answer would be longer than it deserves (T9).
        what::FIND_NODE | what::FIND if datagram.len() < QUESTION => Err(refused(Refusal::Malformed)),
        method => request(&fields, transaction, method).map_err(refused),
    }
}

fn key(fields: &Fields<'_>, field: Field) -> Result<Key<32>, Refusal> {
    fields.fixed(field)?.map(Key::new).ok_or(Refusal::Malformed)
}

fn response(fields: &Fields<'_>, transaction: TransactionId) -> Result<M, Refusal> {
    let mut contacts = Vec::new();
    if let Some(bytes) = fields.bytes(Field::ContactsV4)? {
        contacts.extend(read_contacts::<38>(bytes, MAX_CONTACTS).ok_or(Refusal::Malformed)?);
    }
    if let Some(bytes) = fields.bytes(Field::ContactsV6)? {
        let room = MAX_CONTACTS - contacts.len();
        contacts.extend(read_contacts::<50>(bytes, room).ok_or(Refusal::Malformed)?);
    }
    let response = Response {
        contacts,
        records: fields.records(MAX_RECORDS)?,
        more: fields.flag(Field::More)?,
        token: fields.fixed(Field::Token)?.map(Token),
        signature: fields.fixed(Field::Signature)?.map(Signature::new),
    };
    let body = Body::Response { sender: key(fields, Field::Sender)?, response };
    Ok(Message { transaction, observed: fields.addr(Field::Observed)?, body })
}

fn error(fields: &Fields<'_>, transaction: TransactionId) -> Result<M, Refusal> {
    let text = fields.text()?.unwrap_or_default();
    let code = fields.code()?.ok_or(Refusal::Malformed)?;
    let body = Body::Error { code, text: cut(text).to_owned() };
    Ok(Message { transaction, observed: fields.addr(Field::Observed)?, body })
}

fn request(fields: &Fields<'_>, transaction: TransactionId, method: u8) -> Result<M, Refusal> {
    let nonce = || fields.fixed(Field::Nonce)?.ok_or(Refusal::Malformed);
    let token = || fields.fixed(Field::Token)?.map(Token).ok_or(Refusal::Malformed);
    let request = match method {
        what::PING => Request::Ping,
        what::IDENTIFY => Request::Identify { nonce: nonce()? },
        what::FIND_NODE => Request::FindNode { target: key(fields, Field::Target)? },
        what::FIND => Request::Find {
            target: key(fields, Field::Target)?,
            kind: kind(fields)?,
            after: fields.fixed(Field::After)?.map(PublicKey::new),
        },
        what::STORE => {
            Request::Store { key: key(fields, Field::Target)?, token: token()?, record: one_record(fields)? }
        }
        what::PROBE => Request::Probe {
            addr: fields.addr(Field::Addr)?.ok_or(Refusal::Malformed)?,
            nonce: nonce()?,
            token: token()?,
        },
        what::ECHO => Request::Echo { nonce: nonce()? },
        _ => return Err(Refusal::Unknown),
    };
    let read_only = fields.flag(Field::ReadOnly)?;
    let body = Body::Request { sender: key(fields, Field::Sender)?, read_only, request };
    Ok(Message { transaction, observed: None, body })
}

fn kind(fields: &Fields<'_>) -> Result<Option<Kind>, Refusal> {
    let Some(number) = fields.number(Field::Kind)? else { return Ok(None) };
    Kind::from_number(number).map(Some).ok_or(Refusal::Malformed)
}

fn one_record(fields: &Fields<'_>) -> Result<SignedRecord, Refusal> {
    fields.records(1)?.pop().ok_or(Refusal::Malformed)
}

/// As much of an error's text as is kept.
pub(super) fn cut(text: &str) -> &str {
    let fits = |at: &usize| *at <= MAX_ERROR_TEXT;
    let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
    ends.take_while(fits).last().and_then(|end| text.get(..end)).unwrap_or_default()
}
