//! Values from Rust types and back (feature `serde`).
//!
//! `serde_bencode` recurses as deep as its input does, so it only ever reads a [`RawValue`], which nests no deeper than
//! the crate's own reader lets it.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{NotAValue, RawValue};

/// Why a Rust value and an item's value are not turned into each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotAType {
    /// The types do not fit: bencode knows integers, strings, lists and dictionaries, no fractions and no nothing.
    #[error("{0}")]
    Serde(String),
    /// What serde made of it cannot be stored.
    #[error(transparent)]
    Value(#[from] NotAValue),
}

impl RawValue {
    /// A value in bencode. Strings of bytes should be `serde_bytes`' types; a `Vec<u8>` becomes a list of numbers.
    ///
    /// # Errors
    /// [`NotAType`].
    pub fn serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, NotAType> {
        let raw = serde_bencode::to_bytes(&value).map_err(|error| NotAType::Serde(error.to_string()))?;
        Ok(RawValue::new(&raw)?)
    }

    /// The value as a Rust type.
    ///
    /// # Errors
    /// [`NotAType::Serde`].
    pub fn deserialize<T: DeserializeOwned>(&self) -> Result<T, NotAType> {
        serde_bencode::from_bytes(self.as_bytes()).map_err(|error| NotAType::Serde(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Post {
        title: String,
        number: i64,
        tags: Vec<String>,
        also: Option<Box<Post>>,
    }

    fn post() -> Post {
        let also = Post { title: String::new(), number: -1, tags: vec![], also: None };
        Post { title: "é".into(), number: 7, tags: vec!["a".into(), "b".into()], also: Some(Box::new(also)) }
    }

    #[test]
    fn values_of_types_are_canonical_and_come_back() {
        let value = RawValue::serialize(&post()).unwrap();
        assert!(value.as_bytes().starts_with(b"d4:also"), "the keys are in order: {value:?}");
        assert_eq!(value.deserialize::<Post>(), Ok(post()));
        assert_eq!(RawValue::serialize("text").unwrap().as_bytes(), b"4:text");
        assert!(matches!(value.deserialize::<i64>(), Err(NotAType::Serde(_))));
    }

    #[test]
    fn p44_values_that_cannot_be_stored_are_refused() {
        assert_eq!(RawValue::serialize(&"x".repeat(997)), Err(NotAType::Value(NotAValue::TooLong)));
        assert!(matches!(RawValue::serialize(&1.5), Err(NotAType::Serde(_))));
    }

    /// As deep as a value may be, and no deeper: the recursion is bounded before it begins.
    #[test]
    fn p31_the_deepest_value_is_read() {
        let nested = |depth: usize| [vec![b'l'; depth], vec![b'e'; depth]].concat();
        let deepest = (0..500).map_while(|depth| RawValue::new(&nested(depth + 1)).ok()).last().unwrap();
        assert!(deepest.as_bytes().len() < 200, "{}", deepest.as_bytes().len());
        deepest.deserialize::<serde_bencode::value::Value>().unwrap();
    }
}
