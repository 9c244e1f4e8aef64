//! A model of a Mainline node: everything the texts demand of one, in as few lines as that takes, and every flaw that the
//! suite is to find, one at a time. Not a node to run: it knows nobody it was not told of, and forgets nothing.

mod flaw;
mod items;
mod lookup;
mod peers;
mod wire;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bittorrent_profile::bencode::{Dict, Tape, Value};
use sha1::{Digest, Sha1};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

pub(crate) use flaw::Flaw;
use items::Stored;
use lookup::Known;
use peers::Peer;
use wire::{Arguments, Entry, compact, dict, in_order_given, int, list, string};

/// What a query is answered with: the entries of `r`, or an error.
type Answer = Result<Vec<Entry>, (i64, &'static str)>;

/// A model at an address of its own, until it is dropped.
pub(crate) struct Model {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Model {
    /// `is_strict` is for runs that do not let local networks off any rule.
    pub(crate) async fn start(host: &str, flaw: Option<Flaw>, is_strict: bool) -> Self {
        let socket = UdpSocket::bind((host, 0)).await.unwrap();
        let other = UdpSocket::bind((host, 0)).await.unwrap();
        let addr = socket.local_addr().unwrap();
        let task = tokio::spawn(async move {
            let mut node = Node::new(addr, flaw, is_strict);
            let mut buffer = vec![0; 65_536];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                for datagram in node.receive(from, &buffer[..length]) {
                    let socket = if node.replies_elsewhere { &other } else { &socket };
                    let _ = socket.send_to(&datagram, from).await;
                }
            }
        });
        Model { addr, task }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Node {
    addr: SocketAddr,
    id: [u8; 20],
    flaw: Option<Flaw>,
    is_strict: bool,
    known: Vec<Known>,
    /// Who was pinged.
    met: Vec<SocketAddr>,
    /// Who answered.
    verified: Vec<SocketAddr>,
    peers: BTreeMap<[u8; 20], Vec<Peer>>,
    items: BTreeMap<[u8; 20], Stored>,
    used: Vec<Vec<u8>>,
    /// What is sampled, chosen once.
    samples: Option<Vec<[u8; 20]>>,
    replies_elsewhere: bool,
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut hash = Sha1::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

impl Node {
    fn new(addr: SocketAddr, flaw: Option<Flaw>, is_strict: bool) -> Self {
        let mut id = sha1(&[b"model"]);
        if is_strict && flaw != Some(Flaw::AnyId) {
            // 127.0.0.1 masked, with the last byte's 3 bits; ::1 has nothing in its first half.
            let masked: &[u8] = if addr.is_ipv4() { &[0x03, 0, 0, 1] } else { &[0; 8] };
            let mut masked = masked.to_vec();
            masked[0] |= (id[19] & 7) << 5;
            id[..3].copy_from_slice(&crc32c::crc32c(&masked).to_be_bytes()[..3]);
        }
        Node {
            addr,
            id,
            flaw,
            is_strict,
            known: Known::made_up(),
            met: Vec::new(),
            verified: Vec::new(),
            peers: BTreeMap::new(),
            items: BTreeMap::new(),
            used: Vec::new(),
            samples: None,
            replies_elsewhere: false,
        }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// What is sent for a datagram, all of it to where that came from.
    fn receive(&mut self, from: SocketAddr, datagram: &[u8]) -> Vec<Vec<u8>> {
        self.replies_elsewhere = false;
        if self.has(Flaw::ShortBuffer) && datagram.len() > 512 {
            return Vec::new();
        }
        let mut tape = <Tape>::new();
        let Ok(message) = tape.parse(datagram) else { return self.complaint(Flaw::AnswersJunk) };
        let Some(top) = message.dict() else { return Vec::new() };
        let (kind, method) = (top.get(b"y"), top.get(b"q").and_then(|q| q.bytes()));
        let (kind, transaction) = (kind.and_then(|y| y.bytes()), top.get(b"t").and_then(|t| t.bytes()));
        match (kind, method, transaction) {
            (Some(b"q"), Some(method), Some(transaction))
                if transaction.len() <= 32 || self.has(Flaw::EchoesTwice) =>
            {
                self.query(from, datagram, message, top, method, transaction)
            }
            (Some(b"r"), ..) => {
                let id = top.get(b"r").and_then(|r| r.dict()?.get(b"id")?.array());
                // On the public network nobody is at a loopback address.
                if let Some(id) = id.filter(|_| top.get(b"t").and_then(|t| t.bytes()) == Some(b"md")) {
                    self.verified.push(from);
                    self.known.extend((!self.is_strict).then_some(Known { id, addr: from }));
                    return Vec::new();
                }
                self.complaint(Flaw::AnswersReplies)
            }
            (Some(b"e"), ..) => self.complaint(Flaw::AnswersReplies),
            _ => Vec::new(),
        }
    }

    fn complaint(&self, flaw: Flaw) -> Vec<Vec<u8>> {
        let error =
            dict(vec![("e", list(&[int(203), string("what?")])), ("t", string("")), ("y", string("e"))]);
        if self.has(flaw) { vec![error] } else { Vec::new() }
    }

    fn query(
        &mut self,
        from: SocketAddr,
        datagram: &[u8],
        message: Value<'_>,
        top: Dict<'_>,
        method: &[u8],
        transaction: &[u8],
    ) -> Vec<Vec<u8>> {
        let is_read_only = top.get(b"ro").and_then(|ro| ro.int()) == Some(1);
        let arguments = top.get(b"a").and_then(|a| a.dict()).map(Arguments);
        let id = arguments.and_then(|a| a.key("id"));
        let odd_version = top.get(b"v").is_some_and(|v| v.bytes().is_none_or(|v| v.len() != 4));
        let refused = self.has(Flaw::RefusesDisorder) && !message.is_canonical()
            || self.has(Flaw::RefusesUnknownKeys) && top.get(b"zz").is_some()
            || self.has(Flaw::RefusesOddVersion) && odd_version
            || self.has(Flaw::IgnoresReadOnly) && is_read_only
            || self.has(Flaw::RefusesIds) && id.is_some_and(|id| Some(id[0]) == self.opposite(from, id[19]));
        if refused {
            return Vec::new();
        }
        let method =
            if self.has(Flaw::ScansBytes) && find(datagram, b"9:find_node") { b"find_node" } else { method };
        let answer = match (arguments, id) {
            (Some(arguments), Some(id)) => self.serve(from, id, method, arguments),
            (Some(arguments), None) if self.has(Flaw::TakesAnyId) => {
                self.serve(from, [0; 20], method, arguments)
            }
            _ => Err((203, "no id of 20 bytes")),
        };
        let mut sent: Vec<_> = self.reply(from, method, transaction, arguments, answer).into_iter().collect();
        if self.has(Flaw::AnswersTwice) {
            sent.extend(sent.clone());
        }
        sent.extend(id.and_then(|id| self.meet(from, id, is_read_only)));
        sent
    }

    /// The first byte that the asker's id must not have, one that is wrong for its address.
    fn opposite(&self, from: SocketAddr, last: u8) -> Option<u8> {
        let SocketAddr::V4(from) = from else { return None };
        let mut masked: Vec<_> =
            from.ip().octets().iter().zip([3, 15, 63, 255]).map(|(a, b)| a & b).collect();
        masked[0] |= (last & 7) << 5;
        Some(!crc32c::crc32c(&masked).to_be_bytes()[0])
    }

    /// Pings a newcomer, that it may be known once it answers.
    fn meet(&mut self, from: SocketAddr, id: [u8; 20], is_read_only: bool) -> Option<Vec<u8>> {
        let keeps = self.has(Flaw::HandsOutStrangers) && !is_read_only
            || self.has(Flaw::KeepsReadOnly) && is_read_only;
        if keeps {
            self.known.push(Known { id, addr: from });
        }
        let is_new = !self.met.contains(&from);
        if !is_new || is_read_only && !self.has(Flaw::PingsReadOnly) {
            return None;
        }
        self.met.push(from);
        let mut ping = vec![
            ("a", dict(vec![("id", string(self.id))])),
            ("q", string("ping")),
            ("t", string("md")),
            ("y", string("q")),
        ];
        if self.has(Flaw::CallsItselfReadOnly) {
            ping.push(("ro", int(1)));
        }
        Some(dict(ping))
    }

    fn serve(&mut self, from: SocketAddr, id: [u8; 20], method: &[u8], a: Arguments<'_>) -> Answer {
        const MISSING: (i64, &str) = (203, "missing argument");
        self.replies_elsewhere = self.has(Flaw::OtherSocket) && method == b"find_node";
        match method {
            b"ping" => Ok(Vec::new()),
            b"find_node" => Ok(self.nodes(from, a.key("target").ok_or(MISSING)?, a, method)?),
            b"get_peers" => self.get_peers(from, a.key("info_hash").ok_or(MISSING)?, a),
            b"announce_peer" => self.announce(from, a.key("info_hash").ok_or(MISSING)?, a),
            b"get" => self.get(from, a.key("target").ok_or(MISSING)?, a),
            b"put" => self.put(from, id, a),
            b"sample_infohashes" => self.sample(from, a.key("target").ok_or(MISSING)?, a),
            _ => {
                let target = a.key("target").or(a.key("info_hash"));
                match target.filter(|_| !self.has(Flaw::UnknownIsUnknown)) {
                    Some(target) => self.nodes(from, target, a, b"find_node"),
                    None => Err((204, "method unknown")),
                }
            }
        }
    }

    fn reply(
        &self,
        from: SocketAddr,
        method: &[u8],
        transaction: &[u8],
        arguments: Option<Arguments<'_>>,
        answer: Answer,
    ) -> Option<Vec<u8>> {
        let is_error = answer.is_err();
        let transaction = match transaction {
            _ if is_error && self.has(Flaw::ErrorsWithoutTransaction) => b"zz",
            long if self.has(Flaw::TwoByteTransactions) => long.get(..2)?,
            other => other,
        };
        let mut reply = vec![("t", string(transaction)), ("y", string(if is_error { "e" } else { "r" }))];
        match answer {
            Ok(mut response) => {
                let last = usize::from(self.has(Flaw::ManyIds) && method == b"find_node");
                let id = if self.has(Flaw::ShortId) { &self.id[..19] } else { &self.id[..] };
                let id = if last == 1 { &[7; 20] } else { id };
                response.push(("id", string(id)));
                if self.has(Flaw::PadsPings) && method == b"ping"
                    || self.has(Flaw::PadsPeers) && method == b"get_peers"
                {
                    response.push(("zz", string([0; 1_300])));
                }
                let as_list = self.has(Flaw::ListForR) && method == b"ping" && transaction != b"";
                reply.push(("r", if as_list { list(&[]) } else { dict(response) }));
                if self.has(Flaw::ReadOnlyResponses) {
                    reply.push(("ro", int(1)));
                }
            }
            Err((code, text)) => reply.push(("e", self.error(code, text, transaction, arguments)?)),
        }
        let ip = if self.has(Flaw::WrongIp) { SocketAddr::new(from.ip(), !from.port()) } else { from };
        let tells = !self.has(Flaw::NoIp) && (!is_error || !self.has(Flaw::NoIpInErrors));
        if tells {
            reply.push(("ip", string(compact(ip))));
        }
        if !self.has(Flaw::NoVersion) {
            reply.push(("v", string(b"MD\0\x01")));
        }
        Some(if self.has(Flaw::UnsortedReplies) { in_order_given(&reply) } else { dict(reply) })
    }

    fn error(&self, code: i64, text: &str, transaction: &[u8], a: Option<Arguments<'_>>) -> Option<Vec<u8>> {
        let code = match (code, text) {
            (204, _) if self.has(Flaw::SilentOnUnknown) => return None,
            (204, _) if self.has(Flaw::UnknownIs201) => 201,
            (203, "missing argument" | "no id of 20 bytes") if self.has(Flaw::SilentOnBadArguments) => {
                return None;
            }
            (203, "missing argument") if self.has(Flaw::BadArgumentsAre204) => 204,
            (203, "bad token") if self.has(Flaw::BadTokenIs201) => 201,
            (203, "keys out of order") if self.has(Flaw::DisorderIs205) => 205,
            (205, _) if self.has(Flaw::TooBigIs203) => 203,
            (206, _) if self.has(Flaw::BadSignatureIs203) => 203,
            (302, "lower seq") if self.has(Flaw::LowerSeqIs203) => 203,
            _ => code,
        };
        let text = if self.has(Flaw::EchoesTwice) {
            let token = a.and_then(|a| a.bytes("token")).unwrap_or_default();
            [text.as_bytes(), transaction, token, token].concat()
        } else {
            text.as_bytes().to_vec()
        };
        let error = list(&[int(code), string(text)]);
        Some(if self.has(Flaw::ErrorAsDict) { dict(vec![("code", error)]) } else { error })
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}
