//! The iterative search of the Kademlia paper (section 2.3), over one path or over several that share no node
//! (S/Kademlia, section 4.4), as a state machine without I/O, clock or messages.

mod candidates;
mod queue;
mod report;
mod window;

pub use queue::LookupLimit;
pub(crate) use queue::Queue;
pub use report::LookupReport;
pub(crate) use window::Rules;

use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use crate::contact::Contact;
use crate::health::Health;
use crate::key::Keyspace;
use crate::time::Instant;
use candidates::{Candidate, Candidates, Choice, Claim, State, chosen};

/// Names a lookup or a publish of one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LookupId(u64);

impl From<u64> for LookupId {
    fn from(number: u64) -> Self {
        LookupId(number)
    }
}

impl fmt::Display for LookupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How hard a lookup is to mislead, and so how many messages it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effort {
    /// The k closest, along one path, as in the Kademlia paper.
    Plain,
    /// Also everybody who is as near to the target as the 20th of the network's nodes should be
    /// ([`LookupConfig::dense`](crate::LookupConfig::dense)): a crowd at the target does not hide who stands behind it.
    Dense,
    /// `Dense`, and from the first answer on also along further paths, as many as `Hardened` has: first results come as soon,
    /// the last are as safe. For [`LookupConfig::reinforced_messages`](crate::LookupConfig::reinforced_messages) at most.
    Reinforced,
    /// Several paths that share no node and together reach beyond the dense radius, each with a result of its own, and in
    /// each also the closest whose keys are bound to their addresses ([`Service::is_bound`](crate::Service::is_bound)).
    Hardened,
}

/// What a lookup wants done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next<K> {
    /// Send the request to this contact on behalf of this path, and report that it was [`asked`](Lookup::asked).
    Ask(Contact<K>, usize),
    /// Nothing until an answer or a deadline.
    Wait,
    /// It is over.
    Done,
}

/// How a path is walked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gait {
    /// What it looks for.
    pub(crate) rules: Rules,
    /// Requests in flight.
    pub(crate) alpha: usize,
    /// Whether whoever does not answer is asked again.
    pub(crate) repeats: bool,
}

/// How one lookup is bounded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Of the paths that it begins with.
    pub(crate) gait: Gait,
    /// Candidates of all paths.
    pub(crate) candidates: usize,
    pub(crate) messages: usize,
    pub(crate) time: Duration,
    /// Between two launches, unless an answer or a failure comes first; zero for none.
    pub(crate) stagger: Duration,
}

/// A contact, and what our own node can say of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Vouched<K> {
    pub(crate) contact: Contact<K>,
    /// Whether its key is bound to its address.
    pub(crate) bound: bool,
    pub(crate) health: Health,
}

impl<K> From<Contact<K>> for Vouched<K> {
    /// A contact of which nothing is known.
    fn from(contact: Contact<K>) -> Self {
        Vouched { contact, bound: false, health: Health::Unknown }
    }
}

/// One lookup. Generic over the key alone: it says whom to ask, the node knows what.
///
/// It ends when on every path the wanted candidates that are not known to be dead have all answered, or at a bound.
/// It never forgets a candidate because a round was full (A6); it asks no address twice, on whatever path, and no key that
/// has answered or may yet answer (P24); a path asks only whom its own nodes named (P29); it keeps at most α requests of a
/// path in flight that have not passed their soft deadline.
#[derive(Debug)]
pub(crate) struct Lookup<K> {
    target: K,
    bounds: Bounds,
    paths: Vec<Path<K>>,
    /// How many of the paths it began with; the others are companions, which joined later.
    begun: usize,
    started: Instant,
    asked: usize,
    /// Of these, on the companions' behalf.
    asked_by_companions: usize,
    answered: usize,
    messages: usize,
    exhausted: bool,
    /// The last launch's pause ends then.
    pause: Option<Instant>,
    /// The next launch waits for that.
    held_back: bool,
}

#[derive(Debug)]
struct Path<K> {
    gait: Gait,
    candidates: Candidates<K>,
    /// In flight and within the soft deadline.
    in_flight: usize,
}

impl<K: Keyspace> Path<K> {
    fn new(target: K, gait: Gait, candidates: usize) -> Self {
        Path { gait, candidates: Candidates::new(target, candidates.max(gait.rules.k)), in_flight: 0 }
    }
}

/// Deals starting points out among paths.
fn deal<K: Keyspace>(paths: &mut [Path<K>], contacts: impl IntoIterator<Item = Vouched<K>>) {
    let count = paths.len().max(1);
    for (at, vouched) in contacts.into_iter().enumerate() {
        if let Some(path) = paths.get_mut(at % count) {
            path.candidates.insert(vouched, 1);
        }
    }
}

