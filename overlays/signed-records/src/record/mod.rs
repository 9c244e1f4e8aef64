//! Signed records: what publishers say, and what nodes keep for them.

mod encoding;
mod stored;

pub use stored::{Slot, StoredRecord};

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use ed25519_dalek::{Digest, Sha512};
use kademlia_core::Key;

use crate::identity::{PublicKey, SecretKey, Signature};
use crate::time::Timestamp;

/// Longest payload, in bytes: a record with the longest topic then fits into a reply beside eight IPv6 contacts.
pub const MAX_PAYLOAD: usize = 512;
/// Longest name of a topic, in bytes.
pub const MAX_TOPIC: usize = 64;

/// The three types of record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Where the publisher is reached.
    Endpoint,
    /// That the publisher takes part in a topic.
    Topic,
    /// Where messages for the publisher may be left.
    Mailbox,
}

impl Kind {
    /// The number that stands for it on the wire.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Kind::Endpoint => 0,
            Kind::Topic => 1,
            Kind::Mailbox => 2,
        }
    }

    pub(crate) const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Kind::Endpoint),
            1 => Some(Kind::Topic),
            2 => Some(Kind::Mailbox),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Endpoint => "endpoint",
            Kind::Topic => "topic",
            Kind::Mailbox => "mailbox",
        })
    }
}

/// The name of a topic: 1 to [`MAX_TOPIC`] bytes of text.
///
/// Records carry the name, not its hash. A hash could be chosen to equal somebody's public key, and records under it
/// would take the room of that publisher's own.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// A topic by its name; `None` if that is empty or too long.
    pub fn new(name: &str) -> Option<Self> {
        (1..=MAX_TOPIC).contains(&name.len()).then(|| Topic(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key that its records are found under: the first half of SHA-512 over the name, after words that no other use
    /// of the hash begins with.
    pub fn key(&self) -> Key<32> {
        let digest = Sha512::new().chain_update(TOPIC).chain_update(self.0.as_bytes()).finalize();
        let bytes: [u8; 64] = digest.into();
        Key::new(*bytes.first_chunk().unwrap_or(&[0; 32]))
    }
}

const TOPIC: &[u8] = b"kademlia signed-records topic 1\0";

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({:?})", &*self.0)
    }
}

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// [`Kind::Endpoint`].
    Endpoint,
    /// [`Kind::Topic`], and which.
    Topic(Topic),
    /// [`Kind::Mailbox`].
    Mailbox,
}

impl Subject {
    /// Its type.
    pub const fn kind(&self) -> Kind {
        match self {
            Subject::Endpoint => Kind::Endpoint,
            Subject::Topic(_) => Kind::Topic,
            Subject::Mailbox => Kind::Mailbox,
        }
    }

    /// The topic, if it is one.
    pub const fn topic(&self) -> Option<&Topic> {
        match self {
            Subject::Topic(topic) => Some(topic),
            _ => None,
        }
    }

    /// The key that such a record of `publisher` is kept under: the publisher's own for endpoints and mailboxes, the
    /// [topic's](Topic::key) for topics. There is no choice in it, so a record under another key is a false one.
    pub fn target(&self, publisher: &PublicKey) -> Key<32> {
        match self {
            Subject::Endpoint | Subject::Mailbox => publisher.key(),
            Subject::Topic(topic) => topic.key(),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Topic(topic) => write!(f, "topic {topic}"),
            other => other.kind().fmt(f),
        }
    }
}

/// What a record says: up to [`MAX_PAYLOAD`] bytes, whose meaning is the application's.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload(Arc<[u8]>);

/// The bytes are more than [`MAX_PAYLOAD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the payload has {length} bytes, and a record carries {MAX_PAYLOAD} at most")]
pub struct Oversize {
    /// How many there are.
    pub length: usize,
}

