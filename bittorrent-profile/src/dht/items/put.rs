//! Storing items.

use kademlia_core::runtime::RequestFailure;
use kademlia_core::{Contact, Effort, Family, Key, LookupOptions, MakeRequest};

use crate::dht::{Dht, Inner, Stored, either};
use crate::item::Item;
use crate::krpc::{Families, Request, Response};
use crate::mainline::Mainline;
use crate::strictness::Strictness;

/// Why an item was not put anywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutError {
    /// The signature is not the owner's: every node would refuse it. Sign it with
    /// [`MutableItem::sign`](crate::item::MutableItem::sign).
    #[error("the item's signature is not its owner's")]
    Unsigned,
    /// No network could be searched for nodes that would keep it.
    #[error(transparent)]
    Failed(#[from] RequestFailure),
}

impl Dht {
    /// Puts an item at the nodes closest to its target, once: they forget it two hours later ([`keep`](Self::keep) sees to
    /// it that they do not). Values and salts that cannot be sent cannot be made
    /// ([`RawValue`](crate::item::RawValue), [`Salt`](crate::item::Salt)).
    ///
    /// # Errors
    /// Why it could not be tried. That nobody accepted is no error but an empty [`Stored::accepted`].
    pub async fn put(&self, item: impl Into<Item>) -> Result<Stored, PutError> {
        put(&self.inner, item.into(), Cas::None).await
    }

    /// Puts a version of a mutable item in the place of version `cas`, and of no other: nodes that have another refuse with
    /// [`CasMismatch`](crate::krpc::ErrorCode::CasMismatch), those that have none take it (44.7). A node whose answer was
    /// lost is asked again, and refuses then too: that a node refused does not mean that it has not the version put.
    /// [`update`](Self::update) sorts that out.
    ///
    /// # Errors
    /// Why it could not be tried.
    pub async fn put_cas(&self, item: impl Into<Item>, cas: i64) -> Result<Stored, PutError> {
        put(&self.inner, item.into(), Cas::Exactly(cas)).await
    }
}

/// Which versions may be replaced (44.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cas {
    /// All older ones.
    None,
    /// This one.
    Exactly(i64),
    /// On each node the older one that it has just said to have.
    Older,
}

async fn put(inner: &Inner, item: Item, cas: Cas) -> Result<Stored, PutError> {
    if !item.is_authentic() {
        return Err(PutError::Unsigned);
    }
    Ok(store(inner, &item, cas, Effort::Hardened).await?)
}

/// Puts an item in both networks at once.
///
/// # Errors
/// Why it could be tried in no network.
pub(super) async fn store(
    inner: &Inner,
    item: &Item,
    cas: Cas,
    effort: Effort,
) -> Result<Stored, RequestFailure> {
    let target = item.target();
    let one = async |family| {
        // Who has this version or an older one need not send it.
        let request = Request::Get { seq: item.seq(), target, want: Families::NONE };
        let options = LookupOptions { effort: Some(effort), ..LookupOptions::default() };
        let make = make_request(item.clone(), cas, inner.strictness);
        inner.handle.publish(family, target, request, make, options).await
    };
    let mut stored = Stored::default();
    either(tokio::join!(one(Family::V4), one(Family::V6)))?.for_each(|one| stored.add(one));
    Ok(stored)
}

/// To whoever may store. `cas` is left out for nodes that have
/// no version (44.7).
fn make_request(item: Item, cas: Cas, strictness: Strictness) -> MakeRequest<Mainline> {
    Box::new(move |from: &Contact<Key<20>>, response: &Response| {
        let token = strictness.token(from, response)?;
        let held = response.item.as_ref().and_then(|parts| parts.seq).filter(|seq| *seq >= 0);
        let cas = match (cas, held, item.seq()) {
            (Cas::Exactly(expected), Some(_), _) => Some(expected),
            // Of who has this number already `cas` is not true, so he refuses: not every node would, at an equal number.
            (Cas::Older, Some(held), Some(new)) => Some(held.min(new.saturating_sub(1))),
            _ => None,
        };
        Some(Request::put(&item, cas, token))
    })
}
