//! A map taken apart: where each value lies, before anybody asks what it means.

use minicbor::Decoder;

use super::address;
use super::{FIELDS, Field};
use crate::record::SignedRecord;
use crate::refusal::Refusal;

/// The values of the fields that are known, as they lie in the datagram.
pub(super) struct Fields<'b>([Option<&'b [u8]>; FIELDS]);

/// What a request gets that lacks a value or has something else in its place.
type Read<T> = Result<T, Refusal>;

impl<'b> Fields<'b> {
    /// Takes a datagram apart. `None` if it is anything but one map whose keys ascend: then no key comes twice either.
    pub(super) fn of(datagram: &'b [u8]) -> Option<Self> {
        let mut from = Decoder::new(datagram);
        let mut fields = [None; FIELDS];
        let mut last = None;
        // However many are claimed, there is an end when the bytes are.
        for _ in 0..from.map().ok()?? {
            let key = from.u64().ok()?;
            if last.replace(key).is_some_and(|last| last >= key) {
                return None;
            }
            let start = from.position();
            from.skip().ok()?;
            let value = datagram.get(start..from.position())?;
            if let Some(field) = usize::try_from(key).ok().and_then(|key| fields.get_mut(key)) {
                *field = Some(value);
            }
        }
        (from.position() == datagram.len()).then_some(Fields(fields))
    }

    fn value(&self, field: Field) -> Option<Decoder<'b>> {
        self.0.get(field as usize).copied().flatten().map(Decoder::new)
    }

    /// A value that may be missing.
    fn optional<T>(&self, field: Field, read: impl FnOnce(&mut Decoder<'b>) -> Option<T>) -> Read<Option<T>> {
        let Some(mut value) = self.value(field) else { return Ok(None) };
        read(&mut value).map(Some).ok_or(Refusal::Malformed)
    }

    pub(super) fn number(&self, field: Field) -> Read<Option<u8>> {
        self.optional(field, |value| value.u8().ok())
    }

    pub(super) fn code(&self) -> Read<Option<i64>> {
        self.optional(Field::Code, |value| value.i64().ok())
    }

    pub(super) fn text(&self) -> Read<Option<&'b str>> {
        self.optional(Field::Text, |value| value.str().ok())
    }

    /// Only `true` is ever said.
    pub(super) fn flag(&self, field: Field) -> Read<bool> {
        Ok(self.optional(field, |value| value.bool().ok())?.unwrap_or(false))
    }

    pub(super) fn bytes(&self, field: Field) -> Read<Option<&'b [u8]>> {
        self.optional(field, |value| value.bytes().ok())
    }

    pub(super) fn fixed<const N: usize>(&self, field: Field) -> Read<Option<[u8; N]>> {
        self.optional(field, |value| value.bytes().ok()?.try_into().ok())
    }

    pub(super) fn addr(&self, field: Field) -> Read<Option<core::net::SocketAddr>> {
        self.optional(field, |value| address::read(value.bytes().ok()?))
    }

    /// At most `most` records; none if the field is missing.
    pub(super) fn records(&self, most: usize) -> Read<Vec<SignedRecord>> {
        let Some(mut value) = self.value(Field::Records) else { return Ok(Vec::new()) };
        let Ok(Some(count)) = value.array() else { return Err(Refusal::Malformed) };
        let mut records = Vec::new();
        for _ in 0..count {
            if records.len() == most {
                return Err(Refusal::Malformed);
            }
            records.push(SignedRecord::read_cbor(&mut value)?);
        }
        Ok(records)
    }
}
