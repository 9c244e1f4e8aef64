//! A test kit for overlays (feature `kit`): one call checks that a `Protocol`, its codec and its service keep the laws
//! that every overlay on the engine must keep, alone and in networks in which things go wrong.
//!
//! ```
#![doc = concat!("# #[path = \"", env!("CARGO_MANIFEST_DIR"), "/tests/overlay/mod.rs\"] mod overlay;")]
//! # use overlay::{Request, Tiny};
//! use kademlia_core::{Config, Key, Node};
//! use proptest::prelude::*;
//! use transport_mem::kit::Kit;
//! use transport_mem::{Birth, strategies};
//!
//! fn node(birth: Birth<Key<4>>) -> Node<Tiny<4>, Tiny<4>> {
//!     Node::new(Tiny, birth.key, Config::default(), birth.seed, birth.now)
//! }
//!
//! # /*
//! #[test]
//! # */
//! fn the_overlay_keeps_the_laws() {
//!     Kit::new(node)
//!         .requests(prop_oneof![Just(Request::Ping), strategies::key().prop_map(Request::FindNode)])
//!         .responses(prop::collection::vec(strategies::contact(), 0..=8).prop_map(|all| all.into_iter().collect()))
//!         .size(400)
//!         # .cases(50).nodes(24).laws([transport_mem::kit::Law::DecodeUndoesEncode, transport_mem::kit::Law::Exact])
//!         .check();
//! }
//! # the_overlay_keeps_the_laws();
//! ```
//!
//! # What it takes
//! A function that makes a node as it would run on the Internet, for the simulator's nodes have public addresses; and
//! strategies for what the overlay's nodes ask and answer. Without strategies only the engine's own requests are tried.
//! Everything else has a default. Nodes must draw what they draw from their seed, or no run can be repeated.
//!
//! # What comes of it
//! [`Kit::check`] panics with the law's name, the case that breaks it, what was expected, and the seed; [`Kit::run`]
//! gives the same as a [`Violation`]. Cases of single messages and tables are shrunk to small ones.

mod alone;
mod cases;
mod codec;
mod law;
mod mangle;
mod metric;
mod network;
mod pair;
mod poison;
mod specimens;
mod storm;
mod subject;
mod table;
mod watch;

pub use law::{Law, Report, Violation};

use cases::unless_it_panics;

use std::fmt;
use std::time::Duration;

use kademlia_core::{Node, Protocol, Service};
use proptest::prelude::{BoxedStrategy, Just, Strategy, prop_oneof};

use crate::simulation::Birth;
use crate::strategies;

type Make<P, S> = Box<dyn Fn(Birth<<P as Protocol>::Key>) -> Node<P, S>>;
type Weigh<S> = Box<dyn Fn(&S) -> usize>;
type FollowUp<P> =
    Box<dyn Fn(&<P as Protocol>::Request, &<P as Protocol>::Response) -> Option<<P as Protocol>::Request>>;
type Measure = Box<dyn Fn(&mut dyn FnMut()) -> u64>;

/// What is known of an overlay, and how hard it is tried. See the [module](self).
pub struct Kit<P: Protocol, S> {
    make: Make<P, S>,
    requests: BoxedStrategy<P::Request>,
    responses: Option<BoxedStrategy<P::Response>>,
    errors: Vec<(i64, String)>,
    follow_up: FollowUp<P>,
    size: usize,
    seed: u64,
    cases: u32,
    nodes: usize,
    settle: Duration,
    recall: f64,
    private: bool,
    holds: Option<(Weigh<S>, usize)>,
    measure: Option<Measure>,
    laws: Vec<Law>,
}

