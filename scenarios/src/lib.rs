#![doc = include_str!("../README.md")]
//!
//! Where to begin: [`Scenario`], [`Outcome`], [`PRESETS`], [`Attack`], [`Swarm`], [`AttackTable`].

mod attack;
mod deeds;
mod figures;
mod network;
mod observed;
mod outcome;
mod parallel;
mod presets;
mod run;
mod scenario;
mod swarm;
mod table;
mod text;

pub use attack::Attack;
pub use figures::{Figures, Spread};
pub use observed::{Answer, Ask, Observed, Role};
pub use outcome::{Found, Outcome};
pub use presets::{PRESETS, Preset};
pub use run::Phase;
pub use scenario::Scenario;
pub use swarm::{Flaw, Swarm};
pub use table::AttackTable;
pub use text::{NotAnAttack, NotAnEffort, effort_from, effort_name};

#[cfg(test)]
mod tests;
