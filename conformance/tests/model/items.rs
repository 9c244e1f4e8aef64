//! BEP 44 items.

use std::net::SocketAddr;

use ed25519_dalek::{Signature, VerifyingKey};

use super::wire::{Arguments, int, string};
use super::{Answer, Flaw, Node, sha1};

pub(super) struct Stored {
    value: Vec<u8>,
    signed: Option<Signed>,
}

struct Signed {
    key: [u8; 32],
    signature: [u8; 64],
    seq: i64,
    salt: Vec<u8>,
}

impl Node {
    pub(super) fn get(&mut self, from: SocketAddr, target: [u8; 20], a: Arguments<'_>) -> Answer {
        if self.has(Flaw::NoItems) {
            return self.nodes(from, target, a, b"get");
        }
        let mut response = self.nodes(from, target, a, b"get")?;
        response.push(("token", string(self.token(from, target))));
        let Some(stored) = self.items.get(&target) else { return Ok(response) };
        if self.has(Flaw::NoTokenBesideValue) {
            response.retain(|(key, _)| *key != "token");
        }
        if self.has(Flaw::NoNodesBesideValue) || stored.value.len() > 500 {
            response.retain(|(key, _)| !key.starts_with("nodes"));
        }
        let Some(Signed { key, signature, seq, salt }) = &stored.signed else {
            response.push(("v", stored.value.clone()));
            return Ok(response);
        };
        response.push(("seq", int(*seq)));
        let is_known = a.int("seq").is_some_and(|known| *seq <= known || self.has(Flaw::OmitsNewerValues));
        if is_known && !self.has(Flaw::IgnoresSeqOfGet) {
            return Ok(response);
        }
        response.extend([("v", stored.value.clone()), ("k", string(key)), ("sig", string(signature))]);
        if self.has(Flaw::ReturnsSalt) {
            response.push(("salt", string(salt)));
        }
        Ok(response)
    }

    pub(super) fn put(&mut self, from: SocketAddr, _id: [u8; 20], a: Arguments<'_>) -> Answer {
        const MISSING: (i64, &str) = (203, "missing argument");
        let value = a.value("v").ok_or(MISSING)?;
        let salt = a.bytes("salt").unwrap_or_default();
        let key = a.value("k").and_then(|key| key.array::<32>());
        let content = value.bytes().filter(|_| self.has(Flaw::HashesContent)).unwrap_or(value.raw());
        let target = key.map_or_else(|| sha1(&[content]), |key| sha1(&[&key, salt]));
        if !self.is_good(from, target, a.bytes("token")) && !self.has(Flaw::HashesContent) {
            return Err((203, "bad token"));
        }
        if value.raw().len() > if self.has(Flaw::BelowThousand) { 999 } else { 1_000 } {
            return Err((205, "value too big"));
        }
        if !value.is_canonical() && !self.has(Flaw::TakesDisorder) {
            return Err((203, "keys out of order"));
        }
        if self.has(Flaw::RefusesPuts) || self.has(Flaw::StringsOnly) && value.bytes().is_none() {
            return Err((202, "no room"));
        }
        let signed = match key {
            Some(key) => Some(self.signed(key, salt, value.raw(), a)?),
            None => None,
        };
        if let Some(signed) = &signed
            && let Some(stored) = self.items.get(&target)
            && !self.may_replace(stored, value.raw(), signed.seq, a)?
        {
            return Ok(Vec::new());
        }
        if self.has(Flaw::CasOnNothing) && a.int("cas").is_some() && !self.items.contains_key(&target) {
            return Err((301, "cas"));
        }
        self.items.insert(target, Stored { value: value.raw().to_vec(), signed });
        Ok(Vec::new())
    }

    /// The signed part of a mutable item that may be stored.
    fn signed(
        &self,
        key: [u8; 32],
        salt: &[u8],
        value: &[u8],
        a: Arguments<'_>,
    ) -> Result<Signed, (i64, &'static str)> {
        if salt.len() > if self.has(Flaw::ShortSalts) { 32 } else { 64 } && !self.has(Flaw::LongSalts) {
            return Err((207, "salt too big"));
        }
        if self.has(Flaw::NoMutableItems) {
            return Err((203, "not supported"));
        }
        let seq = a.int("seq").ok_or((203, "missing argument"))?;
        if self.has(Flaw::SmallSeq) && seq > i64::from(i32::MAX) {
            return Err((203, "seq too big"));
        }
        let signature =
            a.value("sig").and_then(|signature| signature.array::<64>()).ok_or((203, "missing argument"))?;
        let with_salt = [string("salt"), string(salt)].concat();
        let has_salt = !salt.is_empty() || self.has(Flaw::SignsEmptySalt) && a.value("salt").is_some();
        let rest = [string("seq"), int(seq), string("v"), value.to_vec()].concat();
        let signed = if has_salt { [with_salt, rest.clone()].concat() } else { rest.clone() };
        let verifies = |signed: &[u8]| {
            let key = VerifyingKey::from_bytes(&key);
            key.is_ok_and(|key| key.verify_strict(signed, &Signature::from_bytes(&signature)).is_ok())
        };
        let leaves_salt_out = self.has(Flaw::SaltUnsigned) && verifies(&rest);
        if verifies(&signed) || leaves_salt_out || self.has(Flaw::TakesAnySignature) {
            Ok(Signed { key, signature, seq, salt: salt.to_vec() })
        } else {
            Err((206, "bad signature"))
        }
    }

    fn may_replace(
        &self,
        stored: &Stored,
        value: &[u8],
        seq: i64,
        a: Arguments<'_>,
    ) -> Result<bool, (i64, &'static str)> {
        let Some(before) = stored.signed.as_ref().map(|signed| signed.seq) else { return Ok(true) };
        let cas = a.int("cas").filter(|_| !self.has(Flaw::IgnoresCas));
        if cas.is_some_and(|cas| cas != before || self.has(Flaw::CasAlwaysDiffers)) {
            return Err((301, "cas"));
        }
        if self.has(Flaw::Frozen) {
            return Ok(false);
        }
        if self.has(Flaw::AnySeq) || self.has(Flaw::EqualSeqReplaces) && seq == before {
            return Ok(true);
        }
        if seq == before && stored.value == value {
            return if self.has(Flaw::NoRefresh) { Err((302, "same seq")) } else { Ok(true) };
        }
        if seq == before && self.has(Flaw::EqualSeqPassesOver) {
            return Ok(false);
        }
        if seq <= before {
            return Err((302, if seq < before { "lower seq" } else { "equal seq" }));
        }
        Ok(true)
    }
}
