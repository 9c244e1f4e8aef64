//! How far a walk has come.

use kademlia_core::{Key, Keyspace};

/// Bits of a key.
const BITS: usize = <Key<20>>::BITS;
/// Contacts in a full list (BEP 5: k).
const FULL: usize = 8;
/// Depths remembered, of which the median counts: who lies about them has to be every other node.
const DEPTHS: usize = 64;
/// Depths needed before they say anything.
const ENOUGH: usize = 8;
/// The frontier passes no more than four times, and no less than an eighth of, the region in which nodes know all of their
/// neighbours: whoever names only far nodes does not send it past everybody, and whoever invents near ones does not hold
/// it up.
const WIDEST: usize = 2;
const NARROWEST: usize = 3;

/// The first point of the keyspace about which nobody has been heard.
///
/// A node that is asked for the contacts nearest to a point names, if they reach as far as itself, all of them in the
/// region around the point where it and they part: of so near a region its table holds everybody.
#[derive(Debug)]
pub(super) struct Frontier {
    at: Option<Key<20>>,
    /// The depth that an answer about this point gave, while another is waited for.
    first: Option<usize>,
    /// How many bits the eighth neighbours of nodes share with them, and one more.
    depths: Vec<usize>,
    next: usize,
}

impl Frontier {
    pub(super) fn new() -> Self {
        Frontier { at: Some(Key::ZERO), first: None, depths: Vec::new(), next: 0 }
    }

    /// Where it is; `None` beyond the last point.
    pub(super) const fn at(&self) -> Option<Key<20>> {
        self.at
    }

    /// A point so many regions of the usual size ahead of it; itself, where that is beyond the last point or there is no
    /// usual size yet.
    pub(super) fn ahead(&self, regions: usize) -> Option<Key<20>> {
        let at = self.at?;
        let Some(depth) = self.usual_depth() else { return Some(at) };
        let further = (0..regions).try_fold(at, |point, _| after(point, depth));
        Some(further.unwrap_or(at))
    }

    /// Whether `key` lies behind it.
    pub(super) fn is_past(&self, key: &Key<20>) -> bool {
        self.at.is_none_or(|at| *key < at)
    }

    /// The share of the keyspace behind it.
    pub(super) fn share(&self) -> f64 {
        self.at.map_or(1.0, |at| share_before(&at))
    }

    /// A node named these when asked for the contacts nearest to itself.
    pub(super) fn measure(&mut self, node: &Key<20>, named: &[Key<20>]) {
        if named.len() < FULL {
            return;
        }
        let depth = depth(node, named);
        match self.depths.get_mut(self.next) {
            Some(oldest) => *oldest = depth,
            None => self.depths.push(depth),
        }
        self.next = (self.next + 1) % DEPTHS;
    }

    /// `node` named these when asked for the contacts nearest to `target`. False if that leaves the frontier in its place: it
    /// takes two answers to move it, and whoever knows the neighbourhood better decides.
    pub(super) fn answered(&mut self, target: &Key<20>, node: &Key<20>, named: &[Key<20>]) -> bool {
        let depth = depth(target, named);
        let reaches_itself = !named.is_empty() && depth <= target.common_prefix(node) + 1;
        if self.at != Some(*target) || !reaches_itself {
            return false;
        }
        match self.first {
            Some(first) => self.advance(first.max(depth)),
            None => {
                self.first = Some(depth);
                false
            }
        }
    }

    /// A lookup found these nearest to `target`. Fewer than a full list are all there are, unless the network is known to be
    /// larger.
    pub(super) fn found(&mut self, target: &Key<20>, found: &[Key<20>]) {
        if self.at != Some(*target) {
            return;
        }
        if found.len() < FULL && self.usual_depth().is_none() {
            self.at = None;
        } else {
            self.advance(depth(target, found));
        }
    }

    /// Moves behind the region of those that share `depth` bits with the frontier.
    fn advance(&mut self, depth: usize) -> bool {
        let Some(at) = self.at else { return false };
        let depth = match self.usual_depth() {
            Some(usual) => depth.clamp(usual.saturating_sub(WIDEST), usual + NARROWEST),
            None => depth,
        };
        self.at = after(at, depth.min(BITS));
        self.first = None;
        true
    }

    fn usual_depth(&self) -> Option<usize> {
        let mut depths = self.depths.clone();
        depths.sort_unstable();
        depths.get(depths.len() / 2).filter(|_| depths.len() >= ENOUGH).copied()
    }
}

/// How many bits the region has in common in which these are all there are: one more than the farthest of the eight
/// nearest shares with `center`.
fn depth(center: &Key<20>, named: &[Key<20>]) -> usize {
    let mut shared: Vec<_> = named.iter().map(|key| center.common_prefix(key)).collect();
    shared.sort_unstable_by(|a, b| b.cmp(a));
    shared.truncate(FULL);
    shared.last().map_or(0, |least| (least + 1).min(BITS))
}

