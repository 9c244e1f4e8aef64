//! Storing at the closest nodes: a lookup, then one request to each holder, made from that holder's own answer.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use crate::contact::Contact;
use crate::lookup::LookupReport;
use crate::protocol::Protocol;

/// Makes the storing request for one node from that node's answer to the lookup: its token is in there.
/// `None` keeps the node from being chosen.
pub type MakeRequest<P> = Box<
    dyn FnMut(&Contact<<P as Protocol>::Key>, &<P as Protocol>::Response) -> Option<<P as Protocol>::Request>
        + Send,
>;

/// What became of a publish, node by node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored<K> {
    /// Nodes that accepted.
    pub accepted: Vec<Contact<K>>,
    /// Nodes that refused, with the error they gave.
    pub refused: Vec<(Contact<K>, i64, String)>,
    /// Nodes that were asked to store and did not answer.
    pub no_answer: Vec<Contact<K>>,
    /// The lookup that found them.
    pub report: LookupReport<K>,
}

/// Offers kept before those are dropped that no path of the lookup wants any more.
const OFFERS: usize = 40;

/// The outcome of one storing request.
pub(crate) enum Outcome {
    Accepted,
    Refused(i64, String),
    NoAnswer,
}

/// The storing half of a publish. Collects an offer from every node that answers the lookup and then
/// works through the closest k of them.
pub(crate) struct Publish<P: Protocol> {
    make: MakeRequest<P>,
    /// Nodes that gave a request, and the request; while storing, those still to be asked.
    offers: VecDeque<(Contact<P::Key>, P::Request)>,
    outstanding: Vec<(Contact<P::Key>, P::Request)>,
    result: Option<Stored<P::Key>>,
}

impl<P: Protocol> Publish<P> {
    pub(crate) fn new(make: MakeRequest<P>) -> Self {
        Publish { make, offers: VecDeque::new(), outstanding: Vec::new(), result: None }
    }

    /// Whether the lookup has ended and the storing begun.
    pub(crate) fn is_storing(&self) -> bool {
        self.result.is_some()
    }

    /// A node answered the lookup.
    pub(crate) fn offer(&mut self, from: Contact<P::Key>, response: &P::Response) {
        if let Some(request) = (self.make)(&from, response) {
            if self.offers.len() == self.offers.capacity() {
                // Not doubled: a request can be a kilobyte.
                self.offers.reserve_exact(OFFERS / 8);
            }
            self.offers.push_back((from, request));
        }
    }

    /// Whether there are so many offers that those of nodes too far away have to go.
    pub(crate) fn is_crowded(&self) -> bool {
        self.offers.len() >= OFFERS
    }

    /// Keeps the offers of these nodes only.
    pub(crate) fn keep(&mut self, holders: &[Contact<P::Key>]) {
        self.offers.retain(|(from, _)| holders.contains(from));
    }

    /// Whether the node can be asked to store.
    pub(crate) fn has_offer_of(&self, contact: &Contact<P::Key>) -> bool {
        self.offers.iter().any(|(from, _)| from == contact)
    }

    /// The lookup ended, and the values belong to these nodes, nearest first.
    pub(crate) fn begin(&mut self, holders: &[Contact<P::Key>], report: LookupReport<P::Key>) {
        let rank = |from: &Contact<P::Key>| holders.iter().position(|holder| holder == from);
        self.offers.retain(|(from, _)| rank(from).is_some());
        self.offers.shrink_to_fit();
        self.offers.make_contiguous().sort_by_key(|(from, _)| rank(from));
        self.result =
            Some(Stored { accepted: Vec::new(), refused: Vec::new(), no_answer: Vec::new(), report });
    }

    /// The next holder to be asked, if the storing has begun.
    pub(crate) fn peek(&self) -> Option<&Contact<P::Key>> {
        self.is_storing().then(|| self.offers.front().map(|(contact, _)| contact)).flatten()
    }

    /// Takes the holder that [`peek`](Self::peek) showed, and its request.
    pub(crate) fn take(&mut self) -> Option<(Contact<P::Key>, P::Request)> {
        let next = self.offers.pop_front()?;
        self.outstanding.push(next.clone());
        Some(next)
    }

    /// The request to a holder, for sending it again.
    pub(crate) fn request(&self, to: core::net::SocketAddr) -> Option<&P::Request> {
        self.outstanding.iter().find(|(contact, _)| contact.addr == to).map(|(_, request)| request)
    }

    /// A holder answered, or did not. Gives back the result once every holder has.
    pub(crate) fn settle(&mut self, addr: core::net::SocketAddr, outcome: Outcome) {
        let Some(at) = self.outstanding.iter().position(|(contact, _)| contact.addr == addr) else { return };
        let (contact, _) = self.outstanding.swap_remove(at);
        let Some(result) = &mut self.result else { return };
        match outcome {
            Outcome::Accepted => result.accepted.push(contact),
            Outcome::Refused(code, text) => result.refused.push((contact, code, text)),
            Outcome::NoAnswer => result.no_answer.push(contact),
        }
    }

    /// Bytes held, those of `make` not counted.
    pub(crate) fn memory(&self) -> usize {
        let requests = self.offers.capacity() + self.outstanding.capacity();
        size_of::<Self>() + requests * size_of::<(Contact<P::Key>, P::Request)>()
    }

    /// The result, once nothing is left to be sent or awaited.
    pub(crate) fn finish(&mut self) -> Option<Stored<P::Key>> {
        if self.offers.is_empty() && self.outstanding.is_empty() { self.result.take() } else { None }
    }
}

impl<P: Protocol> fmt::Debug for Publish<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (offers, outstanding) = (self.offers.len(), self.outstanding.len());
        write!(f, "Publish {{ offers: {offers}, outstanding: {outstanding} }}")
    }
}
