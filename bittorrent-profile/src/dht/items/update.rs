//! Changing a mutable item that others may be changing at the same time.
//!
//! Nodes compare sequence numbers and nothing else, each for itself (44.7), and nobody counts votes. What makes a change
//! safe nevertheless is the eight nodes nearest to the item, which all writers find:
//!
//! - A writer puts his version in the place of the one that each node has just said to have. Of two writers with the same
//!   number one comes first to each node, and the other is refused there.
//! - He has succeeded once three in four of the nearest have his version: then nobody else can have as many under that
//!   number, and whoever reads takes his version for the one that counts.
//! - Anything else sends him back to read: a refusal, because somebody was faster, or because the answer to his own
//!   first attempt was lost; too few answers.
//! - If nobody has succeeded, all see the same version in the lead. Its writer goes on at once under the next number, the
//!   others pause for a random time and go on from there.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Effort, Family, Keyspace};

use super::get::Reader;
use super::put::{Cas, store};
use super::survey::{NEAREST, Sought, Survey, is_most};
use crate::dht::{Dht, Inner, Stored};
use crate::item::{Item, MutableItem, RawValue, Salt, SecretKey, mutable_target};

/// Attempts of one update. With five writers and a tenth of all datagrams lost, the last to succeed takes about ten.
const ATTEMPTS: u32 = 24;
/// Writes of one version that nobody else disputes, and too few nodes take.
const INSISTENCE: u32 = 4;
/// The number of an item's first version.
const FIRST: i64 = 1;
/// The pause of who is not in the lead, once to three times this, at first; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_secs(4);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updated {
    /// The version that holds it.
    pub item: Arc<MutableItem>,
    /// The version that it was made from; `None` if there was none.
    pub previous: Option<i64>,
    /// Who took it, in the last attempt; `None` if nothing had to be written.
    pub stored: Option<Stored>,
    /// Attempts that it took.
    pub attempts: u32,
}

/// Why a change was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// Others were faster every time. What was written last may stand or not; try again when there is less going on.
    #[error("others change the item too: {attempts} attempts failed")]
    Contested {
        /// Attempts made.
        attempts: u32,
        /// The version that counts, as far as is known.
        newest: Option<Arc<MutableItem>>,
    },
    /// Too few of the nodes nearest to the item took it, and nobody else is changing it. Try again; look at
    /// [`Stored::refused`] for their reasons.
    #[error("too few nodes took the item")]
    NotStored(Stored),
    /// There is no item, and `change` did not make one.
    #[error("there is no such item")]
    Nothing,
    /// There is no higher sequence number. Use another salt or another key.
    #[error("the sequence number cannot be raised any further")]
    Exhausted,
    /// No network could be searched.
    #[error(transparent)]
    Failed(#[from] RequestFailure),
}

impl Dht {
    /// Changes a mutable item, whoever else changes it at the same time: reads it, lets `change` make the new value from
    /// the old, and puts that under the next sequence number in the place of the version read. Starts again with what
    /// another writer put meanwhile, at most 24 times.
    ///
    /// `change` is told the value that counts, `None` if there is none, and gives the new one; `None` leaves things as they
    /// are. It may be called several times, and with a value that has its change already: when a change was written, and
    /// another writer went on from there before that was confirmed. Let it look before it adds.
    ///
    /// Once this returns, the change is in every later version, provided that all writers go through this method, are in
    /// the same networks (IPv4, IPv6), and the network around the item does not change faster than they write.
    ///
    /// # Errors
    /// [`UpdateError`]. After all but [`Exhausted`](UpdateError::Exhausted) a later version may hold the change or not.
    pub async fn update(
        &self,
        owner: &SecretKey,
        salt: Salt,
        change: impl FnMut(Option<&RawValue>) -> Option<RawValue> + Send,
    ) -> Result<Updated, UpdateError> {
        Update { inner: &self.inner, owner, salt, change, written: None, pause: FIRST_PAUSE, insisted: 0 }
            .run()
            .await
    }
}