/// The first key after those that share the first `bits` bits with `key`; `None` if these are the last.
fn after(key: Key<20>, bits: usize) -> Option<Key<20>> {
    let mut bytes = key.to_bytes();
    let last = bits.checked_sub(1)?;
    let (byte, bit) = (last / 8, 0x80_u8 >> (last % 8));
    bytes.iter_mut().skip(byte + 1).for_each(|byte| *byte = 0);
    let place = bytes.get_mut(byte)?;
    // All below the bit is cleared, then the bit is added to what stands above it.
    let (sum, mut carry) = (*place & !(bit - 1)).overflowing_add(bit);
    *place = sum;
    for place in bytes.iter_mut().take(byte).rev() {
        let (sum, overflows) = place.overflowing_add(u8::from(carry));
        (*place, carry) = (sum, overflows);
    }
    (!carry).then_some(Key::new(bytes))
}

/// The share of the keyspace before a key.
pub(super) fn share_before(key: &Key<20>) -> f64 {
    key.head() as f64 / 2_f64.powi(64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(first: u8, second: u8) -> Key<20> {
        let mut bytes = [0; 20];
        (bytes[0], bytes[1]) = (first, second);
        Key::new(bytes)
    }

    #[test]
    fn the_next_region_begins_where_one_ends() {
        assert_eq!(after(key(0, 0), 0), None, "the whole keyspace");
        assert_eq!(after(key(0, 0), 1), Some(key(0x80, 0)));
        assert_eq!(after(key(0x80, 0), 1), None);
        assert_eq!(after(key(0x12, 0x34), 8), Some(key(0x13, 0)));
        assert_eq!(after(key(0x12, 0x34), 12), Some(key(0x12, 0x40)));
        assert_eq!(after(key(0x0f, 0xff), 16), Some(key(0x10, 0)));
        assert_eq!(after(Key::new([0xff; 20]), 160), None);
        assert_eq!(after(Key::new([0; 20]), 160).map(|key| key.to_bytes()[19]), Some(1));
    }

    #[test]
    fn it_passes_the_region_in_which_a_node_has_named_everybody() {
        let mut frontier = Frontier::new();
        // Seven within the first sixteenth, the eighth in the second.
        let mut named: Vec<_> = (1..8).map(|n| key(n, 0)).collect();
        named.push(key(0x1f, 0));
        assert!(
            !frontier.answered(&key(0, 0), &key(0x80, 0), &named),
            "a node in the other half knows eight of them"
        );
        assert!(!frontier.answered(&key(1, 0), &key(3, 0), &named), "asked about another point");
        let far = vec![key(0xff, 0); 8];
        assert!(!frontier.answered(&key(0, 0), &key(3, 0), &far), "one answer is not enough");
        assert!(frontier.answered(&key(0, 0), &key(3, 0), &named), "the one that knows more counts");
        assert_eq!(frontier.at(), Some(key(0x10, 0)));
        assert!(frontier.is_past(&key(0x0f, 0)) && !frontier.is_past(&key(0x10, 0)));
        assert!((frontier.share() - 1.0 / 16.0).abs() < 1e-9);
    }

    #[test]
    fn lies_neither_send_it_far_nor_hold_it_up() {
        let mut frontier = Frontier::new();
        let ten_bits: Vec<_> = (0..8).map(|n| key(0, 0x20 + n)).collect();
        (0..ENOUGH).for_each(|_| frontier.measure(&key(0, 0), &ten_bits));
        assert_eq!(frontier.usual_depth(), Some(11));
        assert_eq!(frontier.ahead(2), Some(key(0, 0x40)));
        let far: Vec<_> = (0..8).map(|n| key(0x80 + n, 0)).collect();
        assert!(!frontier.answered(&key(0, 0), &key(0, 1), &far));
        assert!(frontier.answered(&key(0, 0), &key(0, 1), &far));
        assert_eq!(frontier.at(), after(key(0, 0), 9), "four times as far as usual");
        let at = frontier.at().unwrap();
        let near = vec![at; 8];
        assert!(!frontier.answered(&at, &at, &far) && frontier.answered(&at, &at, &near));
        assert_eq!(frontier.at(), after(at, 14), "an eighth as far as usual");
    }

    #[test]
    fn a_lookup_that_finds_fewer_than_eight_has_seen_the_whole_network() {
        let mut frontier = Frontier::new();
        frontier.found(&key(1, 0), &[]);
        assert_eq!(frontier.at(), Some(Key::ZERO), "asked about another point");
        frontier.found(&Key::ZERO, &[key(0x80, 0)]);
        assert_eq!(frontier.at(), None);
        assert!((frontier.share() - 1.0).abs() < f64::EPSILON);
    }
}