impl Payload {
    /// Takes a copy.
    ///
    /// # Errors
    /// [`Oversize`].
    pub fn new(bytes: &[u8]) -> Result<Self, Oversize> {
        if bytes.len() > MAX_PAYLOAD {
            Err(Oversize { length: bytes.len() })
        } else {
            Ok(Payload(bytes.into()))
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Text as it is, if it is text; otherwise the number of bytes.
impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match str::from_utf8(&self.0) {
            Ok(text) => write!(f, "{text:?}"),
            Err(_) => write!(f, "{} bytes", self.0.len()),
        }
    }
}

/// Something to be published: a record before it has a publisher, a number and a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What it is about.
    pub subject: Subject,
    /// What it says. `None` says that whatever was said before no longer holds: such a record takes the place of the
    /// earlier one, and is what readers find until it expires.
    pub payload: Option<Payload>,
    /// For how long each of its versions holds, in whole seconds. While it is published it is renewed several times in that span.
    pub ttl: Duration,
}

impl Draft {
    /// How long a version holds unless [`lasting`](Self::lasting) says otherwise.
    pub const TTL: Duration = Duration::from_secs(60 * 60);

    /// Where the publisher is reached.
    ///
    /// # Errors
    /// [`Oversize`].
    pub fn endpoint(payload: impl AsRef<[u8]>) -> Result<Self, Oversize> {
        Self::new(Subject::Endpoint, payload)
    }

    /// That the publisher takes part in a topic.
    ///
    /// # Errors
    /// [`Oversize`].
    pub fn topic(topic: Topic, payload: impl AsRef<[u8]>) -> Result<Self, Oversize> {
        Self::new(Subject::Topic(topic), payload)
    }

    /// Where messages for the publisher may be left.
    ///
    /// # Errors
    /// [`Oversize`].
    pub fn mailbox(payload: impl AsRef<[u8]>) -> Result<Self, Oversize> {
        Self::new(Subject::Mailbox, payload)
    }

    fn new(subject: Subject, payload: impl AsRef<[u8]>) -> Result<Self, Oversize> {
        Ok(Draft { subject, payload: Some(Payload::new(payload.as_ref())?), ttl: Self::TTL })
    }

    /// That nothing said earlier about this holds any longer.
    pub const fn withdrawal(subject: Subject) -> Self {
        Draft { subject, payload: None, ttl: Self::TTL }
    }

    /// The same, with versions that hold for so long.
    #[must_use]
    pub const fn lasting(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// The record that says this from `now` on, signed.
    pub fn sign(&self, publisher: &SecretKey, sequence: u64, now: Timestamp) -> SignedRecord {
        let mut record = SignedRecord {
            publisher: publisher.public(),
            subject: self.subject.clone(),
            sequence,
            timestamp: now,
            ttl: u32::try_from(self.ttl.as_secs()).unwrap_or(u32::MAX),
            payload: self.payload.clone(),
            signature: Signature::new([0; 64]),
        };
        record.signature = publisher.sign(&record.signed_bytes());
        record
    }
}

/// A signed record (D1). Nothing in it can be believed before it was checked, which every node does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedRecord {
    /// Who says it.
    pub publisher: PublicKey,
    /// What it is about.
    pub subject: Subject,
    /// Which version: of two in one [`Slot`], the one with the greater number counts.
    pub sequence: u64,
    /// When it was signed.
    pub timestamp: Timestamp,
    /// For how long from then on it holds, in seconds.
    pub ttl: u32,
    /// What it says; `None` if it withdraws what was said before.
    pub payload: Option<Payload>,
    /// The publisher's signature over all of the above.
    pub signature: Signature,
}

impl SignedRecord {
    /// The key it is kept under; see [`Subject::target`].
    pub fn target(&self) -> Key<32> {
        self.subject.target(&self.publisher)
    }

    /// Its place under that key.
    pub fn slot(&self) -> Slot {
        Slot { publisher: self.publisher, subject: self.subject.clone() }
    }

    /// From when on it no longer holds.
    pub fn expires(&self) -> Timestamp {
        self.timestamp.after(Duration::from_secs(self.ttl.into()))
    }

    /// Whether it takes back what was said before.
    pub const fn is_withdrawal(&self) -> bool {
        self.payload.is_none()
    }

    /// Whether the publisher has signed it. Costs some ten microseconds.
    pub fn is_authentic(&self) -> bool {
        self.publisher.verifies(&self.signed_bytes(), &self.signature)
    }

    /// What it says, if it says something.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_ref().map(Payload::as_bytes)
    }
}
