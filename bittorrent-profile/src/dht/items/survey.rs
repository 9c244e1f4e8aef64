//! What a lookup learns of one item: which version counts, and who has it.

use std::collections::BTreeSet;

use kademlia_core::{Contact, Family, Key, Keyspace};
use sha1::{Digest, Sha1};

use crate::item::{Item, ItemParts, PublicKey, RawValue, Salt, Signature, immutable_target, mutable_target};

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];
/// Nodes around a target that decide: in the networks of both families the result of any exact lookup.
pub(super) const NEAREST: usize = 8;
/// More copies than this need no further one (44.9).
const ENOUGH_COPIES: usize = 8;
/// Hashes and signatures verified for one item: each takes about 60 µs. Past it, what is new counts as invalid.
const MOST_CHECKS: usize = 256;

/// Which item is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sought {
    /// The one with this hash.
    Immutable(Key<20>),
    /// The newest of this owner's under this salt.
    Mutable(PublicKey, Salt),
}

impl Sought {
    pub(super) fn of(item: &Item) -> Self {
        match item {
            Item::Immutable(value) => Sought::Immutable(immutable_target(value)),
            Item::Mutable(item) => Sought::Mutable(item.key, item.salt),
        }
    }

    pub(super) fn target(&self) -> Key<20> {
        match self {
            Sought::Immutable(target) => *target,
            Sought::Mutable(key, salt) => mutable_target(key, salt),
        }
    }

    /// The item in what a node answered, if it is the one: takes a hash or a signature to find out.
    fn proved(&self, parts: &ItemParts) -> Option<Item> {
        match self {
            Sought::Immutable(target) => parts.immutable(target).map(Item::Immutable),
            Sought::Mutable(key, salt) => parts.mutable(key, salt).map(|item| Item::Mutable(item.into())),
        }
    }
}

/// A node that answered.
#[derive(Clone, Copy, Debug)]
struct Witness {
    contact: Contact<Key<20>>,
    /// Whether it can be asked to keep the item.
    eligible: bool,
    word: Word,
}

/// What a node says that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// No version, or one that it cannot prove.
    Nothing,
    /// The version in this place among those proved.
    Version(usize),
    /// One with a number that was not worth proving.
    Seq(i64),
}

/// Everything that the nodes asked so far have said of one item.
///
/// The highest sequence number counts. Where its owner gave one number to several values, which no single writer does,
/// the value counts that more of the eight nearest nodes have, then the one that more nodes have, then the greater in
/// the order of bytes: the same answers give the same value, in whatever order they come.
#[derive(Debug)]
pub(super) struct Survey {
    sought: Sought,
    /// The number of the version that was at hand before.
    known: Option<i64>,
    /// That version, if there is one, and every other that was proved.
    versions: Vec<Item>,
    witnesses: Vec<Witness>,
    /// Digests of what was found out to be false, so that it is found out once.
    refuted: BTreeSet<[u8; 20]>,
    checks: usize,
    invalid: usize,
}

impl Survey {
    pub(super) fn new(sought: Sought) -> Self {
        Survey {
            sought,
            known: None,
            versions: Vec::new(),
            witnesses: Vec::new(),
            refuted: BTreeSet::new(),
            checks: 0,
            invalid: 0,
        }
    }

    /// For an item of which this version is at hand, and need not be sent by anybody (44.8).
    pub(super) fn beyond(known: &Item) -> Self {
        Survey { known: known.seq(), versions: vec![known.clone()], ..Survey::new(Sought::of(known)) }
    }

    pub(super) fn sought(&self) -> &Sought {
        &self.sought
    }

    /// The number that `get` tells the nodes, so that they send newer versions only.
    pub(super) fn known_seq(&self) -> Option<i64> {
        self.known
    }

    /// A node answered. Gives back whether another version counts now.
    pub(super) fn hear(
        &mut self,
        contact: Contact<Key<20>>,
        eligible: bool,
        parts: Option<&ItemParts>,
    ) -> bool {
        let before = self.counting();
        let word = parts.map_or(Word::Nothing, |parts| self.weigh(parts));
        self.witnesses.push(Witness { contact, eligible, word });
        self.counting() != before
    }

    /// The version that counts.
    pub(super) fn newest(&self) -> Option<&Item> {
        self.versions.get(self.counting()?)
    }

    /// Whether its number has other values too.
    pub(super) fn is_forked(&self) -> bool {
        let seq = self.newest().and_then(Item::seq);
        self.versions.iter().filter(|version| version.seq() == seq).count() > 1
    }

    /// Nodes that have the version that counts.
    pub(super) fn holders(&self) -> usize {
        self.counting().map_or(0, |newest| self.holders_of(newest))
    }

    /// Nodes that have an older one.
    pub(super) fn outdated(&self) -> usize {
        let newest = self.newest().and_then(Item::seq);
        let is_older = |word| word != Word::Nothing && self.seq_of(word) < newest;
        self.witnesses.iter().filter(|witness| is_older(witness.word)).count()
    }

    /// Answers that held something false.
    pub(super) fn invalid(&self) -> usize {
        self.invalid
    }

