//! Records as nodes keep them.

use core::net::{IpAddr, Ipv6Addr};

use kademlia_core::{Durable, Record};

use super::{SignedRecord, Subject};
use crate::identity::PublicKey;

/// Tells the records under one key apart: each publisher has one place for each subject.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// Whose.
    pub publisher: PublicKey,
    /// About what.
    pub subject: Subject,
}

/// A record, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The record.
    pub record: SignedRecord,
    /// The address that put it here: whose quota it counts against.
    pub source: IpAddr,
}

impl StoredRecord {
    /// A record that this node's own publishers put here.
    pub const fn own(record: SignedRecord) -> Self {
        StoredRecord { record, source: IpAddr::V6(Ipv6Addr::UNSPECIFIED) }
    }
}

impl Record for StoredRecord {
    type Slot = Slot;

    fn slot(&self) -> Slot {
        self.record.slot()
    }

    fn source(&self) -> IpAddr {
        self.source
    }

    fn heap_bytes(&self) -> usize {
        // The payload and the topic, each behind two counts.
        let payload = self.record.payload().map_or(0, |payload| payload.len() + 16);
        payload + self.record.subject.topic().map_or(0, |topic| topic.as_str().len() + 16)
    }
}

/// The source's bytes behind their number, then the record in CBOR.
impl Durable for StoredRecord {
    fn write(&self, out: &mut Vec<u8>) {
        match self.source {
            IpAddr::V4(ip) => {
                out.push(4);
                out.extend_from_slice(&ip.octets());
            }
            IpAddr::V6(ip) => {
                out.push(16);
                out.extend_from_slice(&ip.octets());
            }
        }
        self.record.write_cbor(out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (length, rest) = bytes.split_first()?;
        let (source, record) = match length {
            4 => rest.split_first_chunk::<4>().map(|(ip, rest)| (IpAddr::from(*ip), rest))?,
            16 => rest.split_first_chunk::<16>().map(|(ip, rest)| (IpAddr::from(*ip), rest))?,
            _ => return None,
        };
        let mut from = minicbor::Decoder::new(record);
        let stored = StoredRecord { record: SignedRecord::read_cbor(&mut from).ok()?, source };
        (from.position() == record.len()).then_some(stored)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::strategies::a_record;
    use crate::record::MAX_PAYLOAD;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_written_to_a_database_is_read_back(record in a_record(MAX_PAYLOAD), source: IpAddr) {
            let stored = StoredRecord { record, source };
            let mut bytes = Vec::new();
            stored.write(&mut bytes);
            prop_assert_eq!(StoredRecord::read(&bytes), Some(stored));
            for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
                prop_assert_eq!(StoredRecord::read(&bytes[..cut]), None);
            }
            bytes.push(0);
            prop_assert_eq!(StoredRecord::read(&bytes), None);
        }

        #[test]
        fn no_bytes_of_a_database_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = StoredRecord::read(&bytes);
        }
    }
}
