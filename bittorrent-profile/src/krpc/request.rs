//! The methods and their arguments: declared once, below.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::num::NonZeroU16;

use kademlia_core::{Family, Key};

use crate::bencode::{Dict, DictWriter, Value};
use crate::id::InfoHash;
use crate::item::{Item, MAX_VALUE, PublicKey, RawValue, Salt, Signature};
use crate::krpc::{ErrorCode, Families, Token};

/// What the declaration says about one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Method {
    /// The `q` of its queries.
    pub name: &'static str,
    /// The keys of `a` beside `id`, in order.
    pub arguments: &'static [&'static str],
    /// The keys of `r` beside `id` that its replies may carry, in order.
    pub reply: &'static [&'static str],
}

/// Why a query is not served: the code and the text of the error that answers it.
pub(crate) type Refusal = (ErrorCode, &'static str);

/// The one source of truth for every method: makes [`Request`], [`METHODS`], the reader and the writer.
/// Arguments are declared in key order; how a type is read and written, and whether it may be missing, is [`Argument`].
macro_rules! methods {
    ($(
        $(#[$doc:meta])*
        $name:literal => $variant:ident $({ $( $(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal, )* })?
            -> [$($part:literal),*];
    )*) => {
        /// What one Mainline node asks another.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Request {
            $( $(#[$doc])* $variant $({ $( $(#[$field_doc])* $field: $type, )* })?, )*
        }

        /// Every method.
        pub const METHODS: &[Method] = &[
            $( Method { name: $name, arguments: &[$($($key,)*)?], reply: &[$($part,)*] }, )*
        ];

        impl Request {
            /// The `q` of the query.
            pub const fn method(&self) -> &'static str {
                match self {
                    $( Request::$variant $({ $($field: _,)* })? => $name, )*
                }
            }

            /// Reads the arguments of `method`. The method's absence is `None`, a bad argument an error for the asker.
            pub(super) fn read(method: &[u8], arguments: Dict<'_>) -> Option<Result<Self, Refusal>> {
                $(
                    if method == $name.as_bytes() {
                        $($(
                            let argument = arguments.get($key.as_bytes());
                            let Some($field) = <$type>::read(argument) else {
                                let text = concat!("missing or invalid argument: ", $key);
                                return Some(Err((<$type>::refusal(argument), text)));
                            };
                        )*)?
                        return Some(Request::$variant $({ $($field,)* })?.checked());
                    }
                )*
                None
            }

            pub(super) fn write(&self, arguments: &mut ArgumentsWriter<'_, '_>) {
                match self {
                    $( Request::$variant $({ $($field,)* })? => { $($( $field.write($key, arguments); )*)? } )*
                }
            }
        }
    };
}

methods! {
    /// Are you there?
    "ping" => Ping -> [];

    /// Which nodes are closest to `target`?
    "find_node" => FindNode {
        /// The id looked for.
        target: Key<20> = "target",
        /// The families of nodes asked for; none for the one that the query travels on (BEP 32).
        want: Families = "want",
    } -> ["nodes", "nodes6"];

    /// Who shares this torrent, and which nodes are closest to it?
    "get_peers" => GetPeers {
        /// The torrent.
        info_hash: InfoHash = "info_hash",
        /// Rather peers that are not seeds (BEP 33).
        noseed: bool = "noseed",
        /// How many seeds and how many others there are (BEP 33).
        scrape: bool = "scrape",
        /// The families of nodes asked for; none for the one that the query travels on (BEP 32).
        want: Families = "want",
    } -> ["BFpe", "BFsd", "nodes", "nodes6", "token", "values"];

    /// I share this torrent.
    "announce_peer" => AnnouncePeer {
        /// The peer's port is the one that this query comes from; `port` does not count.
        implied_port: bool = "implied_port",
        /// The torrent.
        info_hash: InfoHash = "info_hash",
        /// The peer's port. Absent only beside `implied_port`.
        port: Option<NonZeroU16> = "port",
        /// The peer has all of the torrent (BEP 33).
        seed: bool = "seed",
        /// From this node's last answer to `get_peers`.
        token: Token = "token",
    } -> [];

    /// Which item is stored under `target` (BEP 44)?
    "get" => Get {
        /// The version that the asker has; only a newer one is worth sending.
        seq: Option<i64> = "seq",
        /// The item's key.
        target: Key<20> = "target",
        /// The families of nodes asked for; none for the one that the query travels on (BEP 32).
        want: Families = "want",
    } -> ["k", "nodes", "nodes6", "seq", "sig", "token", "v"];

    /// Store this item (BEP 44). Immutable without `key`; with it, `seq` and `signature` are there too.
    "put" => Put {
        /// Only if the version stored here is this one.
        cas: Option<i64> = "cas",
        /// Whose it is.
        key: Option<PublicKey> = "k",
        /// Which of the owner's items it is.
        salt: Salt = "salt",
        /// The version.
        seq: Option<i64> = "seq",
        /// The owner's signature.
        signature: Option<Signature> = "sig",
        /// From this node's last answer to `get`.
        token: Token = "token",
        /// The value, as it came.
        value: RawValue = "v",
    } -> [];

    /// Some of the info hashes that are stored here, and which nodes are closest to `target` (BEP 51)?
    "sample_infohashes" => SampleInfohashes {
        /// Where to go on.
        target: Key<20> = "target",
        /// The families of nodes asked for; none for the one that the query travels on (BEP 32).
        want: Families = "want",
    } -> ["interval", "nodes", "nodes6", "num", "samples"];
}

impl Request {
    /// Asks for the peers of a torrent, and for nothing special.
    pub const fn get_peers(info_hash: InfoHash, want: Families) -> Self {
        Request::GetPeers { info_hash, noseed: false, scrape: false, want }
    }

    /// Asks to store `item`; with `cas`, only in place of that version.
    pub fn put(item: &Item, cas: Option<i64>, token: Token) -> Self {
        match item {
            Item::Immutable(value) => Request::Put {
                cas: None,
                key: None,
                salt: Salt::default(),
                seq: None,
                signature: None,
                token,
                value: value.clone(),
            },
            Item::Mutable(item) => Request::Put {
                cas,
                key: Some(item.key),
                salt: item.salt,
                seq: Some(item.seq),
                signature: Some(item.signature),
                token,
                value: item.value.clone(),
            },
        }
    }

    /// The rules that bind several arguments together.
    fn checked(self) -> Result<Self, Refusal> {
        let refused = |text| Err((ErrorCode::Protocol, text));
        match self {
            Request::AnnouncePeer { implied_port: false, port: None, .. } => {
                refused("missing or invalid argument: port")
            }
            Request::Put { key: Some(_), seq: None, .. } => refused("missing or invalid argument: seq"),
            Request::Put { key: Some(_), signature: None, .. } => refused("missing or invalid argument: sig"),
            request => Ok(request),
        }
    }

    /// A method that nobody knows, read as the `find_node` it is to be answered like; `None` if it names no target (C.1).
    pub(super) fn read_unknown(arguments: Dict<'_>) -> Option<Self> {
        let named = |key: &[u8]| <Key<20>>::read(arguments.get(key));
        let target = named(b"target").or_else(|| named(b"info_hash"))?;
        let want = Families::read(arguments.get(b"want")).unwrap_or_default();
        Some(Request::FindNode { target, want })
    }
}

/// Writes `a`: the arguments, and the sender's id in its place among them.
pub(super) struct ArgumentsWriter<'w, 'o> {
    dict: &'w mut DictWriter<'o>,
    sender: Option<Key<20>>,
}

impl<'w, 'o> ArgumentsWriter<'w, 'o> {
    pub(super) fn new(dict: &'w mut DictWriter<'o>, sender: Key<20>) -> Self {
        ArgumentsWriter { dict, sender: Some(sender) }
    }

    fn before(&mut self, key: &str) -> &mut DictWriter<'o> {
        if key > "id" {
            self.finish();
        }
        self.dict
    }

    /// Writes the id if no argument came after it.
    pub(super) fn finish(&mut self) {
        if let Some(sender) = self.sender.take() {
            self.dict.bytes("id", sender.as_ref());
        }
    }
}

/// A type that arguments may have.
trait Argument: Sized {
    /// `value` is `None` if the query does not have the argument; the result is `None` if the query is refused for it.
    fn read(value: Option<Value<'_>>) -> Option<Self>;

    /// The error's code, if [`read`](Self::read) has no result.
    fn refusal(value: Option<Value<'_>>) -> ErrorCode {
        let _ = value;
        ErrorCode::Protocol
    }

    /// Writes the argument, or nothing where its absence means the same.
    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>);
}

/// Strings of a fixed length that may be missing.
macro_rules! optional_bytes {
    ($($name:ident $read:expr, $bytes:expr;)*) => {$(
        impl Argument for Option<$name> {
            fn read(value: Option<Value<'_>>) -> Option<Self> {
                value.map_or(Some(None), |value| value.array().map($read).map(Some))
            }

            fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
                if let Some(bytes) = self {
                    out.before(key).bytes(key, &$bytes(bytes));
                }
            }
        }
    )*};
}

optional_bytes! {
    PublicKey PublicKey::new, |key: &PublicKey| key.to_bytes();
    Signature Signature::new, |signature: &Signature| *signature.as_bytes();
}

/// A sequence number, which may be missing: never negative (44.6).
impl Argument for Option<i64> {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        value.map_or(Some(None), |value| value.int().filter(|seq| *seq >= 0).map(Some))
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        if let Some(number) = self {
            out.before(key).int(key, *number);
        }
    }
}

