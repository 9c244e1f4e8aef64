//! Announcing a peer once.

use std::net::SocketAddr;
use std::num::NonZeroU16;

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Contact, Effort, Family, Key, LookupOptions, MakeRequest};

use super::{Inner, Stored, either};
use crate::id::InfoHash;
use crate::krpc::{Families, Request, Response};
use crate::mainline::Mainline;
use crate::strictness::Strictness;

/// Where the announced peer takes connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// At this port.
    Number(NonZeroU16),
    /// At the UDP port that the announcement is seen to come from.
    Implied,
}

impl Port {
    /// The announcement of a peer that has all of the torrent (BEP 33).
    pub const fn seeding(self) -> Announce {
        Announce { port: self, seed: true }
    }
}

/// What an announcement says: where the peer takes connections, and whether it has all of the torrent. A [`Port`] alone
/// announces a peer that does not, or does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Where the peer takes connections.
    pub port: Port,
    /// Whether it has all of the torrent (BEP 33): then it counts as a seed, and is not named to those who seed too.
    pub seed: bool,
}

impl From<Port> for Announce {
    fn from(port: Port) -> Self {
        Announce { port, seed: false }
    }
}

/// Announces in both networks at once.
///
/// # Errors
/// Why it could be tried in no network.
pub(super) async fn once(
    inner: &Inner,
    info_hash: InfoHash,
    announce: Announce,
    effort: Effort,
) -> Result<Stored, RequestFailure> {
    once_near(inner, info_hash, announce, effort, &[]).await
}

/// The same, beginning also with these contacts, which have been found near the info hash.
pub(super) async fn once_near(
    inner: &Inner,
    info_hash: InfoHash,
    announce: Announce,
    effort: Effort,
    near: &[Contact<Key<20>>],
) -> Result<Stored, RequestFailure> {
    let one = async |family| {
        let make = make_request(info_hash, announce, inner.bound(family)?, inner.strictness);
        let request = Request::get_peers(info_hash, Families::NONE);
        let options = LookupOptions { effort: Some(effort), ..LookupOptions::default() };
        let near = near.iter().filter(|contact| Family::of(&contact.addr) == family).copied().collect();
        inner.handle.publish_near(family, info_hash.into(), request, make, options, near).await
    };
    let mut announced = Stored::default();
    either(tokio::join!(one(Family::V4), one(Family::V6)))?.for_each(|one| announced.add(one));
    Ok(announced)
}

/// To whoever may store.
fn make_request(
    info_hash: InfoHash,
    announce: Announce,
    bound: SocketAddr,
    strictness: Strictness,
) -> MakeRequest<Mainline> {
    Box::new(move |from: &Contact<Key<20>>, response: &Response| {
        let token = strictness.token(from, response)?;
        let (implied_port, port) = match announce.port {
            Port::Number(port) => (false, Some(port)),
            // Whoever honours the flag ignores the port, but libtorrent refuses announcements without one.
            Port::Implied => (true, NonZeroU16::new(bound.port())),
        };
        Some(Request::AnnouncePeer { implied_port, info_hash, port, seed: announce.seed, token })
    })
}
