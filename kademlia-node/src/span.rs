//! Spans of time as people write and read them.

use std::time::Duration;

/// A century: clocks cannot count as far as a `Duration`.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// `30s`, `1.5m`, `200ms`, `2h`, `1d`; a bare number is seconds.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        unit => return Err(format!("unknown unit `{unit}`, expected ms, s, m, h or d")),
    };
    let number: f64 = digits.parse().map_err(|_| "expected a number and a unit, such as 30s".to_owned())?;
    let span = Duration::try_from_secs_f64(number * seconds).map_err(|error| error.to_string())?;
    if span > LONGEST { Err("expected at most 36500d".to_owned()) } else { Ok(span) }
}

/// Seconds with one decimal.
pub(crate) fn seconds(span: Duration) -> String {
    format!("{:.1} s", span.as_secs_f64())
}

/// Milliseconds, with a decimal where they are few.
pub(crate) fn millis(span: Duration) -> String {
    let millis = as_millis(span);
    if millis < 9.95 { format!("{millis:.1} ms") } else { format!("{millis:.0} ms") }
}

/// Milliseconds with a resolution of microseconds, for JSON.
pub(crate) fn as_millis(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_with_and_without_units() {
        for (text, millis) in
            [("30s", 30_000), ("2", 2_000), ("0.5", 500), ("200ms", 200), ("1.5m", 90_000), ("2h", 7_200_000)]
        {
            assert_eq!(parse(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1 s", "1y", "NaNs", "inf", "1e30d", "40000d", "é"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_print_as_finely_as_they_matter() {
        assert_eq!(seconds(Duration::from_millis(2_449)), "2.4 s");
        assert_eq!(millis(Duration::from_micros(449)), "0.4 ms");
        assert_eq!(millis(Duration::from_micros(41_300)), "41 ms");
    }
}
