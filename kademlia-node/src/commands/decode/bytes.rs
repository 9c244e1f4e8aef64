//! A datagram from the ways in which it is written down.

use bittorrent_profile::bencode::Tape;

/// Hexadecimal or base64; `None` if it is neither. What reads as both is hexadecimal.
pub(super) fn of_text(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.trim_ascii();
    let text = text.strip_prefix(b"0x").unwrap_or(text);
    hex(text).or_else(|| base64(text))
}

/// What a file holds: a datagram, or else text if it can be read as that, or else what is no datagram.
pub(super) fn of_file(content: &[u8]) -> Vec<u8> {
    let is_bencode = <Tape>::new().parse(content).is_ok();
    of_text(content).filter(|_| !is_bencode).unwrap_or_else(|| content.to_vec())
}

/// Pairs of digits; white space does not count, nor do colons if there is one after each pair.
fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let colons = text.split(|byte| *byte == b':').all(|pair| pair.len() == 2);
    let digits: Option<Vec<u8>> = text
        .iter()
        .filter(|byte| !(byte.is_ascii_whitespace() || colons && **byte == b':'))
        .map(|byte| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let (pairs, []) = digits.as_ref()?.as_chunks::<2>() else { return None };
    (!pairs.is_empty()).then(|| pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Both alphabets of RFC 4648, with or without padding; white space does not count.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut digits: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    while digits.last() == Some(&b'=') {
        digits.pop();
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    for group in digits.chunks(4) {
        let bits = group.iter().try_fold(0_u32, |bits, digit| Some(bits << 6 | base64_digit(*digit)?))?;
        // Two digits are one byte and four bits more, three are two bytes and two bits more.
        let [_, whole @ ..] = (bits << (6 * (4 - group.len()))).to_be_bytes();
        bytes.extend_from_slice(whole.get(..group.len().checked_sub(1).filter(|n| *n > 0)?)?);
    }
    (!bytes.is_empty()).then_some(bytes)
}

fn base64_digit(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_and_base64_are_told_apart() {
        for text in ["64313a", "0x64313A", " 64 31\n3a ", "64:31:3a", "ZDE6", "ZDE6\n"] {
            assert_eq!(of_text(text.as_bytes()), Some(b"d1:".to_vec()), "{text}");
        }
        assert_eq!(of_text(b"ZDE"), Some(b"d1".to_vec()));
        assert_eq!(of_text(b"ZA=="), Some(b"d".to_vec()));
        assert_eq!(of_text(b"-_-_"), of_text(b"+/+/"));
        for text in ["", "d1:", "ZDE6Z", "é"] {
            assert_eq!(of_text(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_file_is_text_or_the_datagram_itself() {
        assert_eq!(of_file(b"64313a\n"), b"d1:");
        assert_eq!(of_file(b"d1:t2:aae"), b"d1:t2:aae");
    }
}
