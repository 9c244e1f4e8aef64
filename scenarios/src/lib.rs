#![doc = include_str!("../README.md")]

mod attack;
mod figures;
mod network;
mod scenario;

pub use attack::Attack;
pub use figures::{Figures, Spread};
pub use scenario::{Outcome, Scenario};