    /// Nodes that answered.
    pub(super) fn answered(&self) -> usize {
        self.witnesses.len()
    }

    /// Whether the version that counts can be relied on: three in four of the nearest nodes have it, in each network
    /// that answered.
    pub(super) fn is_settled(&self) -> bool {
        self.nearest_agree(is_most)
    }

    /// Whether nobody has to put the version that counts again (44.9).
    pub(super) fn has_copies_enough(&self) -> bool {
        self.holders() > ENOUGH_COPIES && self.nearest_agree(|held, of| held == of)
    }

    /// Whether in each network that answered `enough` is true of how many of the nearest nodes have the version that
    /// counts, and how many there are.
    fn nearest_agree(&self, enough: impl Fn(usize, usize) -> bool) -> bool {
        let Some(newest) = self.counting() else { return false };
        let nearest = FAMILIES.map(|family| self.nearest(family));
        let held =
            |all: &[&Witness]| all.iter().filter(|witness| witness.word == Word::Version(newest)).count();
        let somebody = nearest.iter().any(|all| !all.is_empty());
        somebody && nearest.iter().all(|all| all.is_empty() || enough(held(all), all.len()))
    }

    fn weigh(&mut self, parts: &ItemParts) -> Word {
        let seq = parts.seq.filter(|seq| *seq >= 0);
        let newest = self.newest().and_then(Item::seq);
        let Some(value) = &parts.value else {
            return match seq {
                // Only our own version need not be proved, and only to us.
                Some(seq) if self.known == Some(seq) => Word::Version(0),
                Some(seq) if Some(seq) < newest => Word::Seq(seq),
                _ => Word::Nothing,
            };
        };
        let is_mutable = matches!(self.sought, Sought::Mutable(..));
        if let Some(seq) = seq.filter(|seq| is_mutable && Some(*seq) < newest) {
            return Word::Seq(seq);
        }
        let same = |version: &Item| version.value() == value && (!is_mutable || version.seq() == seq);
        if let Some(at) = self.versions.iter().position(same) {
            return Word::Version(at);
        }
        match self.check(parts) {
            Some(item) => {
                self.versions.push(item);
                Word::Version(self.versions.len() - 1)
            }
            None => {
                self.invalid += 1;
                Word::Nothing
            }
        }
    }

    fn check(&mut self, parts: &ItemParts) -> Option<Item> {
        let digest = digest(parts);
        if self.checks >= MOST_CHECKS || self.refuted.contains(&digest) {
            return None;
        }
        self.checks += 1;
        let item = self.sought.proved(parts);
        if item.is_none() {
            self.refuted.insert(digest);
        }
        item
    }

    /// The place of the version that counts.
    fn counting(&self) -> Option<usize> {
        let highest = self.versions.iter().map(Item::seq).max()?;
        let mut forks = self.versions.iter().enumerate().filter(|(_, version)| version.seq() == highest);
        let (first, rest) = (forks.next()?, forks);
        if rest.clone().next().is_none() {
            return Some(first.0);
        }
        let nearest: Vec<_> = FAMILIES.iter().flat_map(|family| self.nearest(*family)).collect();
        let rank = |(at, version): &(usize, &Item)| {
            let near = nearest.iter().filter(|witness| witness.word == Word::Version(*at)).count();
            (near, self.holders_of(*at), version.value().clone())
        };
        [first].into_iter().chain(rest).max_by_key(rank).map(|(at, _)| at)
    }

    fn holders_of(&self, version: usize) -> usize {
        self.witnesses.iter().filter(|witness| witness.word == Word::Version(version)).count()
    }

    fn seq_of(&self, word: Word) -> Option<i64> {
        match word {
            Word::Nothing => None,
            Word::Version(at) => self.versions.get(at).and_then(Item::seq),
            Word::Seq(seq) => Some(seq),
        }
    }

    /// The eligible nodes of one network that are nearest to the target.
    fn nearest(&self, family: Family) -> Vec<&Witness> {
        let of_family = |witness: &&Witness| witness.eligible && Family::of(&witness.contact.addr) == family;
        let mut all: Vec<_> = self.witnesses.iter().filter(of_family).collect();
        let target = self.sought.target();
        all.sort_by(|a, b| target.cmp_distance(&a.contact.key, &b.contact.key));
        all.truncate(NEAREST);
        all
    }
}

/// Whether `held` of so many nodes are enough to rely on: three in four, so that no two versions can have them.
pub(super) const fn is_most(held: usize, of: usize) -> bool {
    4 * held >= 3 * of
}

/// Stands for parts that were checked.
fn digest(parts: &ItemParts) -> [u8; 20] {
    let seq = parts.seq.unwrap_or(-1).to_be_bytes();
    let mut hash = Sha1::new().chain_update(seq);
    hash.update(parts.key.map_or([0; 32], PublicKey::to_bytes));
    hash.update(parts.signature.as_ref().map_or(&[0; 64], Signature::as_bytes));
    hash.update(parts.value.as_ref().map_or(&[][..], RawValue::as_bytes));
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
