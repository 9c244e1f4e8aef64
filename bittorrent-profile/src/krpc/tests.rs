//! The codec: the BEPs' own packets, then its properties, then the rules for each field.

mod fields;
mod packets;
mod properties;
mod strategies;
mod values;

use kademlia_core::{Body, Codec, Key, Malformed, Message};

use crate::krpc::{Krpc, Request, Response};
use crate::mainline::Mainline;

fn decode(datagram: &[u8]) -> Result<Message<Mainline>, Malformed> {
    Krpc::decode(datagram)
}

fn encode(message: &Message<Mainline>) -> Vec<u8> {
    let mut out = Vec::new();
    Krpc::encode(message, &mut out);
    out
}

/// What was asked, of a datagram that has to be a query.
fn request(datagram: &[u8]) -> Request {
    match decode(datagram).map(|message| message.body) {
        Ok(Body::Request { request, .. }) => request,
        other => panic!("{other:?}"),
    }
}

/// What was answered, in a datagram that has to be a response.
fn response(datagram: &[u8]) -> Response {
    match decode(datagram).map(|message| message.body) {
        Ok(Body::Response { response, .. }) => response,
        other => panic!("{other:?}"),
    }
}

fn is_refused(datagram: &[u8], expected: i64) -> bool {
    matches!(decode(datagram), Err(Malformed::Request { code, .. }) if code == expected)
}

fn is_garbage(datagram: &[u8]) -> bool {
    matches!(decode(datagram), Err(Malformed::Garbage(_)))
}

fn key(text: &[u8; 20]) -> Key<20> {
    Key::new(*text)
}
