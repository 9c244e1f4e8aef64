//! Fault plans: what goes wrong in a network, and when.

mod endure;
mod words;

use std::time::Duration;

use crate::churn::Churn;
use crate::clock::Jump;
use crate::link::LinkModel;
use crate::nat::Nat;
use crate::peers::Hostility;
use crate::simulation::NodeIndex;

/// One thing that goes wrong, or is put right. Nodes are named modulo the number of those that the plan does not spare,
/// so that a plan fits every network. What has no effect on a node, such as waking one that does not sleep, has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The node goes down without a farewell.
    Crash(NodeIndex),
    /// If the node is down, a new one takes its address, and joins through live nodes.
    Restart(NodeIndex),
    /// If the node is down, it comes back with its key and the contacts that it had when a [`Crash`](Self::Crash) of
    /// the same plan took it down; otherwise as by [`Restart`](Self::Restart).
    Recover(NodeIndex),
    /// The network falls apart into this many parts, dealt out by turns; below 2, it heals.
    Partition(u32),
    /// The parts reach each other again.
    Heal,
    /// The node's cable is pulled: nothing leaves it, and nothing arrives.
    Isolate(NodeIndex),
    /// The node's cable is plugged in again.
    Reconnect(NodeIndex),
    /// The cables of some nodes are pulled one by one, and then plugged in again in another order, as FoundationDB's
    /// simulator does: whoever comes back first finds only those who have not left yet.
    SwizzleClog {
        /// Of how many nodes; drawn from the simulation's seed.
        nodes: usize,
        /// Time from each step to the next. It takes twice as many steps as nodes.
        pace: Duration,
    },
    /// The node sleeps: no timer rings, and what arrives is gone.
    Suspend(NodeIndex),
    /// The node wakes, and finds that time has passed.
    Resume(NodeIndex),
    /// The node's clock is set.
    ClockJump(NodeIndex, Jump),
    /// The node finds itself at another port.
    Rebind(NodeIndex),
}

/// What goes wrong during one stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultPlan {
    /// How long it lasts. Later faults are left out.
    pub length: Duration,
    /// How datagrams fare meanwhile.
    pub model: LinkModel,
    /// Faults, each at its time after the start, in any order.
    pub faults: Vec<(Duration, Fault)>,
    /// Whether nodes come and go all the time.
    pub churn: Option<Churn>,
    /// Shares of the nodes that turn hostile at the start.
    pub hostile: Vec<(Hostility, f64)>,
    /// Shares of the nodes that find themselves behind a translator at the start.
    pub nats: Vec<(Nat, f64)>,
    /// The clocks of all nodes gain or lose up to this many millionths.
    pub skew: u32,
    /// The first so many nodes are spared everything but what befalls the links: no crash, no churn, no sleep, no
    /// translator, and they do not turn. A test looks from there.
    pub spared: NodeIndex,
}

impl FaultPlan {
    /// Nothing goes wrong for this long, on links as on the [Internet](LinkModel::internet).
    pub const fn quiet(length: Duration) -> Self {
        FaultPlan {
            length,
            model: LinkModel::internet(),
            faults: Vec::new(),
            churn: None,
            hostile: Vec::new(),
            nats: Vec::new(),
            skew: 0,
            spared: 0,
        }
    }

    /// Whether a node may be down in the course of it, or lose what it knew.
    pub fn takes_down(&self) -> bool {
        self.churn.is_some() || self.faults.iter().any(|(_, fault)| matches!(fault, Fault::Crash(_)))
    }
}