impl<K: Keyspace> Lookup<K> {
    pub(crate) fn new(now: Instant, target: K, paths: usize, bounds: Bounds) -> Self {
        let paths = paths.max(1);
        let path = || Path::new(target, bounds.gait, bounds.candidates / paths);
        Lookup {
            target,
            bounds,
            paths: core::iter::repeat_with(path).take(paths).collect(),
            begun: paths,
            started: now,
            asked: 0,
            asked_by_companions: 0,
            answered: 0,
            messages: 0,
            exhausted: false,
            pause: None,
            held_back: false,
        }
    }

    /// The instant at which the lookup ends whatever happened.
    pub(crate) fn deadline(&self) -> Instant {
        self.started + self.bounds.time
    }

    /// When a launch that waits for the pause after the last one may take place.
    pub(crate) fn launch_at(&self) -> Option<Instant> {
        self.pause.filter(|_| self.held_back)
    }

    /// Adds starting points, nearest first, and deals them out among the paths.
    pub(crate) fn seed(&mut self, contacts: impl IntoIterator<Item = Vouched<K>>) {
        deal(&mut self.paths, contacts);
    }

    /// Adds so many companions to the paths it began with. They walk as `gait` says from `contacts`, nearest first, and share
    /// half of the candidates (T14). None asks again: it would rather ask somebody else, for any that it finds will do.
    pub(crate) fn reinforce(
        &mut self,
        companions: usize,
        gait: Gait,
        contacts: impl IntoIterator<Item = Vouched<K>>,
    ) {
        let half = self.bounds.candidates / 2;
        for path in &mut self.paths {
            path.candidates.limit_to((half / self.begun).max(path.gait.rules.k));
        }
        let share = half / companions.max(1);
        let path = || Path::new(self.target, Gait { repeats: false, ..gait }, share);
        self.paths.extend(core::iter::repeat_with(path).take(companions));
        if let Some(companions) = self.paths.get_mut(self.begun..) {
            deal(companions, contacts);
        }
    }

    /// Whether whoever does not answer this path is asked again.
    pub(crate) fn repeats(&self, path: usize) -> bool {
        self.paths.get(path).is_some_and(|path| path.gait.repeats)
    }

    /// What to do now, if further requests may be sent to the addresses for which `has_room` holds. Changes nothing but to mark
    /// candidates that must not be asked, and whether the next one waits.
    pub(crate) fn next(&mut self, now: Instant, has_room: impl Fn(IpAddr) -> bool) -> Next<K> {
        self.held_back = false;
        if now >= self.deadline() {
            self.exhausted = true;
            return Next::Done;
        }
        let spent = self.messages >= self.bounds.messages;
        let mut next = Next::Done;
        for at in 0..self.paths.len() {
            // The other half is for those that they accompany, as long as these need it.
            if at == self.begun && next == Next::Wait && self.asked_by_companions >= self.bounds.messages / 2
            {
                break;
            }
            match self.choose(at, &has_room) {
                Some(Choice::Fresh(_)) if spent => next = Next::Wait,
                Some(Choice::Fresh(_)) if self.pause.is_some_and(|end| now < end) => {
                    self.held_back = true;
                    next = Next::Wait;
                }
                Some(Choice::Fresh(contact)) => return Next::Ask(contact, at),
                Some(Choice::Complete) => {}
                Some(Choice::Pending) | None => next = Next::Wait,
            }
        }
        // Nobody else is asked, but whoever was may still answer.
        if spent && next == Next::Wait && !self.paths.iter().any(|path| path.candidates.is_any_pending()) {
            self.exhausted = true;
            return Next::Done;
        }
        next
    }

    /// The next step of one path; `None` if it may not take it now. Whoever cannot be asked for want of room keeps nobody else
    /// waiting.
    fn choose(&mut self, at: usize, has_room: &impl Fn(IpAddr) -> bool) -> Option<Choice<K>> {
        let (before, rest) = self.paths.split_at_mut(at);
        let (path, after) = rest.split_first_mut()?;
        let others = || before.iter().chain(after.iter());
        let elsewhere = |contact: &Contact<K>| {
            let least = if has_room(contact.addr.ip()) { Claim::Free } else { Claim::Contested };
            others().map(|other| other.candidates.claim(contact)).fold(least, Claim::max)
        };
        let choice = path.candidates.next(path.gait.rules, elsewhere);
        let may_ask = path.in_flight < path.gait.alpha;
        (may_ask || !matches!(choice, Choice::Fresh(_))).then_some(choice)
    }

    /// It is over before everybody wanted has answered.
    pub(crate) fn stop(&mut self) {
        self.exhausted = true;
    }

    /// The contact, which the path would ask next, must not be asked.
    pub(crate) fn refuse(&mut self, contact: &Contact<K>, path: usize) {
        if let Some(path) = self.paths.get_mut(path) {
            path.candidates.refuse(contact);
        }
    }

