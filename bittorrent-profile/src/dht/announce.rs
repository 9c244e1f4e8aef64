//! Announcing a peer once.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Contact, Effort, Key, LookupOptions, MakeRequest, Stored};

use super::Inner;
use crate::id::InfoHash;
use crate::krpc::{Families, Request, Response};
use crate::mainline::Mainline;
use crate::node_id;

/// Where the announced peer takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// At this port.
    Number(NonZeroU16),
    /// At the UDP port that the announcement is seen to come from.
    Implied,
}

/// Who took an announcement, node by node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Announced {
    /// Nodes that keep it.
    pub accepted: Vec<Contact<Key<20>>>,
    /// Nodes that refused, with the error they gave.
    pub refused: Vec<(Contact<Key<20>>, i64, String)>,
    /// Nodes that did not answer.
    pub no_answer: Vec<Contact<Key<20>>>,
    /// Nodes asked on the way to them.
    pub asked: usize,
}

impl Announced {
    fn add(&mut self, stored: Stored<Key<20>>) {
        self.accepted.extend(stored.accepted);
        self.refused.extend(stored.refused);
        self.no_answer.extend(stored.no_answer);
        self.asked += stored.report.asked;
    }
}

/// Announces in every network that the node is in; gives back also how many requests that took.
pub(super) async fn once(
    inner: &Inner,
    info_hash: InfoHash,
    port: Port,
    effort: Effort,
) -> Result<(Announced, usize), RequestFailure> {
    let (mut announced, mut requests) = (Announced::default(), 0);
    for (family, bound, _) in &inner.families {
        let make = make_request(info_hash, port, *bound, inner.strict_bep42);
        let request = Request::get_peers(info_hash, Families::NONE);
        let options = LookupOptions { effort: Some(effort), ..LookupOptions::default() };
        let stored = inner.handle.publish(*family, info_hash.into(), request, make, options).await?;
        requests += stored.report.messages;
        announced.add(stored);
    }
    requests += announced.accepted.len() + announced.refused.len() + announced.no_answer.len();
    Ok((announced, requests))
}

/// To whoever gave a token (A7, BEP 33.5); if strict, only where the id fits the address (42.5).
fn make_request(
    info_hash: InfoHash,
    port: Port,
    bound: SocketAddr,
    strict_bep42: bool,
) -> MakeRequest<Mainline> {
    Box::new(move |from: &Contact<Key<20>>, response: &Response| {
        let fits = !strict_bep42 || node_id::verify(from.addr.ip(), &from.key);
        let token = response.token.filter(|_| fits)?;
        let (implied_port, port) = match port {
            Port::Number(port) => (false, Some(port)),
            // Whoever honours the flag ignores the port, but libtorrent refuses announcements without one.
            Port::Implied => (true, NonZeroU16::new(bound.port())),
        };
        Some(Request::AnnouncePeer { implied_port, info_hash, port, seed: false, token })
    })
}
