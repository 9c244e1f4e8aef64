//! Everyone a path of a lookup has heard of, nearest first.

use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use super::Vouched;
use super::window::{Rules, Window};
use crate::address::CompactAddr;
use crate::contact::Contact;
use crate::health::Health;
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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// Nobody.
    Free,
    /// The key was asked elsewhere and may yet answer.
    Contested,
    /// The address was asked, or the key has answered.
    Taken,
}

/// 52 bytes for keys of 160 bits: a lookup is mostly these (T14).
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate<K> {
    key: K,
    addr: CompactAddr,
    /// The first 64 bits of its distance to the target.
    distance: [u8; 8],
    state: State,
    hop: u8,
    bound: bool,
    health: Health,
    /// Within the window of the walk that is under way.
    member: bool,
}

impl<K: Copy> Candidate<K> {
    pub(super) fn contact(&self) -> Contact<K> {
        Contact { key: self.key, addr: self.addr.get() }
    }

    /// How many referrals led to it.
    pub(super) fn hop(&self) -> u8 {
        self.hop
    }
}

impl<K> Candidate<K> {
    pub(super) fn distance(&self) -> u64 {
        u64::from_be_bytes(self.distance)
    }

    pub(super) fn is_bound(&self) -> bool {
        self.bound
    }

    fn ip(&self) -> IpAddr {
        self.addr.get().ip()
    }

    fn is_pending_at(&self, addr: CompactAddr) -> bool {
        self.addr == addr && matches!(self.state, State::Asked | State::Stalled)
    }
}

