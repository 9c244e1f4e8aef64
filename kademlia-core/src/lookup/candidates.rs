//! Everyone a lookup has heard of, nearest first.

use alloc::vec::Vec;
use core::net::SocketAddr;

use crate::contact::Contact;
use crate::key::Keyspace;

/// How far the lookup got with a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Not asked yet.
    Fresh,
    /// Asked, within the soft deadline.
    Asked,
    /// Asked, past the soft deadline.
    Stalled,
    /// Answered.
    Answered,
    /// Asked, will not answer.
    Failed,
    /// Never asked and never to be asked: somebody else stands for its key or its address.
    Struck,
}

/// Who else stands for a fresh contact's key or address.
enum Claim {
    /// Nobody.
    Free,
    /// The key was asked elsewhere and may yet answer.
    Contested,
    /// The address was asked, or the key has answered.
    Taken,
}

#[derive(Clone, Copy, Debug)]
struct Candidate<K> {
    contact: Contact<K>,
    state: State,
    hop: u8,
}

/// Whom to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice<K> {
    /// The nearest fresh candidate that may belong to the result.
    Fresh(Contact<K>),
    /// Everyone near enough is asked, not everyone has answered.
    Pending,
    /// The k nearest that live have answered; or all there are.
    Complete,
}

/// Candidates ordered by distance to the target, then by address. One key may stand at several addresses:
/// whoever names a wrong address for a key must not hide the right one.
#[derive(Debug)]
pub(super) struct Candidates<K> {
    target: K,
    limit: usize,
    list: Vec<Candidate<K>>,
}

impl<K: Keyspace> Candidates<K> {
    pub(super) fn new(target: K, limit: usize) -> Self {
        Candidates { target, limit, list: Vec::new() }
    }

    fn find(&self, contact: &Contact<K>) -> Result<usize, usize> {
        self.list.binary_search_by(|held| {
            let by_distance = self.target.cmp_distance(&held.contact.key, &contact.key);
            by_distance.then_with(|| held.contact.addr.cmp(&contact.addr))
        })
    }

    /// Adds a contact not heard of before. At the limit the farthest fresh candidate gives way.
    pub(super) fn insert(&mut self, contact: Contact<K>, hop: u8) {
        let Err(at) = self.find(&contact) else { return };
        if self.list.len() >= self.limit {
            let farthest = self.list.iter().rposition(|candidate| candidate.state == State::Fresh);
            match farthest {
                Some(farthest) if farthest >= at => {
                    self.list.remove(farthest);
                }
                _ => return,
            }
        }
        self.list.insert(at, Candidate { contact, state: State::Fresh, hop });
    }

    /// The next step towards k answers.
    pub(super) fn next(&mut self, k: usize) -> Choice<K> {
        let mut counted = 0;
        let mut pending = false;
        for at in 0..self.list.len() {
            let Some(candidate) = self.list.get(at).copied() else { break };
            match candidate.state {
                State::Fresh => match self.claim(&candidate.contact) {
                    Claim::Free => return Choice::Fresh(candidate.contact),
                    Claim::Contested => pending = true,
                    Claim::Taken => self.strike(at),
                },
                State::Asked => {
                    pending = true;
                    counted += 1;
                }
                // It may be dead: the window reaches past it, and the result waits for it.
                State::Stalled => pending = true,
                State::Answered => counted += 1,
                State::Failed | State::Struck => {}
            }
            if counted == k {
                break;
            }
        }
        if pending { Choice::Pending } else { Choice::Complete }
    }

    fn strike(&mut self, at: usize) {
        if let Some(candidate) = self.list.get_mut(at) {
            candidate.state = State::Struck;
        }
    }

    /// Whether a fresh contact may be asked: no address twice, so that nobody can be made a target by many names,
    /// and no key twice unless its first address proved wrong.
    fn claim(&self, contact: &Contact<K>) -> Claim {
        let mut claim = Claim::Free;
        for held in &self.list {
            let asked = !matches!(held.state, State::Fresh | State::Struck);
            let same_key = held.contact.key == contact.key;
            if (asked && held.contact.addr == contact.addr) || (same_key && held.state == State::Answered) {
                return Claim::Taken;
            }
            if same_key && matches!(held.state, State::Asked | State::Stalled) {
                claim = Claim::Contested;
            }
        }
        claim
    }

    /// Moves a candidate into a state; gives back the one it left.
    pub(super) fn turn(&mut self, contact: &Contact<K>, state: State) -> Option<State> {
        let at = self.find(contact).ok()?;
        let candidate = self.list.get_mut(at)?;
        Some(core::mem::replace(&mut candidate.state, state))
    }

    /// The same for the candidate that was asked at `addr`.
    pub(super) fn turn_addr(&mut self, addr: SocketAddr, state: State) -> Option<State> {
        let candidate = self.list.iter_mut().find(|held| held.is_pending_at(addr))?;
        Some(core::mem::replace(&mut candidate.state, state))
    }

    /// How many referrals led to the candidate that was asked at `addr`.
    pub(super) fn hop(&self, addr: SocketAddr) -> Option<u8> {
        self.list.iter().find(|held| held.is_pending_at(addr)).map(|held| held.hop)
    }

    /// Those that answered, nearest first, with the referrals that led to them.
    pub(super) fn answered(&self) -> impl Iterator<Item = (Contact<K>, u8)> {
        let answered = self.list.iter().filter(|held| held.state == State::Answered);
        answered.map(|held| (held.contact, held.hop))
    }

    pub(super) fn memory(&self) -> usize {
        self.list.capacity() * size_of::<Candidate<K>>()
    }
}

impl<K> Candidate<K> {
    fn is_pending_at(&self, addr: SocketAddr) -> bool {
        self.contact.addr == addr && matches!(self.state, State::Asked | State::Stalled)
    }
}
