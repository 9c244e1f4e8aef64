//! What a store's records add up to, and which of them left.

use alloc::vec::Vec;
use core::mem;

use crate::storage::Record;
use crate::storage::counts::Counts;

/// Told of every record that enters or leaves, so that no figure needs a recount.
#[derive(Clone, Debug)]
pub(super) struct Ledger<K, R> {
    counts: Counts,
    records: usize,
    heap_bytes: usize,
    /// What left since somebody asked; `None` while nobody wants to know.
    gone: Option<Vec<(K, R)>>,
}

impl<K, R> Default for Ledger<K, R> {
    fn default() -> Self {
        Ledger { counts: Counts::default(), records: 0, heap_bytes: 0, gone: None }
    }
}

impl<K, R: Record> Ledger<K, R> {
    pub(super) fn enter(&mut self, record: &R) {
        self.counts.add(record.source());
        self.records += 1;
        self.heap_bytes += record.heap_bytes();
    }

    pub(super) fn leave(&mut self, key: K, record: R) {
        self.counts.remove(record.source());
        self.records -= 1;
        self.heap_bytes -= record.heap_bytes();
        if let Some(gone) = &mut self.gone {
            gone.push((key, record));
        }
    }

    /// Keeps what leaves from now on.
    pub(super) fn keep_gone(&mut self) {
        self.gone.get_or_insert_default();
    }

    /// What left since the last time.
    pub(super) fn take_gone(&mut self) -> impl Iterator<Item = (K, R)> + use<'_, K, R> {
        self.gone.iter_mut().flat_map(mem::take)
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.heap_bytes
    }
}
