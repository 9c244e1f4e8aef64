//! What a node tells its host, and the words it uses for it.

use alloc::string::String;
use core::net::SocketAddr;
use core::time::Duration;

use crate::contact::Contact;
use crate::lookup::{Effort, LookupId, LookupReport};
use crate::protocol::Protocol;
use crate::publish::Stored;
use crate::rpc::RequestId;

/// How a lookup differs from the configured ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupOptions {
    /// Report every answer as [`Event::Answer`], as it arrives: a lookup for values.
    pub answers: bool,
    /// Size of the result, if not the configured k.
    pub k: Option<usize>,
    /// Requests in flight on each path, if not the configured α.
    pub alpha: Option<usize>,
    /// How hard to mislead it has to be. By default a publish is [`Hardened`](Effort::Hardened), a lookup for answers
    /// [`Reinforced`](Effort::Reinforced), any other [`Dense`](Effort::Dense).
    pub effort: Option<Effort>,
    /// A pause between two launches, until round trips have been measured, and then their median: an answer within it
    /// saves the next launch. Who answered or failed ends it. Without it up to α requests leave at once.
    pub stagger: Option<Duration>,
    /// Those in good [`Health`](crate::Health) are asked before those not known, and those in bad health only if too few
    /// others are left.
    pub healthy_first: bool,
}

/// Something the host may want to know. To be fetched with [`Node::poll_event`](crate::Node::poll_event).
#[derive(Clone, Debug, PartialEq)]
pub enum Event<P: Protocol> {
    /// The way into the network was found; calls that waited for it now run.
    Bootstrapped,
    /// A node answered a lookup that asked for answers.
    Answer {
        /// The lookup.
        lookup: LookupId,
        /// Who answered.
        from: Contact<P::Key>,
        /// The answer.
        response: P::Response,
    },
    /// A lookup ended.
    LookupDone {
        /// The lookup.
        lookup: LookupId,
        /// What it found.
        report: LookupReport<P::Key>,
    },
    /// A publish ended.
    Stored {
        /// The lookup it began with.
        lookup: LookupId,
        /// What became of it.
        stored: Stored<P::Key>,
    },
    /// A single request ended.
    Requested {
        /// The request.
        request: RequestId,
        /// The answer, or why there is none.
        result: Result<Answered<P>, Failure>,
    },
    /// The network agrees on our external address.
    External(SocketAddr),
    /// This node goes by another key now.
    Renamed {
        /// The key until now.
        from: P::Key,
        /// The key from now on.
        to: P::Key,
    },
}

/// The answer to a single request.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered<P: Protocol> {
    /// Who answered.
    pub from: Contact<P::Key>,
    /// The answer.
    pub response: P::Response,
    /// The round trip; `None` if the request had to be repeated, so that it cannot be told.
    pub round_trip: Option<Duration>,
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// No answer to any attempt.
    #[error("no answer")]
    TimedOut,
    /// The node answered with an error.
    #[error("refused with error {code}: {text}")]
    Refused {
        /// A number from the overlay's own list.
        code: i64,
        /// What the node says.
        text: String,
    },
    /// Too many requests are outstanding, in all or to this address, or the address must not be spoken to.
    #[error("not sent: too many requests outstanding, or an address that must not be spoken to")]
    NotSent,
}

/// What a node has done since it was made. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams or messages taken in.
    pub received: u64,
    /// Datagrams that were no message, or too long.
    pub malformed: u64,
    /// Messages from addresses that must not be spoken to.
    pub unroutable: u64,
    /// Requests over the sender's quota.
    pub limited: u64,
    /// Requests answered, with a response or an error.
    pub served: u64,
    /// Replies that matched no request.
    pub unmatched: u64,
    /// Replies to a request of ours under another key than the one asked (C.5).
    pub impostors: u64,
    /// Requests sent, retries included.
    pub asked: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Requests that failed for good.
    pub failed: u64,
    /// Pings to unverified senders.
    pub verifications: u64,
    /// Lookups whose target was crowded beyond what the network's size explains (T1).
    pub crowded: u64,
    /// Replies dropped because the host did not fetch them, or because there were more than may be sent.
    pub overflowed: u64,
}