/// An empty salt and none are the same (44.4).
impl Argument for Salt {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        value.map_or(Some(Salt::default()), |value| Salt::new(value.bytes()?))
    }

    fn refusal(value: Option<Value<'_>>) -> ErrorCode {
        let too_long = value.is_some_and(|value| value.bytes().is_some());
        if too_long { ErrorCode::SaltTooLong } else { ErrorCode::Protocol }
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        if !self.as_bytes().is_empty() {
            out.before(key).bytes(key, self.as_bytes());
        }
    }
}

impl Argument for RawValue {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        RawValue::from_value(value?).ok()
    }

    fn refusal(value: Option<Value<'_>>) -> ErrorCode {
        let too_long = value.is_some_and(|value| value.raw().len() > MAX_VALUE);
        if too_long { ErrorCode::ValueTooLong } else { ErrorCode::Protocol }
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        out.before(key).entry(key).extend_from_slice(self.as_bytes());
    }
}

impl Argument for Key<20> {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        value?.array().map(Key::new)
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        out.before(key).bytes(key, self.as_ref());
    }
}

impl Argument for InfoHash {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        <Key<20>>::read(value).map(InfoHash::from)
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        <Key<20>>::from(*self).write(key, out);
    }
}

impl Argument for Token {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        Token::new(value?.bytes()?)
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        out.before(key).bytes(key, self.as_bytes());
    }
}