impl<P: Protocol, S: Service<P> + Send + 'static> Kit<P, S> {
    /// A kit for the overlay whose nodes `make` makes.
    pub fn new(make: impl Fn(Birth<P::Key>) -> Node<P, S> + 'static) -> Self {
        let own = prop_oneof![
            Just(()).prop_map(|()| P::ping()),
            strategies::key().prop_map(P::find_node),
            strategies::key().prop_map(P::find_node_any),
        ];
        Kit {
            make: Box::new(make),
            requests: own.boxed(),
            responses: None,
            errors: Vec::new(),
            follow_up: Box::new(|_, _| None),
            size: 1_232,
            seed: 1,
            cases: 1_000,
            nodes: 100,
            settle: Duration::from_secs(20 * 60),
            recall: 0.95,
            private: false,
            holds: None,
            measure: None,
            laws: Law::ALL.to_vec(),
        }
    }

    /// What nodes ask each other, in the form in which a decoder gives it. A list of values will do:
    /// `proptest::sample::select(vec![…])`. At first ping and find_node.
    #[must_use]
    pub fn requests(mut self, requests: impl Strategy<Value = P::Request> + 'static) -> Self {
        self.requests = requests.boxed();
        self
    }

    /// What nodes answer, in the form in which a decoder gives it. At first only what nodes of a small network say.
    #[must_use]
    pub fn responses(mut self, responses: impl Strategy<Value = P::Response> + 'static) -> Self {
        self.responses = Some(responses.boxed());
        self
    }

    /// Errors that nodes answer with. At first none.
    #[must_use]
    pub fn errors<T: Into<String>>(mut self, errors: impl IntoIterator<Item = (i64, T)>) -> Self {
        self.errors = errors.into_iter().map(|(code, text)| (code, text.into())).collect();
        self
    }

    /// What whoever asked something asks next, given the answer: a request to store that takes a token from there, for
    /// instance. At first nothing.
    #[must_use]
    pub fn follow_up(
        mut self,
        make: impl Fn(&P::Request, &P::Response) -> Option<P::Request> + 'static,
    ) -> Self {
        self.follow_up = Box::new(make);
        self
    }

    /// Longest datagram, in bytes. At first 1,232: what fits every IPv6 path (T9).
    #[must_use]
    pub fn size(mut self, bytes: usize) -> Self {
        self.size = bytes;
        self
    }

    /// What everything drawn is drawn from. At first 1.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Cases tried of each law about single messages. At first 1,000.
    #[must_use]
    pub fn cases(mut self, cases: u32) -> Self {
        self.cases = cases.max(1);
        self
    }

    /// Nodes in the largest network. At first 100, at least 16.
    #[must_use]
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.nodes = nodes.max(16);
        self
    }

    /// How long a network rests before it is asked for what it should know. At first 20 minutes.
    #[must_use]
    pub fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }

    /// Share of the closest live nodes that lookups must find while things go wrong. At first 0.95.
    #[must_use]
    pub fn recall(mut self, share: f64) -> Self {
        self.recall = share;
        self
    }

    /// The overlay is for private networks: its nodes may speak to private addresses.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.private = true;
        self
    }

    /// How many bytes a service holds, and how many it may: for [`Law::Bounds`]. The engine counts its own.
    #[must_use]
    pub fn holds(mut self, bytes: impl Fn(&S) -> usize + 'static, limit: usize) -> Self {
        self.holds = Some((Box::new(bytes), limit));
        self
    }

    /// How many bytes a closure takes from the heap: for [`Law::DecodeIsBounded`], which otherwise judges by what is
    /// read. With the crate `allocation-counter`: `|run| allocation_counter::measure(run).bytes_total`.
    #[must_use]
    pub fn measure(mut self, measure: impl Fn(&mut dyn FnMut()) -> u64 + 'static) -> Self {
        self.measure = Some(Box::new(measure));
        self
    }

    /// Only these laws are checked, in the order of [`Law::ALL`].
    #[must_use]
    pub fn laws(mut self, laws: impl IntoIterator<Item = Law>) -> Self {
        self.laws = laws.into_iter().collect();
        self
    }

    /// Checks the laws. For tests.
    ///
    /// # Panics
    /// With the [`Violation`] as text, if a law is broken.
    #[allow(clippy::panic, reason = "this is an assertion")]
    #[track_caller]
    pub fn check(&self) -> Report {
        match self.run() {
            Ok(report) => report,
            Err(violation) => panic!("{violation}"),
        }
    }

    /// Checks the laws, one after the other.
    ///
    /// # Errors
    /// The first that is broken. A panic in the overlay breaks the law under which it happens.
    pub fn run(&self) -> Result<Report, Violation> {
        let mut seen = Vec::new();
        for law in Law::ALL.into_iter().filter(|law| self.laws.contains(law)) {
            let panicked = |expected| Err(self.violation(law, "what was tried of this law", expected));
            seen.push((law, unless_it_panics(|| self.prove(law)).unwrap_or_else(panicked)?));
        }
        Ok(Report { seed: self.seed, seen })
    }

    fn prove(&self, law: Law) -> Proof {
        match law {
            Law::Metric => metric::prove(self),
            Law::Table => table::prove(self),
            Law::DecodeUndoesEncode => codec::decode_undoes_encode(self),
            Law::Size => codec::size(self),
            Law::Timers => alone::timers(self),
            Law::EncodeUndoesDecode => codec::encode_undoes_decode(self),
            Law::DecodeNeverPanics => codec::decode_never_panics(self),
            Law::DecodeIsBounded => codec::decode_is_bounded(self),
            Law::Clock => alone::clock(self),
            Law::Silence => alone::silence(self),
            Law::Bounds => alone::bounds(self),
            Law::Conversation => pair::prove(self),
            Law::Addresses => poison::prove(self),
            Law::Exact => network::exact(self),
            Law::Recall => network::recall(self),
            Law::Ends => storm::ends(self),
            Law::Determinism => storm::determinism(self),
        }
    }

    fn violation(&self, law: Law, case: impl Into<String>, expected: impl Into<String>) -> Violation {
        Violation { law, seed: self.seed, case: case.into(), expected: expected.into() }
    }
}

/// What was seen while a law held, for people; or how it is broken.
type Proof = Result<String, Violation>;

impl<P: Protocol, S> fmt::Debug for Kit<P, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kit { size, seed, cases, nodes, laws, .. } = self;
        write!(f, "Kit {{ size: {size}, seed: {seed}, cases: {cases}, nodes: {nodes}, laws: {laws:?} }}")
    }
}
