//! Who has which version, and who is still to be told of the latest.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use kademlia_core::{Contact, Family, Instant, Key, RequestId, Tokens};

use crate::krpc::Token;

/// Least time between the beginnings of two rounds. Of versions that follow one another faster only the last is passed on,
/// so that an owner cannot make others send more than a table's worth of requests in this time.
pub const PAUSE: Duration = Duration::from_millis(500);
/// Somebody in the table is asked which version he has this often; sooner after joining.
pub const POLL: Duration = Duration::from_secs(60);
/// The first pause after joining; each is twice as long as the one before, up to [`POLL`].
const FIRST_POLL: Duration = Duration::from_secs(4);
/// Nodes that are being told at a time.
const PARALLEL: usize = 32;
/// Nodes that are told in one round: more than a table has.
const ROUND: usize = 256;
/// Requests to one node in one round: for its version and its token, with the new version, and both once more if the token
/// was none or the node had a newer version meanwhile.
const ATTEMPTS: u8 = 4;
/// A token is used for as long as a node has to accept one.
const TOKEN_LIFE: Duration = Tokens::EPOCH;

/// What is known of somebody in the table.
#[derive(Debug, Default)]
struct Known {
    /// The version that it has, at least: it said so in an answer, put it here, or took it.
    seq: Option<i64>,
    token: Option<(Token, Instant)>,
}

/// A request of ours that awaits its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) to: Contact<Key<20>>,
    pub(super) step: Step,
    /// Requests to this node in this round, this one included.
    pub(super) attempt: u8,
}

/// What a node is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Which version it has.
    Get,
    /// To take this one, with its token.
    Put(i64, Token),
}

/// Rounds through the table, one at a time.
#[derive(Debug, Default)]
pub(super) struct Spread {
    known: BTreeMap<SocketAddr, Known>,
    waiting: VecDeque<(Contact<Key<20>>, u8)>,
    asked: BTreeMap<(Family, RequestId), Asked>,
    /// A version is new, and its round has not begun.
    due: bool,
    rests_until: Instant,
    poll_at: Option<Instant>,
    poll_pause: Duration,
}

impl Spread {
    // What there is to do.

    /// A version is new: everybody is to be told of it.
    pub(super) fn renew(&mut self) {
        self.due = true;
    }

    /// The way into the overlay was found: others are asked for their version at once, and then ever more rarely.
    pub(super) fn hurry(&mut self, now: Instant) {
        self.poll_at = Some(now);
        self.poll_pause = FIRST_POLL;
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        kademlia_core::soonest([self.due.then_some(self.rests_until), self.poll_at])
    }

    /// Begins the round that is due with everybody in `table`, if the pause since the last one is over.
    pub(super) fn begin(&mut self, now: Instant, table: impl Iterator<Item = Contact<Key<20>>>) {
        if !self.due || now < self.rests_until {
            return;
        }
        self.due = false;
        self.rests_until = now + PAUSE;
        self.waiting = table.take(ROUND).map(|contact| (contact, 0)).collect();
        let waiting = &self.waiting;
        self.known.retain(|addr, _| waiting.iter().any(|(contact, _)| contact.addr == *addr));
    }

    /// Whether it is time to ask somebody for his version. If so, the next time is set.
    pub(super) fn take_poll(&mut self, now: Instant, jittered: impl FnOnce(Duration) -> Duration) -> bool {
        let due = self.poll_at.is_some_and(|at| at <= now);
        if due {
            self.poll_at = Some(now + jittered(self.poll_pause));
            self.poll_pause = (self.poll_pause * 2).min(POLL);
        }
        due
    }

    /// Somebody is to be asked, beside the round.
    pub(super) fn add(&mut self, contact: Contact<Key<20>>) {
        if self.waiting.len() < ROUND {
            self.waiting.push_back((contact, 0));
        }
    }

    /// The next request, to somebody who is not known to have the version `latest`; all are asked before one is known.
    pub(super) fn next(&mut self, now: Instant, latest: Option<i64>) -> Option<Asked> {
        while self.asked.len() < PARALLEL
            && let Some((to, attempts)) = self.waiting.pop_front()
        {
            let known = self.known.get(&to.addr);
            let has_it = attempts > 0 && latest.is_none() || self.has(&to.addr, latest);
            if has_it || attempts == ATTEMPTS || self.asked.values().any(|asked| asked.to == to) {
                continue;
            }
            let token = known.and_then(|known| known.token).filter(|(_, until)| now < *until);
            let step = match (latest, token) {
                (Some(seq), Some((token, _))) => Step::Put(seq, token),
                _ => Step::Get,
            };
            return Some(Asked { to, step, attempt: attempts + 1 });
        }
        None
    }

    fn has(&self, addr: &SocketAddr, latest: Option<i64>) -> bool {
        latest.is_some() && self.known.get(addr).is_some_and(|known| known.seq >= latest)
    }

    // What is learnt.

    pub(super) fn sent(&mut self, id: (Family, RequestId), asked: Asked) {
        self.asked.insert(id, asked);
    }

    /// A request has ended, if it was one of these.
    pub(super) fn ended(&mut self, id: (Family, RequestId)) -> Option<Asked> {
        self.asked.remove(&id)
    }

    /// A node has this version, at least.
    pub(super) fn has_version(&mut self, addr: SocketAddr, seq: i64) {
        let known = self.known_mut(addr);
        if let Some(known) = known {
            known.seq = known.seq.max(Some(seq));
        }
    }

    /// A node gave a token, or its last one was refused.
    pub(super) fn set_token(&mut self, now: Instant, addr: SocketAddr, token: Option<Token>) {
        if let Some(known) = self.known_mut(addr) {
            known.token = token.map(|token| (token, now + TOKEN_LIFE));
        }
    }

    /// The node is to be asked again, in this round.
    pub(super) fn again(&mut self, asked: &Asked) {
        self.waiting.push_front((asked.to, asked.attempt));
    }

    fn known_mut(&mut self, addr: SocketAddr) -> Option<&mut Known> {
        if self.known.len() >= ROUND && !self.known.contains_key(&addr) {
            return None;
        }
        Some(self.known.entry(addr).or_default())
    }
}
