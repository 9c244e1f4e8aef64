//! Items for anybody: BEP 44.

use std::sync::Arc;

use kademlia_core::{Key, Keyspace, ServeContext, Storage};

use super::{MainlineService, blank, closest, no_room};
use crate::item::{Item, ItemParts, MutableItem, PublicKey, RawValue, Salt, Signature, StoredItem};
use crate::krpc::{ErrorCode, Families, Refusal, Response, Token};
use crate::mainline::Mainline;
use crate::peers::Peer;

/// The item that a `put` carries.
pub(crate) fn item(
    key: Option<PublicKey>,
    salt: Salt,
    seq: Option<i64>,
    signature: Option<Signature>,
    value: RawValue,
) -> Result<Item, Refusal> {
    match (key, seq, signature) {
        (None, _, _) => Ok(Item::Immutable(value)),
        (Some(key), Some(seq), Some(signature)) => {
            Ok(Item::Mutable(Arc::new(MutableItem { key, salt, seq, value, signature })))
        }
        _ => Err((ErrorCode::Protocol, "missing arguments")),
    }
}

impl<P: Storage<Key<20>, Peer>, I: Storage<Key<20>, StoredItem>> MainlineService<P, I> {
    /// Nodes and a token always (44.1); the item if there is one, of a mutable one the number alone if what the value takes
    /// may not go to this asker.
    pub(super) fn get(
        &mut self,
        target: &Key<20>,
        known: Option<i64>,
        want: Families,
        cx: &ServeContext<'_, Mainline>,
    ) -> Response {
        let mut response = Response { nodes: closest(target, want, cx), ..blank() };
        response.token = self.token_for_item(target, cx);
        let item = self.stores.item(cx.now, target, &mut self.rng);
        if let Some(parts) = item.map(|item| ItemParts::of(&item, known)) {
            let bytes = parts.value.as_ref().map_or(0, |value| value.as_bytes().len());
            let affordable = bytes == 0 || self.may_be_large(cx, bytes);
            // The number alone still tells a writer what to put into `cas`, and a reader who holds the item (44.8).
            let parts = if affordable { parts } else { parts.without_value() };
            response.item = Some(parts).filter(|parts| *parts != ItemParts::default()).map(Box::new);
        }
        response
    }

    /// None for whom there is no room, as for peers.
    fn token_for_item(&mut self, target: &Key<20>, cx: &ServeContext<'_, Mainline>) -> Option<Token> {
        let longest = StoredItem::new(Item::Immutable(RawValue::longest()), cx.from.ip());
        self.stores.items_mut(cx.local).admits(target, &longest).ok()?;
        Some(Token::from_array(self.tokens.issue(cx.now, cx.from.ip(), target.as_bytes())))
    }

    /// What is cheap to check comes first; the signature, which is not, last, and not at all if the very same item is
    /// here already (44.6: its time starts anew).
    pub(super) fn put(
        &mut self,
        item: Item,
        cas: Option<i64>,
        token: &Token,
        cx: &ServeContext<'_, Mainline>,
    ) -> Result<Response, Refusal> {
        let target = item.target();
        if !self.tokens.verify(cx.now, cx.from.ip(), target.as_bytes(), token.as_bytes()) {
            return Err((ErrorCode::Protocol, "bad token"));
        }
        let held = self.stores.item(cx.now, &target, &mut self.rng);
        if let (Item::Mutable(new), Some(Item::Mutable(old))) = (&item, &held) {
            may_replace(old, new, cas)?;
        }
        if held.as_ref() != Some(&item) && !item.is_authentic() {
            return Err((ErrorCode::InvalidSignature, "invalid signature"));
        }
        let item = StoredItem::new(item, cx.from.ip());
        let expires = cx.now + self.config.item_ttl;
        self.stores.insert_item(cx.now, cx.local, item, expires).map_err(no_room)?;
        Ok(blank())
    }
}

/// The rules for a newer version (44.6, 44.7). An equal number with another value is no version but a fork: refused.
pub(crate) fn may_replace(old: &MutableItem, new: &MutableItem, cas: Option<i64>) -> Result<(), Refusal> {
    if cas.is_some_and(|cas| cas != old.seq) {
        return Err((ErrorCode::CasMismatch, "the version here is not the one in cas"));
    }
    if new.seq < old.seq {
        return Err((ErrorCode::SeqTooLow, "the version here is newer"));
    }
    if new.seq == old.seq && new.value != old.value {
        return Err((ErrorCode::SeqTooLow, "another value has this sequence number"));
    }
    Ok(())
}
