//! What a service tells of itself.

use core::net::{IpAddr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet};

use kademlia_core::{Contact, Instant, Key, Node, Placed, Storage};

use super::RecordsService;
use crate::config::RecordsConfig;
use crate::peers::{Reach, SeenPeer};
use crate::protocol::SignedRecords;
use crate::publisher::{Publication, PublicationId};
use crate::record::{Kind, SignedRecord, Slot, StoredRecord};
use crate::refusal::Refusal;
use crate::time::Timestamp;

impl<S: Storage<Key<32>, StoredRecord> + 'static> RecordsService<S> {
    /// Puts a record into this node's own store, as if somebody at `source` had sent it (D1).
    ///
    /// # Errors
    /// Why it is not kept.
    pub fn put(
        &mut self,
        now: Instant,
        key: Key<32>,
        record: SignedRecord,
        source: IpAddr,
    ) -> Result<Placed, Refusal> {
        self.tick(now);
        self.shelf.put(now, self.clock, &self.authority, key, record, source)
    }

    /// The newest record in one place of this node's own store (D2).
    pub fn get(&mut self, now: Instant, slot: &Slot) -> Option<SignedRecord> {
        let key = slot.subject.target(&slot.publisher);
        let kind = Some(slot.subject.kind());
        self.held(now, &key, kind).into_iter().find(|record| record.slot() == *slot)
    }

    /// All records under a key in this node's own store, or those of one type (D2), ordered by publisher: those of others
    /// and its own.
    pub fn held(&mut self, now: Instant, key: &Key<32>, kind: Option<Kind>) -> Vec<SignedRecord> {
        let wall = self.tick(now);
        let mut records = self.shelf.all(now, key, kind);
        // What there was no room for is published all the same.
        for own in self.publisher.under(key, kind) {
            match records.binary_search_by_key(&own.slot(), SignedRecord::slot) {
                Ok(at) => {
                    if let Some(record) = records.get_mut(at).filter(|record| record.sequence < own.sequence)
                    {
                        record.clone_from(own);
                    }
                }
                Err(at) => records.insert(at, own.clone()),
            }
        }
        records.retain(|record| record.expires() > wall);
        records
    }

    /// Up to `n` of the records kept for others, with their keys, for people to look at (D2).
    pub fn list(&mut self, now: Instant, n: usize) -> Vec<(Key<32>, SignedRecord)> {
        let wall = self.tick(now);
        let mut records = self.shelf.list(now, n);
        records.retain(|(_, record)| record.expires() > wall);
        records
    }

    /// Where records are kept.
    pub fn storage(&self) -> &S {
        self.shelf.storage()
    }

    /// Where records are kept, for what its owner has to see to.
    pub fn storage_mut(&mut self) -> &mut S {
        self.shelf.storage_mut()
    }

    /// What this node publishes: the present versions, and at how many nodes each is, once that is known.
    pub fn publications(&self) -> impl Iterator<Item = (&SignedRecord, Option<usize>)> {
        self.publisher.iter().map(|item| (&item.record, item.replicas))
    }

    /// The present version of something that is published; `None` if it is no longer.
    pub fn publication(&self, id: PublicationId) -> Option<&SignedRecord> {
        self.publisher.get(id).map(|Publication { record, .. }| record)
    }

    /// Peers that answered in the last seven days, those heard last first: candidates for the next cold start (D7), and
    /// what [`remember`](Self::remember) takes.
    pub fn seen(&self) -> impl Iterator<Item = &SeenPeer> {
        self.peers.latest()
    }

    /// How many peers have answered lately (D11).
    pub fn reach(&self, now: Instant) -> Reach {
        self.peers.reach(self.clock.at(now))
    }

    /// The address at which most of those asked last see this node. A hint: a few liars can change it. The engine's
    /// [`Node::external`](kademlia_core::Node::external) is harder to move and takes longer to say something.
    pub fn apparent(&self) -> Option<SocketAddr> {
        let mut votes = BTreeMap::<SocketAddr, usize>::new();
        for (_, seen) in &self.views {
            *votes.entry(*seen).or_default() += 1;
        }
        votes.into_iter().max_by_key(|(_, count)| *count).map(|(seen, _)| seen)
    }

    /// Whether `addr` has the external IP that others see this node under: it stands behind the same translator, and is
    /// reached through that only if the translator turns packets round (a hairpin, D10).
    pub fn is_hairpin(&self, addr: SocketAddr) -> bool {
        self.apparent().is_some_and(|own| own.ip() == addr.ip())
    }

    /// Operations under way.
    pub fn operations(&self) -> usize {
        self.agenda.len()
    }

    /// The present.
    pub fn wall(&self, now: Instant) -> Timestamp {
        self.clock.at(now)
    }

    /// What it was made with.
    pub fn config(&self) -> &RecordsConfig {
        &self.config
    }
}

/// Contacts to try at the next cold start, the best first (D7): those in good standing now, then those that answered in
/// the last seven days.
pub fn candidates<S>(node: &Node<SignedRecords, RecordsService<S>>, now: Instant) -> Vec<Contact<Key<32>>>
where
    S: Storage<Key<32>, StoredRecord> + 'static,
{
    let mut contacts = node.snapshot(now).contacts;
    let good: BTreeSet<_> = contacts.iter().map(|contact| contact.key).collect();
    let seen = node.service().seen().map(|peer| peer.contact);
    contacts.extend(seen.filter(|contact| !good.contains(&contact.key)));
    contacts.truncate(CANDIDATES);
    contacts
}

/// Contacts exported.
const CANDIDATES: usize = 256;
