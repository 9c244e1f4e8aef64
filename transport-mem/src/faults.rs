//! Fault plans: what goes wrong in a network, and when.

use std::time::Duration;

use kademlia_core::{Node, Protocol, Service};

use crate::link::LinkModel;
use crate::simulation::{Birth, NodeIndex, Simulation};

/// One thing that goes wrong, or is put right. Nodes are named modulo the number of nodes,
/// so that a plan fits every network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The node goes down with all it knew.
    Crash(NodeIndex),
    /// If the node is down, a new one takes its address, and joins through live nodes.
    Restart(NodeIndex),
    /// The network falls apart into this many parts, dealt out by turns; below 2, it heals.
    Partition(u32),
    /// The parts reach each other again.
    Heal,
}

/// The faults of one stretch of time.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultPlan {
    /// How datagrams fare meanwhile.
    pub model: LinkModel,
    /// Faults, each at its time after the start, in any order.
    pub faults: Vec<(Duration, Fault)>,
    /// How long it lasts. Later faults are left out.
    pub length: Duration,
}

impl<P: Protocol, S: Service<P>> Simulation<P, S> {
    /// Lives through a plan, restarts made by `make`. Afterwards the link model is the one before, and every cut
    /// is mended; whoever is down stays down.
    pub fn endure(&mut self, plan: &FaultPlan, mut make: impl FnMut(Birth<P::Key>) -> Node<P, S>) {
        let before = std::mem::replace(self.links_mut().model_mut(), plan.model);
        let (start, end) = (self.now(), self.now() + plan.length);
        let mut faults: Vec<_> = plan.faults.iter().filter(|(at, _)| *at < plan.length).collect();
        faults.sort_by_key(|(at, _)| *at);
        for &(at, fault) in faults {
            self.run_until(start + at);
            self.inflict(fault, &mut make);
        }
        self.run_until(end);
        *self.links_mut().model_mut() = before;
        self.heal();
    }

    fn inflict(&mut self, fault: Fault, make: &mut impl FnMut(Birth<P::Key>) -> Node<P, S>) {
        let count = self.len().max(1);
        match fault {
            Fault::Crash(node) => {
                self.crash(node % count);
            }
            Fault::Restart(node) if self.node(node % count).is_none() => self.rejoin(node % count, make),
            Fault::Restart(_) => {}
            Fault::Partition(parts) if parts > 1 => {
                self.partition(|node| u32::try_from(node % parts as usize).unwrap_or(0));
            }
            Fault::Partition(_) | Fault::Heal => self.heal(),
        }
    }
}
