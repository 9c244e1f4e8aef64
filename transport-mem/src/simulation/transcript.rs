//! A trace for people: who asked whom, why, and what came back.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kademlia_core::{Cause, Event, Instant, LookupId, Protocol, TransactionId};

use super::trace::{Said, Why};
use super::{NodeIndex, Payload, Step};

/// Keeps the last steps of a run, of all nodes, of one, or of one lookup. Prints as one line for each, and as a
/// sequence diagram. Clones are handles to the same record.
///
/// ```
#[doc = concat!("# #[path = \"", env!("CARGO_MANIFEST_DIR"), "/tests/overlay/mod.rs\"] mod overlay;")]
/// # use std::{sync::Arc, time::Duration};
/// # use kademlia_core::{Config, Key, LookupOptions};
/// # use overlay::{Request, Tiny, node};
/// # use transport_mem::{LinkModel, Simulation, Transcript};
/// # let config = Arc::new(Config::default());
/// # let mut network = Simulation::<Tiny<2>, Tiny<2>>::new(1, LinkModel::internet());
/// # network.grow(10, Duration::from_secs(1), |birth| node(birth, &config));
/// let target = Key::new([0x12, 0x34]);
/// let lookup = network.call(3, |node, now| {
///     node.lookup(now, target, Request::FindNode(target), LookupOptions::default())
/// });
/// # let lookup = lookup.unwrap();
/// let transcript = Transcript::new(1_000).of_lookup(3, lookup.unwrap());
/// network.observe(transcript.observer());
/// network.run_for(Duration::from_secs(20));
/// println!("{transcript}");
/// std::fs::write(std::env::temp_dir().join("lookup.puml"), transcript.plantuml()).unwrap();
/// # assert!(transcript.to_string().contains("FindNode") && transcript.to_string().contains("LookupDone"));
/// ```
#[derive(Clone, Debug)]
pub struct Transcript {
    limit: usize,
    subject: Subject,
    record: Arc<Mutex<Record>>,
}

#[derive(Clone, Copy, Debug)]
enum Subject {
    Everything,
    Node(NodeIndex),
    Lookup(NodeIndex, LookupId),
}

#[derive(Debug, Default)]
struct Record {
    entries: VecDeque<Entry>,
    /// What the lookup asked and whose answers are of interest: the transaction is enough, for the asker knows it by
    /// that too.
    asked: VecDeque<TransactionId>,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    /// In the diagram: from whom, how, to whom. `None` for what a node does alone.
    from: String,
    arrow: Option<(&'static str, String)>,
    text: String,
}

/// Requests of one lookup that may still be answered: more than any lookup has outstanding.
const ASKED: usize = 1_024;

/// Longest text of one step, in characters.
const TEXT: usize = 240;

impl Transcript {
    /// Keeps the last `limit` steps.
    pub fn new(limit: usize) -> Self {
        Transcript { limit, subject: Subject::Everything, record: Arc::default() }
    }

    /// Only what this node sends, is sent and does.
    #[must_use]
    pub fn of_node(mut self, node: NodeIndex) -> Self {
        self.subject = Subject::Node(node);
        self
    }

    /// Only what one lookup or publish of this node sends, what comes back, and its events.
    #[must_use]
    pub fn of_lookup(mut self, node: NodeIndex, lookup: LookupId) -> Self {
        self.subject = Subject::Lookup(node, lookup);
        self
    }

    /// For [`Simulation::observe`](super::Simulation::observe).
    pub fn observer<P: Protocol>(&self) -> impl FnMut(Instant, &Step<'_, P>) + Send + 'static {
        let Transcript { limit, subject, record } = self.clone();
        move |now, step| {
            let mut record = lock(&record);
            if record.is_of(subject, step) {
                while record.entries.len() >= limit.max(1) {
                    record.entries.pop_front();
                }
                record.entries.push_back(Entry::new(now, step));
            }
        }
    }

    /// As a sequence diagram in PlantUML's language.
    pub fn plantuml(&self) -> String {
        let mut text = String::from("@startuml\n");
        for Entry { at, from, arrow, text: said } in &lock(&self.record).entries {
            let at = Seconds(*at);
            text += &match arrow {
                Some((arrow, to)) => format!("\"{from}\" {arrow} \"{to}\" : {at} {said}\n"),
                None => format!("note over \"{from}\" : {at} {said}\n"),
            };
        }
        text + "@enduml\n"
    }
}

impl fmt::Display for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { at, from, arrow, text } in &lock(&self.record).entries {
            match arrow {
                Some((_, to)) => writeln!(f, "{} {from} → {to}: {text}", Seconds(*at))?,
                None => writeln!(f, "{} {from}: {text}", Seconds(*at))?,
            }
        }
        Ok(())
    }
}

