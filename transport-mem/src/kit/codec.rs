//! The laws of the codec: P18, P31, P32, P35.

use std::net::SocketAddr;

use kademlia_core::{Body, Codec, Message, Protocol, Service, TransactionId};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::mangle::{Bytes, anything, mangled};
use super::{Kit, Law, Proof};
use crate::strategies;

/// What is read may be so many times as long as what came, when it is written again, and so many bytes more.
const GROWTH: (usize, usize) = (4, 256);
/// The same for what is taken from the heap: lists grow by doubling, and in memory an address is longer than on the wire.
const HEAP: (u64, u64) = (32, 1_024);

pub(super) fn decode_undoes_encode<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    kit.try_cases(Law::DecodeUndoesEncode, kit.cases, &messages(kit), |message| {
        let written = encoded(message);
        // An overlay without errors writes none.
        if written.is_empty() && matches!(message.body, Body::Error { .. }) {
            return Ok(());
        }
        match P::Codec::decode(&written) {
            Ok(read) => same(message, &read, kit.size),
            Err(malformed) => Err(format!("that it can be read, but: {malformed}: {:?}", Bytes(written))),
        }
    })
}

pub(super) fn size<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    kit.try_cases(Law::Size, kit.cases, &messages(kit), |message| match encoded(message).len() {
        len if len > kit.size => Err(format!("at most {} bytes, but it takes {len}", kit.size)),
        _ => Ok(()),
    })
}

/// Of what nodes say to each other, to the last byte; of what became of that on the way, by its meaning.
pub(super) fn encode_undoes_decode<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::EncodeUndoesDecode;
    let real = kit.specimens(law)?;
    for bytes in real.heard.iter() {
        let again = P::Codec::decode(&bytes.0).map(|message| Bytes(encoded(&message)));
        if again.as_ref() != Ok(bytes) {
            let expected = format!("that what a node sent is written as it was read, but: {again:?}");
            return Err(kit.violation(law, format!("{bytes:?}"), expected));
        }
    }
    let any = prop_oneof![3 => mangled(&real.known), 1 => anything(kit.size)];
    let proof = kit.try_cases(law, 4 * kit.cases, &any, |bytes| {
        let Ok(message) = P::Codec::decode(&bytes.0) else { return Ok(()) };
        let written = encoded(&message);
        if written.is_empty() && matches!(message.body, Body::Error { .. }) {
            return Ok(());
        }
        match P::Codec::decode(&written) {
            Ok(read) => same(&message, &read, kit.size),
            Err(malformed) => Err(format!("that {message:?} can be written and read, but: {malformed}")),
        }
    })?;
    Ok(format!("{} datagrams of nodes, {proof}", real.heard.len()))
}

pub(super) fn decode_never_panics<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::DecodeNeverPanics;
    let real = kit.specimens(law)?;
    let longest = real.node.config().inbound.datagram;
    for bytes in bombs(longest).chain(real.known.iter().flat_map(every_cut)) {
        super::unless_it_panics(|| P::Codec::decode(&bytes.0).is_ok())
            .map_err(|expected| kit.violation(law, format!("{bytes:?}"), expected))?;
    }
    let any = prop_oneof![3 => mangled(&real.known), 1 => anything(longest)];
    kit.try_cases(law, 4 * kit.cases, &any, |bytes| {
        let _ = P::Codec::decode(&bytes.0);
        Ok(())
    })
}

pub(super) fn decode_is_bounded<P: Protocol, S: Service<P> + Send + 'static>(kit: &Kit<P, S>) -> Proof {
    let law = Law::DecodeIsBounded;
    let real = kit.specimens(law)?;
    let longest = real.node.config().inbound.datagram;
    for bytes in bombs(longest) {
        is_bounded(kit, &bytes).map_err(|expected| kit.violation(law, format!("{bytes:?}"), expected))?;
    }
    let any = prop_oneof![3 => mangled(&real.known), 1 => anything(longest)];
    let proof = kit.try_cases(law, 4 * kit.cases, &any, |bytes| is_bounded(kit, bytes))?;
    let how = if kit.measure.is_some() { "by the heap" } else { "by what was read" };
    Ok(format!("{proof}, {how}"))
}

