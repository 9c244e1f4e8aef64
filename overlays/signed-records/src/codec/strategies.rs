//! Arbitrary messages, as far as they can be said.

use core::net::{IpAddr, SocketAddr};

use kademlia_core::{Body, Contact, Key, Message, TransactionId};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::identity::{PublicKey, Signature};
use crate::message::{Request, Response, Token};
use crate::protocol::SignedRecords;
use crate::record::{Kind, MAX_PAYLOAD, Payload, SignedRecord, Subject, Topic};
use crate::time::Timestamp;

fn a_key() -> impl Strategy<Value = Key<32>> {
    any::<[u8; 32]>().prop_map(Key::new)
}

fn an_addr() -> impl Strategy<Value = SocketAddr> {
    (any::<IpAddr>(), any::<u16>()).prop_map(SocketAddr::from)
}

/// IPv4 before IPv6, as they are written.
fn contacts(most: usize) -> impl Strategy<Value = Vec<Contact<Key<32>>>> {
    let contact = (a_key(), an_addr()).prop_map(|(key, addr)| Contact::new(key, addr));
    vec(contact, 0..=most).prop_map(|mut contacts| {
        contacts.sort_by_key(|contact| contact.addr.is_ipv6());
        contacts
    })
}

fn a_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Kind::Endpoint), Just(Kind::Topic), Just(Kind::Mailbox)]
}

fn a_subject() -> impl Strategy<Value = Subject> {
    let topic = "\\PC{1,16}".prop_map(|name| Subject::Topic(Topic::new(&name).unwrap()));
    prop_oneof![Just(Subject::Endpoint), Just(Subject::Mailbox), topic]
}

fn a_signature() -> impl Strategy<Value = Signature> {
    vec(any::<u8>(), 64).prop_map(|bytes| Signature::new(bytes.try_into().unwrap()))
}

/// Signed by nobody: the codec does not care.
pub(crate) fn a_record(payload: usize) -> impl Strategy<Value = SignedRecord> {
    let payload = option::of(vec(any::<u8>(), 0..=payload));
    let numbers = (any::<u64>(), any::<u64>(), any::<u32>());
    (any::<[u8; 32]>(), a_subject(), numbers, payload, a_signature()).prop_map(
        |(publisher, subject, (sequence, timestamp, ttl), payload, signature)| SignedRecord {
            publisher: PublicKey::new(publisher),
            subject,
            sequence,
            timestamp: Timestamp::from_millis(timestamp),
            ttl,
            payload: payload.map(|payload| Payload::new(&payload).unwrap()),
            signature,
        },
    )
}

fn a_token() -> impl Strategy<Value = Token> {
    any::<[u8; 8]>().prop_map(Token)
}

pub(crate) fn a_request() -> impl Strategy<Value = Request> {
    let find = (a_key(), option::of(a_kind()), option::of(any::<[u8; 32]>()));
    let store = (a_key(), a_record(MAX_PAYLOAD), a_token());
    prop_oneof![
        Just(Request::Ping),
        any::<[u8; 16]>().prop_map(|nonce| Request::Identify { nonce }),
        a_key().prop_map(|target| Request::FindNode { target }),
        find.prop_map(|(target, kind, after)| {
            Request::Find { target, kind, after: after.map(PublicKey::new) }
        }),
        store.prop_map(|(key, record, token)| Request::Store { key, record, token }),
        (an_addr(), any::<[u8; 16]>(), a_token()).prop_map(|(addr, nonce, token)| Request::Probe {
            addr,
            nonce,
            token
        }),
        any::<[u8; 16]>().prop_map(|nonce| Request::Echo { nonce }),
    ]
}

fn response(
    contacts: impl Strategy<Value = Vec<Contact<Key<32>>>>,
    records: impl Strategy<Value = Vec<SignedRecord>>,
) -> impl Strategy<Value = Response> {
    (contacts, records, any::<bool>(), option::of(a_token()), option::of(a_signature())).prop_map(
        |(contacts, records, more, token, signature)| Response { contacts, records, more, token, signature },
    )
}

/// What fits a datagram: eight contacts and two short records, or one long one, or twenty contacts and no record.
pub(crate) fn a_response() -> impl Strategy<Value = Response> {
    prop_oneof![
        response(contacts(8), vec(a_record(16), 0..=2)),
        response(contacts(4), vec(a_record(MAX_PAYLOAD), 1)),
        response(contacts(20), Just(Vec::new())),
    ]
}

fn message(
    body: impl Strategy<Value = Body<SignedRecords>>,
) -> impl Strategy<Value = Message<SignedRecords>> {
    let transaction = vec(any::<u8>(), 0..=32).prop_map(|bytes| TransactionId::new(&bytes).unwrap());
    (transaction, option::of(an_addr()), body).prop_map(|(transaction, observed, body)| {
        // Nobody is told in a request where it comes from.
        let observed = observed.filter(|_| !matches!(body, Body::Request { .. }));
        Message { transaction, observed, body }
    })
}

/// Any message that fits a datagram.
pub(crate) fn a_message() -> impl Strategy<Value = Message<SignedRecords>> {
    let request = (a_key(), any::<bool>(), a_request())
        .prop_map(|(sender, read_only, request)| Body::Request { sender, read_only, request });
    let response = (a_key(), a_response()).prop_map(|(sender, response)| Body::Response { sender, response });
    let error = (any::<i64>(), "\\PC{0,30}").prop_map(|(code, text)| Body::Error { code, text });
    message(prop_oneof![request, response, error])
}

/// Responses with more than fits.
pub(crate) fn a_long_response() -> impl Strategy<Value = Message<SignedRecords>> {
    let response = response(contacts(40), vec(a_record(MAX_PAYLOAD), 0..20));
    // Nobody who sends records proves his identity in the same breath.
    let response = response.prop_map(|response| Response { signature: None, ..response });
    message((a_key(), response).prop_map(|(sender, response)| Body::Response { sender, response }))
}
