//! The answering side: one method for each request.

use core::net::SocketAddr;

use kademlia_core::{Contact, Key, Reply, ServeContext, Storage};

use super::RecordsService;
use crate::codec::{MAX_CONTACTS, MAX_RECORDS};
use crate::identity::PublicKey;
use crate::message::{Nonce, Request, Response, Token, identity_bytes};
use crate::protocol::SignedRecords;
use crate::record::{Kind, SignedRecord, StoredRecord};
use crate::refusal::Refusal;

type Cx<'a> = ServeContext<'a, SignedRecords>;
type Answer = Result<Response, Refusal>;

impl<S: Storage<Key<32>, StoredRecord> + 'static> RecordsService<S> {
    pub(super) fn answer(&mut self, request: Request, cx: &Cx<'_>) -> Reply<SignedRecords> {
        let answer = match request {
            Request::Ping => Ok(Response::default()),
            Request::Identify { nonce } => Ok(self.on_identify(&nonce, cx)),
            Request::FindNode { target } => {
                Ok(Response { contacts: closest(&target, cx), ..Response::default() })
            }
            Request::Find { target, kind, after } => Ok(self.on_find(target, kind, after, cx)),
            Request::Store { key, record, token } => self.on_store(key, record, token, cx),
            Request::Probe { addr, nonce, token } => self.on_probe(addr, nonce, token, cx),
            Request::Echo { nonce } => {
                // An echo that nobody waits for meets silence: it says nothing of us, and leads to nothing.
                if !self.probes.echoed(&nonce, cx.from.ip()) {
                    return Reply::Ignore;
                }
                Ok(Response::default())
            }
        };
        match answer {
            Ok(response) => Reply::Response(response),
            Err(refusal) => Reply::Error { code: refusal.code(), text: refusal.text().into() },
        }
    }

    fn on_identify(&self, nonce: &Nonce, cx: &Cx<'_>) -> Response {
        let own = self.identity.public().key();
        let signature = self.identity.sign(&identity_bytes(nonce, &own, &cx.sender));
        Response { signature: Some(signature), ..Response::default() }
    }

    fn on_find(
        &mut self,
        target: Key<32>,
        kind: Option<Kind>,
        after: Option<PublicKey>,
        cx: &Cx<'_>,
    ) -> Response {
        let mut records = self.held(cx.now, &target, kind);
        records.retain(|record| after.is_none_or(|after| record.publisher > after));
        let more = records.len() > MAX_RECORDS;
        records.truncate(MAX_RECORDS);
        let token = Some(Token(self.tokens.issue(cx.now, cx.from.ip(), target.as_ref())));
        Response { contacts: closest(&target, cx), records, more, token, signature: None }
    }

    fn on_store(&mut self, key: Key<32>, record: SignedRecord, token: Token, cx: &Cx<'_>) -> Answer {
        if !self.tokens.verify(cx.now, cx.from.ip(), key.as_ref(), token.as_bytes()) {
            return Err(Refusal::BadToken);
        }
        self.shelf.put(cx.now, self.clock, &self.authority, key, record, cx.from.ip())?;
        Ok(Response::default())
    }

    fn on_probe(&mut self, addr: SocketAddr, nonce: Nonce, token: Token, cx: &Cx<'_>) -> Answer {
        if !self.tokens.verify(cx.now, cx.from.ip(), cx.sender.as_ref(), token.as_bytes()) {
            return Err(Refusal::BadToken);
        }
        self.echoes.admit(cx.now, cx.from, addr)?;
        self.agenda.ask(addr, Some(cx.sender), Request::Echo { nonce }, |_, _, _| {});
        Ok(Response::default())
    }
}

fn closest(target: &Key<32>, cx: &Cx<'_>) -> Vec<Contact<Key<32>>> {
    let mut contacts = Vec::new();
    cx.closest(target, cx.family(), MAX_CONTACTS, &mut contacts);
    contacts
}
