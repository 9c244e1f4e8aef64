//! The table: what is demanded, a module for each text, and the questions that tell.

use crate::check::Check;

mod bep32;
mod bep33;
mod bep42;
mod bep43;
mod bep44;
mod bep44_mutable;
mod bep5;
mod bep51;
mod bep5_lookup;
mod bep5_peers;
mod conventions;
mod node_to_node;
mod resilience;

/// Every check, by group.
pub(crate) const ALL: &[&[Check]] = &[
    bep5::CHECKS,
    bep5_lookup::CHECKS,
    bep5_peers::CHECKS,
    bep32::CHECKS,
    bep33::CHECKS,
    bep42::CHECKS,
    bep43::CHECKS,
    bep44::CHECKS,
    bep44_mutable::CHECKS,
    node_to_node::CHECKS,
    bep51::CHECKS,
    conventions::CHECKS,
    resilience::CHECKS,
];
