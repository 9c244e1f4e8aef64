//! How records are written.

use serde::Serialize;
use signed_records::SignedRecord;

/// A record as JSON.
#[derive(Serialize)]
pub(super) struct RecordLine {
    publisher: String,
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    sequence: u64,
    /// Milliseconds since 1970.
    timestamp: u64,
    /// Seconds.
    ttl: u32,
    /// The payload, if it is text.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The payload in hexadecimal digits.
    payload: String,
}

impl RecordLine {
    pub(super) fn of(record: &SignedRecord) -> Self {
        let payload = record.payload().unwrap_or_default();
        RecordLine {
            publisher: record.publisher.to_string(),
            kind: record.subject.kind().to_string(),
            topic: record.subject.topic().map(ToString::to_string),
            sequence: record.sequence,
            timestamp: record.timestamp.as_millis(),
            ttl: record.ttl,
            text: str::from_utf8(payload).ok().map(str::to_owned),
            payload: payload.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// What a record says, fit for a terminal: control characters and what is no text are shown as digits.
pub(super) fn said(record: &SignedRecord) -> String {
    let payload = record.payload().unwrap_or_default();
    let escaped =
        |char: char| if char.is_control() { char.escape_default().to_string() } else { char.to_string() };
    match str::from_utf8(payload) {
        Ok(text) => text.chars().map(escaped).collect(),
        Err(_) => payload.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use signed_records::{Draft, SecretKey, Timestamp};

    use super::*;

    #[test]
    fn what_others_write_cannot_command_the_terminal() {
        let record = |payload: &[u8]| {
            let draft = Draft::endpoint(payload).unwrap();
            draft.sign(&SecretKey::from_seed(&[1; 32]), 1, Timestamp::default())
        };
        assert_eq!(said(&record(b"udp://[::1]:7 \xc3\xa4")), "udp://[::1]:7 ä");
        assert_eq!(said(&record(b"a\x1b[2Jb\n")), "a\\u{1b}[2Jb\\n");
        assert_eq!(said(&record(&[0xff, 0x00])), "ff00");
        let line = serde_json::to_value(RecordLine::of(&record(&[0xff]))).unwrap();
        assert_eq!((line["payload"].as_str(), line.get("text")), (Some("ff"), None));
    }
}
