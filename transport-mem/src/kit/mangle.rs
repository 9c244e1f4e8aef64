//! Bytes that nobody should have sent.

use std::fmt;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// A datagram, for people.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bytes(pub(super) Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes b\"{}\"", self.0.len(), self.0.escape_ascii())
    }
}

/// Anything at all, up to this length; half of it short, where most of a codec's decisions are.
pub(super) fn anything(longest: usize) -> impl Strategy<Value = Bytes> {
    let repeated = (any::<u8>(), 0..=longest).prop_map(|(byte, len)| vec![byte; len]);
    prop_oneof![
        4 => vec(any::<u8>(), 0..=40.min(longest)),
        3 => vec(any::<u8>(), 0..=longest),
        1 => repeated,
    ]
    .prop_map(Bytes)
}

/// Real datagrams after an accident: cut off, with bits inverted or bytes replaced, grown, spliced from two, or with some
/// byte, which may be a length, telling of more or fewer that follow it.
pub(super) fn mangled(real: &Arc<[Bytes]>) -> impl Strategy<Value = Bytes> + use<> {
    let some = {
        let real = Arc::clone(real);
        any::<Index>().prop_map(move |index| {
            real.get(index.index(real.len().max(1))).map_or(vec![], |real| real.0.clone())
        })
    };
    let cut = (some.clone(), any::<Index>()).prop_map(|(mut bytes, at)| {
        bytes.truncate(at.index(bytes.len() + 1));
        bytes
    });
    let flipped = (some.clone(), vec(any::<Index>(), 1..6)).prop_map(|(mut bytes, bits)| {
        for bit in bits {
            let bit = bit.index(8 * bytes.len().max(1));
            bytes.iter_mut().skip(bit / 8).take(1).for_each(|byte| *byte ^= 0x80 >> (bit % 8));
        }
        bytes
    });
    let replaced =
        (some.clone(), vec((any::<Index>(), any::<u8>()), 1..6)).prop_map(|(mut bytes, changes)| {
            for (at, byte) in changes {
                let at = at.index(bytes.len().max(1));
                bytes.iter_mut().skip(at).take(1).for_each(|place| *place = byte);
            }
            bytes
        });
    let grown = (some.clone(), vec(any::<u8>(), 1..40)).prop_map(|(bytes, more)| [bytes, more].concat());
    let stretched = (some.clone(), any::<Index>(), 0..3_usize, 1..29_u8, any::<bool>()).prop_map(stretch);
    let spliced =
        (some.clone(), some, any::<Index>(), any::<Index>()).prop_map(|(head, tail, end, start)| {
            let (head, tail) = (&head[..end.index(head.len() + 1)], &tail[start.index(tail.len() + 1)..]);
            [head, tail].concat()
        });
    prop_oneof![cut, flipped, replaced, grown, spliced, stretched].prop_map(Bytes)
}

/// Changes the byte at one place, near the start as often as not, by `by`, and the number of those that follow alike.
fn stretch((mut bytes, at, gap, by, longer): (Vec<u8>, Index, usize, u8, bool)) -> Vec<u8> {
    let at = at.index(2 * bytes.len().max(1));
    let at = if at < bytes.len() { at } else { at % bytes.len().clamp(1, 16) };
    let after = at + 1 + gap;
    if after > bytes.len() {
        return bytes;
    }
    bytes[at] = if longer { bytes[at].wrapping_add(by) } else { bytes[at].wrapping_sub(by) };
    let rest = bytes.split_off(after);
    match longer {
        true => [bytes, vec![by; by.into()], rest].concat(),
        false => [bytes.as_slice(), rest.get(by.into()..).unwrap_or_default()].concat(),
    }
}
