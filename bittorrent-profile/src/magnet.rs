//! The parameters of magnet links.

/// The values of the parameters called `wanted`, or `wanted.1`, `wanted.2` … where there are several (the magnet scheme's own
/// rule), percent-decoded; one that is encoded wrongly, or hides no text, is `None`. All is `None` of what is no magnet link.
pub(crate) fn values<'a>(text: &'a str, wanted: &'a str) -> Option<impl Iterator<Item = Option<String>>> {
    let parameters = strip(text, "magnet:?")?.split('&').filter_map(|parameter| parameter.split_once('='));
    Some(parameters.filter(move |(name, _)| is_named(name, wanted)).map(|(_, value)| decoded(value)))
}

/// What follows `prefix`, in whichever case that is written.
pub(crate) fn strip<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(rest)
}

pub(crate) fn hex_byte(digits: &[u8; 2]) -> Option<u8> {
    let digits = str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
    u8::from_str_radix(digits, 16).ok()
}

fn is_named(name: &str, wanted: &str) -> bool {
    strip(name, wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte == b'%' {
            let (digits, after) = rest.split_first_chunk()?;
            rest = after;
            bytes.push(hex_byte(digits)?);
        } else {
            bytes.push(*byte);
        }
    }
    String::from_utf8(bytes).ok()
}
