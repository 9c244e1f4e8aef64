//! Buckets: how many of the table's entries belong to each, and in which order they lie around a target.

use core::cmp::Ordering;
use core::ops::ControlFlow;

use super::entry::{Entry, Stamp};
use crate::contact::Contact;
use crate::key::Keyspace;
use crate::time::Instant;

/// One bucket's share of the table's entries, and when it last changed (BEP 5).
#[derive(Clone, Copy, Debug)]
pub(super) struct Bucket {
    pub(super) len: u16,
    pub(super) changed: Stamp,
}

/// One bucket, for reading.
#[derive(Clone, Copy, Debug)]
pub struct BucketView<'a, K> {
    /// Leading bits that its keys share with the table's own: exactly these, or at least these in the last bucket.
    pub index: usize,
    /// When an entry was last added, replaced or answered, or a refresh began.
    pub changed: Instant,
    /// Its entries, in no particular order.
    pub entries: &'a [Entry<K>],
}

/// Calls `visit` with each bucket's entries, nearest bucket to `target` first, until it breaks.
///
/// Let x = target ⊕ local. A key in bucket j agrees with local before bit j and differs in it; keys of deeper buckets
/// agree in it too. Seen from the target, both have the same bits x before bit j of their distance, and in bit j
/// bucket j has the opposite of x and everything deeper has x. So where x has a one, bucket j is nearer than
/// everything deeper, and where it has a zero, farther: first the buckets under ones, from shallow to deep, then the
/// last bucket, which has nothing deeper, then the buckets under zeros, from deep to shallow. No two overlap.
pub(super) fn by_distance<'a, K: Keyspace>(
    local: &K,
    target: &K,
    buckets: &[Bucket],
    entries: &'a [Entry<K>],
    mut visit: impl FnMut(&'a [Entry<K>]) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let x = target.distance(local);
    let is_one = |bit: usize| x.as_bytes().get(bit / 8).is_some_and(|byte| byte & (0x80 >> (bit % 8)) != 0);
    let shallow = buckets.split_last().map_or(buckets, |(_, shallow)| shallow);
    let mut deeper = entries;
    for (bit, bucket) in shallow.iter().enumerate() {
        let (own, rest) = deeper.split_at(bucket.len.into());
        deeper = rest;
        if is_one(bit) {
            visit(own)?;
        }
    }
    visit(deeper)?;
    let mut shallower = &entries[..entries.len() - deeper.len()];
    for (bit, bucket) in shallow.iter().enumerate().rev() {
        let (rest, own) = shallower.split_at(shallower.len() - usize::from(bucket.len));
        shallower = rest;
        if !is_one(bit) {
            visit(own)?;
        }
    }
    ControlFlow::Continue(())
}

/// Entries selected at a time: enough for every k in use, so that one pass over a bucket is the rule.
const CHUNK: usize = 32;

/// An entry and the first 64 bits of its distance, which decide nearly every comparison.
#[derive(Clone, Copy)]
struct Ranked<'a, K> {
    head: u64,
    entry: &'a Entry<K>,
}

impl<K: Keyspace> Ranked<'_, K> {
    fn is_nearer(&self, other: &Self, target: &K) -> bool {
        let tail = || target.cmp_distance(self.entry.key(), other.entry.key());
        self.head.cmp(&other.head).then_with(tail) == Ordering::Less
    }
}

/// Gives the up to `wanted` eligible entries closest to `target`, nearest first, to `out`; returns how many.
///
/// Selects by insertion into an array on the stack: no allocation. More than [`CHUNK`] take a pass for each chunk.
pub(super) fn nearest<K: Keyspace>(
    entries: &[Entry<K>],
    target: &K,
    wanted: usize,
    eligible: impl Fn(&Entry<K>) -> bool,
    out: &mut impl Extend<Contact<K>>,
) -> usize {
    let origin = target.head();
    let mut given = 0;
    let mut last: Option<Ranked<'_, K>> = None;
    while given < wanted {
        let room = (wanted - given).min(CHUNK);
        let mut chunk = [None::<Ranked<'_, K>>; CHUNK];
        let mut len = 0;
        for entry in entries {
            let ranked = Ranked { head: origin ^ entry.key().head(), entry };
            let before =
                |other: &Option<Ranked<'_, K>>| other.is_some_and(|other| ranked.is_nearer(&other, target));
            // The array is sorted: who does not come before its end does not come into a full one.
            let too_far = len == room && !before(&chunk[room - 1]);
            let given_before = last.is_some_and(|last| !last.is_nearer(&ranked, target));
            if too_far || given_before || !eligible(entry) {
                continue;
            }
            len = (len + 1).min(room);
            let mut at = len - 1;
            while at > 0 && before(&chunk[at - 1]) {
                chunk[at] = chunk[at - 1];
                at -= 1;
            }
            chunk[at] = Some(ranked);
        }
        out.extend(chunk[..len].iter().flatten().map(|ranked| ranked.entry.contact()));
        given += len;
        last = chunk[..len].last().copied().flatten();
        if len < room {
            break;
        }
    }
    given
}
