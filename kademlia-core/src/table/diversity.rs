//! Who stands in the way of one more entry: one per IP address, a few per subnet, so that the holder of many
//! addresses in one place holds little of the table (T1).

use core::cmp::Reverse;
use core::ops::Range;

use super::entry::Entry;
use crate::address::{CompactAddr, subnet};
use crate::config::TableConfig;
use crate::key::Keyspace;

pub(super) fn same_ip(a: CompactAddr, b: CompactAddr) -> bool {
    match (a, b) {
        (CompactAddr::V4(a, _), CompactAddr::V4(b, _)) => a == b,
        (CompactAddr::V6(a, _), CompactAddr::V6(b, _)) => a == b,
        _ => false,
    }
}

pub(super) fn same_subnet(a: CompactAddr, b: CompactAddr) -> bool {
    subnet(a.get().ip()) == subnet(b.get().ip())
}

/// Entries of one subnet: how many, and which of them is the first to go.
struct Crowd<'a, K> {
    size: usize,
    worst: Option<(usize, &'a Entry<K>)>,
}

impl<'a, K: Keyspace> Crowd<'a, K> {
    const NOBODY: Self = Crowd { size: 0, worst: None };

    fn add(&mut self, index: usize, entry: &'a Entry<K>) {
        let rank = |entry: &Entry<K>| (Reverse(entry.failures()), entry.seen());
        self.size += 1;
        if self.worst.is_none_or(|(_, worst)| rank(entry) < rank(worst)) {
            self.worst = Some((index, entry));
        }
    }

    /// The one to go, if the crowd has reached the limit.
    fn surplus(&self, limit: usize) -> Option<usize> {
        self.worst.filter(|_| limit != 0 && self.size >= limit).map(|(index, _)| index)
    }
}

/// The entry that would have to leave before `key` may enter `bucket` at `addr`: the one at this socket address or,
/// where that counts, this IP address; else the worst of the subnet, if that is full. The key's own entry never counts.
pub(super) fn obstacle<K: Keyspace>(
    entries: &[Entry<K>],
    bucket: &Range<usize>,
    config: &TableConfig,
    key: &K,
    addr: CompactAddr,
) -> Option<usize> {
    let counts_subnets = config.per_subnet_in_bucket != 0 || config.per_subnet != 0;
    let network = subnet(addr.get().ip());
    let (mut in_bucket, mut in_table) = (Crowd::NOBODY, Crowd::NOBODY);
    for (index, entry) in entries.iter().enumerate() {
        if entry.key() == key {
            continue;
        }
        if entry.addr() == addr || (config.one_per_ip && same_ip(entry.addr(), addr)) {
            return Some(index);
        }
        if counts_subnets && subnet(entry.addr().get().ip()) == network {
            in_table.add(index, entry);
            if bucket.contains(&index) {
                in_bucket.add(index, entry);
            }
        }
    }
    in_bucket.surplus(config.per_subnet_in_bucket).or(in_table.surplus(config.per_subnet))
}
