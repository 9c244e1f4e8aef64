//! Queries, built so that anything about them can be wrong.

use bittorrent_profile::krpc::VERSION;

use crate::bencode::{dict, int, string};

/// A query before it has a sender. Keys are put in order when it is written, unless [`Query::unsorted`].
#[derive(Clone, Debug)]
pub(crate) struct Query {
    transaction: Option<Vec<u8>>,
    arguments: Vec<(&'static str, Vec<u8>)>,
    envelope: Vec<(&'static str, Vec<u8>)>,
    has_id: bool,
    is_sorted: bool,
}

impl Query {
    pub(crate) fn new(method: &str) -> Self {
        let envelope = vec![("q", string(method)), ("y", string("q"))];
        Query { transaction: None, arguments: Vec::new(), envelope, has_id: true, is_sorted: true }
    }

    pub(crate) fn ping() -> Self {
        Query::new("ping")
    }

    pub(crate) fn find_node(target: [u8; 20]) -> Self {
        Query::new("find_node").string("target", target)
    }

    pub(crate) fn get_peers(info_hash: [u8; 20]) -> Self {
        Query::new("get_peers").string("info_hash", info_hash)
    }

    pub(crate) fn announce(info_hash: [u8; 20], port: u16, token: &[u8]) -> Self {
        Query::new("announce_peer")
            .string("info_hash", info_hash)
            .int("port", port.into())
            .string("token", token)
    }

    pub(crate) fn get(target: [u8; 20]) -> Self {
        Query::new("get").string("target", target)
    }

    pub(crate) fn sample(target: [u8; 20]) -> Self {
        Query::new("sample_infohashes").string("target", target)
    }

    /// An argument, bencoded; replaces one of that name, the sender's id included.
    pub(crate) fn raw(mut self, key: &'static str, value: Vec<u8>) -> Self {
        self.has_id &= key != "id";
        self.arguments.retain(|(own, _)| *own != key);
        self.arguments.push((key, value));
        self
    }

    pub(crate) fn string(self, key: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.raw(key, string(value))
    }

    pub(crate) fn int(self, key: &'static str, value: i64) -> Self {
        self.raw(key, int(value))
    }

    pub(crate) fn without(mut self, key: &str) -> Self {
        self.has_id &= key != "id";
        self.arguments.retain(|(own, _)| *own != key);
        self
    }

    /// A top-level value, bencoded; replaces one of that name.
    pub(crate) fn top(mut self, key: &'static str, value: Vec<u8>) -> Self {
        self.envelope.retain(|(own, _)| *own != key);
        self.envelope.push((key, value));
        self
    }

    /// With the `v` that clients say who they are with (5.2), unless it has another.
    pub(crate) fn versioned(self) -> Self {
        if self.envelope.iter().any(|(key, _)| *key == "v") { self } else { self.top("v", string(VERSION)) }
    }

    pub(crate) fn transaction(mut self, transaction: impl Into<Vec<u8>>) -> Self {
        self.transaction = Some(transaction.into());
        self
    }

    /// With its keys, inside and out, in falling order.
    pub(crate) fn unsorted(mut self) -> Self {
        self.is_sorted = false;
        self
    }

    pub(crate) fn has_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// The datagram, and the `t` that its reply has to carry.
    pub(crate) fn encode(&self, sender: &[u8; 20], transaction: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let transaction = self.transaction.clone().unwrap_or_else(|| transaction.to_vec());
        let mut arguments = self.arguments.clone();
        if self.has_id {
            arguments.push(("id", string(sender)));
        }
        let mut envelope = self.envelope.clone();
        envelope.push(("a", self.in_order(arguments)));
        // Whoever sets another `t`, of another type say, gets a reply to it from nobody.
        if !envelope.iter().any(|(key, _)| *key == "t") {
            envelope.push(("t", string(&transaction)));
        }
        (self.in_order(envelope), transaction)
    }

    fn in_order(&self, mut entries: Vec<(&'static str, Vec<u8>)>) -> Vec<u8> {
        entries.sort_by_key(|(key, _)| *key);
        if !self.is_sorted {
            entries.reverse();
        }
        dict(&entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_queries_come_out() {
        let info_hash = *b"mnopqrstuvwxyz123456";
        let (bytes, t) = Query::announce(info_hash, 6881, b"aoeusnth")
            .int("implied_port", 1)
            .encode(b"abcdefghij0123456789", b"aa");
        let published =
            b"d1:ad2:id20:abcdefghij012345678912:implied_porti1e9:info_hash20:mnopqrstuvwxyz123456\
            4:porti6881e5:token8:aoeusnthe1:q13:announce_peer1:t2:aa1:y1:qe";
        assert_eq!((bytes.as_slice(), t.as_slice()), (&published[..], &b"aa"[..]));
    }

    #[test]
    fn anything_can_be_wrong() {
        let (bytes, _) = Query::ping().without("id").top("ro", int(1)).unsorted().encode(&[0; 20], b"aa");
        assert_eq!(bytes, b"d1:y1:q1:t2:aa2:roi1e1:q4:ping1:adee");
    }
}
