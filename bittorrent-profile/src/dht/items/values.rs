//! Values of Rust types (feature `serde`).

use kademlia_core::Key;
use kademlia_core::runtime::RequestFailure;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::put::PutError;
use crate::dht::{Dht, Stored};
use crate::item::{Item, NotAType, RawValue};

/// Why a value of a Rust type was not put.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PutValueError {
    /// It has no form in bencode, or a longer one than can be stored.
    #[error(transparent)]
    Value(#[from] NotAType),
    /// It was not put anywhere.
    #[error(transparent)]
    Put(#[from] PutError),
}

/// Why a value of a Rust type was not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GetValueError {
    /// It is there, and is something else.
    #[error(transparent)]
    Value(#[from] NotAType),
    /// No network could be searched.
    #[error(transparent)]
    Failed(#[from] RequestFailure),
}

impl Dht {
    /// Puts a value of any type that serde can turn into bencode, as an immutable item, once. Gives back where it is
    /// found, and who took it.
    ///
    /// # Errors
    /// [`PutValueError`].
    pub async fn put_value<T: Serialize + ?Sized + Sync>(
        &self,
        value: &T,
    ) -> Result<(Key<20>, Stored), PutValueError> {
        let item = Item::Immutable(RawValue::serialize(value)?);
        Ok((item.target(), self.put(item).await?))
    }

    /// Looks for an immutable item and reads it as a type; `None` if nobody has it.
    ///
    /// # Errors
    /// [`GetValueError`].
    pub async fn get_value<T: DeserializeOwned>(&self, target: Key<20>) -> Result<Option<T>, GetValueError> {
        let mut search = self.get(target);
        match (search.next().await, search.summary().failure) {
            (Some(item), _) => Ok(Some(item.value().deserialize()?)),
            (None, Some(failure)) => Err(failure.into()),
            (None, None) => Ok(None),
        }
    }
}