impl Record {
    fn is_of<P: Protocol>(&mut self, subject: Subject, step: &Step<'_, P>) -> bool {
        match subject {
            Subject::Everything => true,
            Subject::Node(node) => step.concerns(node),
            Subject::Lookup(node, lookup) => step.concerns(node) && self.is_of_lookup(node, lookup, step),
        }
    }

    fn is_of_lookup<P: Protocol>(&mut self, node: NodeIndex, lookup: LookupId, step: &Step<'_, P>) -> bool {
        let (from, cause, payload) = match step {
            Step::Delivered { from, cause, payload, .. }
            | Step::Lost { from, cause, payload, .. }
            | Step::Refused { from, cause, payload, .. }
            | Step::Vanished { from, cause, payload, .. } => (*from, *cause, *payload),
            Step::Event { event, .. } => return of_event(event) == Some(lookup),
            _ => return false,
        };
        if from != node {
            return transaction(payload).is_some_and(|transaction| self.asked.contains(&transaction));
        }
        let own = matches!(cause, Some(Cause::Lookup(id) | Cause::Store(id)) if id == lookup);
        if own && let Some(transaction) = transaction(payload) {
            self.asked.truncate(ASKED - 1);
            self.asked.push_front(transaction);
        }
        own
    }
}

impl Entry {
    fn new<P: Protocol>(at: Instant, step: &Step<'_, P>) -> Self {
        let (from, arrow) = match step {
            Step::Delivered { from, to, .. } => (from, Some(("->", to.to_string()))),
            Step::Lost { from, to, meant_for, .. }
            | Step::Refused { from, to, meant_for, .. }
            | Step::Vanished { from, to, meant_for, .. } => {
                (from, Some(("->x", meant_for.map_or_else(|| to.to_string(), |host| host.to_string()))))
            }
            Step::Timeout { node }
            | Step::Stopped { node }
            | Step::Started { node }
            | Step::Event { node, .. } => (node, None),
        };
        let text = match step {
            Step::Delivered { cause, payload, seen_as, .. } => {
                let seen = seen_as.map(|addr| format!("as {addr} ")).unwrap_or_default();
                format!("{seen}{}{}", Why(*cause), Said(payload))
            }
            Step::Lost { cause, payload, .. } => format!("lost: {}{}", Why(*cause), Said(payload)),
            Step::Vanished { cause, payload, .. } => {
                format!("nobody there: {}{}", Why(*cause), Said(payload))
            }
            Step::Refused { cause, payload, .. } => {
                format!("refused by its NAT: {}{}", Why(*cause), Said(payload))
            }
            Step::Timeout { .. } => "timeout".into(),
            Step::Stopped { .. } => "stopped".into(),
            Step::Started { .. } => "started".into(),
            Step::Event { event, .. } => format!("{event:?}"),
        };
        Entry { at, from: from.to_string(), arrow, text: one_line(text) }
    }
}

impl<P: Protocol> Step<'_, P> {
    fn concerns(&self, node: NodeIndex) -> bool {
        match self {
            Step::Delivered { from, to, .. } => *from == node || *to == node,
            Step::Lost { from, meant_for, .. }
            | Step::Refused { from, meant_for, .. }
            | Step::Vanished { from, meant_for, .. } => *from == node || *meant_for == Some(node),
            Step::Timeout { node: at }
            | Step::Stopped { node: at }
            | Step::Started { node: at }
            | Step::Event { node: at, .. } => *at == node,
        }
    }
}

fn of_event<P: Protocol>(event: &Event<P>) -> Option<LookupId> {
    match event {
        Event::Answer { lookup, .. } | Event::LookupDone { lookup, .. } | Event::Stored { lookup, .. } => {
            Some(*lookup)
        }
        _ => None,
    }
}

fn transaction<P: Protocol>(payload: &Payload<P>) -> Option<TransactionId> {
    payload.message().map(|message| message.transaction)
}

/// Both forms have one line for each step.
fn one_line(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT) {
        text.truncate(end);
        text.push('…');
    }
    text.replace(['\n', '\r'], " ")
}

fn lock(record: &Mutex<Record>) -> MutexGuard<'_, Record> {
    // Nothing is left half done where somebody panicked.
    record.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An instant as seconds, to the millisecond.
struct Seconds(Instant);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0.as_secs(), self.0.as_micros() / 1_000 % 1_000)
    }
}