    /// The contact was asked on behalf of the path.
    pub(crate) fn asked(&mut self, now: Instant, contact: &Contact<K>, path: usize) {
        let companion = path >= self.begun;
        if let Some(path) = self.paths.get_mut(path)
            && path.candidates.ask(contact)
        {
            path.in_flight += 1;
            self.asked += 1;
            self.asked_by_companions += usize::from(companion);
            self.messages += 1;
            self.pause = (!self.bounds.stagger.is_zero()).then(|| now + self.bounds.stagger);
        }
    }

    /// Whether the request to `addr` may be sent again, which then counts as sent. If not, nobody need wait for an answer.
    pub(crate) fn ask_again(&mut self, addr: SocketAddr) -> bool {
        let within = self.messages < self.bounds.messages;
        if within {
            self.messages += 1;
        } else {
            self.failed(addr);
        }
        within
    }

    /// The request to `addr` passed its soft deadline: its slot is free, its answer still counts.
    pub(crate) fn stalled(&mut self, addr: SocketAddr) {
        self.turn(addr, State::Stalled);
    }

    /// The request to `addr` failed for good.
    pub(crate) fn failed(&mut self, addr: SocketAddr) {
        self.pause = None;
        self.turn(addr, State::Failed);
    }

    /// `addr` answered and named these contacts.
    pub(crate) fn answer(&mut self, addr: SocketAddr, named: impl IntoIterator<Item = Vouched<K>>) {
        let Some((path, hop)) = self.turn(addr, State::Answered) else { return };
        for vouched in named {
            path.candidates.insert(vouched, hop.saturating_add(1));
        }
        self.answered += 1;
        self.pause = None;
    }

    /// Moves the candidate that was asked at `addr` into a state; gives back its path and its hop.
    fn turn(&mut self, addr: SocketAddr, state: State) -> Option<(&mut Path<K>, u8)> {
        for path in &mut self.paths {
            if let Some((left, hop)) = path.candidates.turn(addr, state) {
                path.in_flight -= usize::from(left == State::Asked);
                return Some((path, hop));
            }
        }
        None
    }

    pub(crate) fn target(&self) -> K {
        self.target
    }

    /// How many nodes have answered.
    pub(crate) fn answers(&self) -> usize {
        self.answered
    }

    /// Where a value belongs, nearest first: what each path wanted of those that answered and are `willing`.
    pub(crate) fn holders(&self, willing: impl Fn(&Contact<K>) -> bool) -> Vec<Contact<K>> {
        let mut holders: Vec<_> = self
            .paths
            .iter()
            .flat_map(|path| {
                let willing = path.candidates.answered().filter(|answered| willing(&answered.contact()));
                chosen(willing, path.gait.rules)
            })
            .map(Candidate::contact)
            .collect();
        holders.sort_by(|a, b| self.target.cmp_distance(&a.key, &b.key));
        holders
    }

    /// The up to `n` nodes closest to the target that answered and whose keys are bound to their addresses.
    pub(crate) fn closest_bound(&self, n: usize) -> Vec<Contact<K>> {
        let rules = Rules { k: n, most: 0, bound: false, ..self.bounds.gait.rules };
        let bound = self.answered().into_iter().filter(|answered| answered.is_bound());
        chosen(bound, rules).into_iter().map(Candidate::contact).collect()
    }

    /// Who answered on any path, nearest first.
    fn answered(&self) -> Vec<&Candidate<K>> {
        let mut answered: Vec<_> = self.paths.iter().flat_map(|path| path.candidates.answered()).collect();
        answered.sort_by(|a, b| self.target.cmp_distance(&a.contact().key, &b.contact().key));
        answered
    }

    /// What was found so far: up to `k` nodes.
    pub(crate) fn report(&self, now: Instant, k: usize) -> LookupReport<K> {
        let closest =
            chosen(self.answered().into_iter(), Rules { k, most: 0, bound: false, ..self.bounds.gait.rules });
        LookupReport {
            target: self.target,
            hops: closest.iter().map(|found| usize::from(found.hop())).max().unwrap_or(0),
            closest: closest.into_iter().map(Candidate::contact).collect(),
            asked: self.asked,
            answered: self.answered,
            messages: self.messages,
            took: now.since(self.started),
            complete: !self.exhausted,
            crowded: false,
        }
    }

    /// Gives back the room of the candidates: the lookup is over.
    pub(crate) fn forget(&mut self) {
        self.paths = Vec::new();
    }

    pub(crate) fn memory(&self) -> usize {
        let candidates: usize = self.paths.iter().map(|path| path.candidates.memory()).sum();
        candidates + self.paths.capacity() * size_of::<Path<K>>()
    }
}

#[cfg(test)]
mod tests;
