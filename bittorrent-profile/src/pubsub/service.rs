//! How a node of a topic answers.

use std::sync::Arc;

use kademlia_core::{Admission, Contact, Key, Keyspace, Reply, Rng, ServeContext, Service, Tokens};

use super::Topic;
use crate::item::{Item, ItemParts, MutableItem};
use crate::krpc::{ErrorCode, Families, Refusal, Request, Response, TOPIC_SIZE, Token};
use crate::mainline::Mainline;
use crate::node_id;
use crate::service::{Ration, Room, ServiceConfig, blank, closest, item, may_replace};
use crate::strictness::Strictness;

/// The answering side of one topic: `ping`, `find_node`, and `get` and `put` of its item. Everything else is refused
/// (50.2). Keeps the latest version for as long as it lives (50.4), and nothing else.
#[derive(Debug)]
pub struct TopicService {
    topic: Topic,
    latest: Option<Arc<MutableItem>>,
    tokens: Tokens,
    ration: Ration,
    strictness: Strictness,
    /// The last version that was put here, until it is [taken](Self::take_put).
    put: Option<(Contact<Key<20>>, Arc<MutableItem>)>,
}

impl TopicService {
    /// A service that holds no version yet. `seed` has to come from the operating system's random source, as that of
    /// [`MainlineService::new`](crate::MainlineService::new). Of `config`, what is said of ids and of large answers counts.
    pub fn new(topic: Topic, config: &ServiceConfig, seed: [u8; 32]) -> Self {
        let mut rng = Rng::from_seed(seed);
        let mut secret = [0; 16];
        rng.fill(&mut secret);
        TopicService {
            topic,
            latest: None,
            tokens: Tokens::new(&secret),
            ration: Ration::new(config.large_answers, &mut rng),
            strictness: Strictness(config.strict_bep42),
            put: None,
        }
    }

    /// The latest version known.
    pub fn latest(&self) -> Option<&Arc<MutableItem>> {
        self.latest.as_ref()
    }

    /// Takes over a version that has been verified.
    pub(super) fn set_latest(&mut self, item: Arc<MutableItem>) {
        self.latest = Some(item);
    }

    /// A version that somebody put here since the last call, and who. It is the owner's, and was newer; and as there was
    /// a token, it does come from this address.
    pub(super) fn take_put(&mut self) -> Option<(Contact<Key<20>>, Arc<MutableItem>)> {
        self.put.take()
    }

    /// Nodes, a token and the seq always; the version only to whom has an older one (44.8).
    fn get(
        &mut self,
        target: &Key<20>,
        known: Option<i64>,
        want: Families,
        cx: &ServeContext<'_, Mainline>,
    ) -> Result<Response, Refusal> {
        if *target != self.topic.target {
            return Err((ErrorCode::Protocol, "this topic has one item, and another target"));
        }
        let mut response = Response { nodes: closest(target, want, cx), ..blank() };
        response.token = Some(Token::from_array(self.tokens.issue(cx.now, cx.from.ip(), target.as_bytes())));
        if let Some(latest) = &self.latest {
            let parts = ItemParts::of(&Item::Mutable(Arc::clone(latest)), known);
            let bytes = parts.value.as_ref().map_or(0, |value| value.as_bytes().len());
            let affordable = bytes == 0 || cx.is_known() || self.ration.take(cx.now, cx.from.ip(), bytes);
            response.item = Some(Box::new(if affordable { parts } else { parts.without_value() }));
        }
        Ok(response)
    }

    /// The rules of BEP 44, for one item. What is cheap to check comes first.
    fn put(
        &mut self,
        item: Item,
        cas: Option<i64>,
        token: &Token,
        cx: &ServeContext<'_, Mainline>,
    ) -> Result<Response, Refusal> {
        let Item::Mutable(item) = item else {
            return Err((ErrorCode::Protocol, "a topic's item is mutable"));
        };
        if !self.topic.is_of(&item) {
            return Err((ErrorCode::Protocol, "another topic's item"));
        }
        if !self.tokens.verify(cx.now, cx.from.ip(), self.topic.target.as_bytes(), token.as_bytes()) {
            return Err((ErrorCode::Protocol, "bad token"));
        }
        if let Some(latest) = &self.latest {
            may_replace(latest, &item, cas)?;
        }
        if self.latest.as_ref() != Some(&item) {
            if !item.is_authentic() {
                return Err((ErrorCode::InvalidSignature, "invalid signature"));
            }
            self.latest = Some(Arc::clone(&item));
        }
        self.put = Some((Contact::new(cx.sender, cx.from), item));
        Ok(blank())
    }
}

impl Service<Mainline> for TopicService {
    fn admit(&self, contact: &Contact<Key<20>>) -> Admission {
        self.strictness.admission(contact)
    }

    /// By BEP 42.
    fn is_bound(&self, contact: &Contact<Key<20>>) -> bool {
        node_id::verify(contact.addr.ip(), &contact.key)
    }

    fn serve(&mut self, request: Request, cx: &ServeContext<'_, Mainline>) -> Reply<Mainline> {
        let room = Room::of(&request, cx, TOPIC_SIZE);
        let answer = match request {
            Request::Ping => Ok(blank()),
            Request::FindNode { target, want } => {
                Ok(Response { nodes: closest(&target, want, cx), ..blank() })
            }
            Request::Get { seq, target, want } => self.get(&target, seq, want, cx),
            Request::Put { cas, key, salt, seq, signature, token, value } => {
                item(key, salt, seq, signature, value).and_then(|item| self.put(item, cas, &token, cx))
            }
            _ => Err((ErrorCode::MethodUnknown, "not in a topic")),
        };
        match answer {
            Ok(mut response) => {
                room.trim(&mut response);
                Reply::Response(response)
            }
            Err((code, text)) => Reply::Error { code: code.into(), text: text.into() },
        }
    }
}
