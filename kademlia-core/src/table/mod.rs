//! placeholder
use crate::{Contact, Instant, Keyspace};
/// Table
#[derive(Debug)]
pub struct Table<K>(K);
impl<K: Keyspace> Table<K> {
    pub(crate) fn closest_good(&self, _now: Instant, _t: &K, _n: usize, _e: Option<K>, _out: &mut impl Extend<Contact<K>>) {}
}
