//! Answering.

use std::time::Duration;

use kademlia_core::{Contact, Keyspace, Reply, ServeContext, Storage};

use super::KvService;
use crate::codec::contacts_beside;
use crate::pair::Pair;
use crate::protocol::{ErrorCode, Id, KeyValue, Request, Response, Versioned};
use crate::token::Token;

/// Nodes between us and a key, in units of k, for which a copy keeps its whole life; for as many more it halves. Two, so
/// that none of the k closest takes itself for an outsider.
const NEIGHBOURHOOD: u64 = 2;

impl<St: Storage<Id, Pair>> KvService<St> {
    pub(super) fn answer(&mut self, request: Request, cx: &ServeContext<'_, KeyValue>) -> Reply<KeyValue> {
        match request {
            Request::Ping => Reply::Response(Response::Pong),
            Request::FindNode { target } => Reply::Response(self.nodes(&target, cx)),
            Request::FindValue { key } => Reply::Response(self.find(&key, cx)),
            Request::Store { key, token, item } => match self.store_for(key, token, item, cx) {
                Ok(()) => Reply::Response(Response::Stored),
                Err(code) => Reply::Error { code: code.into(), text: code.to_string().into() },
            },
        }
    }

    fn nodes(&self, target: &Id, cx: &ServeContext<'_, KeyValue>) -> Response {
        Response::Nodes { token: self.token(cx), contacts: self.closest(target, cx) }
    }

    fn token(&self, cx: &ServeContext<'_, KeyValue>) -> Token {
        Token::new(self.tokens.issue(cx.now, cx.from.ip(), Token::SCOPE))
    }

    fn find(&mut self, key: &Id, cx: &ServeContext<'_, KeyValue>) -> Response {
        let Some(pair) = self.held.get(cx.now, key) else { return self.nodes(key, cx) };
        let (item, mut contacts) = (pair.versioned(self.calendar().millis(cx.now)), self.closest(key, cx));
        contacts.truncate(contacts_beside(&item, cx.family()));
        Response::Found { token: self.token(cx), item, contacts }
    }

    fn closest(&self, target: &Id, cx: &ServeContext<'_, KeyValue>) -> Vec<Contact<Id>> {
        let mut contacts = Vec::with_capacity(self.config.k);
        cx.closest(target, cx.family(), self.config.k, &mut contacts);
        contacts
    }

    fn store_for(
        &mut self,
        key: Id,
        token: Token,
        item: Versioned,
        cx: &ServeContext<'_, KeyValue>,
    ) -> Result<(), ErrorCode> {
        if !self.tokens.verify(cx.now, cx.from.ip(), Token::SCOPE, &token.to_bytes()) {
            return Err(ErrorCode::BadToken);
        }
        let claimed = Duration::from_secs(item.life.into()).min(self.config.life);
        let life = self.life_here(&key, claimed, cx);
        self.keep(cx.now, key, item, cx.from.ip(), life)?;
        self.activity.taken += 1;
        Ok(())
    }

    /// A copy's life is the shorter the more nodes stand between us and its key, exponentially (paper, section 2.3): those
    /// that were cached on the way to a popular key go soon. How many there are is told by the distance of our k-th
    /// nearest neighbour.
    fn life_here(&self, key: &Id, life: Duration, cx: &ServeContext<'_, KeyValue>) -> Duration {
        let near = self.closest(&cx.local, cx);
        let Some(farthest) = near.last().filter(|_| near.len() >= self.config.k) else { return life };
        let radius = cx.local.distance(&farthest.key).head().saturating_mul(NEIGHBOURHOOD).max(1);
        let halvings = cx.local.distance(key).head() / radius;
        life / 2_u32.saturating_pow(u32::try_from(halvings).unwrap_or(u32::MAX))
    }
}
