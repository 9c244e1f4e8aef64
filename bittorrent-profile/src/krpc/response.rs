//! Responses: one type for all methods, because on the wire a response does not say what it answers.

use core::net::SocketAddr;
use core::time::Duration;

use kademlia_core::{Contact, Contacts, Family, Key};

use crate::id::InfoHash;
use crate::item::ItemParts;
use crate::krpc::fit::MAX_SAMPLES;
use crate::krpc::{Families, Token, Version};
use crate::scrape::Scrape;

/// Most peers taken from one reply (T14); more are ignored.
pub const MAX_VALUES: usize = 100;

/// What a Mainline node answers: optional parts, read by whoever asked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Response {
    /// The nodes closest to what was asked for.
    pub nodes: Nodes,
    /// Lets the asker announce itself here, for a while.
    pub token: Option<Token>,
    /// Peers of the torrent asked for; at most [`MAX_VALUES`] are read, and as many written as fit.
    pub values: Vec<SocketAddr>,
    /// How many share the torrent asked for (BEP 33).
    pub scrape: Option<Box<Scrape>>,
    /// The item asked for (BEP 44).
    pub item: Option<Box<ItemParts>>,
    /// Some of the info hashes that the node holds (BEP 51).
    pub samples: Option<Box<Samples>>,
    /// Who made the answering program; `None` writes nothing.
    pub version: Option<Version>,
}

/// Some of the info hashes that a node holds (BEP 51).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Samples {
    /// When to ask this node again: it gives the same answer until then. At most [`Samples::MAX_INTERVAL`].
    pub interval: Duration,
    /// How many info hashes it holds.
    pub num: u64,
    /// Some of them, or all.
    pub info_hashes: Vec<InfoHash>,
}

impl Samples {
    /// Longest interval (BEP 51: six hours).
    pub const MAX_INTERVAL: Duration = Duration::from_secs(21_600);

    /// As it is written, in seconds.
    pub(super) fn seconds(&self) -> i64 {
        i64::try_from(self.interval.min(Self::MAX_INTERVAL).as_secs()).unwrap_or_default()
    }

    /// As it is written.
    pub(super) fn num(&self) -> i64 {
        i64::try_from(self.num).unwrap_or(i64::MAX)
    }

    /// As many as are written.
    pub(super) fn listed(&self) -> &[InfoHash] {
        self.info_hashes.get(..MAX_SAMPLES).unwrap_or(&self.info_hashes)
    }

    /// A list of anything but whole hashes is none. An interval that is missing or out of bounds is moved inside them,
    /// and a number less than what is listed is raised to it.
    pub(super) fn read(samples: &[u8], interval: Option<i64>, num: Option<i64>) -> Option<Self> {
        let (hashes, []) = samples.as_chunks::<20>() else { return None };
        let seconds = interval.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
        let num = num.and_then(|num| u64::try_from(num).ok()).unwrap_or_default();
        Some(Samples {
            interval: Duration::from_secs(seconds).min(Self::MAX_INTERVAL),
            num: num.max(hashes.len() as u64),
            info_hashes: hashes.iter().copied().map(InfoHash::new).collect(),
        })
    }
}

/// The node lists of a response, `nodes` and `nodes6`. A list can be present and empty, which is an answer too.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Nodes {
    lists: Families,
    /// IPv4 before IPv6.
    contacts: Contacts<Key<20>>,
}

impl Nodes {
    /// Contacts of each family that both lists together have room for: BEP 5's k.
    pub(super) const SHARE: usize = 8;

    /// Makes the list of `family` present, empty if nothing is added to it.
    pub fn open(&mut self, family: Family) {
        self.lists.insert(family);
    }

    /// Which lists are present.
    pub const fn lists(&self) -> Families {
        self.lists
    }

    /// All contacts, those of IPv4 first.
    pub fn contacts(&self) -> &[Contact<Key<20>>] {
        &self.contacts
    }

    /// Takes the last contact off, which leaves its list present; false if there was none.
    pub(crate) fn pop(&mut self) -> bool {
        let Some((_, rest)) = self.contacts.split_last() else { return false };
        self.contacts = rest.iter().copied().collect();
        true
    }

    /// The contacts of one list, in its order.
    pub fn of(&self, family: Family) -> impl Iterator<Item = &Contact<Key<20>>> + Clone {
        self.contacts.iter().filter(move |contact| Family::of(&contact.addr) == family)
    }
}

/// Each contact goes to the end of its family's list. Past 16 in all, contacts are left out.
impl Extend<Contact<Key<20>>> for Nodes {
    fn extend<I: IntoIterator<Item = Contact<Key<20>>>>(&mut self, contacts: I) {
        for contact in contacts {
            let family = Family::of(&contact.addr);
            self.open(family);
            if family == Family::V4 && self.lists.contains(Family::V6) {
                let (v4, v6) = (self.of(Family::V4), self.of(Family::V6));
                self.contacts = v4.copied().chain([contact]).chain(v6.copied()).collect();
            } else if self.contacts.push(contact).is_err() {
                return;
            }
        }
    }
}

impl FromIterator<Contact<Key<20>>> for Nodes {
    fn from_iter<I: IntoIterator<Item = Contact<Key<20>>>>(contacts: I) -> Self {
        let mut nodes = Nodes::default();
        nodes.extend(contacts);
        nodes
    }
}
