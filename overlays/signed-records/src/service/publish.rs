//! Publishing: at once in the own store, in the background at the nodes closest to the key (D5).

use std::sync::Arc;

use kademlia_core::{Effort, Instant, Key, Storage, Stored};

use super::RecordsService;
use crate::identity::{PublicKey, SecretKey};
use crate::message::Request;
use crate::publisher::{PublicationId, PublishError, Replicas};
use crate::record::{Draft, Slot, StoredRecord};

impl<S: Storage<Key<32>, StoredRecord> + 'static> RecordsService<S> {
    /// Publishes from now on, until it is [withdrawn](Self::withdraw), in the place of what was published about the same.
    /// The record is in this node's own store when this returns; the closest nodes get it in the background. `done` is
    /// told who has the first version.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish(
        &mut self,
        now: Instant,
        publisher: Arc<SecretKey>,
        draft: Draft,
        done: impl FnOnce(Replicas) + Send + 'static,
    ) -> Result<PublicationId, PublishError> {
        self.start_publishing(now, publisher, draft, Some(Box::new(done)))
    }

    fn start_publishing(
        &mut self,
        now: Instant,
        publisher: Arc<SecretKey>,
        draft: Draft,
        done: Option<crate::publisher::Replicated>,
    ) -> Result<PublicationId, PublishError> {
        let wall = self.tick(now);
        let slot = Slot { publisher: publisher.public(), subject: draft.subject.clone() };
        let known = self.get(now, &slot);
        let sample = draft.sign(&publisher, 0, wall);
        self.authority.check_policy(&sample.target(), &sample).map_err(|_| PublishError::Denied)?;
        let id = self.publisher.add(now, wall, publisher, draft, known.as_ref(), done)?;
        self.keep_own(now, id);
        Ok(id)
    }

    /// Withdraws everything that one publisher publishes through this node (D5); gives back how much that was. Nothing is
    /// renewed any more; the closest nodes are told once, and what they do not hear of is gone after its time to live.
    pub fn withdraw(&mut self, now: Instant, publisher: PublicKey) -> usize {
        let published = self.publisher.of(publisher);
        let count = published.len();
        for (secret, draft) in published {
            // It takes the place of one that was let in, so nothing can be in its way.
            let _ =
                self.start_publishing(now, secret, Draft::withdrawal(draft.subject).lasting(draft.ttl), None);
        }
        count
    }

    /// Puts the present version of an own record among the others. If there is no room it is served all the same.
    fn keep_own(&mut self, now: Instant, id: PublicationId) {
        if let Some(publication) = self.publisher.get(id) {
            let record = publication.record.clone();
            let _ = self.shelf.place(now, self.clock, record.target(), StoredRecord::own(record));
        }
    }

    /// Stores what is due.
    pub(super) fn publish_due(&mut self, now: Instant) {
        let wall = self.tick(now);
        while let Some((id, effort)) = self.publisher.poll(now, wall) {
            let (Some(make), Some(publication)) = (self.publisher.make(id), self.publisher.get(id)) else {
                continue;
            };
            let (target, kind) = (publication.record.target(), publication.record.subject.kind());
            self.keep_own(now, id);
            // The k closest reachable, and who stands as near as they do; several paths would reach far beyond.
            let options = self.options(effort.min(Effort::Dense));
            let request = Request::Find { target, kind: Some(kind), after: None };
            self.agenda.store(target, request, make, options, move |service, now, stored| {
                service.stored(now, id, effort, stored.ok());
            });
        }
    }

    fn stored(&mut self, now: Instant, id: PublicationId, effort: Effort, stored: Option<Stored<Key<32>>>) {
        let messages = stored.as_ref().map_or(0, |stored| stored.report.messages);
        let replicas = stored.map(Replicas::from).unwrap_or_default();
        let stores = replicas.accepted.len() + replicas.refused.len() + replicas.no_answer.len();
        self.publisher.offered(now, id, effort, replicas, messages + stores);
    }
}
