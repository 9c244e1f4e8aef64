//! The laws, and what is said of them.

use std::fmt;

/// A law that every overlay must keep. Its text begins with the property that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Law {
    /// Keys of the overlay's width measure distance as Kademlia needs it.
    Metric,
    /// The table with the overlay's configuration keeps its invariants under any operations.
    Table,
    /// What was encoded decodes to the same message.
    DecodeUndoesEncode,
    /// No encoded message is longer than [`Kit::size`](super::Kit::size).
    Size,
    /// A timer that has rung lets time go on.
    Timers,
    /// What was decoded encodes to a datagram that decodes to the same.
    EncodeUndoesDecode,
    /// No bytes make the decoder panic.
    DecodeNeverPanics,
    /// What is read is not much larger than what came.
    DecodeIsBounded,
    /// Clocks may jump anywhere.
    Clock,
    /// Junk and replies meet silence, a request at most one reply.
    Silence,
    /// A flood leaves a node within its bounds, and able to answer.
    Bounds,
    /// One datagram begins no long conversation.
    Conversation,
    /// Nothing is sent to addresses that must not be spoken to.
    Addresses,
    /// Without loss, lookups find exactly the closest nodes.
    Exact,
    /// With loss and churn, lookups find nearly all of the closest nodes.
    Recall,
    /// Whatever goes wrong, lookups end within their budgets.
    Ends,
    /// The same seed gives the same run.
    Determinism,
}

impl Law {
    /// All of them, in the order in which they are checked: what others rest on comes first.
    pub const ALL: [Law; 17] = [
        Law::Metric,
        Law::Table,
        Law::DecodeUndoesEncode,
        Law::Size,
        Law::Timers,
        Law::EncodeUndoesDecode,
        Law::DecodeNeverPanics,
        Law::DecodeIsBounded,
        Law::Clock,
        Law::Silence,
        Law::Bounds,
        Law::Conversation,
        Law::Addresses,
        Law::Exact,
        Law::Recall,
        Law::Ends,
        Law::Determinism,
    ];

    /// The law in words, after the properties and attacks that it stands for.
    pub const fn text(self) -> &'static str {
        match self {
            Law::Metric => "P9 metric: distances between keys are a metric, and unidirectional",
            Law::Table => "P10 P11 P12 table: buckets, closest contacts and limits are as a plain list says",
            Law::DecodeUndoesEncode => "P32 codec: decode(encode(m)) = m",
            Law::Size => "P18 size: no datagram is longer than allowed",
            Law::Timers => "P4 timers: a timer that has rung lets time go on",
            Law::EncodeUndoesDecode => "P32 P35 codec: encode(decode(b)) decodes to the same",
            Law::DecodeNeverPanics => "P31 codec: no bytes make the decoder panic",
            Law::DecodeIsBounded => "P31 codec: what is read is not much larger than what came",
            Law::Clock => "P5 T21 clock: time may repeat, go back and jump",
            Law::Silence => "P19 P35 T10 silence: only requests are answered, once, to whom they came from",
            Law::Bounds => "P7 P8 T8 bounds: a flooded node stays within its limits and answers",
            Law::Conversation => {
                "T10 conversation: one datagram between two nodes begins no long conversation"
            }
            Law::Addresses => "P20 T13 addresses: nothing is sent where nothing may be sent",
            Law::Exact => "P25 P26 lookups: without loss, exactly the closest nodes are found",
            Law::Recall => "P23 lookups: with loss and churn, nearly all of the closest nodes are found",
            Law::Ends => "P3 P8 P23 lookups: whatever goes wrong, they end within their budgets",
            Law::Determinism => "P1 P2 determinism: the same seed gives the same run",
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// How a law is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which law.
    pub law: Law,
    /// The seed that shows it, for [`Kit::seed`](super::Kit::seed).
    pub seed: u64,
    /// What breaks it.
    pub case: String,
    /// What should have been.
    pub expected: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { law, seed, case, expected } = self;
        write!(f, "{law}\n    broken by {case}\n    expected  {expected}\n    with      seed {seed}")
    }
}

impl std::error::Error for Violation {}

/// All laws held. Prints as a line for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The seed it holds for.
    pub seed: u64,
    /// What was seen of each law.
    pub seen: Vec<(Law, String)>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}", self.seed)?;
        self.seen.iter().try_for_each(|(law, seen)| writeln!(f, "{law}\n    {seen}"))
    }
}
