//! The methods and their arguments: declared once, below.
#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use core::num::NonZeroU16;

use kademlia_core::{Family, Key};

use crate::bencode::{Dict, DictWriter, Value};
use crate::id::InfoHash;
use crate::krpc::{Families, Token};

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
            pub(super) fn read(method: &[u8], arguments: Dict<'_>) -> Option<Result<Self, &'static str>> {
                $(
                    if method == $name.as_bytes() {
                        $($( let Some($field) = <$type>::read(arguments.get($key.as_bytes())) else {
                            return Some(Err(concat!("missing or invalid argument: ", $key)));
                        }; )*)?
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
        /// The families of nodes asked for; none for the one that the query travels on (BEP 32).
        want: Families = "want",
    } -> ["nodes", "nodes6", "token", "values"];

    /// I share this torrent.
    "announce_peer" => AnnouncePeer {
        /// The peer's port is the one that this query comes from; `port` does not count.
        implied_port: bool = "implied_port",
        /// The torrent.
        info_hash: InfoHash = "info_hash",
        /// The peer's port. Absent only beside `implied_port`.
        port: Option<NonZeroU16> = "port",
        /// From this node's last answer to `get_peers`.
        token: Token = "token",
    } -> [];
}

impl Request {
    /// The rules that bind two arguments together.
    fn checked(self) -> Result<Self, &'static str> {
        match self {
            Request::AnnouncePeer { implied_port: false, port: None, .. } => {
                Err("missing or invalid argument: port")
            }
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

    /// Writes the argument, or nothing where its absence means the same.
    fn write(&self, key: &'static str, out: &mut ArgumentsWriter<'_, '_>);
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
