//! How far a walk has come.

use std::collections::BTreeMap;

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
/// Regions ahead that are remembered; more than requests at once ever need.
const MOST_REGIONS: usize = 4_096;

/// Where regions begin, and where they end; `None` for the keyspace's own end. Each is everybody who shares some first bits,
/// so that two of them are either apart or one within the other.
type Regions = BTreeMap<Key<20>, Option<Key<20>>>;

/// The first point of the keyspace about which too little has been heard.
///
/// A node that is asked for the contacts nearest to a point names, if they reach as far as itself, all of them in the
/// region around the point where it and they part: of so near a region its table holds everybody.
#[derive(Debug)]
pub(super) struct Frontier {
    at: Option<Key<20>>,
    /// Regions ahead in which one node named everybody, and regions in which a second one did.
    once: Regions,
    known: Regions,
    /// How many bits the eighth neighbours of nodes share with them, and one more.
    depths: Vec<usize>,
    next: usize,
}

impl Frontier {
    pub(super) fn new() -> Self {
        Frontier {
            at: Some(Key::ZERO),
            once: Regions::new(),
            known: Regions::new(),
            depths: Vec::new(),
            next: 0,
        }
    }

    /// Where it is; `None` beyond the last point.
    pub(super) const fn at(&self) -> Option<Key<20>> {
        self.at
    }

    /// The first point from this one on that lies in no known region.
    fn skip_known(&self, mut point: Key<20>) -> Option<Key<20>> {
        while let Some((_, end)) = self.known.range(..=point).next_back()
            && ends_after(*end, &point)
        {
            point = (*end)?;
        }
        Some(point)
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
    /// takes two answers to know a region, and whoever knows the neighbourhood better decides.
    pub(super) fn answered(&mut self, target: &Key<20>, node: &Key<20>, named: &[Key<20>]) -> bool {
        let depth = depth(target, named);
        let reaches_itself = !named.is_empty() && depth <= target.common_prefix(node) + 1;
        if !reaches_itself {
            return false;
        }
        let (start, end) = self.region(target, depth);
        let around = self.once.range(..=start).next_back().filter(|(_, outer)| reaches(**outer, end));
        let agreed: Regions = if around.is_some() {
            Regions::from([(start, end)])
        } else {
            self.once
                .range(start..)
                .take_while(|(start, _)| ends_after(end, start))
                .map(|(s, e)| (*s, *e))
                .collect()
        };
        if self.once.len() < MOST_REGIONS && self.at.is_some_and(|at| ends_after(end, &at)) {
            self.once.insert(start, end);
        }
        self.know(agreed)
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
            let region = self.region(target, depth(target, found));
            self.know(Regions::from([region]));
        }
    }

    /// Those who share `depth` bits with `point`, but neither many more nor many fewer than usually know each other.
    fn region(&self, point: &Key<20>, depth: usize) -> (Key<20>, Option<Key<20>>) {
        let depth = match self.usual_depth() {
            Some(usual) => depth.clamp(usual.saturating_sub(WIDEST), usual + NARROWEST),
            None => depth,
        };
        (before(*point, depth.min(BITS)), after(*point, depth.min(BITS)))
    }

    /// Everybody in these regions is known. False if that leaves the frontier in its place.
    fn know(&mut self, regions: Regions) -> bool {
        self.known.extend(regions);
        let Some(moved) = self.at.map(|at| self.skip_known(at)).filter(|moved| *moved != self.at) else {
            return false;
        };
        self.at = moved;
        for regions in [&mut self.known, &mut self.once] {
            regions.retain(|_, end| moved.is_some_and(|at| ends_after(*end, &at)));
        }
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

fn ends_after(end: Option<Key<20>>, point: &Key<20>) -> bool {
    end.is_none_or(|end| *point < end)
}

/// Whether a region that ends at `outer` reaches as far as one that ends at `inner`.
fn reaches(outer: Option<Key<20>>, inner: Option<Key<20>>) -> bool {
    outer.is_none_or(|outer| inner.is_some_and(|inner| inner <= outer))
}

/// The first key of those that share the first `bits` bits with `key`.
fn before(key: Key<20>, bits: usize) -> Key<20> {
    let mut bytes = key.to_bytes();
    for (at, byte) in bytes.iter_mut().enumerate() {
        let kept = bits.saturating_sub(8 * at).min(8);
        *byte &= !u8::try_from(0xff_u32 >> kept).unwrap_or_default();
    }
    Key::new(bytes)
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
        assert_eq!(
            [0, 1, 8, 12, 16].map(|bits| before(key(0xff, 0xff), bits)),
            [key(0, 0), key(0x80, 0), key(0xff, 0), key(0xff, 0xf0), key(0xff, 0xff)]
        );
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
        let far = vec![key(0xff, 0); 8];
        assert!(!frontier.answered(&key(0, 0), &key(3, 0), &far), "one answer is not enough");
        assert!(frontier.answered(&key(0, 0), &key(3, 0), &named), "the one that knows more counts");
        assert_eq!(frontier.at(), Some(key(0x10, 0)));
        assert!(frontier.is_past(&key(0x0f, 0)) && !frontier.is_past(&key(0x10, 0)));
        assert!((frontier.share() - 1.0 / 16.0).abs() < 1e-9);
    }

    #[test]
    fn regions_ahead_are_passed_when_it_comes_to_them() {
        let mut frontier = Frontier::new();
        // Seven in the nth 256th, and one beside it.
        let near = |n: u8| -> Vec<_> { (1..8).map(|low| key(n, low << 5)).chain([key(n ^ 1, 0)]).collect() };
        let mut tell = |n: u8| [0, 1].map(|_| frontier.answered(&key(n, 0), &key(n, 1), &near(n)));
        assert_eq!(tell(1), [false, false], "the second 256th is known, but not the first");
        assert_eq!(tell(0), [false, true]);
        assert_eq!(frontier.at(), Some(key(2, 0)));
        assert!(frontier.known.is_empty() && frontier.once.is_empty());
    }

    #[test]
    fn lies_neither_send_it_far_nor_hold_it_up() {
        let mut frontier = Frontier::new();
        let ten_bits: Vec<_> = (0..8).map(|n| key(0, 0x20 + n)).collect();
        (0..ENOUGH).for_each(|_| frontier.measure(&key(0, 0), &ten_bits));
        assert_eq!(frontier.usual_depth(), Some(11));
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