struct Update<'a, F> {
    inner: &'a Inner,
    owner: &'a SecretKey,
    salt: Salt,
    change: F,
    /// What was written last.
    written: Option<Written>,
    pause: Duration,
    insisted: u32,
}

struct Written {
    item: Arc<MutableItem>,
    previous: Option<i64>,
    stored: Stored,
}

/// What to write next.
struct Draft {
    value: RawValue,
    seq: i64,
    previous: Option<i64>,
    cas: Cas,
}

impl Written {
    fn is(&self, other: Option<&Arc<MutableItem>>) -> bool {
        other.is_some_and(|other| (other.seq, &other.value) == (self.item.seq, &self.item.value))
    }

    fn done(self, attempts: u32) -> Updated {
        Updated { item: self.item, previous: self.previous, stored: Some(self.stored), attempts }
    }
}

impl<F: FnMut(Option<&RawValue>) -> Option<RawValue>> Update<'_, F> {
    async fn run(mut self) -> Result<Updated, UpdateError> {
        let mut attempts = 0;
        loop {
            let mut survey = self.read().await?;
            if let Some(written) =
                self.written.take_if(|ours| survey.is_settled() && ours.is(newest(&survey)))
            {
                return Ok(written.done(attempts));
            }
            if attempts >= ATTEMPTS {
                return Err(UpdateError::Contested { attempts, newest: newest(&survey).cloned() });
            }
            if self.written.as_ref().is_some_and(|ours| !ours.is(newest(&survey))) {
                self.pause().await;
                survey = self.read().await?;
            }
            let Some(draft) = self.draft(&survey)? else {
                return unchanged(&survey, attempts);
            };
            let written = self.write(draft).await?;
            attempts += 1;
            if is_safe(&written.stored, &written.item) {
                return Ok(written.done(attempts));
            }
            if written.stored.accepted.is_empty() && written.stored.conflicts() == 0 {
                return Err(UpdateError::NotStored(written.stored));
            }
            self.written = Some(written);
        }
    }

    async fn read(&self) -> Result<Survey, RequestFailure> {
        let survey = Survey::new(Sought::Mutable(self.owner.public(), self.salt));
        let (survey, _) = Reader::of(self.inner).read(survey, None, |_, _, _| {}).await?;
        Ok(survey)
    }

    /// `None` if there is nothing to write.
    fn draft(&mut self, survey: &Survey) -> Result<Option<Draft>, UpdateError> {
        let newest = newest(survey);
        let seq = newest.map(|newest| newest.seq);
        let next = || seq.map_or(Some(FIRST), |seq| seq.checked_add(1)).ok_or(UpdateError::Exhausted);
        if let Some(ours) = self.written.as_ref().filter(|ours| ours.is(newest)) {
            let (value, previous) = (ours.item.value.clone(), ours.previous);
            if survey.is_forked() {
                return Ok(Some(Draft { value, seq: next()?, previous, cas: Cas::Older }));
            }
            // Too few have it, and nobody has another: the same again.
            self.insisted += 1;
            if self.insisted >= INSISTENCE {
                return Err(UpdateError::NotStored(ours.stored.clone()));
            }
            return Ok(Some(Draft { value, seq: ours.item.seq, previous, cas: Cas::None }));
        }
        let old = newest.map(|newest| &newest.value);
        let value = match (self.change)(old) {
            // What was written is in there, but who wrote this has not succeeded yet.
            None if self.written.is_some() && !survey.is_settled() => old.cloned(),
            value => value,
        };
        value.map(|value| Ok(Draft { value, seq: next()?, previous: seq, cas: Cas::Older })).transpose()
    }

    async fn write(&self, draft: Draft) -> Result<Written, RequestFailure> {
        let Draft { value, seq, previous, cas } = draft;
        let item = Arc::new(MutableItem::sign(self.owner, self.salt, seq, value));
        let stored = store(self.inner, &Item::Mutable(Arc::clone(&item)), cas, Effort::Hardened).await?;
        Ok(Written { item, previous, stored })
    }

    async fn pause(&mut self) {
        let share = self.inner.rng.lock().unwrap_or_else(PoisonError::into_inner).unit();
        tokio::time::sleep(self.pause.mul_f64(1.0 + 2.0 * share)).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

fn newest(survey: &Survey) -> Option<&Arc<MutableItem>> {
    match survey.newest()? {
        Item::Mutable(item) => Some(item),
        Item::Immutable(_) => None,
    }
}

/// `change` wants nothing written.
fn unchanged(survey: &Survey, attempts: u32) -> Result<Updated, UpdateError> {
    let item = Arc::clone(newest(survey).ok_or(UpdateError::Nothing)?);
    Ok(Updated { previous: Some(item.seq), item, stored: None, attempts })
}

/// Whether a write has succeeded: nobody has another version, and three in four of the nearest nodes have this one, in
/// each network. Nodes that take no items at all do not count.
fn is_safe(stored: &Stored, item: &MutableItem) -> bool {
    let target = mutable_target(&item.key, &item.salt);
    let safe_in = |family| {
        let accepted = stored.accepted.iter().map(|contact| (contact, true));
        let all = accepted.chain(stored.no_answer.iter().map(|contact| (contact, false)));
        let mut all: Vec<_> = all.filter(|(contact, _)| Family::of(&contact.addr) == family).collect();
        all.sort_by(|(a, _), (b, _)| target.cmp_distance(&a.key, &b.key));
        all.truncate(NEAREST);
        is_most(all.iter().filter(|(_, accepted)| *accepted).count(), all.len())
    };
    stored.conflicts() == 0 && !stored.accepted.is_empty() && safe_in(Family::V4) && safe_in(Family::V6)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use kademlia_core::{Contact, Key};

    use super::*;

    fn item() -> MutableItem {
        let value = RawValue::canonical(b"i1e".to_vec());
        MutableItem::sign(&SecretKey::from_seed(&[1; 32]), Salt::default(), 1, value)
    }

    /// The `n`th nearest node, of IPv6 from 100 on.
    fn node(n: u8) -> Contact<Key<20>> {
        let mut key = mutable_target(&item().key, &item().salt).to_bytes();
        key[1] ^= n;
        let ip = if n < 100 { [20, 0, 0, n].into() } else { [0x2a00, 0, 0, 0, 0, 0, 0, n.into()].into() };
        Contact::new(Key::new(key), SocketAddr::new(ip, 1))
    }

    fn nodes(which: impl IntoIterator<Item = u8>) -> Vec<Contact<Key<20>>> {
        which.into_iter().map(node).collect()
    }

    #[test]
    fn bep44_44_7_a_write_is_safe_if_nearly_all_of_the_nearest_took_it_and_nobody_has_another() {
        let safe = |stored: &Stored| is_safe(stored, &item());
        let all = Stored { accepted: nodes(0..20), ..Stored::default() };
        assert!(safe(&all));
        assert!(!safe(&Stored::default()), "nobody is no majority");
        let refused = |code| Stored { refused: vec![(node(30), code, String::new())], ..all.clone() };
        assert!(!safe(&refused(301)) && !safe(&refused(302)), "however far away");
        assert!(safe(&refused(202)), "who takes no items has no say");
        let but = |silent: u8| Stored {
            accepted: nodes(silent..20),
            no_answer: nodes(0..silent),
            ..Stored::default()
        };
        assert!(safe(&but(2)) && !safe(&but(3)), "six of the eight nearest");
        let far = Stored { no_answer: nodes(20..40), ..all.clone() };
        assert!(safe(&far), "the others do not decide");
        let dual = |silent: u8| Stored {
            accepted: nodes((0..20).chain(100 + silent..120)),
            no_answer: nodes(100..100 + silent),
            ..Stored::default()
        };
        assert!(safe(&dual(2)) && !safe(&dual(3)), "32.1: each network for itself");
    }
}
