//! Those who want a key to be lost: what they own, and what they say.

mod collusion;
mod crowd;

pub(crate) use collusion::{Colluder, Collusion, Guise};
pub(crate) use crowd::{Crowd, Estate};

use std::net::SocketAddr;

use bittorrent_profile::Mainline;
use bittorrent_profile::krpc::{Request, Response, Token};
use kademlia_core::{Body, Contact, Family, Key, Message};
use transport_mem::Outgoing;

/// What the attackers of a scenario own. They collude, know every key that is attacked, answer whoever asks, hand out
/// tokens, and keep nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Attack {
    /// Nobody attacks.
    #[default]
    None,
    /// Somebody who owns an address in each of so many /24s crowds around each key: the vertical eclipse (T1).
    /// The ids are freely chosen, and known to the key's neighbours long since.
    Subnets(usize),
    /// This share of all nodes colludes, all over the keyspace (T2): whoever asks one of them for a key is told of
    /// others, under ids forged to be nearest to that key, and under the nearest that BEP 42 allows their addresses.
    Share(f64),
}

fn target_of(request: &Request) -> Option<Key<20>> {
    match request {
        Request::FindNode { target, .. } => Some(*target),
        Request::GetPeers { info_hash, .. } => Some((*info_hash).into()),
        _ => None,
    }
}

/// What an attacker called `key` answers: these nodes and a token, to whoever looks for something.
fn reply(
    to: &Message<Mainline>,
    from: SocketAddr,
    key: Key<20>,
    request: &Request,
    named: &[Contact<Key<20>>],
) -> Outgoing<Mainline> {
    let mut response = Response::default();
    if target_of(request).is_some() {
        response.nodes.open(Family::V4);
        response.nodes.extend(named.iter().copied());
        response.token = Token::new(b"token");
    }
    let body = Body::Response { sender: key, response };
    Outgoing::message(from, Message { transaction: to.transaction, observed: Some(from), body })
}

/// `target` with the low bits of its last byte, which BEP 42 leaves to the node, as chosen.
fn with_choice(target: &Key<20>, choice: u8) -> Key<20> {
    let mut id = target.to_bytes();
    id[19] = (id[19] & 0xf8) | choice;
    Key::new(id)
}

/// Ids that BEP 42 leaves to one address.
const CHOICES: std::ops::Range<u8> = 0..8;
