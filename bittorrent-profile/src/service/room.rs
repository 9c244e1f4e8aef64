//! How long an answer may be, for what was asked (T9).

use kademlia_core::{Family, Key, ServeContext};

use crate::bencode::string_size;
use crate::krpc::{Families, MAX_POLITE_DATAGRAM, Request, Response, bytes_left, compact, query_size};
use crate::mainline::Mainline;

/// Bytes on the wire that a stranger gets for one that he sent, when he asks for one list of nodes and nothing else.
const ONE_LIST: usize = 3;
/// The same for all other questions.
const MORE: usize = 5;

/// The room for the answer to one query. A node that we know gets what goes into a polite datagram; a stranger, who may
/// have asked in another's name, no more than so many times what he sent. An item's value and a scrape's filters have no
/// room of their own: they are rationed instead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    family: Family,
    /// Bytes of the transaction id, which the answer echoes.
    transaction: usize,
    /// Bytes of the answer.
    limit: usize,
}

impl Room {
    /// `around` is what comes on top of every answer of this overlay, in bytes.
    pub(crate) fn of(request: &Request, cx: &ServeContext<'_, Mainline>, around: usize) -> Self {
        let limit =
            if cx.is_known() { MAX_POLITE_DATAGRAM } else { limit(request, cx).min(MAX_POLITE_DATAGRAM) };
        Room {
            family: cx.family(),
            transaction: cx.transaction.as_bytes().len(),
            limit: limit.saturating_sub(around),
        }
    }

    /// Leaves out what there is no room for: the version, then nodes, the farthest first.
    pub(crate) fn trim(self, response: &mut Response) {
        if is_large(response) || self.holds(response) {
            return;
        }
        let version = response.version.take();
        while !self.holds(response) && response.nodes.pop() {}
        response.version = version;
        if !self.holds(response) {
            response.version = None;
        }
    }

    /// How many peers go into an answer to `get_peers` beside its other parts.
    pub(super) fn peers(self, response: &Response) -> usize {
        let left = self.left(response).saturating_sub("6:valuesle".len());
        left / string_size(compact::addr_size(self.family))
    }

    /// How many info hashes go into an answer to `sample_infohashes` that has an empty list so far.
    pub(super) fn samples(self, response: &Response) -> usize {
        // The list's length takes up to two digits more than that of the empty one.
        self.left(response).saturating_sub(2) / size_of::<Key<20>>()
    }

    fn left(self, response: &Response) -> usize {
        let limit = if is_large(response) { MAX_POLITE_DATAGRAM } else { self.limit };
        bytes_left(response, self.family, self.transaction, limit)
    }

    /// Whether all of the answer fits; of its peers, the encoder takes those that do.
    fn holds(self, response: &Response) -> bool {
        let spacious = 4 * MAX_POLITE_DATAGRAM;
        spacious - bytes_left(response, self.family, self.transaction, spacious) <= self.limit
    }
}

/// Bytes of an answer to a stranger, without the headers that count on both sides.
fn limit(request: &Request, cx: &ServeContext<'_, Mainline>) -> usize {
    let headers = match cx.family() {
        Family::V4 => 20 + 8,
        Family::V6 => 40 + 8,
    };
    let times = match request {
        Request::Ping => ONE_LIST,
        Request::FindNode { want, .. } if *want != Families::BOTH => ONE_LIST,
        _ => MORE,
    };
    let query = cx.size.unwrap_or_else(|| query_size(request, cx.transaction));
    times * (headers + query) - headers
}

/// Whether it goes out by ration.
fn is_large(response: &Response) -> bool {
    let has_value = response.item.as_ref().is_some_and(|item| item.value.is_some());
    has_value || response.scrape.is_some()
}
