//! Asking one peer (D6), and being reached by one (D10).

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::Arc;

use kademlia_core::{Answered, Contact, Failure, Instant, Key, Storage};

use super::RecordsService;
use crate::findings::{Findings, Query};
use crate::identity::PublicKey;
use crate::message::{Nonce, Request, Token, identity_bytes};
use crate::protocol::SignedRecords;
use crate::record::{Kind, SignedRecord, StoredRecord};
use crate::refusal::Refusal;

/// Why a peer's answer is none, or there is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// The peer refuses.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The peer, or the network.
    #[error(transparent)]
    Failed(Failure),
    /// The peer gave no token, without which it keeps nothing.
    #[error("the peer gave no token")]
    NoToken,
    /// The peer could not prove its key.
    #[error("the peer did not prove its identity")]
    NoProof,
    /// Too many operations are under way.
    #[error("too many operations at once")]
    Busy,
    /// The node has stopped.
    #[error("the node has been shut down")]
    Closed,
}

impl From<Failure> for AskError {
    fn from(failure: Failure) -> Self {
        let refusal = match &failure {
            Failure::Refused { code, .. } => Refusal::from_code(*code),
            _ => None,
        };
        refusal.map_or(AskError::Failed(failure), AskError::Refused)
    }
}

/// A sign of life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pong {
    /// Who says to be there.
    pub contact: Contact<Key<32>>,
    /// The round trip; `None` if the request had to be repeated.
    pub round_trip: Option<Duration>,
}

type Result<T> = core::result::Result<T, AskError>;

impl<S: Storage<Key<32>, StoredRecord> + 'static> RecordsService<S> {
    /// Asks whoever is at `to` one thing.
    fn ask(
        &mut self,
        to: SocketAddr,
        expected: Option<Key<32>>,
        request: Request,
        then: impl FnOnce(&mut Self, Instant, Result<Answered<SignedRecords>>) + Send + 'static,
    ) {
        self.agenda.ask(to, expected, request, |service, now, answer| {
            then(service, now, answer.map_err(Into::into));
        });
    }

    /// Asks whoever is at `to` for a sign of life.
    pub fn ping(&mut self, to: SocketAddr, done: impl FnOnce(Result<Pong>) + Send + 'static) {
        if self.is_busy() {
            return done(Err(AskError::Busy));
        }
        self.ask(to, None, Request::Ping, |_, _, answer| {
            done(answer.map(|Answered { from, round_trip, .. }| Pong { contact: from, round_trip }));
        });
    }

    /// Asks whoever is at `to` to prove who it is. In other answers a key is a claim.
    pub fn ping_identity(&mut self, to: SocketAddr, done: impl FnOnce(Result<PublicKey>) + Send + 'static) {
        if self.is_busy() {
            return done(Err(AskError::Busy));
        }
        let (nonce, own) = (self.nonce(), self.identity.public().key());
        self.ask(to, None, Request::Identify { nonce }, move |_, _, answer| {
            done(answer.and_then(|answered| {
                let prover = answered.from.key;
                let signature = answered.response.signature.ok_or(AskError::NoProof)?;
                let proven =
                    PublicKey::from(prover).verifies(&identity_bytes(&nonce, &prover, &own), &signature);
                if proven { Ok(prover.into()) } else { Err(AskError::NoProof) }
            }));
        });
    }

    /// The contacts that one peer knows closest to a key.
    pub fn find_node_at(
        &mut self,
        to: SocketAddr,
        target: Key<32>,
        done: impl FnOnce(Result<Vec<Contact<Key<32>>>>) + Send + 'static,
    ) {
        if self.is_busy() {
            return done(Err(AskError::Busy));
        }
        self.ask(to, None, Request::FindNode { target }, |_, _, answer| {
            done(answer.map(|answered| answered.response.contacts));
        });
    }

    /// The records that one peer has under a key, as many as fit one reply. They are verified like all others.
    pub fn find_value_at(
        &mut self,
        to: SocketAddr,
        target: Key<32>,
        kind: Option<Kind>,
        done: impl FnOnce(Result<Vec<SignedRecord>>) + Send + 'static,
    ) {
        if self.is_busy() {
            return done(Err(AskError::Busy));
        }
        let query = Query { target, kind, first: false };
        let mut findings = Findings::new(query, Arc::clone(&self.authority), self.config.found);
        self.ask(to, None, Request::Find { target, kind, after: None }, move |_, _, answer| {
            done(answer.map(|answered| {
                findings.take(&answered.from, &answered.response);
                findings.records()
            }));
        });
    }

    /// Stores a record at one peer; gives back who took it.
    pub fn store_at(
        &mut self,
        to: SocketAddr,
        record: SignedRecord,
        done: impl FnOnce(Result<Contact<Key<32>>>) + Send + 'static,
    ) {
        let key = record.target();
        self.ask_with_token(to, key, move |service, _, answer| {
            let (from, token) = match answer {
                Ok(answer) => answer,
                Err(error) => return done(Err(error)),
            };
            let request = Request::Store { key, record, token };
            service.ask(from.addr, Some(from.key), request, move |_, _, answer| done(answer.map(|_| from)));
        });
    }

    /// Whether a peer reaches this node at `claimed`, which must be an address of the host that the peer sees (D10). True if
    /// its echo arrives in time; if it does not, that is an answer, too. A translator that lets in only those who were
    /// written to lets this peer in at the port it was written from: to learn whether strangers are let in, claim a port that
    /// was opened for them. A node that answers nobody (`read_only`) hears no echo.
    pub fn probe(
        &mut self,
        peer: SocketAddr,
        claimed: SocketAddr,
        done: impl FnOnce(Result<bool>) + Send + 'static,
    ) {
        let own = self.identity.public().key();
        self.ask_with_token(peer, own, move |service, now, answer| match answer {
            Ok((from, token)) => service.ask_for_echo(now, from, claimed, token, Box::new(done)),
            Err(AskError::Failed(Failure::TimedOut)) => done(Ok(false)),
            Err(error) => done(Err(error)),
        });
    }

    fn ask_for_echo(
        &mut self,
        now: Instant,
        peer: Contact<Key<32>>,
        addr: SocketAddr,
        token: Token,
        done: Box<dyn FnOnce(Result<bool>) + Send>,
    ) {
        let nonce = self.nonce();
        self.probes.begin(nonce, peer.addr.ip(), now + self.config.probe, done);
        let request = Request::Probe { addr, nonce, token };
        self.ask(peer.addr, Some(peer.key), request, move |service, _, answer| match answer {
            // The echo may come without the answer.
            Ok(_) | Err(AskError::Failed(Failure::TimedOut)) => {}
            Err(error) => service.probes.end(&nonce, Err(error)),
        });
    }

    /// A peer's token for a key, and who it is.
    fn ask_with_token(
        &mut self,
        to: SocketAddr,
        key: Key<32>,
        then: impl FnOnce(&mut Self, Instant, Result<(Contact<Key<32>>, Token)>) + Send + 'static,
    ) {
        if self.is_busy() {
            return then(self, Instant::ZERO, Err(AskError::Busy));
        }
        self.ask(to, None, Request::Find { target: key, kind: None, after: None }, |service, now, answer| {
            let token = answer.and_then(|Answered { from, response, .. }| {
                response.token.map(|token| (from, token)).ok_or(AskError::NoToken)
            });
            then(service, now, token);
        });
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = Nonce::default();
        self.rng.fill(&mut nonce);
        nonce
    }
}