/// A flag: any number but 0 sets it; absent, it is not set.
impl Argument for bool {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        value.map_or(Some(false), |value| Some(value.int()? != 0))
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        if *self {
            out.before(key).int(key, 1);
        }
    }
}

/// A port that another argument may stand in for: whatever is no port reads as none, and
/// [`checked`](Request::checked) decides.
impl Argument for Option<NonZeroU16> {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        let port = value.and_then(|value| value.int()).and_then(|port| u16::try_from(port).ok());
        Some(port.and_then(NonZeroU16::new))
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        if let Some(port) = self {
            out.before(key).int(key, i64::from(port.get()));
        }
    }
}

/// `want`: a list of `n4` and `n6`; what else it holds is ignored, however often (BEP 32).
impl Argument for Families {
    fn read(value: Option<Value<'_>>) -> Option<Self> {
        let mut families = Families::NONE;
        for item in value.map_or(Some(None), |value| value.list().map(Some))?.into_iter().flatten() {
            match item.bytes() {
                Some(b"n4") => families.insert(Family::V4),
                Some(b"n6") => families.insert(Family::V6),
                _ => {}
            }
        }
        Some(families)
    }

    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>) {
        if self.is_empty() {
            return;
        }
        let mut list = out.before(key).list(key);
        for family in self.iter() {
            list.bytes(match family {
                Family::V4 => b"n4",
                Family::V6 => b"n6",
            });
        }
    }
}
