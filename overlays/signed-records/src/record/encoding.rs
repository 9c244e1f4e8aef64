//! A record's bytes: a CBOR array of eight, the signature last.

use core::convert::Infallible;

use minicbor::Encoder;
use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use minicbor::encode;

use super::{Kind, MAX_PAYLOAD, Payload, SignedRecord, Subject, Topic};
use crate::identity::{PublicKey, Signature};
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// What every signed message begins with. No other use of these keys signs anything that begins like this.
const DOMAIN: &[u8] = b"kademlia signed-records record 1\0";

impl From<Error> for Refusal {
    fn from(_: Error) -> Self {
        Refusal::Malformed
    }
}

impl SignedRecord {
    /// What the signature is made over: a word that says what for, and everything else in CBOR's deterministic form
    /// (RFC 8949, section 4.2). Made anew from the fields, so that other ways to write the same mean nothing.
    pub(crate) fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = DOMAIN.to_vec();
        let _ = self.write_fields(&mut Encoder::new(&mut bytes), 7);
        bytes
    }

    /// Appends the record in CBOR's deterministic form.
    pub(crate) fn write_cbor(&self, out: &mut Vec<u8>) {
        let mut encoder = Encoder::new(out);
        let written = self.write_fields(&mut encoder, 8);
        let _ = written.and_then(|()| encoder.bytes(self.signature.as_bytes())?.ok());
    }

    fn write_fields(
        &self,
        out: &mut Encoder<&mut Vec<u8>>,
        length: u64,
    ) -> Result<(), encode::Error<Infallible>> {
        out.array(length)?.bytes(&self.publisher.to_bytes())?.u8(self.subject.kind().number())?;
        match self.subject.topic() {
            Some(topic) => out.str(topic.as_str())?,
            None => out.null()?,
        };
        out.u64(self.sequence)?.u64(self.timestamp.as_millis())?.u32(self.ttl)?;
        match &self.payload {
            Some(payload) => out.bytes(payload.as_bytes())?,
            None => out.null()?,
        };
        Ok(())
    }

    /// Reads one record. The error is [`Refusal::Oversize`] for a payload that is too long, [`Refusal::Malformed`] for
    /// anything else.
    pub(crate) fn read_cbor(from: &mut Decoder<'_>) -> Result<Self, Refusal> {
        if from.array()? != Some(8) {
            return Err(Refusal::Malformed);
        }
        let publisher = PublicKey::new(fixed(from)?);
        let kind = Kind::from_number(from.u8()?).ok_or(Refusal::Malformed)?;
        let topic = optional(from, |from| Topic::new(from.str()?).ok_or(Refusal::Malformed))?;
        let subject = match (kind, topic) {
            (Kind::Endpoint, None) => Subject::Endpoint,
            (Kind::Topic, Some(topic)) => Subject::Topic(topic),
            (Kind::Mailbox, None) => Subject::Mailbox,
            _ => return Err(Refusal::Malformed),
        };
        let (sequence, timestamp, ttl) = (from.u64()?, Timestamp::from_millis(from.u64()?), from.u32()?);
        let payload = optional(from, |from| Payload::new(from.bytes()?).map_err(|_| Refusal::Oversize))?;
        let signature = Signature::new(fixed(from)?);
        Ok(SignedRecord { publisher, subject, sequence, timestamp, ttl, payload, signature })
    }
}

/// Exactly so many bytes.
pub(crate) fn fixed<const N: usize>(from: &mut Decoder<'_>) -> Result<[u8; N], Refusal> {
    from.bytes()?.try_into().map_err(|_| Refusal::Malformed)
}

fn optional<'b, T>(
    from: &mut Decoder<'b>,
    read: impl FnOnce(&mut Decoder<'b>) -> Result<T, Refusal>,
) -> Result<Option<T>, Refusal> {
    if from.datatype()? == Type::Null {
        from.null()?;
        return Ok(None);
    }
    read(from).map(Some)
}

const _: () = assert!(MAX_PAYLOAD <= u16::MAX as usize, "a record's length fits two bytes");
