//! What came from the node in the whole run: what some requirements are judged by at its end.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use bittorrent_profile::bencode::Invalid;
use serde::Serialize;

use crate::bencode::{Item, show};
use crate::probe::Seat;
use crate::reply::{Named, Reply};

/// Most of anything kept of a run.
const MOST: usize = 512;
/// Most received datagrams kept with what was sent.
const MOST_RECEIVED: usize = 4;

/// A datagram that was sent, and what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Exchange {
    /// Which of the suite's sockets it was sent from.
    pub from: String,
    /// The datagram, shortened for people.
    pub sent: String,
    /// What came back until the next was sent, the same way.
    pub received: Vec<String>,
}

impl Exchange {
    pub(super) fn sent(seat: Seat, datagram: &[u8]) -> Self {
        Exchange { from: seat.to_string(), sent: show(datagram), received: Vec::new() }
    }

    pub(super) fn receive(&mut self, datagram: &[u8]) {
        let shown = show(datagram);
        if self.received.len() < MOST_RECEIVED && self.received.last() != Some(&shown) {
            self.received.push(shown);
        }
    }
}

/// The worst reply of its kind.
#[derive(Clone, Debug)]
pub(crate) struct Worst<T> {
    /// Its bytes, or how many times as long as its query it was on the wire.
    pub(crate) figure: T,
    pub(crate) query: String,
}

/// How a reply may be longer than its query (T9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    /// Pings, errors and nodes of one family.
    Short,
    /// Nodes of both families, and everything with peers or samples.
    Long,
    /// A stored value, or filters over peers, which are as long as they are.
    Bulky,
}

/// What came from the node.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Our address, as the node sees it.
    pub(crate) observed_ip: Option<IpAddr>,
    /// Every id under which it answered.
    pub(crate) ids: BTreeSet<[u8; 20]>,
    /// Every node it named.
    pub(crate) named: BTreeSet<Named>,
    /// Its queries: where to, whether with `ro`.
    pub(crate) queries: Vec<(Seat, bool)>,
    /// The first reply from elsewhere than the address that was asked.
    pub(crate) foreign: Option<(SocketAddr, String)>,
    /// The first datagram that is no bencode.
    pub(crate) invalid: Option<String>,
    /// The first with keys out of order.
    pub(crate) unsorted: Option<String>,
    /// The first response with `ro`.
    pub(crate) read_only: Option<String>,
    /// Responses that are not [bulky](Class::Bulky), and those of them with a proper `v`.
    pub(crate) versions: (usize, usize),
    pub(crate) sizes: Sizes,
}

/// How long its datagrams were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    /// The longest of all.
    pub(crate) longest: usize,
    /// The longest reply without a BEP 44 value.
    pub(crate) longest_without_value: Option<Worst<usize>>,
    /// How much longer than their queries replies are, to askers who never answered: short ones, and long ones.
    pub(crate) amplified: [Option<Worst<f64>>; 2],
}

impl Sizes {
    /// Any datagram of the node's that is no query.
    pub(super) fn datagram(&mut self, bytes: &[u8]) {
        self.longest = self.longest.max(bytes.len());
    }

    fn reply(&mut self, seat: Seat, datagram: &[u8], reply: &Reply) {
        let (_, answered) = reply.sizes;
        if reply.get("v").is_none() {
            keep_worse(&mut self.longest_without_value, answered, datagram);
        }
        // Whoever answers asks for himself: what he gets is used against nobody.
        if seat.answers() {
            return;
        }
        let ratio = reply.ratio_with(0);
        match class(reply) {
            Class::Short => keep_worse(&mut self.amplified[0], ratio, datagram),
            Class::Long => keep_worse(&mut self.amplified[1], ratio, datagram),
            Class::Bulky => {}
        }
    }
}

impl Seen {
    /// Any message of the node's that is no query.
    pub(super) fn message(&mut self, message: &Item, bytes: &[u8]) {
        if !message.is_canonical {
            self.unsorted.get_or_insert_with(|| show(bytes));
        }
        if message.get("ro").is_some() {
            self.read_only.get_or_insert_with(|| show(bytes));
        }
    }

    pub(super) fn invalid(&mut self, bytes: &[u8], invalid: Invalid) {
        self.invalid.get_or_insert_with(|| format!("{}: {invalid}", show(bytes)));
    }

    /// A datagram from an address that was not asked; with the `t` that is waited for it is the reply.
    pub(super) fn foreign(&mut self, transaction: &[u8], from: SocketAddr, bytes: &[u8]) {
        let Ok(message) = Item::parse(bytes) else { return };
        if !transaction.is_empty() && message.get("t").and_then(Item::bytes) == Some(transaction) {
            self.foreign.get_or_insert_with(|| (from, show(bytes)));
        }
    }

    pub(super) fn query(&mut self, seat: Seat, query: &Item) {
        if self.queries.len() < MOST {
            let is_read_only = query.get("ro").and_then(Item::int) == Some(1);
            self.queries.push((seat, is_read_only));
        }
    }

    /// The reply to a query.
    pub(super) fn reply(&mut self, seat: Seat, datagram: &[u8], reply: &Reply) {
        if let Some(observed) = reply.observed() {
            self.observed_ip = Some(observed.ip());
        }
        // Beside a value of 1,000 bytes, or filters and both lists of nodes, there may be no room for it.
        if reply.is_response() && class(reply) != Class::Bulky {
            let version = reply.message.get("v").and_then(Item::bytes);
            self.versions.0 += 1;
            self.versions.1 += usize::from(version.is_some_and(|version| version.len() == 4));
        }
        if self.ids.len() < MOST {
            self.ids.extend(reply.id());
        }
        for is_v6 in [false, true] {
            let room = MOST.saturating_sub(self.named.len());
            let named = reply.nodes(is_v6).ok().flatten().unwrap_or_default();
            self.named.extend(named.into_iter().take(room));
        }
        self.sizes.reply(seat, datagram, reply);
    }
}

fn keep_worse<T: PartialOrd>(slot: &mut Option<Worst<T>>, figure: T, query: &[u8]) {
    if slot.as_ref().is_none_or(|worst| worst.figure < figure) {
        *slot = Some(Worst { figure, query: show(query) });
    }
}

fn class(reply: &Reply) -> Class {
    let has = |key| reply.get(key).is_some();
    if has("v") || has("BFsd") {
        Class::Bulky
    } else if has("token") || has("samples") || (has("nodes") && has("nodes6")) {
        Class::Long
    } else {
        Class::Short
    }
}