fn is_bounded<P: Protocol, S>(kit: &Kit<P, S>, bytes: &Bytes) -> Result<(), String> {
    let len = bytes.0.len();
    let read = P::Codec::decode(&bytes.0).map_or(0, |message| encoded(&message).len());
    let most = GROWTH.0 * len + GROWTH.1;
    if read > most {
        return Err(format!("a message of at most {most} bytes, but it is one of {read}"));
    }
    let Some(measure) = &kit.measure else { return Ok(()) };
    let taken = measure(&mut || drop(P::Codec::decode(&bytes.0)));
    let most = HEAP.0 * len as u64 + HEAP.1;
    if taken > most { Err(format!("at most {most} bytes of heap, but it takes {taken}")) } else { Ok(()) }
}

/// Lengths that promise everything, and nesting without end.
fn bombs(longest: usize) -> impl Iterator<Item = Bytes> {
    (0..=u8::MAX).map(move |byte| Bytes(vec![byte; longest]))
}

fn every_cut(real: &Bytes) -> impl Iterator<Item = Bytes> {
    // All of the start, where most is decided, and then some.
    let lens = (0..real.0.len()).filter(|len| *len < 64 || len % 61 == 0);
    lens.map(|len| Bytes(real.0[..len].to_vec()))
}

/// Messages as nodes of the overlay send them.
fn messages<P: Protocol, S>(kit: &Kit<P, S>) -> BoxedStrategy<Message<P>> {
    let request = (strategies::key(), any::<bool>(), kit.requests.clone())
        .prop_map(|(sender, read_only, request)| Body::Request { sender, read_only, request });
    let mut body = request.boxed();
    if let Some(responses) = &kit.responses {
        let response = (strategies::key(), responses.clone())
            .prop_map(|(sender, response)| Body::Response { sender, response });
        body = prop_oneof![body, response].boxed();
    }
    if !kit.errors.is_empty() {
        let error = select(kit.errors.clone()).prop_map(|(code, text)| Body::Error { code, text });
        body = prop_oneof![4 => body, 1 => error].boxed();
    }
    let message = (any::<u32>(), option::of(strategies::address()), body);
    message
        .prop_map(|(transaction, observed, body)| {
            let observed = observed.filter(|_| !matches!(body, Body::Request { .. }));
            Message { transaction: TransactionId::from(transaction), observed, body }
        })
        .boxed()
}

pub(super) fn encoded<P: Protocol>(message: &Message<P>) -> Vec<u8> {
    let mut bytes = Vec::new();
    P::Codec::encode(message, &mut bytes);
    bytes
}

/// Whether a message came back as it was.
///
/// Not every overlay says who is read-only or what address it sees, and long replies may be cut: then the rest is written
/// as it is, and is not short.
fn same<P: Protocol>(sent: &Message<P>, read: &Message<P>, size: usize) -> Result<(), String> {
    let differs = |part: &str| Err(format!("the same message again, but {part} differs: {read:?}"));
    if sent.transaction != read.transaction {
        return differs("the transaction");
    }
    if is_other(sent.observed, read.observed) {
        return differs("the observed address");
    }
    match (&sent.body, &read.body) {
        (Body::Request { .. }, Body::Request { .. }) if sent.body == read.body => Ok(()),
        (Body::Request { sender, read_only: true, request }, Body::Request { .. }) => {
            let body = Body::Request { sender: *sender, read_only: false, request: request.clone() };
            let eager = Message { body, ..sent.clone() };
            if eager.body == read.body && encoded(&eager) == encoded(sent) {
                Ok(())
            } else {
                differs("the body")
            }
        }
        (Body::Response { sender: a, response: sent }, Body::Response { sender: b, response }) if a == b => {
            let written = encoded(read);
            let is_cut = || {
                let again = P::Codec::decode(&written).map(|again| encoded(&again));
                written.len() > size / 2 && again.as_ref() == Ok(&written)
            };
            if sent == response || is_cut() { Ok(()) } else { differs("the response") }
        }
        (Body::Error { code: a, text: sent }, Body::Error { code: b, text }) if a == b => {
            if sent.starts_with(text.as_str()) { Ok(()) } else { differs("the text") }
        }
        _ => differs("the body"),
    }
}

fn is_other(sent: Option<SocketAddr>, read: Option<SocketAddr>) -> bool {
    read.is_some() && read != sent
}