/// Whom to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Choice<K> {
    /// The nearest fresh candidate that may belong to the result.
    Fresh(Contact<K>),
    /// Everyone near enough is asked, not everyone has answered.
    Pending,
    /// Everyone wanted has answered; or all there are.
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

    /// Sets another limit; those that were struck give way, then the farthest fresh candidates.
    pub(super) fn limit_to(&mut self, limit: usize) {
        self.limit = limit;
        while self.list.len() > limit {
            let Some(farthest) = self.farthest(State::Struck).or_else(|| self.farthest(State::Fresh)) else {
                break;
            };
            self.list.remove(farthest);
        }
        self.list.shrink_to(limit);
    }

    fn farthest(&self, state: State) -> Option<usize> {
        self.list.iter().rposition(|candidate| candidate.state == state)
    }

    fn find(&self, contact: &Contact<K>) -> Result<usize, usize> {
        let addr = CompactAddr::new(contact.addr);
        self.list.binary_search_by(|held| {
            let by_distance = self.target.cmp_distance(&held.key, &contact.key);
            by_distance.then_with(|| held.addr.cmp(&addr))
        })
    }

    /// Adds a contact not heard of before. At the limit somebody that was struck gives way, or else the farthest fresh
    /// candidate.
    pub(super) fn insert(&mut self, vouched: Vouched<K>, hop: u8) {
        let Vouched { contact, bound, health } = vouched;
        let Err(mut at) = self.find(&contact) else { return };
        if self.list.len() >= self.limit {
            let fresh = || self.farthest(State::Fresh).filter(|farthest| *farthest >= at);
            let Some(gone) = self.farthest(State::Struck).or_else(fresh) else { return };
            self.list.remove(gone);
            at -= usize::from(gone < at);
        }
        if self.list.len() == self.list.capacity() {
            // Doubled, but never beyond the limit: a lookup is mostly these.
            let further = self.list.len().max(4).min(self.limit.saturating_sub(self.list.len()));
            self.list.reserve_exact(further);
        }
        let Contact { key, addr } = contact;
        let distance = (self.target.head() ^ key.head()).to_be_bytes();
        let (addr, state) = (CompactAddr::new(addr), State::Fresh);
        self.list.insert(at, Candidate { key, addr, distance, state, hop, bound, health, member: false });
    }

    /// The next step towards an answer from everyone the rules want. `elsewhere` tells how other paths stand to a
    /// contact.
    pub(super) fn next(&mut self, rules: Rules, elsewhere: impl Fn(&Contact<K>) -> Claim) -> Choice<K> {
        let mut window = Window::new(rules);
        let (mut pending, mut full) = (false, false);
        let mut best: Option<(Health, Contact<K>)> = None;
        for at in 0..self.list.len() {
            let (nearer, rest) = self.list.split_at_mut(at);
            let Some(current) = rest.first_mut() else { break };
            current.member = false;
            let candidate = *current;
            if window.is_full(candidate.distance()) {
                full = true;
                break;
            }
            if !window.wants(&candidate) || matches!(candidate.state, State::Failed | State::Struck) {
                continue;
            }
            let members = nearer.iter().filter(|nearer| nearer.member).map(Candidate::ip);
            if window.is_crowded(candidate.ip(), &members) {
                // It stays fresh: if a nearer one of its network fails, its turn comes.
                continue;
            }
            match candidate.state {
                State::Fresh => {
                    let contact = candidate.contact();
                    match self.claim(&contact).max(elsewhere(&contact)) {
                        Claim::Free if !rules.healthy_first => return Choice::Fresh(contact),
                        Claim::Free => {
                            best = sounder(best, (candidate.health, contact));
                            // Whoever is likely to answer will have its place in the result.
                            if candidate.health != Health::Bad {
                                window.take(&candidate);
                            }
                        }
                        Claim::Contested => pending = true,
                        Claim::Taken => self.strike(at),
                    }
                }
                State::Asked | State::Answered => {
                    pending |= candidate.state == State::Asked;
                    current.member = true;
                    window.take(&candidate);
                }
                // It may be dead: the window reaches past it, and the result waits for it.
                State::Stalled => pending = true,
                State::Failed | State::Struck => {}
            }
        }
        match best {
            // The last resort: everybody else has answered or failed.
            Some((Health::Bad, contact)) if !pending && !full => Choice::Fresh(contact),
            Some((Health::Good | Health::Unknown, contact)) => Choice::Fresh(contact),
            _ if pending => Choice::Pending,
            _ => Choice::Complete,
        }
    }

    /// Never asks this contact.
    pub(super) fn refuse(&mut self, contact: &Contact<K>) {
        if let Ok(at) = self.find(contact) {
            self.strike(at);
        }
    }

    fn strike(&mut self, at: usize) {
        if let Some(candidate) = self.list.get_mut(at) {
            candidate.state = State::Struck;
        }
    }

    /// Whether a fresh contact may be asked: no address twice, so that nobody can be made a target by many names,
    /// and no key twice unless its first address proved wrong.
    pub(super) fn claim(&self, contact: &Contact<K>) -> Claim {
        let (mut claim, addr) = (Claim::Free, CompactAddr::new(contact.addr));
        for held in &self.list {
            let asked = !matches!(held.state, State::Fresh | State::Struck);
            let same_key = held.key == contact.key;
            if (asked && held.addr == addr) || (same_key && held.state == State::Answered) {
                return Claim::Taken;
            }
            if same_key && matches!(held.state, State::Asked | State::Stalled) {
                claim = Claim::Contested;
            }
        }
        claim
    }

    /// Marks a fresh candidate as asked; false if there is no such candidate.
    pub(super) fn ask(&mut self, contact: &Contact<K>) -> bool {
        let candidate = self.find(contact).ok().and_then(|at| self.list.get_mut(at));
        let fresh = candidate.filter(|candidate| candidate.state == State::Fresh);
        fresh.map(|candidate| candidate.state = State::Asked).is_some()
    }

    /// Moves the candidate that was asked at `addr` into a state; gives back the one it left, and its hop.
    pub(super) fn turn(&mut self, addr: SocketAddr, state: State) -> Option<(State, u8)> {
        let addr = CompactAddr::new(addr);
        let candidate = self.list.iter_mut().find(|held| held.is_pending_at(addr))?;
        Some((core::mem::replace(&mut candidate.state, state), candidate.hop))
    }

    /// Whether anybody that was asked may yet answer.
    pub(super) fn is_any_pending(&self) -> bool {
        self.list.iter().any(|held| matches!(held.state, State::Asked | State::Stalled))
    }

    /// Those that answered, nearest first.
    pub(super) fn answered(&self) -> impl Iterator<Item = &Candidate<K>> {
        self.list.iter().filter(|held| held.state == State::Answered)
    }

    pub(super) fn memory(&self) -> usize {
        self.list.capacity() * size_of::<Candidate<K>>()
    }
}

/// Whom to ask first: the nearer one, unless the other is in better health.
fn sounder<K>(
    best: Option<(Health, Contact<K>)>,
    next: (Health, Contact<K>),
) -> Option<(Health, Contact<K>)> {
    match best {
        Some(best) if best.0 <= next.0 => Some(best),
        _ => Some(next),
    }
}

/// Those of `answered`, nearest first, that the rules want.
pub(super) fn chosen<'a, K: Keyspace>(
    answered: impl Iterator<Item = &'a Candidate<K>>,
    rules: Rules,
) -> Vec<&'a Candidate<K>> {
    let mut window = Window::new(rules);
    let mut chosen = Vec::new();
    for candidate in answered {
        if window.is_full(candidate.distance()) {
            break;
        }
        let members = chosen.iter().map(|member: &&Candidate<K>| member.ip());
        if window.wants(candidate) && !window.is_crowded(candidate.ip(), &members) {
            window.take(candidate);
            chosen.push(candidate);
        }
    }
    chosen
}
