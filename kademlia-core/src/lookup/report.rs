//! What a lookup comes to.

use alloc::vec::Vec;
use core::time::Duration;

use crate::contact::Contact;

/// What a lookup found, and what it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookupReport<K> {
    /// What was looked for.
    pub target: K,
    /// The up to k closest nodes that answered, nearest first.
    pub closest: Vec<Contact<K>>,
    /// Nodes asked.
    pub asked: usize,
    /// Nodes that answered.
    pub answered: usize,
    /// Requests sent, retries included.
    pub messages: usize,
    /// Length of the longest chain of referrals that led to one of `closest`; 1 if our own table knew them all.
    pub hops: usize,
    /// From start to end.
    pub took: Duration,
    /// Whether all of `closest` were confirmed. Otherwise a bound on messages or time ended the lookup, or a judge's word, or
    /// it still runs.
    pub complete: bool,
    /// Whether the nodes around the target stand over four times as dense as the network's size explains: perhaps
    /// somebody put them there (T1).
    pub crowded: bool,
}
